"""The exchange on a port: its REST API, its streams, and the clock that drives it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from aiohttp import web

from toolkit.errors import ConfigError
from toolkit.exchange.exchange import Exchange
from toolkit.exchange.faults import Fault, Kind
from toolkit.exchange.gate import Gate
from toolkit.exchange.market_stream import MarketStreams
from toolkit.exchange.post import MARKET, TRADING
from toolkit.exchange.sessions import Sessions
from toolkit.exchange.settings import Pace
from toolkit.exchange.trading_stream import TradingStreams
from toolkit.exchange.values import MINUTE, SECOND, Micros, stamp
from toolkit.exchange.web_account import AccountRoutes
from toolkit.exchange.web_control import ControlRoutes
from toolkit.exchange.web_data import DataRoutes
from toolkit.exchange.web_orders import OrderRoutes

_log = logging.getLogger(__name__)
BEAT = 0.02  # real seconds between two looks at the clock
STEP = MINUTE
QUIET = 10 * MINUTE  # longer breaks without a trade are skipped
BEFORE_OPEN = 2 * MINUTE
LAST_REPORTS = 2 * MINUTE  # after the end of a recording: its last bar and revision


class ExchangeServer:
    """Serves one exchange on a loopback port; use as an async context manager.

    At a multiple of real time the clock runs by itself and skips the hours in which nothing
    trades. At `max` it goes on as soon as every client's socket has taken what was sent, and
    waits while nobody is subscribed. At `step` it stands still until `advance` is called.
    Raises ConfigError for a port in use.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.exchange = exchange
        self._host, self._wanted_port = host, port
        self._monotonic = monotonic
        self._speed = exchange.settings.speed
        self._began: tuple[float, Micros] | None = None
        sessions = Sessions(hold=exchange.settings.session_hold, monotonic=monotonic)
        self.market = MarketStreams(exchange, sessions)
        self.trading = TradingStreams(exchange)
        self._runner: web.AppRunner | None = None
        self._driver: asyncio.Task[None] | None = None
        self._moving = asyncio.Lock()
        exchange.faults.on_change(self._on_fault)

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._runner is not None
        port: int = self._runner.addresses[0][1]
        return port

    @property
    def environment(self) -> dict[str, str]:
        """What a client sets to trade here instead of at Alpaca."""
        place = f"{self._host}:{self.port}"
        return {
            "ALPACA_TRADING_URL": f"http://{place}",
            "ALPACA_DATA_URL": f"http://{place}",
            "ALPACA_TRADING_STREAM_URL": f"ws://{place}/stream",
            "ALPACA_STOCK_STREAM_URL": f"ws://{place}/v2/iex",
            "ALPACA_CRYPTO_STREAM_URL": f"ws://{place}/v1beta3/crypto/us",
            "APCA_API_KEY_ID": self.exchange.settings.key,
            "APCA_API_SECRET_KEY": self.exchange.settings.secret,
        }

    @property
    def finished(self) -> bool:
        """Whether the recording is over."""
        return self.exchange.next_tick is None

    async def start(self) -> None:
        """Listen, and let the clock run."""
        gate = Gate(self.exchange, sync=self._sync, settle=self._settle, monotonic=self._monotonic)
        app = web.Application(middlewares=[gate.middleware])
        for area in (
            OrderRoutes(self.exchange),
            AccountRoutes(self.exchange),
            DataRoutes(self.exchange),
            ControlRoutes(self.exchange, advance=self.advance),
            self.market,
            self.trading,
        ):
            app.add_routes(area.routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._wanted_port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(
                f"port {self._wanted_port} of {self._host}: {error}; choose another --port",
                field="port",
                value=str(self._wanted_port),
            ) from None
        self._began = (self._monotonic(), self.exchange.now)
        self._driver = asyncio.create_task(self._drive())

    async def stop(self) -> None:
        """Close everything; raises what stopped the clock, if anything did. Twice is harmless."""
        driver, runner = self._driver, self._runner
        self._driver = self._runner = None
        if runner is not None:
            self.market.drop()
            self.trading.drop()
            await runner.cleanup()
        if driver is not None:
            driver.cancel()
            with suppress(asyncio.CancelledError):
                await driver

    async def advance(self, until: Micros) -> None:
        """Let time pass up to a moment, as fast as the clients take what happens."""
        async with self._moving:
            while True:
                self.exchange.advance(min(until, self.exchange.now + STEP))
                self.market.flush()
                await self.market.drained()
                await self.trading.drained()
                if self.exchange.now >= until:
                    return
                await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _drive(self) -> None:
        try:
            await self._run_clock()
        except Exception:
            _log.exception("the exchange's clock has stopped")
            raise

    async def _run_clock(self) -> None:
        pace = self._speed.pace
        while pace is Pace.REAL:
            self._sync()
            self._skip_quiet_hours()
            await asyncio.sleep(BEAT)
        while pace is Pace.READER and not self.finished:
            if not self.market.has_readers:
                await asyncio.sleep(BEAT)
                continue
            await self.advance(self._after_quiet_hours(self.exchange.now + STEP))
        if pace is Pace.READER:
            await self.advance(self.exchange.now + LAST_REPORTS)

    def _sync(self) -> None:
        """Bring the exchange to the time of its clock."""
        if self._speed.pace is Pace.REAL and self._began is not None:
            since, start = self._began
            passed = (self._monotonic() - since) * self._speed.rate
            self.exchange.advance(max(self.exchange.now, start + int(passed * SECOND)))
            self.market.flush()

    def _settle(self) -> None:
        self.exchange.advance(self.exchange.now)
        self.market.flush()

    def _skip_quiet_hours(self) -> None:
        now = self.exchange.now
        later = self._after_quiet_hours(now)
        if later > now:
            self.exchange.advance(later)
            self._began = (self._monotonic(), later)
            self.exchange.log.add("clock.skips", now, until=stamp(later))

    def _after_quiet_hours(self, at: Micros) -> Micros:
        due = self.exchange.next_tick
        quiet = due is not None and due - at > QUIET and self.exchange.settings.skip_closed
        return due - BEFORE_OPEN if due is not None and quiet else at

    def _on_fault(self, fault: Fault, begins: bool, at: Micros) -> None:
        if fault.kind is not Kind.DROP or not begins:
            return
        for name, streams in ((MARKET, self.market), (TRADING, self.trading)):
            if fault.meets(name):
                self.exchange.faults.hit(Kind.DROP, name, at)
                streams.drop()
