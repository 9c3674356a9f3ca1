"""Our adapters on the exchange double, and readers of their streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import Any

import requests
from alpaca.common.exceptions import APIError

from tests.exchange.serving import Served, served
from toolkit.alpaca.port import Link, LinkNews, Ticket
from toolkit.alpaca.settings import AlpacaSettings
from toolkit.alpaca.trading import AlpacaTrading
from toolkit.core.types import OrderType, Side, TimeInForce

SYMBOLS = ("AAPL", "BTC/USD")
QUICK = {
    "reconnect_delay": 0.01,
    "reconnect_longest": 0.02,
    "refused_delay": 0.01,
    "refused_longest": 0.02,
    "close_timeout": 0.2,
    "requests_per_minute": 0,
}


@contextmanager
def exchange_of(**fields: Any) -> Iterator[Served]:
    """Serve two symbols, a minute after the start."""
    with served(**{"symbols": SYMBOLS, "revision_rate": 0.0, **fields}) as exchange:
        exchange.advance(60)
        yield exchange


def settings_of(exchange: Served, **fields: Any) -> AlpacaSettings:
    places = exchange.server.environment
    usual = {
        "key_id": exchange.exchange.settings.key,
        "secret_key": exchange.exchange.settings.secret,
        "trading_url": exchange.url,
        "data_url": exchange.url,
        "trading_stream_url": places["ALPACA_TRADING_STREAM_URL"],
        "stock_stream_url": places["ALPACA_STOCK_STREAM_URL"],
        "crypto_stream_url": places["ALPACA_CRYPTO_STREAM_URL"],
        **QUICK,
    }
    return AlpacaSettings(**{**usual, **fields})


@asynccontextmanager
async def trading_at(exchange: Served, **fields: Any) -> AsyncIterator[AlpacaTrading]:
    trading = AlpacaTrading(settings_of(exchange, **fields))
    try:
        yield trading
    finally:
        await trading.close()


def ticket(name: str, **fields: Any) -> Ticket:
    """A market order for ten shares."""
    crypto = "/" in fields.get("symbol", "")
    usual = {
        "client_order_id": name,
        "symbol": "AAPL",
        "side": Side.BUY,
        "order_type": OrderType.MARKET,
        "time_in_force": TimeInForce.GTC if crypto else TimeInForce.DAY,
        "quantity": None if "notional" in fields else Decimal(10),
    }
    return Ticket(**{**usual, **fields})


def answer(status: int, body: str, **headers: str) -> APIError:
    """What the SDK raises for an answer of HTTP 400 and above."""
    response = requests.Response()
    response.status_code = status
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return APIError(body, requests.HTTPError(response=response))


async def until(condition: Callable[[], Any]) -> None:
    """Wait for a condition; the test's timeout ends it when that never comes true."""
    while not condition():  # noqa: ASYNC110 - a condition of another thread
        await asyncio.sleep(0.002)


class Reader:
    """What a stream told, read in a task."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.heard: list[Any] = []
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for item in self.stream.news():
            self.heard.append(item)

    @property
    def links(self) -> list[Link]:
        return [item.link for item in self.heard if isinstance(item, LinkNews)]

    @property
    def reasons(self) -> list[str]:
        return [item.reason for item in self.heard if isinstance(item, LinkNews)]

    @property
    def events(self) -> list[Any]:
        return [item for item in self.heard if not isinstance(item, LinkNews)]

    async def ups(self, count: int = 1) -> None:
        await until(lambda: self.links.count(Link.UP) >= count or self.task.done())
        assert self.links.count(Link.UP) >= count, self.heard

    async def refused(self, count: int = 1) -> str:
        await until(lambda: self.links.count(Link.REFUSED) >= count or self.task.done())
        return [n.reason for n in self.heard if getattr(n, "link", None) is Link.REFUSED][-1]


@asynccontextmanager
async def reading(stream: Any) -> AsyncIterator[Reader]:
    """Read a stream until the block ends; what went wrong in it is raised."""
    reader = Reader(stream)
    try:
        yield reader
    finally:
        await stream.stop()
        await reader.task
