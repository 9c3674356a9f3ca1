"""A small storm: the real bot at the exchange double, with faults and kills (`make soak`: more)."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.soak.storm import books, calm
from tests.soak.storm.conductor import Conductor, Outcome
from tests.soak.storm.cover import bare_times
from tests.soak.storm.diary import FILE
from tests.soak.storm.lockstep import Nursery
from tests.soak.storm.loop import IdleLoop
from tests.soak.storm.plan import Plan, beginning, plan
from tests.soak.storm.verdict import JOURNAL, judge
from toolkit.exchange.faults import Kind

SYMBOLS = ("AAPL", "NVDA", "BTC/USD", "SOL/USD")


class Stage:
    """One loop and one process that forks bots, for all storms of this file."""

    def __init__(self) -> None:
        self.loop = IdleLoop()
        self.nursery = Nursery(self.loop)
        self.loop.run_until_complete(self.nursery.start())

    def play(self, folder: Path, chosen: Plan) -> Outcome:
        conductor = Conductor(chosen, folder / "storm", loop=self.loop, nursery=self.nursery)
        return self.loop.run_until_complete(conductor.run())

    def close(self) -> None:
        self.loop.run_until_complete(self.nursery.stop())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
        asyncio.set_event_loop(None)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    found = Stage()
    yield found
    found.close()


@pytest.fixture(scope="module")
def storm(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    chosen = plan(seed=11, minutes=50, kills=5, symbols=SYMBOLS)
    return stage.play(tmp_path_factory.mktemp("storm"), chosen)


def test_after_a_storm_broker_and_journal_agree_and_nothing_was_sent_twice(storm: Outcome) -> None:
    found = judge(storm, None)

    assert not found.differences, found.examples
    assert sum(storm.lives.kills.values()) == 5
    assert storm.lives.births >= 6
    assert found.compared["fills"] > 5
    assert found.compared["intents sent"] > 10


@pytest.mark.parametrize(
    ("whole", "minutes"),
    [
        # A 429 held up a net for a minute.
        (plan(seed=22, minutes=150, kills=20), 10),
    ],
    ids=["seed 22"],
)
def test_storms_that_once_failed(stage: Stage, tmp_path: Path, whole: Plan, minutes: int) -> None:
    found = judge(stage.play(tmp_path, beginning(whole, minutes=minutes)), None)

    assert not found.differences, found.examples


def test_a_missing_fill_is_found(storm: Outcome, tmp_path: Path) -> None:
    journal = tmp_path / JOURNAL
    shutil.copy(storm.folder / JOURNAL, journal)
    with closing(sqlite3.connect(journal)) as file, file:
        file.execute("delete from fills where number = (select min(number) from fills)")

    found = books.compare(storm.state, journal)

    assert {"fills", "positions", "cash"} <= found.differences.keys()


def test_another_decision_is_found(storm: Outcome, tmp_path: Path) -> None:
    lines = (storm.folder / FILE).read_bytes().splitlines()
    changed = next(n for n, line in enumerate(lines) if b'"entry":true' in line)
    lines[changed] = lines[changed].replace(b'"entry":true', b'"entry":false')
    (tmp_path / FILE).write_bytes(b"\n".join(lines))
    same = calm.CalmDay(storm.folder, storm.reported, seconds=1.0)
    other = calm.CalmDay(tmp_path, storm.reported, seconds=1.0)

    assert not calm.compare(storm, same).differences
    assert calm.compare(storm, other).differences["conditions"] == 1


def test_a_storm_has_every_kind_of_fault_and_repeats_itself() -> None:
    chosen = plan(seed=5, minutes=200, kills=7, every=60.0)

    assert {fault.kind for fault in chosen.faults} == set(Kind)
    assert len(chosen.kills) == 7
    assert chosen == plan(seed=5, minutes=200, kills=7, every=60.0)
    assert chosen.faults != plan(seed=6, minutes=200, kills=7, every=60.0).faults


def test_an_order_that_was_sent_twice_is_found() -> None:
    found = books.sent_once({"a": ["fault.reset_before", "accepted"], "b": ["accepted"]})

    assert found.differences == {"intents sent": 1}


def test_a_position_without_its_stop_is_found() -> None:
    second = 1_000_000
    bought = {"side": "buy", "type": "market", "id": "1", "status": "filled"}
    net = {"side": "sell", "type": "stop_limit", "id": "2", "status": "new"}
    common = {"symbol": "BTC/USD", "qty": "1"}
    events = [
        (0, {"order": {**common, **bought, "filled_qty": "1"}, "price": "9", "position_qty": "2"}),
        (5 * second, {"order": {**common, **net, "qty": "2", "filled_qty": "0"}}),
        (9 * second, {"order": {**common, **net, "filled_qty": "0", "status": "canceled"}}),
    ]

    found = bare_times(events, end=12 * second)

    assert [bare.open_seconds for bare in found] == [5.0, 3.0]
