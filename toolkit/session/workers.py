"""The processes that serve a cluster's clients: started, watched, started again.

A worker's loop touches a file every second. One whose file stays as it is hangs: it is killed.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import ConfigError
from toolkit.runtime import ChildProcess

log = logging.getLogger(__name__)

START_SECONDS = 30.0
STOP_SECONDS = 1.5
LOOK_SECONDS = 0.05
BEAT_SECONDS = 1.0
# So many looks in a row without a beat; looks and not seconds, for a machine may have slept.
MISSED_BEATS = 10
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
# Who lived so long may start again at once.
GOOD_LIFE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """How to start one worker: its environment, its log, and the file descriptors it inherits.

    `beat` is the file that it touches as long as its loop runs.
    """

    name: str
    environment: Mapping[str, str]
    log: Path
    beat: Path
    inherited: Sequence[int] = ()


class Workers:
    """One process per job; `on_end(text)` is told whenever one has ended by itself.

    A worker that ends, or hangs and is ended, is started again after a pause, which doubles
    while it keeps ending.
    """

    def __init__(self, jobs: Sequence[Job], *, on_end: Callable[[str], None]) -> None:
        self._jobs = jobs
        self._on_end = on_end
        self._ready = {job.name: asyncio.Event() for job in jobs}
        self._children: dict[str, ChildProcess] = {}
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def pids(self) -> dict[str, int]:
        """The process of each worker that runs."""
        return {name: child.pid for name, child in self._children.items() if child.alive}

    def serves(self, name: str) -> None:
        """Note that a worker takes clients."""
        if name in self._ready:
            self._ready[name].set()

    async def start(self) -> None:
        """Start all and wait until they serve; raises ConfigError with what one said."""
        for job in self._jobs:
            self._launch(job)
        try:
            async with asyncio.timeout(START_SECONDS):
                await asyncio.gather(*(self._first(job) for job in self._jobs))
        except TimeoutError:
            silent = next(job for job in self._jobs if not self._ready[job.name].is_set())
            raise _did_not_start(silent, "it did not answer") from None
        self._keepers = [asyncio.create_task(self._keep(job)) for job in self._jobs]

    async def stop(self) -> None:
        """End all at once and wait for it."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for child in self._children.values():
            child.ask_to_end()
        ending = (asyncio.to_thread(c.stop, timeout=STOP_SECONDS) for c in self._children.values())
        await asyncio.gather(*ending)
        for job in self._jobs:
            _forget(job.beat)

    def _launch(self, job: Job) -> ChildProcess:
        self._ready[job.name].clear()
        _forget(job.beat)
        child = self._children[job.name] = ChildProcess.start(
            [sys.executable, "-m", "toolkit.session.worker"],
            log=job.log,
            environment=job.environment,
            inherited=job.inherited,
        )
        return child

    async def _first(self, job: Job) -> None:
        ready = asyncio.create_task(self._ready[job.name].wait())
        ended = asyncio.create_task(_ended(self._children[job.name]))
        try:
            await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (ready, ended):
                task.cancel()
        if not self._ready[job.name].is_set():
            raise _did_not_start(job, _last_line(job.log))

    async def _keep(self, job: Job) -> None:
        pause = FIRST_PAUSE
        while True:
            began, child = time.monotonic(), self._children[job.name]
            hung = await _ended_or_hung(child, job.beat)
            if time.monotonic() - began > GOOD_LIFE_SECONDS:
                pause = FIRST_PAUSE
            how = "it hung and was killed" if hung else child.how_it_ended
            text = f"{job.name} ended ({how}) and starts again in {pause:g} s"
            log.warning("%s; its log is %s", text, job.log)
            self._on_end(text)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            try:
                self._launch(job)
            except ConfigError as error:
                self._on_end(f"{job.name} cannot be started: {error.message}")


async def _ended(child: ChildProcess) -> None:
    while child.alive:  # noqa: ASYNC110 - it tells nobody when it ends
        await asyncio.sleep(LOOK_SECONDS)


async def _ended_or_hung(child: ChildProcess, beat: Path) -> bool:
    ended = asyncio.create_task(_ended(child))
    silent = asyncio.create_task(_silent(beat))
    try:
        await asyncio.wait({ended, silent}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return False
        child.kill()
        await ended
        return True
    finally:
        for task in (ended, silent):
            task.cancel()


async def _silent(beat: Path) -> None:
    """Wait until a worker has missed MISSED_BEATS."""
    missed, last = 0, _touched(beat)
    while missed < MISSED_BEATS:
        await asyncio.sleep(BEAT_SECONDS)
        now = _touched(beat)
        missed = missed + 1 if now is not None and now == last else 0
        last = now


def _forget(beat: Path) -> None:
    with suppress(OSError):
        beat.unlink()


def _touched(beat: Path) -> int | None:
    try:
        return beat.stat().st_mtime_ns
    except OSError:
        return None  # it starts


def _did_not_start(job: Job, said: str) -> ConfigError:
    return ConfigError(f"{job.name} did not start: {said}; its log is {job.log}", log=str(job.log))


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").split("\n")
    except OSError:
        lines = []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
