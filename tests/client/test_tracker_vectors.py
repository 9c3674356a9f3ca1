"""What both clients make of the same messages; tests/js/unit.test.mjs reads the same file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from toolkit.client.messages import Gap, Message
from toolkit.client.tracker import Tracker

VECTORS = json.loads(Path(__file__).parents[1].joinpath("tracker_vectors.json").read_text())
USUAL = {"stream_type": "orders", "symbol": "AAPL", "epoch": "e", "data": {}}


def take(tracker: Tracker, step: dict[str, Any]) -> None:
    match step:
        case {"start": epoch, "gaps": gaps}:
            assert tracker.start(epoch) == gaps
        case {"confirm": seq}:
            tracker.confirm(seq)
        case {"answered": seq}:
            tracker.answered(seq)
        case {"announced": gap, "news": news}:
            assert tracker.announced(Gap(gap)) is news
        case {"accept": message, "fresh": fresh, "gap": gap}:
            assert tracker.accept(Message({**USUAL, **message})) == (fresh, gap)
        case {"forget": stream}:
            tracker.forget(stream)
        case {"last_seen": seen}:
            assert tracker.last_seen() == seen
        case _:
            pytest.fail(f"a step of no known kind: {step}")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_tracker_agrees_with_the_vectors(vector: dict[str, Any]) -> None:
    tracker = Tracker()
    for step in vector["steps"]:
        take(tracker, step)
