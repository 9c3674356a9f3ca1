"""A streaming server in the test's hands: it says what the test has it say, right or wrong."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Body = dict[str, Any]


def message(seq: int, prev: int | None = None, *, stream: str = "orders", **more: Any) -> Body:
    return {
        "stream_type": stream,
        "symbol": "AAPL",
        "seq": seq,
        "prev": seq - 1 if prev is None else prev,
        "epoch": "e1",
        "timestamp": "2026-01-02T14:30:00Z",
        "published": "2026-01-02T14:30:00Z",
        "data": {"kind": "order", "symbol": "AAPL", "price": 1.0},
        **more,
    }


@dataclass
class Guest:
    """One connection to the double."""

    socket: ServerConnection
    auth: Body
    asked: list[tuple[str, Body]] = field(default_factory=list)

    async def send(self, event: str, *data: Any) -> None:
        await self.say("42" + json.dumps([event, *data]))

    async def say(self, text: str | bytes) -> None:
        await self.socket.send(text)

    async def cut(self) -> None:
        self.socket.transport.abort()


@dataclass
class Double:
    """`refusals` are given to the next connections; `answers` replaces the ack of an event.

    `ahead` seconds is how far its clock runs ahead of this machine's.
    """

    epoch: str = "e1"
    config: Body = field(default_factory=lambda: {"symbols": ["AAPL"], "heartbeat_interval": 5.0})
    refusals: list[Body] = field(default_factory=list)
    answers: dict[str, Callable[[Body], Body]] = field(default_factory=dict)
    guests: list[Guest] = field(default_factory=list)
    attempts: list[Body] = field(default_factory=list)
    ahead: float = 0.0
    port: int = 0
    server: Server | None = None
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def now(self) -> float:
        return time.time() + self.ahead

    async def guest(self, number: int = 1) -> Guest:
        """Return the connection `number`, as soon as it was let in."""
        async with asyncio.timeout(10), self.came:
            await self.came.wait_for(lambda: len(self.guests) >= number)
        return self.guests[number - 1]

    async def handle(self, socket: ServerConnection) -> None:
        opened = {"sid": "s", "upgrades": [], "pingInterval": 10_000, "pingTimeout": 30_000}
        await socket.send("0" + json.dumps({**opened, "maxPayload": 32_768}))
        try:
            auth = json.loads((await socket.recv())[2:])
            self.attempts.append(auth)
            if self.refusals:
                refusal = self.refusals.pop(0)
                await socket.send("44" + json.dumps({"message": "no", "data": refusal}))
                return
            guest = await self.let_in(socket, auth)
            async for text in socket:
                await self.answer(guest, str(text))
        except ConnectionClosed:
            pass

    async def let_in(self, socket: ServerConnection, auth: Body) -> Guest:
        guest = Guest(socket, auth)
        await guest.say('40{"sid":"s"}')
        hello = {"connectionId": "s", "epoch": self.epoch, "role": "view", "config": self.config}
        await guest.send("connected", hello)
        async with self.came:
            self.guests.append(guest)
            self.came.notify_all()
        return guest

    async def answer(self, guest: Guest, text: str) -> None:
        if not text.startswith("42"):
            return
        start = text.index("[")
        name, body = json.loads(text[start:])
        guest.asked.append((name, body))
        found = {"ok": True, **self.answers.get(name, getattr(self, name, _nothing))(body)}
        if name == "subscribe" and found["ok"]:
            await guest.send("subscription_confirmed", found)
        await guest.say(f"43{text[2:start]}{json.dumps([found])}")

    def subscribe(self, body: Body) -> Body:
        return {**body, "seq": dict.fromkeys(body["stream_types"], 0)}

    def ping(self, body: Body) -> Body:
        now = self.now() * 1000.0
        return {"server_received_ms": now, "server_sent_ms": self.now() * 1000.0}


def _nothing(_: Body) -> Body:
    return {}


@asynccontextmanager
async def double(*, compression: str | None = None, **options: Any) -> AsyncIterator[Double]:
    made = Double(**options)
    async with serve(
        made.handle, "127.0.0.1", made.port, compression=compression, close_timeout=0.2
    ) as server:
        made.server = server
        made.port = server.sockets[0].getsockname()[1]
        yield made
