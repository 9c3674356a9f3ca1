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
from toolkit.streaming.stats import ServiceStats

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

    def add(self, client: str, transport_id: str) -> None:
        """Open the client's mailbox and start its writer."""
        wake = asyncio.Event()
        self._hub.attach(client, wake=wake.set)
        writer = asyncio.create_task(self._write(client, transport_id, wake), name=f"to {client}")
        writer.add_done_callback(_log_failure)
        self._writers[client] = (transport_id, writer)

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

    async def _write(self, client: str, transport_id: str, wake: asyncio.Event) -> None:
        while True:
            wake.clear()
            due = self._hub.due_in(client)
            if due == 0:
                if not await self._send_batch(client, transport_id):
                    return
                continue
            try:
                async with asyncio.timeout(due):
                    await wake.wait()
            except TimeoutError:
                continue

    async def _send_batch(self, client: str, transport_id: str) -> bool:
        socket = self._engine.sockets.get(transport_id)
        if socket is None:
            return False
        frames = self._hub.take(client, BATCH if socket.upgraded else POLLING_BATCH)
        for frame in frames:
            await self._engine.send(transport_id, frame.text)
        now = self._monotonic()
        latencies = [(now - frame.created) * 1000.0 for frame in frames if frame.created]
        count = sum(1 for frame in frames if frame.stream)
        self._stats.delivered(client, latencies, count)
        return await self.drained(transport_id)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception():
        log.error("%s failed", task.get_name(), exc_info=task.exception())
