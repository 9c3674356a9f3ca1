"""The server under test: the real one, with a bot that only has symbols."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.bot.events import Event
from toolkit.core.types import Trade
from toolkit.errors import ConfigError
from toolkit.loadtest.scenario import symbol_name
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.server import StreamingServer, utc_now
from toolkit.streaming.settings import Limits, ServerSettings

SPARE_CONNECTIONS = 1_000


class _Market:
    """A bot without a strategy: clients may subscribe to its symbols, nothing else."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = symbols

    async def command(self, name: str, _args: Mapping[str, Any], *, who: str) -> Any:
        raise ConfigError(f"{name}, asked by {who}: a load test has no bot", field="name")

    def snapshot(self) -> Sequence[Event]:
        return ()


class Ours:
    """Streams trades of `symbols` symbols to up to `clients` clients, as `toolkit serve` would."""

    def __init__(self, *, clients: int, symbols: int) -> None:
        self._names = [symbol_name(index) for index in range(symbols)]
        self._hub = Hub(epoch=secrets.token_hex(8), clock=utc_now)
        most = clients + SPARE_CONNECTIONS
        limits = Limits(max_connections=most, max_connections_per_address=most)
        self._server = StreamingServer(
            bot=_Market(self._names),
            hub=self._hub,
            settings=ServerSettings(port=0, limits=limits),
        )

    async def start(self) -> dict[str, Any]:
        """Listen; returns port, token, and how messages get to the sockets."""
        await self._server.start()
        return {
            "port": self._server.port,
            "token": self._server.token,
            "delivery": self._server.delivery_mode,
        }

    async def send(self, symbol: int) -> None:
        """Publish one trade."""
        self._hub.publish(
            Trade(symbol=self._names[symbol], timestamp=utc_now(), price=100.25, size=1.0)
        )

    async def stop(self) -> None:
        """Stop serving."""
        await self._server.stop()
