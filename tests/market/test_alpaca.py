"""Alpaca as a market: streams and history joined, watched, and told apart from trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.market.fakes import (
    FakeData,
    FakeStream,
    FakeTime,
    at,
    bar,
    no_answer,
    trade,
    until,
)
from toolkit.alpaca.port import Link
from toolkit.core.types import Bar, MarketEvent, MarketGap, Quote
from toolkit.errors import ConfigError, DataError, FeedRefused
from toolkit.market.alpaca import AlpacaMarketData, Patience
from toolkit.market.store import BarStore


class Run:
    """A market that runs in a task, and what it has sent."""

    def __init__(self, *, known: list[Bar] | None = None, minute: float = 0.0, **fields: Any):
        self.time = FakeTime(minute)
        self.data = FakeData(known or [])
        self.streams = {"stocks": FakeStream(), "crypto": FakeStream()}
        self.market = AlpacaMarketData(
            data=self.data,
            streams=self.streams,
            symbols=fields.pop("symbols", ["AAPL"]),
            patience=Patience(tick=0.0),
            clock=self.time.clock,
            monotonic=self.time.monotonic,
            **fields,
        )
        self.stream = self.streams["stocks"]
        self.events: list[MarketEvent] = []

    async def follow(self) -> None:
        async for event in self.market.events():
            self.events.append(event)

    @property
    def bars(self) -> list[Bar]:
        return [e for e in self.events if isinstance(e, Bar) and e.final]

    @property
    def gaps(self) -> list[MarketGap]:
        return [e for e in self.events if isinstance(e, MarketGap)]

    async def sent(self, count: int) -> list[Bar]:
        await until(lambda: len(self.bars) >= count, what=f"{len(self.bars)} of {count} bars")
        return self.bars

    async def connect(self) -> None:
        self.stream.up()
        await self.healthy(ok=True)

    async def healthy(self, *, ok: bool) -> str:
        await until(lambda: self.market.health().ok is ok)
        return self.market.health().reason


@asynccontextmanager
async def running(**fields: Any) -> AsyncIterator[Run]:
    run = Run(**fields)
    task = asyncio.create_task(run.follow())
    try:
        yield run
    finally:
        await run.market.stop()
        await asyncio.wait_for(task, 5.0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert all(stream.stopped for stream in run.streams.values())


async def test_bars_trades_and_quotes_come_through() -> None:
    quote = Quote(symbol="AAPL", timestamp=at(0.1), bid=1.0, ask=2.0)
    async with running() as run:
        await run.connect()
        run.stream.say(quote, trade(0.2), bar(0))
        await run.sent(1)
    assert run.stream.subscribed == {"AAPL"}
    assert run.events[:2] == [quote, trade(0.2)]
    forming, final = run.events[2:]
    assert isinstance(forming, Bar)
    assert (forming.final, forming.feed, forming.timestamp) == (False, "iex", at(0))
    assert final == bar(0)


async def test_live_bars_join_the_history_without_hole_or_overlap() -> None:
    known = [bar(n) for n in range(-30, 5)]
    run = Run(known=known[:31], minute=1.1)
    past = await run.market.history("AAPL", limit=10)
    assert past == [bar(n) for n in range(-9, 1)]
    run.data.known = known
    task = asyncio.create_task(run.follow())
    run.time.to(4.2)
    run.stream.up()
    run.stream.say(bar(4))
    assert await run.sent(4) == [bar(n) for n in range(1, 5)]
    await run.market.stop()
    await task
    assert list(await run.market.history("AAPL", limit=3)) == [bar(n) for n in (-2, -1, 0)]


async def test_history_reaches_across_a_weekend() -> None:
    friday = [
        replace(bar(0), timestamp=datetime(2026, 1, 2, 20, minute, tzinfo=UTC))
        for minute in range(60)
    ]
    monday = [
        replace(bar(0), timestamp=datetime(2026, 1, 5, 14, 30, tzinfo=UTC) + timedelta(minutes=n))
        for n in range(30)
    ]
    run = Run(known=[*friday, *monday], minute=0.1)
    assert await run.market.history("AAPL", limit=80) == [*friday[-50:], *monday]


async def test_a_second_warm_up_asks_only_for_what_the_store_lacks(tmp_path: Path) -> None:
    known, asked = [bar(n) for n in range(-30, 60)], []
    for minute in (20.1, 40.1):
        time = FakeTime(minute)
        store = BarStore(tmp_path, clock=time.clock)
        run = Run(known=known, minute=minute, store=store)
        past = await run.market.history("AAPL", limit=30)
        assert past == known[: int(minute) + 30][-30:]
        asked.append([(start, end) for _, start, end in run.data.requests])
    assert asked[1][-1] == (at(14) + timedelta(seconds=6), at(40))
    assert len(asked[1]) == 1


async def test_a_missing_minute_is_fetched_before_newer_bars() -> None:
    async with running(known=[bar(0), bar(1), bar(2)], minute=3.1) as run:
        await run.connect()
        run.stream.say(bar(3), bar(5))
        run.data.known.append(bar(4))
        run.time.to(6.1)
        assert await run.sent(3) == [bar(3), bar(4), bar(5)]
    assert run.gaps == []


async def test_what_history_does_not_know_is_announced() -> None:
    async with running() as run:
        await run.connect()
        run.stream.say(bar(0), bar(3))
        run.time.to(4.1)
        await run.sent(2)
    assert run.gaps == [MarketGap(symbol="AAPL", after=at(0), before=at(3), missing=2)]


async def test_newer_bars_wait_for_history_only_so_long() -> None:
    async with running() as run:
        run.data.error = no_answer()
        await run.connect()
        run.stream.say(bar(0), bar(2))
        run.time.to(3.1)
        await until(lambda: len(run.data.requests) > 3)
        assert run.bars == [bar(0)]
        run.time.pass_seconds(15)
        assert await run.sent(2) == [bar(0), bar(2)]
    assert run.gaps == [MarketGap(symbol="AAPL", after=at(0), before=at(2), missing=1)]


async def test_after_a_hole_of_half_an_hour_the_bars_equal_those_of_an_unbroken_run() -> None:
    symbols = ["AAPL", "MSFT"]
    day = [bar(n, s) for n in range(50) for s in symbols]
    async with running(symbols=symbols) as run:
        await run.connect()
        run.stream.say(*[b for b in day if b.timestamp < at(10)])
        await run.sent(20)
        run.stream.link(Link.DOWN, "connection reset")
        assert "connection lost" in await run.healthy(ok=False)
        run.data.known = [b for b in day if b.timestamp < at(40)]
        run.time.to(40.5)
        run.stream.up()
        run.stream.say(*[b for b in day if b.timestamp >= at(40)])
        assert await run.sent(100) == day
        await run.healthy(ok=True)
    assert run.gaps == []


async def test_a_bar_that_does_not_come_though_its_minute_traded_is_fetched() -> None:
    async with running() as run:
        await run.connect()
        run.stream.say(bar(0), trade(1.5), trade(2.1))
        run.data.known = [bar(1)]
        run.time.to(2.2)
        await run.sent(1)
        await until(lambda: run.time.pass_seconds(0.01) or len(run.bars) == 2)
        assert run.bars == [bar(0), bar(1)]


async def test_a_revised_bar_is_a_correction() -> None:
    async with running() as run:
        await run.connect()
        run.stream.say(bar(0), bar(0), bar(0, close=99.0, revision=1), bar(1))
        assert await run.sent(3) == [bar(0), bar(0, close=99.0, revision=1), bar(1)]
    assert (run.market.counts.duplicates, run.market.counts.revised) == (1, 1)


async def test_bars_of_five_minutes_are_built_from_minutes_and_go_on_from_history() -> None:
    known = [bar(n) for n in range(-30, 12)]
    run = Run(known=known, minute=12.1, timeframe=300.0)
    past = await run.market.history("AAPL", limit=4)
    assert [b.timestamp for b in past] == [at(n) for n in (-10, -5, 0, 5)]
    task = asyncio.create_task(run.follow())
    run.stream.up()
    run.stream.say(bar(12), bar(13), bar(14))
    (made,) = await run.sent(1)
    assert (made.timestamp, made.open) == (at(10), bar(10).open)
    assert made.volume == sum(bar(n).volume for n in range(10, 15))
    run.stream.say(bar(14, close=50.0, revision=1))
    assert [(b.revision, b.close) for b in await run.sent(2)][1] == (1, 50.0)
    await run.market.stop()
    await task


async def test_time_ends_a_longer_bar_whose_last_minute_did_not_trade() -> None:
    async with running(timeframe=300.0, symbols=["AAPL", "MSFT"]) as run:
        await run.connect()
        run.stream.say(*[bar(n) for n in range(3)], trade(5.2, "MSFT"))
        run.time.to(5.3)
        (made,) = await run.sent(1)
        assert made.timestamp == at(0)


async def test_a_mute_feed_is_connected_again_while_the_market_is_open() -> None:
    async with running() as run:
        await run.connect()
        run.stream.say(bar(0))
        await run.healthy(ok=True)
        await run.sent(1)
        run.time.pass_seconds(46)
        assert "nothing heard for 45 s" in await run.healthy(ok=False)
        await until(lambda: run.stream.reconnects == 1)
        run.stream.up()
        run.time.pass_seconds(60)
        await asyncio.sleep(0.01)
        assert run.stream.reconnects == 1
        run.stream.say(trade(2))
        await run.healthy(ok=True)


async def test_silence_at_night_is_no_trouble() -> None:
    async with running(minute=9 * 60) as run:
        await run.connect()
        await run.healthy(ok=True)
        run.time.pass_seconds(3600)
        await until(lambda: run.market.health().ok)
        assert run.stream.reconnects == 0


async def test_a_refused_link_says_what_to_do() -> None:
    async with running() as run:
        assert "not connected yet" in run.market.health().reason
        run.stream.link(Link.REFUSED, "406: stop the other bot")
        await until(lambda: "stop the other bot" in run.market.health().reason)
        assert not run.market.health().ok
        run.stream.up()
        await run.healthy(ok=True)


async def test_only_streams_that_are_needed_count() -> None:
    async with running(symbols=["BTC/USD"]) as run:
        run.streams["crypto"].up()
        await run.healthy(ok=True)
        assert run.market.name == "alpaca:crypto"
        assert run.stream.subscribed == set()


async def test_mixed_feeds_end_the_events() -> None:
    run = Run()
    run.stream.up()
    run.stream.say(bar(0), replace(bar(1), feed="sip"))
    with pytest.raises(DataError, match="trade on one"):
        await run.follow()
    await run.market.stop()


async def test_what_a_stream_fails_with_comes_out_of_events() -> None:
    run = Run()
    run.stream.say(ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        await run.follow()
    await run.market.stop()


async def test_symbols_come_and_go_while_it_runs() -> None:
    async with running(minute=3.2) as run:
        await run.connect()
        await run.healthy(ok=True)
        await run.market.add_symbols(["MSFT", "BTC/USD"])
        assert run.market.symbols == ("AAPL", "BTC/USD", "MSFT")
        assert run.stream.subscribed == {"AAPL", "MSFT"}
        await until(lambda: run.streams["crypto"].subscribed == {"BTC/USD"})
        run.streams["crypto"].up()
        run.streams["crypto"].say(bar(3, "BTC/USD"))
        await run.sent(1)
        await run.market.remove_symbols(["AAPL"])
        run.stream.say(bar(3), bar(3, "MSFT"))
        assert [b.symbol for b in await run.sent(2)] == ["BTC/USD", "MSFT"]
        assert run.stream.subscribed == {"MSFT"}


async def test_a_kind_that_was_left_can_be_followed_again() -> None:
    async with running(symbols=["AAPL", "BTC/USD"]) as run:
        run.streams["crypto"].up()
        await run.connect()
        await run.market.remove_symbols(["BTC/USD"])
        await run.market.add_symbols(["BTC/USD"])
        run.streams["crypto"].say(bar(0, "BTC/USD"))
        assert await run.sent(1) == [bar(0, "BTC/USD")]


async def test_symbols_for_which_the_plan_has_no_room_are_not_followed() -> None:
    async with running() as run:
        await run.connect()
        run.stream.refusal = FeedRefused("the data plan allows fewer symbols")
        with pytest.raises(FeedRefused):
            await run.market.add_symbols(["MSFT"])
        assert run.market.symbols == ("AAPL",)


async def test_a_symbol_without_a_stream_is_refused() -> None:
    with pytest.raises(ConfigError, match="no stream for crypto"):
        AlpacaMarketData(data=FakeData(), streams={"stocks": FakeStream()}, symbols=["BTC/USD"])


async def test_history_names_the_feed() -> None:
    run = Run(symbols=["AAPL", "BTC/USD"], feed="sip", minute=1.0)
    await run.market.history("AAPL", limit=1)
    await run.market.history("BTC/USD", limit=1)
    assert set(run.data.feeds) == {"sip", None}
