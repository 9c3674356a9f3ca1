"""From a final bar to the order request: `python -m tests.benchmarks.decision [--json]`.

The bot as it trades at Alpaca: market data, engine, journal with full sync, alpaca-py's client, the
order stream; only the bars come from here, one at a time. The account has no money, so every
order is refused and the next bar of its symbol is decided on anew. In the same loop the streaming
server sends 1,000 messages a second to a client in a process of its own; the exchange double, in
another one, answers. Measured from the moment at which a bar is handed over by the stream to that
at which the request is handed to the HTTP client. The p99 must stay under 5 ms on an idle machine.
`disk`: the part of it in which the intent is put on the disk, which the machine decides.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import numpy as np
import requests
from rich.console import Console
from rich.table import Table

from toolkit.alpaca.port import Link, LinkNews
from toolkit.alpaca.settings import AlpacaSettings
from toolkit.alpaca.streams import AlpacaOrderStream
from toolkit.alpaca.trading import AlpacaTrading
from toolkit.bot.bot import Bot
from toolkit.bot.events import BotState
from toolkit.bot.watch import RealTime
from toolkit.broker.alpaca import AlpacaBroker
from toolkit.broker.journal import Journal
from toolkit.broker.records import Intent
from toolkit.client.async_client import StreamClient
from toolkit.core.engine import Engine
from toolkit.core.limits import RiskLimits
from toolkit.core.parameters import Parameters
from toolkit.core.types import Bar, MarketEvent, Quote
from toolkit.exchange.exchange import Exchange
from toolkit.exchange.server import ExchangeServer
from toolkit.exchange.settings import ExchangeSettings, Speed
from toolkit.exchange.source import SimulatedSource
from toolkit.market.alpaca import AlpacaMarketData
from toolkit.runtime import keep_pauses_short, new_event_loop
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.server import StreamingServer
from toolkit.streaming.settings import ServerSettings

LIMIT_MS = 5.0
MESSAGES_PER_SECOND = 1_000
BURST = 10
SYMBOLS = tuple(f"X{number}/USD" for number in range(8))
ROUNDS = 50
PAUSE = 0.05  # between two bars
WARM_UP_BARS = 100
TOKEN = "benchmark-token-0123456789"
# Every bar that rises is a decision to enter.
PARAMETERS = {
    "stoch_rsi.enabled": False,
    "risk.max_positions": 500,
    "risk.trade_capital_percent": 0.1,
}
MINUTE = timedelta(minutes=1)


def serve_exchange(pipe: Pipe, symbols: Sequence[str]) -> None:
    """Be the exchange, on real time."""

    async def main() -> None:
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        source = SimulatedSource(symbols, start=now, ticks_per_bar=1)
        settings = ExchangeSettings(speed=Speed.parse("1x"), rate_limit=0, cash="0")
        async with ExchangeServer(Exchange(source, settings)) as server:
            pipe.send(server.environment)
            await asyncio.get_running_loop().run_in_executor(None, pipe.recv)

    asyncio.run(main())


def listen(pipe: Pipe, url: str) -> None:
    """Be a client that takes everything."""

    async def main() -> int:
        count = 0

        def heard(_: Any) -> None:
            nonlocal count
            count += 1

        async with StreamClient(url, token=TOKEN) as client:
            client.on("stream_market_data", heard)
            await client.subscribe(["market_data"])
            pipe.send("ready")
            await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        return count

    pipe.send(asyncio.run(main()))


class Clocks:
    """When each symbol's bar came, and when its order was handed over, in nanoseconds."""

    def __init__(self) -> None:
        self.delays: list[int] = []
        self.disk: list[int] = []
        self._came: dict[str, int] = {}

    def bar_came(self, symbol: str) -> None:
        """A bar is handed over now."""
        self._came[symbol] = time.perf_counter_ns()

    def watch(self) -> None:
        """Look at the HTTP client's door, and at the journal's."""
        request, intend = requests.Session.request, Journal.intend

        def timed(journal: Journal, intent: Intent, *, kept: bool = False) -> None:
            begun = time.perf_counter_ns()
            intend(journal, intent, kept=kept)
            self.disk.append(time.perf_counter_ns() - begun)

        def watched(session: Any, method: str, url: str, **fields: Any) -> Any:
            if method == "POST" and url.endswith("/v2/orders"):
                now = time.perf_counter_ns()
                self.delays.append(now - self._came.pop(fields["json"]["symbol"]))
            return request(session, method, url, **fields)

        requests.Session.request = watched  # type: ignore[method-assign,assignment]
        Journal.intend = timed  # type: ignore[method-assign]


class Past:
    """History: a flat price, minute by minute."""

    async def bars(
        self, symbols: Sequence[str], *, start: datetime, end: datetime, **_: Any
    ) -> Mapping[str, Sequence[Bar]]:
        first = start.replace(second=0, microsecond=0)
        count = max(0, int((end - first) / MINUTE))
        moments = [first + n * MINUTE for n in range(count)]
        return {s: [bar_at(s, at) for at in moments if at >= start] for s in symbols}

    async def close(self) -> None: ...


class Present:
    """A stream that hands over one bar after the other."""

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._bars: asyncio.Queue[Bar] = asyncio.Queue()
        self.last_message: datetime | None = None

    async def news(self) -> AsyncIterator[MarketEvent | LinkNews]:
        yield LinkNews(link=Link.UP, timestamp=datetime.now(UTC))
        while True:
            bar = await self._bars.get()
            self._clocks.bar_came(bar.symbol)
            yield bar

    def put(self, bar: Bar) -> None:
        self._bars.put_nowait(bar)

    async def subscribe(self, symbols: Sequence[str]) -> None: ...
    async def unsubscribe(self, symbols: Sequence[str]) -> None: ...
    async def reconnect(self) -> None: ...
    async def stop(self) -> None: ...


class Audience:
    """Who watches: a bot's side of the streaming server that carries out nothing."""

    symbols = ("AAPL",)

    def snapshot(self) -> Sequence[Any]:
        return []

    async def command(self, name: str, args: Mapping[str, Any], *, who: str) -> Any:
        raise NotImplementedError(name)


def bar_at(symbol: str, at: datetime, *, close: float = 100.0) -> Bar:
    """Return a bar of a market that does not move, or rises at last."""
    return Bar(
        symbol=symbol,
        timestamp=at,
        open=100.0,
        high=max(100.0, close),
        low=100.0,
        close=close,
        volume=1.0,
        feed="crypto",
    )


def compose(
    environment: Mapping[str, str],
    folder: Path,
    symbols: Sequence[str],
    stream: Present,
    server: StreamingServer,
) -> Bot:
    """Return the bot of the measurement; what it publishes goes through the server too."""
    settings = AlpacaSettings(
        key_id=environment["APCA_API_KEY_ID"],
        secret_key=environment["APCA_API_SECRET_KEY"],
        trading_url=environment["ALPACA_TRADING_URL"],
        trading_stream_url=environment["ALPACA_TRADING_STREAM_URL"],
        requests_per_minute=0,
    )
    trading = AlpacaTrading(settings)

    return Bot(
        market=AlpacaMarketData(data=Past(), streams={"crypto": stream}, symbols=symbols),
        broker=AlpacaBroker(
            trading=trading,
            stream=AlpacaOrderStream(settings),
            journal=folder / "journal.sqlite",
            symbols=symbols,
        ),
        engine=Engine(
            symbols=symbols,
            parameters=Parameters().replace(PARAMETERS),
            capital=100_000.0,
            limits=RiskLimits.none(),
        ),
        publish=server.publish,
        warm_up_bars=WARM_UP_BARS,
        real_time=RealTime(),
        on_stop=[trading.close],
    )


async def publish_quotes(server: StreamingServer) -> None:
    """Send messages through the server at a fixed rate."""
    due, number = time.perf_counter(), 0
    while True:
        for _ in range(BURST):
            number += 1
            price = 100.0 + number % 100 / 100.0
            server.publish(
                Quote(
                    symbol=f"Q{number % 50}",
                    timestamp=datetime.now(UTC),
                    bid=price,
                    ask=price + 0.01,
                )
            )
        due += BURST / MESSAGES_PER_SECOND
        await asyncio.sleep(max(0.0, due - time.perf_counter()))


async def measure(symbols: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """Hand over one bar of each symbol and return the delays of the orders."""
    clocks = Clocks()
    clocks.watch()
    stream = Present(clocks)
    hub = Hub(epoch="benchmark", clock=lambda: datetime.now(UTC))
    server = StreamingServer(bot=Audience(), hub=hub, settings=ServerSettings(port=0, token=TOKEN))
    await server.start()
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    client = context.Process(target=listen, args=(far, server.url))
    client.start()
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        await loop.run_in_executor(None, near.recv)
        bot = compose(environment, folder, symbols, stream, server)
        keep_pauses_short()
        running = asyncio.create_task(bot.run())
        quotes = asyncio.create_task(publish_quotes(server))
        async with asyncio.timeout(120.0):
            while bot.state is not BotState.RUNNING:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
        began = time.perf_counter()
        for number in range(ROUNDS):
            for symbol in symbols:
                last = bot.engine.memory(symbol)[-1].bar.timestamp
                stream.put(bar_at(symbol, last + MINUTE, close=101.0 + number))
                await asyncio.sleep(PAUSE)
        seconds = time.perf_counter() - began
        await asyncio.sleep(1.0)
        quotes.cancel()
        await bot.stop()
        await asyncio.gather(running, quotes, return_exceptions=True)
        near.send("stop")
        heard = await loop.run_in_executor(None, near.recv)
        client.join()
    await server.stop()
    return _report(clocks, heard=heard, seconds=seconds, decisions=ROUNDS * len(symbols))


def _report(clocks: Clocks, *, heard: int, seconds: float, decisions: int) -> dict[str, Any]:
    def at(percent: float, times: Sequence[int]) -> float:
        return round(float(np.percentile(times, percent)) / 1e6, 3)

    return {
        "decisions": decisions,
        "orders": len(clocks.delays),
        "p50_ms": at(50, clocks.delays),
        "p99_ms": at(99, clocks.delays),
        "max_ms": at(100, clocks.delays),
        "disk_p50_ms": at(50, clocks.disk),
        "disk_p99_ms": at(99, clocks.disk),
        "messages_heard": heard,
        "messages_per_second": MESSAGES_PER_SECOND,
        "seconds": round(seconds, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    exchange = context.Process(target=serve_exchange, args=(far, SYMBOLS))
    exchange.start()
    try:
        environment = near.recv()
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            found = runner.run(measure(SYMBOLS, environment))
    finally:
        near.send("stop")
        exchange.join()
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        names = ("orders", "p50_ms", "p99_ms", "max_ms", "disk_p50_ms", "disk_p99_ms")
        table = Table(*names, title="final bar to order request")
        table.add_row(*(str(found[name]) for name in names))
        Console().print(table)
    return 0 if found["orders"] == found["decisions"] and found["p99_ms"] < LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
