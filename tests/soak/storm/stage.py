"""The storm and the calm day side by side, each in a process of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from rich.progress import Progress, TaskID

from tests.soak.storm.calm import CalmDay
from tests.soak.storm.conductor import Conductor, Outcome
from tests.soak.storm.lockstep import Nursery
from tests.soak.storm.loop import IdleLoop
from tests.soak.storm.plan import Plan
from tests.soak.storm.verdict import judge, report


async def play(chosen: Plan, folder: Path, *, on_minute: Callable[[], None]) -> Outcome:
    """Play one day in this process, and return what there is to judge."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, IdleLoop)
    nursery = Nursery(loop)
    await nursery.start()
    try:
        conductor = Conductor(chosen, folder, loop=loop, nursery=nursery)
        return await conductor.run(on_minute=on_minute)
    finally:
        await nursery.stop()


def play_calm_day(chosen: Plan, folder: Path, pipe: Pipe) -> None:
    """Play the calm day in a process of its own; tells of every minute, then what it was."""
    loop = IdleLoop()
    outcome = loop.run_until_complete(play(chosen, folder, on_minute=lambda: pipe.send(None)))
    pipe.send(CalmDay.of(outcome))


class Stage:
    """Both days side by side, each in a process and on a processor of its own."""

    def __init__(self, wild: Plan, folder: Path, progress: Progress, *, calm: bool) -> None:
        self._wild, self._folder, self._progress = wild, folder, progress
        self._near, self._far = multiprocessing.get_context("spawn").Pipe()
        self._calm = calm
        self._calm_day: CalmDay | None = None

    def run(self) -> dict[str, Any]:
        """Play the storm and the calm day, and return the report."""
        context = multiprocessing.get_context("spawn")
        where = (self._wild.calm, self._folder / "calm", self._far)
        process = context.Process(target=play_calm_day, args=where, daemon=True)
        tasks = [
            self._progress.add_task(name, total=self._wild.minutes, visible=visible)
            for name, visible in (("storm", True), ("calm", self._calm))
        ]
        if self._calm:
            process.start()
            self._far.close()  # so that its end is heard

        def on_minute() -> None:
            self._progress.advance(tasks[0])
            while self._waits and self._near.poll():
                self._hear(tasks[1])

        loop = IdleLoop()
        storm = loop.run_until_complete(
            play(self._wild, self._folder / "storm", on_minute=on_minute)
        )
        while self._waits:
            self._hear(tasks[1])
        return report(storm, self._calm_day, judge(storm, self._calm_day))

    @property
    def _waits(self) -> bool:
        return self._calm and self._calm_day is None

    def _hear(self, task: TaskID) -> None:
        news = self._near.recv()
        if news is None:
            self._progress.advance(task)
        else:
            self._calm_day = news
