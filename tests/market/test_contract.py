"""The same checks for every adapter of the port MarketData."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest

from tests.market.fakes import FakeData, FakeStream, FakeTime, trade
from toolkit.core.checks import check_bar
from toolkit.core.types import Bar, MarketEvent, MarketGap, Quote, Trade
from toolkit.errors import DataError
from toolkit.market.alpaca import AlpacaMarketData, Patience
from toolkit.market.builder import BarBuilder
from toolkit.market.pace import Pace, Sleep
from toolkit.market.port import MarketData
from toolkit.market.replay import ReplayMarket
from toolkit.market.simulated import SimulatedMarket
from toolkit.market.tables import normalise

ENOUGH = 4000
Make = Callable[[Pace, Sleep], MarketData]


def _tick_frame(**prices: Any) -> pd.DataFrame:
    seconds = [s for s in range(0, 900, 7) if not 180 <= s < 420]
    times = [pd.Timestamp("2026-01-05T15:00Z") + pd.Timedelta(seconds=s) for s in seconds]
    symbols = ["AAPL" if i % 3 else "BTC/USD" for i in range(len(seconds))]
    return pd.DataFrame({"timestamp": times, "symbol": symbols, **prices})


def replayed_bars(pace: Pace, sleep: Sleep) -> MarketData:
    times = [pd.Timestamp("2026-01-05T15:00Z") + pd.Timedelta(minutes=m) for m in (0, 1, 2, 7, 8)]
    frame = pd.DataFrame(
        [(t, s, 2.0, 3.0, 1.0, 2.5, 10.0) for t in times for s in ("AAPL", "BTC/USD")],
        columns=["timestamp", "symbol", "open", "high", "low", "close", "volume"],
    )
    return ReplayMarket(normalise(frame), pace=pace, sleep=sleep)


def replayed_quotes(pace: Pace, sleep: Sleep) -> MarketData:
    frame = _tick_frame(bid=10.0, ask=10.5, bid_size=1.0, ask_size=2.0)
    return ReplayMarket(normalise(frame), pace=pace, sleep=sleep)


def replayed_trades(pace: Pace, sleep: Sleep) -> MarketData:
    return ReplayMarket(normalise(_tick_frame(price=10.0, size=1.5)), pace=pace, sleep=sleep)


def simulated_stocks(pace: Pace, sleep: Sleep) -> MarketData:
    return SimulatedMarket(["MSFT", "AAPL"], pace=pace, sleep=sleep)


def simulated_mix(pace: Pace, sleep: Sleep) -> MarketData:
    return SimulatedMarket(["BTC/USD", "AAPL", "UNHEARD"], pace=pace, sleep=sleep)


def alpaca(pace: Pace, sleep: Sleep) -> MarketData:
    """Two symbols on one stream; MSFT misses two minutes that history does not know either."""
    names, stream, past = ("AAPL", "MSFT"), FakeStream(), []
    stream.up()
    for minute in range(-60, 60):
        present = [s for s in names if s == "AAPL" or minute not in (5, 6)]
        prices = [100.0 + minute % 7 + step for step in (0.0, 1.0, -1.0, *[0.25] * 27)]
        ticks = [
            trade(minute + n / 40, symbol, price)
            for n, price in enumerate(prices)
            for symbol in present
        ]
        bars = [_bar_of([t for t in ticks if t.symbol == symbol]) for symbol in present]
        if minute < 0:
            past += bars
        else:
            stream.say(*ticks, *bars)
    time = FakeTime(0.01)
    return AlpacaMarketData(
        data=FakeData(past),
        streams={"stocks": stream},
        symbols=names,
        patience=Patience(tick=0.0),
        clock=time.clock,
        monotonic=time.monotonic,
        sleep=sleep,
    )


def _bar_of(ticks: list[Trade]) -> Bar:
    builder = BarBuilder(feed="iex")
    for tick in ticks:
        builder.on_trade(tick)
    return builder.flush()[0]


@pytest.fixture(
    params=[
        replayed_bars,
        replayed_quotes,
        replayed_trades,
        simulated_stocks,
        simulated_mix,
        alpaca,
    ],
    ids=lambda make: make.__name__,
)
def make(request: pytest.FixtureRequest) -> Make:
    chosen: Make = request.param
    return chosen


@pytest.fixture
def market(make: Make) -> MarketData:
    return make(Pace.parse("max"), asyncio.sleep)


async def first_events(market: MarketData) -> list[MarketEvent]:
    events: list[MarketEvent] = []
    async for event in market.events():
        events.append(event)
        if len(events) == ENOUGH:
            await market.stop()
    return events


def finals(events: list[MarketEvent]) -> list[Bar]:
    return [e for e in events if isinstance(e, Bar) and e.final]


def test_it_says_what_it_is(market: MarketData) -> None:
    assert market.name
    assert market.timeframe == 60.0
    assert list(market.symbols) == sorted(set(market.symbols)) != []


async def test_events_concern_its_symbols(market: MarketData) -> None:
    events = await first_events(market)
    assert {e.symbol for e in events} == set(market.symbols)
    assert len(finals(events)) > 5


async def test_bars_are_sound_and_final_ones_in_order_of_time_and_symbol(
    market: MarketData,
) -> None:
    events = await first_events(market)
    for event in events:
        if isinstance(event, Bar):
            check_bar(event, after=None)
    keys = [(bar.timestamp, bar.symbol) for bar in finals(events)]
    if isinstance(market, AlpacaMarketData):  # symbols pass each other where one waits
        keys.sort(key=lambda key: key[1])
        assert keys == sorted(set(keys), key=lambda key: (key[1], key[0]))
    else:
        assert keys == sorted(set(keys))


async def test_ticks_come_in_order_of_time_and_symbol(market: MarketData) -> None:
    ticks = [e for e in await first_events(market) if isinstance(e, (Quote, Trade))]
    keys = [(tick.timestamp, tick.symbol) for tick in ticks]
    assert keys == sorted(keys)


async def test_a_final_bar_is_the_last_of_its_forming_ones(market: MarketData) -> None:
    forming: dict[tuple[str, datetime], Bar] = {}
    over: set[tuple[str, datetime]] = set()
    for event in await first_events(market):
        if not isinstance(event, Bar):
            continue
        key = (event.symbol, event.timestamp)
        assert key not in over
        if not event.final:
            forming[key] = event
            continue
        over.add(key)
        if key in forming:
            last = forming[key]
            assert (last.open, last.high, last.low, last.close, last.volume) == (
                event.open,
                event.high,
                event.low,
                event.close,
                event.volume,
            )


async def test_no_tick_comes_after_its_bar_is_final(market: MarketData) -> None:
    ends: dict[str, datetime] = {}
    for event in await first_events(market):
        if isinstance(event, Bar) and event.final:
            ends[event.symbol] = event.timestamp + timedelta(seconds=market.timeframe)
        elif isinstance(event, (Quote, Trade)) and event.symbol in ends:
            assert event.timestamp >= ends[event.symbol]


async def test_missing_bars_are_announced_before_the_next_bar(market: MarketData) -> None:
    last: dict[str, datetime] = {}
    announced: dict[str, MarketGap] = {}
    for event in await first_events(market):
        if isinstance(event, MarketGap):
            assert event.after == last[event.symbol]
            assert event.missing > 0
            announced[event.symbol] = event
        elif isinstance(event, Bar) and event.timestamp != last.get(event.symbol):
            before, gap = last.get(event.symbol), announced.pop(event.symbol, None)
            if gap is not None:
                assert gap.before == event.timestamp
            elif before is not None and "/" in event.symbol:
                assert event.timestamp - before == timedelta(seconds=market.timeframe)
            last[event.symbol] = event.timestamp
    assert announced == {}


async def test_history_leads_up_to_the_first_live_bar(market: MarketData) -> None:
    events = await first_events(market)
    for symbol in market.symbols:
        past = await market.history(symbol, limit=50)
        assert len(past) <= 50
        assert all(bar.final and bar.symbol == symbol for bar in past)
        live = next(bar for bar in finals(events) if bar.symbol == symbol)
        for one, other in pairwise([*past, live]):
            check_bar(one, after=None)
            assert one.timestamp < other.timestamp
        assert list(await market.history(symbol, limit=0)) == []


async def test_history_of_an_unknown_symbol_names_the_known_ones(market: MarketData) -> None:
    with pytest.raises(DataError, match="AAPL"):
        await market.history("NOPE", limit=10)


async def test_stop_ends_the_events_in_the_middle_of_a_wait(make: Make, endless_sleep: Any) -> None:
    market = make(Pace.parse("1"), endless_sleep)
    task = asyncio.create_task(first_events(market))
    await endless_sleep.entered.wait()
    await market.stop()
    assert len(await asyncio.wait_for(task, 1.0)) < ENOUGH
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_stop_is_harmless_before_and_twice(market: MarketData) -> None:
    await market.stop()
    await market.stop()
    assert [event async for event in market.events()] == []


async def test_a_second_market_of_the_same_making_sends_the_same(make: Make) -> None:
    first, second = (make(Pace.parse("max"), asyncio.sleep) for _ in range(2))
    assert await first_events(first) == await first_events(second)
