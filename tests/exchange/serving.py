"""The exchange in a thread of its own, and alpaca-py's clients for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from alpaca.data.historical import CryptoHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.live import CryptoDataStream, StockDataStream
from alpaca.trading.client import TradingClient
from alpaca.trading.stream import TradingStream

from toolkit.exchange.exchange import Exchange
from toolkit.exchange.faults import Fault, Kind
from toolkit.exchange.server import ExchangeServer
from toolkit.exchange.settings import ExchangeSettings, Pace, Speed
from toolkit.exchange.source import SimulatedSource
from toolkit.exchange.values import micros
from toolkit.exchange.web_control import state_of
from toolkit.runtime import LoopThread

SYMBOLS = ("AAPL", "BTC/USD", "MSFT")
STREAMS = {"iex": StockDataStream, "sip": StockDataStream, "crypto": CryptoDataStream}


class Served:
    """An exchange that answers on a port while the test steps its clock."""

    def __init__(self, loop: LoopThread, server: ExchangeServer) -> None:
        self._loop = loop
        self.server = server
        self.exchange = server.exchange
        self.url = server.environment["ALPACA_TRADING_URL"]
        self.key = {"api_key": self.exchange.settings.key}
        self.secret = {"secret_key": self.exchange.settings.secret}
        self._clients: list[Any] = []

    def trading(self, **fields: Any) -> TradingClient:
        return self._quick(
            TradingClient(**{**self.key, **self.secret, **fields}, url_override=self.url)
        )

    def stocks(self, **fields: Any) -> StockHistoricalDataClient:
        return self._quick(
            StockHistoricalDataClient(
                **{**self.key, **self.secret, **fields}, url_override=self.url
            )
        )

    def crypto(self, **fields: Any) -> CryptoHistoricalDataClient:
        return self._quick(CryptoHistoricalDataClient(**fields, url_override=self.url))

    def stream(self, feed: str, **fields: Any) -> Any:
        place = self.url.replace("http", "ws", 1)
        path = "/v1beta3/crypto/us" if feed == "crypto" else f"/v2/{feed}"
        stream = STREAMS[feed](**{**self.key, **self.secret, **fields}, url_override=place + path)
        stream._reconnect_min_backoff = 0.01
        return stream

    def updates(self, **fields: Any) -> TradingStream:
        stream = TradingStream(
            **{**self.key, **self.secret, **fields},
            url_override=self.server.environment["ALPACA_TRADING_STREAM_URL"],
        )
        stream._reconnect_min_backoff = 0.01
        return stream

    def advance(self, seconds: float) -> None:
        self._loop.call(self.server.advance(self.exchange.now + micros(seconds)))

    async def pass_time(self, seconds: float) -> None:
        """Step the clock from a test's own loop."""
        await asyncio.to_thread(self.advance, seconds)

    def inject(self, kind: Kind, **fields: Any) -> None:
        """Begin a fault at once."""

        async def begin() -> None:
            self.exchange.faults.inject(Fault(kind=kind, start=0.0, **fields), self.exchange.now)
            await self.server.advance(self.exchange.now)

        self._loop.call(begin())

    def state(self) -> dict[str, Any]:
        async def read() -> dict[str, Any]:
            return state_of(self.exchange)

        return self._loop.call(read())

    def happened(self, what: str) -> list[dict[str, Any]]:
        async def read() -> list[dict[str, Any]]:
            return self.exchange.log.entries(what)

        return self._loop.call(read())

    def ask(self, question: Callable[[], Any]) -> Any:
        """Look at something in the exchange's own thread."""

        async def read() -> Any:
            return question()

        return self._loop.call(read())

    def close(self) -> None:
        for client in self._clients:
            client._session.close()

    def _quick(self, client: Any) -> Any:
        client._retry_wait = 0.0
        self._clients.append(client)
        return client


@contextmanager
def served(
    *,
    symbols: tuple[str, ...] = SYMBOLS,
    start: datetime | None = None,
    faults: tuple[Fault, ...] = (),
    **fields: Any,
) -> Iterator[Served]:
    """Serve a simulated market whose clock stands still until it is stepped."""
    usual = {"speed": Speed(Pace.STEP), "latency": 0.0, "session_hold": 0.0, "rate_limit": 0}
    settings = ExchangeSettings(**{**usual, **fields})
    source = SimulatedSource(symbols, start=start)
    with LoopThread("exchange") as loop:

        async def start_server() -> ExchangeServer:
            server = ExchangeServer(Exchange(source, settings, faults=faults))
            await server.start()
            return server

        server = loop.call(start_server())
        exchange = Served(loop, server)
        try:
            yield exchange
        finally:
            exchange.close()
            loop.call(server.stop())
