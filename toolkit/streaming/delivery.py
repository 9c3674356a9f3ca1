"""From the hub's mailboxes to the sockets: one writer per client.

A writer hands a batch to Engine.IO and waits until the transport took it before the next one.
So a client that stops reading fills our bounded mailbox, never Engine.IO's unbounded queue.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from toolkit.streaming.hub import Hub
from toolkit.streaming.stats import ClientRecord, ServiceStats

log = logging.getLogger(__name__)

BATCH = 64
# Long-polling clients refuse more than 16 packets in one answer; acks and pings need room too.
POLLING_BATCH = 8


class Delivery:
    """Writers of all clients; `engine` is the Engine.IO server below python-socketio."""

    def __init__(
        self,
        hub: Hub,
        engine: Any,
        stats: ServiceStats,
        *,
        stall_timeout: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._engine = engine
        self._stats = stats
        self._stall_timeout = stall_timeout
        self._monotonic = monotonic
        self._writers: dict[str, tuple[str, asyncio.Task[None]]] = {}

    @property
    def mode(self) -> str:
        """How messages get to the sockets: `express` or `plain`."""
        return "plain"

    def add(self, record: ClientRecord, *, batch: bool = False) -> None:
        """Open the client's mailbox and start its writer; `batch`: it reads `stream_batch`."""
        wake = asyncio.Event()
        self._hub.attach(record.id, wake=wake.set)
        writer = asyncio.create_task(self._write(record, wake), name=f"to {record.id}")
        writer.add_done_callback(_log_failure)
        self._writers[record.id] = (record.transport_id, writer)

    def remove(self, client: str) -> None:
        """Stop the client's writer and forget its mailbox."""
        self._hub.detach(client)
        if client not in self._writers:
            return
        transport_id, writer = self._writers.pop(client)
        writer.cancel()
        socket = self._engine.sockets.get(transport_id)
        if socket is not None and not socket.upgraded:
            # Engine.IO leaves the long poll of a client that said goodbye hanging.
            socket.queue.put_nowait(None)

    async def close(self) -> None:
        """Stop all writers."""
        writers = [writer for _, writer in self._writers.values()]
        for client in list(self._writers):
            self.remove(client)
        await asyncio.gather(*writers, return_exceptions=True)

    async def drained(self, transport_id: str) -> bool:
        """Wait until the transport has taken what was handed over; False if it does not."""
        socket = self._engine.sockets.get(transport_id)
        if socket is None or socket.queue.empty():
            return socket is not None
        try:
            async with asyncio.timeout(self._stall_timeout):
                await socket.queue.join()
        except TimeoutError:
            return False
        return True

    async def _write(self, record: ClientRecord, wake: asyncio.Event) -> None:
        while True:
            wake.clear()
            due = self._hub.due_in(record.id)
            if due == 0:
                if not await self._send_batch(record):
                    return
                continue
            try:
                async with asyncio.timeout(due):
                    await wake.wait()
            except TimeoutError:
                continue

    async def _send_batch(self, record: ClientRecord) -> bool:
        socket = self._engine.sockets.get(record.transport_id)
        if socket is None:
            return False
        frames = self._hub.take(record.id, BATCH if socket.upgraded else POLLING_BATCH)
        for frame in frames:
            await self._engine.send(record.transport_id, frame.text)
        messages = [frame for frame in frames if frame.stream]
        record.delivered += len(messages)
        self._stats.handed_over(messages, receivers=1, now=self._monotonic())
        return await self.drained(record.transport_id)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception():
        log.error("%s failed", task.get_name(), exc_info=task.exception())
