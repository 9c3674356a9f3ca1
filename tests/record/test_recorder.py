"""The recorder: cheap, off the loop, and never in the way of what it records."""

from __future__ import annotations

import asyncio
import errno
import threading
from pathlib import Path

import pytest

from tests.bot.scripted import ScriptedMarket
from tests.core.markets import random_bars
from tests.record.recorded import session
from toolkit.bot.events import BotState
from toolkit.broker.simulated import SimulatedBroker
from toolkit.market.recording import Item, Recording, RecordingWriter
from toolkit.record.recorder import Recorder
from toolkit.record.recording import RecordingBroker, RecordingMarket

BARS = random_bars(1, symbols=["AAPL"], count=200)


class Disk:
    """A writer in memory; `fault` is raised, `gate` holds writes up."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.threads: set[int] = set()
        self.fault: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.closed = False

    def write(self, items: list[Item]) -> None:
        self.threads.add(threading.get_ident())
        self.gate.wait(10)
        if self.fault is not None:
            raise self.fault
        self.items.extend(items)

    def close(self) -> None:
        self.closed = True


def recorder_to(disk: Disk, **options: float) -> tuple[Recorder, list[str]]:
    reports: list[str] = []
    options = {"flush_seconds": 0.005, **options}
    return Recorder(disk, report=reports.append, clock=lambda: 7, **options), reports


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the disk is in another thread
            await asyncio.sleep(0.002)


async def test_what_is_noted_is_written_in_order_by_another_thread_and_closed_at_the_end():
    disk = Disk()
    recorder, reports = recorder_to(disk)
    recorder.start()
    for number in range(1000):
        recorder.note("note", number)
    await until(lambda: len(disk.items) == 1000)
    recorder.note("note", "last")
    await recorder.stop()
    await recorder.stop()
    assert disk.items == [
        *(("note", 7, n) for n in range(1000)),
        ("note", 7, "last"),
        ("end", 7, None),
    ]
    assert disk.closed
    assert threading.get_ident() not in disk.threads
    assert reports == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left"),
        (TypeError("object cannot be recorded"), "unexpected TypeError"),
    ],
)
async def test_a_disk_that_fails_ends_the_recording_and_says_so_once(fault, words):
    disk = Disk()
    recorder, reports = recorder_to(disk)
    recorder.start()
    disk.fault = fault
    recorder.note("note", 1)
    await until(lambda: reports)
    recorder.note("note", 2)
    assert not recorder.active
    await recorder.stop()
    assert len(reports) == 1
    assert words in reports[0]
    assert "the bot goes on" in reports[0]


async def test_the_bot_goes_on_when_the_disk_is_full():
    disk = Disk()
    disk.fault = OSError(errno.ENOSPC, "No space left on device")
    recorder, reports = recorder_to(disk)
    market = RecordingMarket(ScriptedMarket(BARS), recorder)
    run = session(market, RecordingBroker(SimulatedBroker(), recorder))
    await run.bot.run()
    await recorder.stop()
    assert run.bot.state is BotState.FINISHED
    assert run.bot.ledger.bars == len(BARS)
    assert len(reports) == 1


async def test_who_brings_more_than_the_disk_takes_waits_and_then_goes_on_without():
    disk = Disk()
    disk.gate.clear()
    recorder, reports = recorder_to(disk, crowded=10, patience=0.02)
    run = session(RecordingMarket(ScriptedMarket(BARS), recorder), SimulatedBroker())
    await run.bot.run()
    assert run.bot.ledger.bars == len(BARS)
    assert "does not keep up" in reports[0]
    disk.gate.set()
    await recorder.stop()
    assert len(reports) == 1


async def test_a_slow_disk_loses_nothing():
    disk = Disk()
    recorder, reports = recorder_to(disk, crowded=10, patience=10.0)
    run = session(RecordingMarket(ScriptedMarket(BARS), recorder), SimulatedBroker())
    await run.bot.run()
    await recorder.stop()
    assert [i[2] for i in disk.items if i[0] == "market"] == BARS
    assert reports == []


async def test_a_real_folder_is_whole_after_the_stop(tmp_path: Path):
    recorder = Recorder(RecordingWriter(tmp_path / "r", about={}), report=pytest.fail)
    recorder.start()
    recorder.note("market", BARS[0])
    await recorder.stop()
    recording = Recording(tmp_path / "r")
    assert [e.what for e in recording.entries()] == ["market", "end"]
    assert recording.notes == []
