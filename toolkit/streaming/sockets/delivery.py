"""From the hub to the sockets.

The express way: once per turn of the loop, what the hub has collected is made into WebSocket
messages once and written to each client's connection. Clients on long polling, and all where
express cannot be had, go the plain way through Engine.IO.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Any, Literal

from toolkit.streaming.hub.cohorts import Parcel
from toolkit.streaming.hub.frames import Frame
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.measures.stats import ClientRecord, ServiceStats
from toolkit.streaming.sockets import plain
from toolkit.streaming.sockets.lane import Lane, WayBrokenError
from toolkit.streaming.sockets.packing import Chunk, pack
from toolkit.streaming.sockets.plain import PlainWriter
from toolkit.streaming.sockets.switchboard import App, Switchboard

log = logging.getLogger(__name__)

# Frames of one client's own mailbox that are written before looking whether it takes them.
BATCH = 128


async def express_protocol(*, compression: bool) -> type[asyncio.Protocol] | None:
    """Return the WebSocket protocol of the express way, None where it cannot be had."""
    try:
        # Here, and not above: whatever it needs may be missing after an upgrade.
        from toolkit.streaming.sockets.express import checked_protocol

        return await checked_protocol(compression=compression)
    except Exception as problem:  # noqa: BLE001 - said in full, and there is another way
        log.warning("messages go the plain, slower way: the express way failed: %r", problem)
        return None


class Delivery:
    """The ways to all clients; `engine` is the Engine.IO server below python-socketio.

    A client that takes nothing for `stall_timeout` seconds is cut off.
    """

    def __init__(
        self,
        hub: Hub,
        engine: Any,
        stats: ServiceStats,
        *,
        stall_timeout: float,
        express: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.mode: Literal["express", "plain"] = "express" if express else "plain"
        self._hub = hub
        self._engine = engine
        self._stats = stats
        self._stall_timeout = stall_timeout
        self._monotonic = monotonic
        self._loop = asyncio.get_running_loop()
        self._switchboard = Switchboard(self._line_changed)
        self._clients: dict[str, ClientRecord] = {}
        self._batching: set[str] = set()
        self._by_transport: dict[str, str] = {}
        self._lanes: dict[str, Lane] = {}
        self._writers: dict[str, PlainWriter] = {}
        self._awake: dict[str, None] = {}
        self._drain_handle: asyncio.Handle | None = None
        self._handed: dict[Frame, int] = {}
        self._paced = 0
        hub.listen(self._schedule)

    def around(self, app: App) -> App:
        """Return the Socket.IO application with its connections watched."""
        return self._switchboard.around(app) if self.mode == "express" else app

    def add(self, record: ClientRecord, *, batch: bool = False) -> None:
        """Open the client's mailbox and a way to it; `batch`: it reads `stream_batch`."""
        self._hub.attach(record.id, wake=partial(self._wake, record.id), batch=batch)
        self._clients[record.id] = record
        self._by_transport[record.transport_id] = record.id
        if batch:
            self._batching.add(record.id)
        if self._switchboard.line(record.transport_id) is not None:
            self._open_lane(record)
        else:
            self._go_plain(record)

    def way(self, client: str) -> Literal["express", "plain"]:
        """Return how the client gets its messages now."""
        return "express" if client in self._lanes else "plain"

    def remove(self, client: str) -> None:
        """Close the way to the client and forget its mailbox."""
        self._hub.detach(client)
        record = self._clients.pop(client, None)
        if record is None:
            return
        self._batching.discard(client)
        if self._by_transport.get(record.transport_id) == client:
            del self._by_transport[record.transport_id]
        if lane := self._lanes.pop(client, None):
            lane.close()
        if writer := self._writers.pop(client, None):
            writer.stop()
        socket = self._engine.sockets.get(record.transport_id)
        if socket is not None and not socket.upgraded:
            # Engine.IO leaves the long poll of a client that said goodbye hanging.
            socket.queue.put_nowait(None)

    async def close(self) -> None:
        """Close all ways."""
        tasks = [writer.task for writer in self._writers.values()]
        for client in list(self._clients):
            self.remove(client)
        if self._drain_handle is not None:
            self._drain_handle.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def drained(self, transport_id: str) -> bool:
        """Wait until the transport has taken what Engine.IO has for it; False if it does not."""
        return await plain.drained(self._engine, transport_id, within=self._stall_timeout)

    def _open_lane(self, record: ClientRecord) -> bool:
        line = self._switchboard.line(record.transport_id)
        if line is None:
            return False
        lane = Lane(
            record,
            line.connection,
            ready=partial(self._wake, record.id),
            stall_timeout=self._stall_timeout,
        )
        lane.open = line.greeted
        self._lanes[record.id] = lane
        self._wake(record.id)
        return True

    def _go_plain(self, record: ClientRecord) -> None:
        self._writers[record.id] = PlainWriter(
            self._hub,
            self._engine,
            record,
            stall_timeout=self._stall_timeout,
            note=self._note_plain,
            leave=partial(self._promote, record),
        )

    def _line_changed(self, session: str) -> None:
        client = self._by_transport.get(session, "")
        line = self._switchboard.line(session)
        if (lane := self._lanes.get(client)) and line is not None and line.greeted:
            lane.open = True
        self._wake(client)

    def _promote(self, record: ClientRecord) -> bool:
        """Leave the plain way once nothing is left on it; called when its queue is empty."""
        line = self._switchboard.line(record.transport_id)
        socket = self._engine.sockets.get(record.transport_id)
        if line is None or not line.idle or socket is None or not socket.upgraded:
            return False
        del self._writers[record.id]
        line.greeted = True
        return self._open_lane(record)

    def _wake(self, client: str) -> None:
        if writer := self._writers.get(client):
            writer.wake()
        elif client in self._lanes:
            self._awake[client] = None
            self._schedule()

    def _schedule(self) -> None:
        if self._drain_handle is None:
            self._drain_handle = self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._drain_handle = None
        for parcel in self._hub.collect():
            self._deliver(parcel)
        awake, self._awake = self._awake, {}
        for client in awake:
            if lane := self._lanes.get(client):
                self._flush(client, lane)
        self._report()

    def _deliver(self, parcel: Parcel) -> None:
        packed: dict[bool, list[Chunk]] = {}
        total = len(parcel.frames)
        messages = [frame for frame in parcel.frames if frame.stream]
        complete = 0
        for client in parcel.members:
            lane = self._lanes[client]
            deflates = lane.connection.deflates
            if deflates not in packed:
                packed[deflates] = pack(parcel.frames, batch=parcel.batch, deflates=deflates)
            written = self._write(lane, packed[deflates])
            if written == total:
                complete += 1
                lane.record.delivered += len(messages)
            else:
                self._count(lane, parcel.frames[:written])
            if written < total or not lane.takes:
                self._hub.leave(client, parcel.frames[written:])
        for frame in messages:
            self._handed[frame] = self._handed.get(frame, 0) + complete

    def _flush(self, client: str, lane: Lane) -> None:
        batch = client in self._batching
        while lane.takes and (frames := self._hub.take(client, BATCH)):
            chunks = pack(frames, batch=batch, deflates=lane.connection.deflates)
            data = Chunk(b"".join([chunk.data for chunk in chunks]), len(frames))
            written = self._write(lane, [data])
            self._count(lane, frames[:written], paced=self._hub.paced(client))
            if writer := self._writers.get(client):
                writer.put_first(frames[written:])
        if not lane.takes:
            return
        due = self._hub.due_in(client)
        if due is None:
            self._hub.join(client)
            return
        if lane.due is not None:
            lane.due.cancel()
        lane.due = self._loop.call_later(due, self._wake, client)

    def _write(self, lane: Lane, chunks: Sequence[Chunk]) -> int:
        try:
            return lane.write(chunks)
        except WayBrokenError as broken:
            log.exception("the express way to %s broke; it goes on the plain way", lane.record.id)
            lane.close()
            del self._lanes[lane.record.id]
            self._switchboard.forget(lane.record.transport_id)
            self._go_plain(lane.record)
            return broken.written

    def _count(self, lane: Lane, frames: Sequence[Frame], *, paced: bool = False) -> None:
        for frame in frames:
            if frame.stream is not None:
                lane.record.delivered += 1
                if paced and frame.conflate:
                    self._paced += 1
                else:
                    self._handed[frame] = self._handed.get(frame, 0) + 1

    def _report(self) -> None:
        handed, self._handed = self._handed, {}
        paced, self._paced = self._paced, 0
        now = self._monotonic()
        if paced:
            self._stats.handed_over_paced(paced, now=now)
        for receivers, group in groupby(handed.items(), key=lambda item: item[1]):
            if receivers:
                frames = [frame for frame, _ in group]
                self._stats.handed_over(frames, receivers=receivers, now=now)

    def _note_plain(self, record: ClientRecord, frames: list[Frame]) -> None:
        messages = [frame for frame in frames if frame.stream]
        record.delivered += len(messages)
        now, paced = self._monotonic(), self._hub.paced(record.id)
        late = [frame for frame in messages if paced and frame.conflate]
        self._stats.handed_over_paced(len(late), now=now)
        in_time = [frame for frame in messages if not paced or not frame.conflate]
        self._stats.handed_over(in_time, receivers=1, now=now)
