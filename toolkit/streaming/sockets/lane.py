"""The express way to one client: its connection, and how long it may take nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from toolkit.streaming.measures.stats import ClientRecord
from toolkit.streaming.sockets.connection import Connection
from toolkit.streaming.sockets.packing import Chunk


class WayBrokenError(Exception):
    """Writing failed unexpectedly, after `written` frames; its cause says how."""

    def __init__(self, written: int) -> None:
        super().__init__(f"writing failed after {written} frames")
        self.written = written


class Lane:
    """Writes to the connection of one client, and watches it.

    `ready` is called when the client takes again; it is cut off when it takes nothing for
    `stall_timeout` seconds. `open` says that events may be sent.
    """

    __slots__ = (
        "_loop",
        "_ready",
        "_stall_timeout",
        "_stalled_at",
        "_timer",
        "connection",
        "due",
        "open",
        "record",
    )

    def __init__(
        self,
        record: ClientRecord,
        connection: Connection,
        *,
        ready: Callable[[], None],
        stall_timeout: float,
    ) -> None:
        self.record = record
        self.connection = connection
        self.open = False
        self.due: asyncio.TimerHandle | None = None
        self._ready = ready
        self._stall_timeout = stall_timeout
        self._stalled_at = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        connection.watcher = self
        if connection.full:
            self.filled()

    @property
    def takes(self) -> bool:
        """Whether it may be written to now."""
        return self.open and not self.connection.full

    def write(self, chunks: Sequence[Chunk]) -> int:
        """Write until the connection is full or closed; return how many frames were written.

        Raises WayBrokenError when writing fails in a way that it never should.
        """
        written = 0
        for chunk in chunks:
            try:
                open_still = self.connection.write(chunk.data)
            except Exception as problem:
                raise WayBrokenError(written) from problem
            if not open_still:
                self.open = False
                break
            written += chunk.carried
            if self.connection.full:
                break
        return written

    def filled(self) -> None:
        """Begin to wait for the client to take something."""
        self._stalled_at = self.connection.waiting
        self._timer = self._loop.call_later(self._stall_timeout, self._check)

    def emptied(self) -> None:
        """Go on."""
        self._stop_timer()
        self._ready()

    def lost(self) -> None:
        """Write no more."""
        self.open = False
        self._stop_timer()

    def close(self) -> None:
        """Watch the connection no longer."""
        self.lost()
        if self.due is not None:
            self.due.cancel()
        if self.connection.watcher is self:
            self.connection.watcher = None

    def _check(self) -> None:
        waiting = self.connection.waiting
        if waiting < self._stalled_at:
            self.filled()
        else:
            self._timer = None
            self.connection.cut()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
