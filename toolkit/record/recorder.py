"""Takes note of what comes in, and writes it down off the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from toolkit.market.recording import Item

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.1
# Beyond this many entries in memory whoever brings more is held up, for PATIENCE at most.
CROWDED = 8192
PATIENCE = 1.0


class Writer(Protocol):
    """Where entries go; blocks."""

    def write(self, items: list[Item]) -> None:
        """Append entries; raises OSError."""
        ...

    def close(self) -> None:
        """Finish; raises OSError."""
        ...


class Recorder:
    """Notes what comes in at a cost of well under a microsecond, and writes every 0.1 s.

    A process that is killed loses what came in since. A disk that fails or does not keep up ends
    the recording, which `report` is told once; whoever is recorded goes on.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        report: Callable[[str], None],
        clock: Callable[[], int] = time.time_ns,
        flush_seconds: float = FLUSH_SECONDS,
        crowded: int = CROWDED,
        patience: float = PATIENCE,
    ) -> None:
        self._writer, self._report, self._clock = writer, report, clock
        self._flush_seconds, self._crowded, self._patience = flush_seconds, crowded, patience
        self._items: list[Item] = []
        self._active = True
        self._task: asyncio.Task[None] | None = None
        self._writing: asyncio.Future[None] | None = None
        self.count = 0

    @property
    def active(self) -> bool:
        """Whether what comes in is still written down."""
        return self._active

    def note(self, what: str, value: Any = None) -> None:
        """Take note of a value that nobody changes any more."""
        if self._active:
            self._items.append((what, self._clock(), value))
            self.count += 1

    def on_note(self, kind: str, who: str, data: Mapping[str, Any]) -> None:
        """Take note of a command, a change of parameters or of a gate, as the bot tells them."""
        self.note("note", {"kind": kind, "who": who, "data": dict(data)})

    def start(self) -> None:
        """Begin to write, in the running loop. Twice is harmless."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="recorder")

    @property
    def is_crowded(self) -> bool:
        """Whether so much waits that `room` has to be awaited before more is noted."""
        return len(self._items) >= self._crowded

    async def room(self) -> None:
        """Wait until what was noted is written; gives the recording up after a second."""
        if not self._active:
            return
        try:
            async with asyncio.timeout(self._patience):
                await self.flush()
        except TimeoutError:
            self._fail("the disk does not keep up")

    async def flush(self) -> None:
        """Return when all that was noted before is written, or the recording has ended."""
        while self._active and (self._items or self._writing):
            if self._writing is None:
                items, self._items = self._items, []
                self._writing = asyncio.ensure_future(asyncio.to_thread(self._writer.write, items))
                self._writing.add_done_callback(self._written)
            await asyncio.wait({self._writing})

    async def stop(self) -> None:
        """Write the rest and close, within a second or so. Twice is harmless."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.note("end")
        await self.room()
        self._active = False
        if self._writing is None:
            try:
                await asyncio.to_thread(self._writer.close)
            except OSError as error:
                self._report(f"the recording could not be finished: {error}")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._flush_seconds)
            await self.flush()

    def _written(self, writing: asyncio.Future[None]) -> None:
        self._writing = None
        if writing.cancelled():
            return
        error = writing.exception()
        if isinstance(error, OSError):
            self._fail(f"{error.strerror or error}")
        elif error is not None:
            log.error("unexpected error of the recorder", exc_info=error)
            self._fail(f"unexpected {type(error).__name__}: {error}")

    def _fail(self, why: str) -> None:
        if self._active:
            self._active = False
            self._items = []
            log.warning("recording stopped: %s", why)
            self._report(f"the recording has stopped: {why}; the bot goes on")
