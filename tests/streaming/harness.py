"""What lies beneath delivery, without a socket: a connection that fills, and Engine.IO's queues."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import orjson
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame
from websockets.protocol import State
from websockets.uri import parse_uri

from tests.streaming.fakes import START
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.measures.stats import ClientRecord, ServiceStats
from toolkit.streaming.sockets.connection import EXTENSION, Watcher
from toolkit.streaming.sockets.delivery import Delivery
from toolkit.streaming.wire import Role


def texts_of(data: bytes) -> list[str]:
    """Read WebSocket messages as websockets' own client does."""
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN)
    client.extensions = [PerMessageDeflate(True, True, 15, 15)]
    client.receive_data(data)
    if client.parser_exc:
        raise client.parser_exc
    return [bytes(f.data).decode() for f in client.events_received() if isinstance(f, Frame)]


def events_of(data: bytes) -> list[tuple[str, Any]]:
    """Read Socket.IO events, and nothing else, from WebSocket messages."""
    packets = texts_of(data)
    assert all(packet.startswith("42") for packet in packets)
    return [tuple(orjson.loads(packet[2:])) for packet in packets]


@dataclass
class FakeConnection:
    """Takes `room` bytes at once and is full until `take` is called.

    With a `failure`, `works` more writes succeed.
    """

    room: int = 1 << 30
    deflates: bool = False
    full: bool = False
    closed: bool = False
    cuts: int = 0
    watcher: Watcher | None = None
    writes: list[bytes] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None
    works: int = 0
    waiting: int = 0

    def write(self, messages: bytes) -> bool:
        if self.failure is not None:
            if not self.works:
                raise self.failure
            self.works -= 1
        if self.closed:
            return False
        self.writes.append(messages)
        self.news.set()
        self.waiting += len(messages)
        if self.waiting > self.room and not self.full:
            self.full = True
            assert self.watcher is not None
            self.watcher.filled()
        return True

    def take(self) -> None:
        self.waiting, self.full = 0, False
        assert self.watcher is not None
        self.watcher.emptied()

    def cut(self) -> None:
        self.cuts += 1
        self.closed = True
        self.news.set()

    @property
    def events(self) -> list[tuple[str, Any]]:
        return events_of(b"".join(self.writes))

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [body for name, body in self.events if name == "stream_data"]


class FakeEngine:
    """Engine.IO as far as the plain way needs it: packets are taken at once."""

    def __init__(self) -> None:
        self.sockets: dict[str, Any] = {}
        self.sent: list[str] = []
        self.news = asyncio.Event()

    def open(self, session: str) -> None:
        self.sockets[session] = SimpleNamespace(upgraded=True, queue=asyncio.Queue())

    async def send(self, session: str, text: str) -> None:
        self.sent.append(text)
        self.news.set()


class Harness:
    """A delivery with fake connections; `connect` gives one client's."""

    def __init__(self, *, stall_timeout: float = 60.0, queue_size: int = 10_000) -> None:
        self.hub = Hub(epoch="e1", clock=lambda: START, queue_size=queue_size)
        self.engine = FakeEngine()
        self.stats = ServiceStats(self.hub.counters, clock=lambda: START, monotonic=lambda: 0.0)
        self.delivery = Delivery(
            self.hub, self.engine, self.stats, stall_timeout=stall_timeout, express=True
        )
        self.records: dict[str, ClientRecord] = {}

    def add(self, name: str, *, batch: bool = False) -> ClientRecord:
        record = ClientRecord(
            id=name, name=name, role=Role.VIEW, transport_id=f"eio {name}", connected_at=START
        )
        self.engine.open(record.transport_id)
        self.records[name] = record
        self.delivery.add(record, batch=batch)
        return record

    @asynccontextmanager
    async def websocket(
        self, name: str, connection: FakeConnection, *, batch: bool = False, greet: bool = True
    ) -> AsyncIterator[None]:
        """A client's WebSocket as Engine.IO and python-socketio open it."""
        done, ready = asyncio.Event(), asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "websocket.send", "text": f'0{{"sid":"eio {name}"}}'})
            self.add(name, batch=batch)
            if greet:
                await send({"type": "websocket.send", "text": '40{"sid":"x"}'})
            ready.set()
            await done.wait()

        async def nothing(*_: Any) -> None: ...

        scope = {"type": "websocket", "extensions": {EXTENSION: connection}}
        session = asyncio.create_task(self.delivery.around(app)(scope, nothing, nothing))
        await ready.wait()
        try:
            yield
        finally:
            self.delivery.remove(name)
            done.set()
            await session

    async def turn(self) -> None:
        """Let the loop run what is scheduled now."""
        for _ in range(3):
            await asyncio.sleep(0)
