"""Drafts of the tuner are run on recent bars and counted as trials."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.research.markets import noise
from toolkit.core.parameters import Parameters
from toolkit.errors import NotConnected
from toolkit.research.store.run_store import RunStore
from toolkit.research.store.trials import DataKey
from toolkit.research.tape import tape_of
from toolkit.session.sliders import SliderTrials

BARS = noise(1, bars=400)


class Client:
    symbols = ("AAPL",)

    def __init__(self) -> None:
        self.asked = 0
        self.fail = False

    def history(self, symbol: str, limit: int = 500) -> dict[str, Any]:
        if self.fail:
            raise NotConnected("no connection")
        self.asked += 1
        rows = BARS.assign(timestamp=BARS["timestamp"].map(lambda t: t.isoformat()), final=True)
        forming = {**rows.iloc[-1].to_dict(), "final": False}
        return {"bars": [*rows.to_dict("records"), forming], "fills": []}


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore.open(tmp_path)


def test_each_distinct_draft_counts_once_as_a_trial_of_the_recent_bars(store: RunStore) -> None:
    client = Client()
    trials = SliderTrials(client, store=lambda: store, clock=lambda: 0.0)
    said = [trials.run(Parameters().replace(ema_period=n)) for n in (5, 9, 5)]
    assert store.trials.known(DataKey.of(tape_of(BARS))).count == 2
    assert said[2].startswith("On the last 400 bars: ") and said[2].endswith(
        "2 trials on these bars so far."
    )
    assert client.asked == 1


def test_bars_are_asked_for_again_after_a_minute(store: RunStore) -> None:
    now, client = [0.0], Client()
    trials = SliderTrials(client, store=lambda: store, clock=lambda: now[0])
    for moment in (0.0, 59.0, 61.0):
        now[0] = moment
        trials.run(Parameters())
    assert client.asked == 2


def test_a_draft_is_taken_at_once_and_shown_when_it_is_run(store: RunStore) -> None:
    shown, done = [], threading.Event()

    def show(text: str) -> None:
        shown.append((text, threading.current_thread().name))
        done.set()

    trials = SliderTrials(Client(), store=lambda: store)
    trials.tried(Parameters(), show)
    assert done.wait(60)
    trials.stop()
    assert shown[0][0].startswith("On the last") and shown[0][1] == "slider trials"


def test_what_fails_is_logged_once_and_later_drafts_count(
    store: RunStore, caplog: pytest.LogCaptureFixture
) -> None:
    client, shown = Client(), []
    client.fail = True
    trials = SliderTrials(client, store=lambda: store)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            trials.tried(Parameters(), shown.append)
        trials.stop()
    assert [r.message for r in caplog.records] == [
        "a draft of the tuner was not counted as a trial: no connection"
    ]
    client.fail = False
    trials.tried(Parameters(), shown.append)
    trials.stop()
    assert len(shown) == 1
