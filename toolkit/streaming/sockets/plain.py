"""The plain way to a client: one task that hands its messages to Engine.IO.

It hands over a batch and waits until the transport took it before the next one. So a client
that stops reading fills our bounded mailbox, never Engine.IO's unbounded queue.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from toolkit.streaming.hub.frames import Frame
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.measures.stats import ClientRecord

log = logging.getLogger(__name__)

BATCH = 64
# Long-polling clients refuse more than 16 packets in one answer; acks and pings need room too.
POLLING_BATCH = 8


class PlainWriter:
    """Writes to one client until `stop`, or until `leave` says that another way took over.

    `engine` is the Engine.IO server below python-socketio; `note` is told what was handed over.
    A client that takes nothing for `stall_timeout` seconds is given up.
    """

    def __init__(
        self,
        hub: Hub,
        engine: Any,
        record: ClientRecord,
        *,
        stall_timeout: float,
        note: Callable[[ClientRecord, list[Frame]], None],
        leave: Callable[[], bool] = lambda: False,
    ) -> None:
        self._hub = hub
        self._engine = engine
        self._record = record
        self._stall_timeout = stall_timeout
        self._note = note
        self._leave = leave
        self._first: list[Frame] = []
        self._news = asyncio.Event()
        self.task = asyncio.create_task(self._run(), name=f"to {record.id}")
        self.task.add_done_callback(_log_failure)

    def put_first(self, frames: Iterable[Frame]) -> None:
        """Send these before what waits in the hub."""
        self._first.extend(frames)
        self.wake()

    def wake(self) -> None:
        """Look again for something to send."""
        self._news.set()

    def stop(self) -> None:
        """Send nothing more."""
        self.task.cancel()

    async def _run(self) -> None:
        record = self._record
        while await drained(self._engine, record.transport_id, within=self._stall_timeout):
            if self._leave():
                return
            self._news.clear()
            due = 0.0 if self._first else self._hub.due_in(record.id)
            if due == 0:
                await self._send_batch()
                continue
            try:
                async with asyncio.timeout(due):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _send_batch(self) -> None:
        record = self._record
        socket = self._engine.sockets.get(record.transport_id)
        if socket is None:
            return
        limit = BATCH if socket.upgraded else POLLING_BATCH
        frames, self._first = self._first[:limit], self._first[limit:]
        frames = frames or self._hub.take(record.id, limit)
        for frame in frames:
            await self._engine.send(record.transport_id, frame.text)
        self._note(record, frames)


async def drained(engine: Any, transport_id: str, *, within: float) -> bool:
    """Wait until the transport took what Engine.IO has for it; False if not in time (seconds)."""
    socket = engine.sockets.get(transport_id)
    if socket is None:
        return False
    try:
        async with asyncio.timeout(within):
            await socket.queue.join()
    except TimeoutError:
        return False
    return True


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception():
        log.error("%s failed", task.get_name(), exc_info=task.exception())
