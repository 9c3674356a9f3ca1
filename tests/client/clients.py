"""A connected StreamClient that writes down what it hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from toolkit.client.async_client import StreamClient

HEARD = (
    "connected",
    "disconnected",
    "gap",
    "error",
    "stream_data",
    "heartbeat",
    "latency_update",
)


class Heard:
    """What a client told its handlers, in order."""

    def __init__(self, client: StreamClient) -> None:
        self.client = client
        self.events: list[tuple[str, Any]] = []
        self._news = asyncio.Event()
        for event in HEARD:
            client.on(event, self._listener(event))

    def all(self, event: str) -> list[Any]:
        return [value for name, value in self.events if name == event]

    @property
    def seqs(self) -> list[int]:
        return [m.seq for m in self.all("stream_data") if not m.snapshot]

    async def until(self, true: Callable[[], Any], within: float = 10.0) -> None:
        async with asyncio.timeout(within):
            while not true():
                self._news.clear()
                await self._news.wait()

    def _listener(self, event: str) -> Callable[[Any], None]:
        def listen(value: Any) -> None:
            self.events.append((event, value))
            self._news.set()

        return listen


@asynccontextmanager
async def connected(url: str, token: str, **options: Any) -> AsyncIterator[Heard]:
    chosen = {"reconnect_delay": 0.02, "timeout": 5.0, **options}
    client = StreamClient(url, token=token, **chosen)
    heard = Heard(client)
    await client.connect()
    try:
        yield heard
    finally:
        await client.close()
