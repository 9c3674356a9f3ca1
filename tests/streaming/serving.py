"""A real server on a free port, and a stock python-socketio client that writes down everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import socketio

from tests.streaming.fakes import FakeBot
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.server import StreamingServer, utc_now
from toolkit.streaming.settings import Limits, ServerSettings, WebSocketConfig
from toolkit.streaming.wire import Role

VIEW, TUNE, TRADE = "view-token-0123456789", "tune-token-0123456789", "trade-token-0123456789"
TOKENS = {VIEW: Role.VIEW, TUNE: Role.TUNE, TRADE: Role.TRADE}


@dataclass
class Served:
    server: StreamingServer
    hub: Hub
    bot: FakeBot

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def token(self) -> str:
        return self.server.token


def settings_of(**values: Any) -> ServerSettings:
    """Sort flat names into the settings' parts, so that tests name only what they are about."""
    parts: dict[str, dict[str, Any]] = {"websocket": {}, "limits": {}}
    kinds = {"websocket": WebSocketConfig, "limits": Limits}
    for part, kind in kinds.items():
        for name in [f.name for f in fields(kind) if f.name in values]:
            parts[part][name] = values.pop(name)
    made = {part: kind(**parts[part]) for part, kind in kinds.items()}
    return ServerSettings(**{**made, **values})


@asynccontextmanager
async def serving(
    *,
    bot: FakeBot | None = None,
    epoch: str = "e1",
    dashboard: Callable[[], str | None] = lambda: None,
    on_shutdown: Callable[[], None] | None = None,
    queue_size: int = 10_000,
    **settings: Any,
) -> AsyncIterator[Served]:
    bot = bot or FakeBot()
    hub = Hub(epoch=epoch, clock=utc_now, queue_size=queue_size)
    chosen = settings_of(**{"port": 0, "tokens": TOKENS, **settings})
    server = StreamingServer(
        bot=bot, hub=hub, settings=chosen, dashboard=dashboard, on_shutdown=on_shutdown
    )
    await server.start()
    try:
        yield Served(server, hub, bot)
    finally:
        await server.stop()


@dataclass
class Stock:
    """A stock client; `events` holds (name, first argument) in order."""

    sio: socketio.AsyncClient
    events: list[tuple[str, Any]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, event: str, *args: Any) -> None:
        self.events.append((event, args[0] if args else None))
        self.news.set()

    def all(self, event: str) -> list[Any]:
        return [data for name, data in self.events if name == event]

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self.all("stream_data")

    async def until(self, true: Callable[[], Any], within: float = 5.0) -> None:
        async with asyncio.timeout(within):
            while not true():
                self.news.clear()
                await self.news.wait()

    async def first(self, event: str) -> Any:
        await self.until(lambda: self.all(event))
        return self.all(event)[0]

    async def call(self, event: str, *body: Any) -> Any:
        data = body[0] if len(body) == 1 else body or None
        return await self.sio.call(event, data, timeout=5)


@asynccontextmanager
async def stock(
    served: Served, *, transports: tuple[str, ...] = ("websocket",), auth: Any = None
) -> AsyncIterator[Stock]:
    sio = socketio.AsyncClient(reconnection=False, handle_sigint=False)
    client = Stock(sio)
    sio.on("*", client.note)
    sio.on("disconnect", lambda *args: client.note("disconnect", *args))
    credentials = {"token": served.token} if auth is None else auth
    await sio.connect(served.url, auth=credentials, transports=list(transports), wait_timeout=5)
    try:
        yield client
    finally:
        if sio.connected:
            await sio.disconnect()
        else:  # the server said goodbye; a second goodbye meanwhile would leak a connection
            await sio.eio.wait()
