"""AlpacaMarketData through the real SDK, against the exchange double and its bad days."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.alpaca.reaching import settings_of
from tests.exchange.serving import Served, served
from toolkit.alpaca.data import AlpacaData
from toolkit.alpaca.streams import AlpacaDataStream
from toolkit.core.parameters import Parameters
from toolkit.core.strategy import Strategy
from toolkit.core.types import Bar, Evaluation, MarketEvent, MarketGap
from toolkit.exchange.faults import Fault, Kind
from toolkit.exchange.values import moment_of
from toolkit.market.alpaca import AlpacaMarketData, Patience

SYMBOLS = ("AAPL", "BTC/USD")
START = datetime(2026, 1, 5, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PATIENCE = Patience(tick=0.01, bar=0.02, hole=60.0)  # in real seconds, but for `settle`
WARM_UP = 60


class Follower:
    """A market at the double, living by the double's clock, and what it has sent."""

    def __init__(self, exchange: Served, **fields: Any) -> None:
        settings = settings_of(exchange)
        self.exchange = exchange
        self.data = AlpacaData(settings)
        self.market = AlpacaMarketData(
            data=self.data,
            streams={
                "stocks": AlpacaDataStream(settings, now=self.clock),
                "crypto": AlpacaDataStream(settings, feed="crypto", now=self.clock),
            },
            symbols=SYMBOLS,
            clock=self.clock,
            **{"patience": PATIENCE, **fields},
        )
        self.past: list[Bar] = []
        self.events: list[MarketEvent] = []

    def clock(self) -> datetime:
        return moment_of(self.exchange.exchange.now)

    async def follow(self) -> None:
        async for event in self.market.events():
            self.events.append(event)

    @property
    def finals(self) -> list[Bar]:
        return [e for e in self.events if isinstance(e, Bar) and e.final and not e.revision]

    @property
    def gaps(self) -> list[MarketGap]:
        return [e for e in self.events if isinstance(e, MarketGap)]

    def latest(self) -> dict[tuple[str, datetime], Bar]:
        """The last version of each bar, whatever its revision."""
        bars = [e for e in self.events if isinstance(e, Bar) and e.final]
        return {(b.symbol, b.timestamp): replace(b, revision=0) for b in bars}

    def last(self) -> dict[str, datetime]:
        return dict.fromkeys(SYMBOLS, START - 10 * MINUTE) | {
            bar.symbol: bar.timestamp for bar in self.finals
        }

    async def minutes(self, count: int) -> None:
        """Let minutes pass one by one, each as soon as the bars of the one before are here."""
        for _ in range(count):
            await self.exchange.pass_time(60)
            newest = self.clock() - 2 * MINUTE - timedelta(seconds=2)
            await self.come_to(lambda newest=newest: min(self.last().values()) > newest)

    async def come_to(self, condition: Callable[[], Any]) -> None:
        """Wait for a condition, for which the clock may have to go on."""
        while not condition():
            with suppress(TimeoutError):
                await asyncio.wait_for(until(condition), 0.2)
                return
            await self.exchange.pass_time(1)

    def before(self, moment: datetime) -> list[Bar]:
        """Final bars from the start on, in order of (timestamp, symbol)."""
        chosen = [bar for bar in self.finals if START <= bar.timestamp < moment]
        return sorted(chosen, key=lambda bar: (bar.timestamp, bar.symbol))

    def evaluations(self, symbol: str, until: datetime) -> list[Evaluation]:
        strategy = Strategy(Parameters())
        bars = [*self.past, *self.finals]
        chosen = [bar for bar in bars if bar.symbol == symbol and bar.timestamp < until]
        return [strategy.on_bar(bar) for bar in chosen]


async def until(condition: Callable[[], Any]) -> None:
    while not condition():  # noqa: ASYNC110 - a condition of another thread
        await asyncio.sleep(0.002)


@contextmanager
def exchange_of(**fields: Any) -> Iterator[Served]:
    with served(**{"symbols": SYMBOLS, "start": START, "revision_rate": 0.0, **fields}) as exchange:
        yield exchange


@asynccontextmanager
async def following(exchange: Served, **fields: Any) -> AsyncIterator[Follower]:
    follower = Follower(exchange, **fields)
    for symbol in SYMBOLS:
        follower.past += await follower.market.history(symbol, limit=WARM_UP)
    task = asyncio.create_task(follower.follow())
    try:
        await follower.come_to(lambda: follower.market.health().ok)
        yield follower
    finally:
        await follower.market.stop()
        await asyncio.wait_for(task, 10.0)
        await follower.data.close()


@pytest.fixture(scope="module")
def calm_runs() -> list[Follower]:
    """Where the first test that needs it leaves an unbroken run of 44 minutes for the others."""
    return []


async def calm_run(runs: list[Follower]) -> Follower:
    if not runs:
        with exchange_of() as exchange:
            async with following(exchange) as follower:
                await follower.minutes(44)
        runs.append(follower)
    return runs[0]


async def test_history_and_live_bars_are_what_the_exchange_has_in_the_end() -> None:
    with exchange_of() as exchange:
        async with following(exchange) as follower:
            await follower.minutes(5)
            for symbol in SYMBOLS:
                seen = [b for b in [*follower.past, *follower.finals] if b.symbol == symbol]
                found = await follower.data.bars(
                    [symbol],
                    timeframe=60.0,
                    start=seen[0].timestamp,
                    end=seen[-1].timestamp + MINUTE,
                )
                assert list(found[symbol]) == seen
                assert len(seen) >= WARM_UP + 4
    assert follower.gaps == []
    assert {b.feed for b in follower.finals} == {"iex", "crypto"}


async def test_a_forming_bar_grows_into_the_final_one() -> None:
    with exchange_of() as exchange:
        async with following(exchange) as follower:
            await follower.minutes(6)
    forming = {
        (e.symbol, e.timestamp): e for e in follower.events if isinstance(e, Bar) and not e.final
    }
    whole = [bar for bar in follower.finals if bar.timestamp > START + MINUTE]
    assert len(whole) >= 4
    for bar in whole:
        last = forming[bar.symbol, bar.timestamp]
        assert (last.open, last.high, last.low, last.close) == (
            bar.open,
            bar.high,
            bar.low,
            bar.close,
        )


@pytest.mark.parametrize("how", ["drop", "mute"])
async def test_after_a_hole_of_30_minutes_bars_and_indicators_equal_those_of_an_unbroken_run(
    how: str, calm_runs: list[Follower]
) -> None:
    calm, end = await calm_run(calm_runs), START + 42 * MINUTE
    with exchange_of() as exchange:
        async with following(exchange, patience=replace(PATIENCE, mute=0.5)) as follower:
            await follower.minutes(5)
            if how == "drop":
                exchange.inject(Kind.REFUSE, target="market", length=1800)
                exchange.inject(Kind.DROP, target="market")
            else:
                exchange.inject(Kind.MUTE, target="market", length=1800)
                await exchange.pass_time(60)
            await until(lambda: not follower.market.health().ok)
            reason = follower.market.health().reason
            for _ in range(31):
                await exchange.pass_time(60)
            await follower.come_to(lambda: follower.market.health().ok)
            await follower.minutes(8)
    # The watchdog says it first; where the link has answered already, it says what it was.
    words = ("nothing heard", "connected, and mute") if how == "mute" else ("connection lost",)
    assert any(said in reason for said in words), reason
    assert follower.gaps == []
    assert len(calm.before(end)) == 2 * 42
    assert follower.before(end) == calm.before(end)
    for symbol in SYMBOLS:
        assert repr(follower.evaluations(symbol, end)) == repr(calm.evaluations(symbol, end))


async def test_bars_late_double_unordered_and_missing_come_once_in_order_and_complete(
    calm_runs: list[Follower],
) -> None:
    calm, end = await calm_run(calm_runs), START + 28 * MINUTE
    kinds = (Kind.DUPLICATE_BARS, Kind.UNORDERED_BARS, Kind.MISSING_BARS)
    faults = tuple(Fault(kind=kind, start=60.0, length=1500.0, rate=0.3) for kind in kinds)
    late = Fault(kind=Kind.LATE_BARS, start=60.0, length=1500.0, rate=0.3, amount=70.0)
    with exchange_of(faults=(*faults, late)) as exchange:
        async with following(exchange) as follower:
            for _ in range(30):
                await exchange.pass_time(60)
            await follower.come_to(lambda: min(follower.last().values()) >= end)
    assert follower.gaps == []
    assert follower.before(end) == calm.before(end)
    for symbol in SYMBOLS:
        times = [bar.timestamp for bar in follower.finals if bar.symbol == symbol]
        assert times == sorted(set(times))
    assert follower.market.counts.duplicates > 0


async def test_revised_bars_correct_what_was_handed_out() -> None:
    with exchange_of(revision_rate=1.0) as exchange:
        async with following(exchange) as follower:
            await follower.minutes(6)
            await follower.come_to(lambda: follower.market.counts.revised >= 8)
            found = await follower.data.bars(
                SYMBOLS, timeframe=60.0, start=START, end=START + 5 * MINUTE
            )
    truth = {(b.symbol, b.timestamp): b for bars in found.values() for b in bars}
    latest = follower.latest()
    assert {key: latest[key] for key in truth} == truth
    assert any(latest[b.symbol, b.timestamp] != b for b in follower.finals)


async def test_bars_of_five_minutes_equal_those_of_the_exchange() -> None:
    with exchange_of() as exchange:
        async with following(exchange, timeframe=300.0) as follower:
            for _ in range(12):
                await exchange.pass_time(60)
            await follower.come_to(lambda: min(follower.last().values()) >= START + 5 * MINUTE)
            found = await follower.data.bars(
                SYMBOLS, timeframe=300.0, start=START, end=START + 10 * MINUTE
            )
    truth = [b for bars in found.values() for b in bars]
    live = follower.before(START + 10 * MINUTE)
    assert [(b.open, b.high, b.low, b.close) for b in live] == [
        (b.open, b.high, b.low, b.close)
        for b in sorted(truth, key=lambda b: (b.timestamp, b.symbol))
    ]


async def test_wrong_keys_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with exchange_of() as exchange:
        settings = replace(settings_of(exchange), secret_key="wrong")
        market = AlpacaMarketData(
            data=AlpacaData(settings),
            streams={"stocks": AlpacaDataStream(settings)},
            symbols=["AAPL"],
            patience=PATIENCE,
        )
        task = asyncio.create_task(anext(aiter(market.events()), None))
        await until(lambda: "refused" in market.health().reason)
        assert "keys" in market.health().reason
        await market.stop()
        await task
