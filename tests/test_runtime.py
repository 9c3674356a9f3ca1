"""Threads and processes: they start, they answer, and they end."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import sys
import threading

import pytest

from toolkit.errors import ConfigError, ToolkitError
from toolkit.runtime import (
    ChildProcess,
    LoopThread,
    Worker,
    keep_pauses_short,
    thread_crew,
    wait_until,
)


def test_pauses_are_kept_short():
    before, seldom = sys.getswitchinterval(), gc.get_threshold()
    try:
        keep_pauses_short()
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold()[0] > seldom[0]
        assert sys.getswitchinterval() < 0.001
    finally:
        gc.unfreeze()
        gc.set_threshold(*seldom)
        sys.setswitchinterval(before)


def test_a_loop_thread_runs_coroutines_and_leaves_nothing():
    with LoopThread("test-loop") as loop:
        assert loop.call(asyncio.sleep(0, "done")) == "done"
        assert "test-loop" in {t.name for t in threading.enumerate()}
    assert not loop.alive
    assert "test-loop" not in {t.name for t in threading.enumerate()}


def test_stopping_cancels_what_still_runs():
    ended: list[str] = []

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def start() -> asyncio.Task[None]:
        task = asyncio.create_task(wait_for_ever())
        await asyncio.sleep(0)
        return task

    loop = LoopThread("test-loop")
    task = loop.call(start())
    loop.stop()
    assert task.cancelled()
    loop.stop()
    assert ended == ["cancelled"]


def test_an_error_reaches_the_caller():
    async def fail() -> None:
        raise ConfigError("wrong")

    with LoopThread("test-loop") as loop, pytest.raises(ConfigError, match="wrong"):
        loop.call(fail())


def test_a_call_that_takes_too_long_is_an_error_and_ends():
    with LoopThread("test-loop") as loop, pytest.raises(ToolkitError, match="no answer within"):
        loop.call(asyncio.Event().wait(), timeout=0.01)


def test_calls_from_its_own_thread_or_after_stop_are_refused():
    loop = LoopThread("test-loop")

    async def inside() -> None:
        loop.call(asyncio.sleep(0))

    with pytest.raises(ToolkitError, match="its own thread"):
        loop.call(inside())
    loop.stop()
    with pytest.raises(ToolkitError, match=r"after stop"):
        loop.call(asyncio.sleep(0))


def test_a_child_process_starts_detached_and_ends(tmp_path):
    log = tmp_path / "logs" / "child.log"
    code = (
        "import os, sys, time; print(os.environ['WORD'], os.getsid(0) == os.getpid()); "
        "sys.stdout.flush(); time.sleep(60)"
    )
    child = ChildProcess.start([sys.executable, "-c", code], log=log, environment={"WORD": "hello"})
    assert wait_until(lambda: log.read_text() == "hello True\n", timeout=10)
    assert child.alive
    child.stop()
    child.stop()
    assert not child.alive
    assert "reaper" not in {t.name for t in threading.enumerate()}


def test_a_later_process_with_the_same_id_is_not_ours():
    import os

    assert ChildProcess(os.getpid()).alive
    assert not ChildProcess(os.getpid(), started=1.0).alive


def test_a_program_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no-such-program"):
        ChildProcess.start(["no-such-program"], log=tmp_path / "log", environment={})


def test_a_crew_does_every_item_once_with_all_its_threads():
    both = threading.Barrier(2, timeout=10)

    def work(item: int) -> tuple[int, str]:
        if item < 2:
            both.wait()
        return item, threading.current_thread().name

    done = list(thread_crew(2).map(work, range(50)))
    assert sorted(item for item, _ in done) == list(range(50))
    assert {name for _, name in done} == {"crew-0", "crew-1"}


def test_a_crew_raises_what_an_item_raised_and_takes_no_more():
    seen = []

    def work(item: int) -> int:
        seen.append(item)
        if item == 3:
            raise ValueError("three")
        return item

    with pytest.raises(ValueError, match="three"):
        list(thread_crew(1).map(work, range(100)))
    assert seen == [0, 1, 2, 3]


def test_a_crew_that_is_left_early_takes_no_more_and_ends_its_threads():
    seen = []
    for item in thread_crew(2).map(lambda n: seen.append(n) or n, itertools.count()):
        if item >= 5:
            break
    count = len(seen)
    assert not [t for t in threading.enumerate() if t.name.startswith("crew-")]
    assert len(seen) == count


def test_a_crew_has_a_thread_for_each_processor_unless_told_otherwise():
    assert thread_crew().workers == len(os.sched_getaffinity(0))
    for wrong in (0, -1, 1.5, True, 1000):
        with pytest.raises(ConfigError, match="whole numbers from 1 to 256"):
            thread_crew(wrong)


def test_a_worker_runs_tasks_in_turn_tells_what_fails_and_starts_again_after_a_stop():
    seen, failed = [], []
    worker = Worker("example", failed=failed.append)
    for task in (lambda: seen.append(1), lambda: 1 / 0, lambda: seen.append(2)):
        worker.submit(task)
    worker.stop()
    worker.stop()
    worker.submit(lambda: seen.append(3))
    worker.stop()
    assert seen == [1, 2, 3]
    assert [type(error) for error in failed] == [ZeroDivisionError]
