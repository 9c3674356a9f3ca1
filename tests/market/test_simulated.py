from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import pytest

from toolkit.core.types import Bar, MarketEvent, MarketGap, Quote, Trade
from toolkit.errors import ConfigError
from toolkit.market.pace import Pace
from toolkit.market.sessions import NEW_YORK, is_open
from toolkit.market.simulated import SimulatedMarket, simulate_bars
from toolkit.market.tables import iter_events, normalise

MAX = Pace.parse("max")
MIX = ["AAPL", "BTC/USD", "SPY"]


async def take(market: SimulatedMarket, count: int) -> list[MarketEvent]:
    events: list[MarketEvent] = []
    async for event in market.events():
        events.append(event)
        if len(events) == count:
            await market.stop()
    return events


async def until_bars(market: SimulatedMarket, count: int) -> list[MarketEvent]:
    events: list[MarketEvent] = []
    finals = 0
    async for event in market.events():
        events.append(event)
        finals += isinstance(event, Bar) and event.final
        if finals == count:
            await market.stop()
    return events


@pytest.fixture(scope="module")
def year() -> pd.DataFrame:
    """60,000 bars of a stock: about 150 sessions."""
    return simulate_bars(["AAPL"], 60_000)


def session_returns(frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Log returns from minute to minute, nights left out."""
    returns = np.diff(np.log(frame["close"].to_numpy()))
    within = np.diff(frame["timestamp"].to_numpy()) == np.timedelta64(60, "s")
    return np.asarray(returns[within])


def correlation(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> float:
    return float(np.corrcoef(left, right)[0, 1])


async def test_the_pace_changes_nothing_but_time(fake_time: Any) -> None:
    paced = SimulatedMarket(
        MIX, pace=Pace.parse("10x"), sleep=fake_time.sleep, clock=fake_time.clock
    )
    assert await take(paced, 3000) == await take(SimulatedMarket(MIX, pace=MAX), 3000)
    assert fake_time.now > 0


async def test_another_seed_is_another_market() -> None:
    one = await take(SimulatedMarket(MIX, pace=MAX, seed=1), 100)
    assert one != await take(SimulatedMarket(MIX, pace=MAX, seed=2), 100)


async def test_a_path_does_not_depend_on_its_neighbours() -> None:
    alone = await until_bars(SimulatedMarket(["SPY"], pace=MAX), 3)
    together = await take(SimulatedMarket(MIX, pace=MAX), 2000)
    assert [e for e in together if e.symbol == "SPY"][: len(alone) - 1] == alone[:-1]


async def test_bulk_bars_are_the_live_ones_to_the_last_bit() -> None:
    events = await until_bars(SimulatedMarket(MIX, pace=MAX), 3 * 200)
    live = [e for e in events if isinstance(e, Bar) and e.final]
    assert list(iter_events(normalise(simulate_bars(MIX, 200)))) == live


@pytest.mark.parametrize("symbol", ["AAPL", "BTC/USD", "UNHEARD", "DOGE/USD"])
async def test_history_joins_the_live_part(symbol: str) -> None:
    market = SimulatedMarket([symbol], pace=MAX)
    past = await market.history(symbol, limit=1000)
    assert len(past) == 1000
    live = next(e for e in await take(market, 10) if isinstance(e, Bar))
    assert live.timestamp - past[-1].timestamp == timedelta(minutes=1)
    moves = [abs(b.open / a.close - 1.0) for a, b in pairwise([*past, live])]
    assert moves[-1] < 0.005
    assert list(await market.history(symbol, limit=10)) == list(past[-10:])


async def test_it_starts_in_a_session_so_that_something_happens_at_once() -> None:
    (first, *_) = await take(SimulatedMarket(["AAPL"], pace=MAX), 1)
    assert isinstance(first, Quote)
    assert is_open("AAPL", first.timestamp)
    assert first.timestamp.second == 0


async def test_a_start_at_night_begins_with_the_next_session() -> None:
    saturday = datetime(2026, 1, 10, 3, tzinfo=UTC)
    (first,) = await take(SimulatedMarket(["AAPL"], pace=MAX, start=saturday), 1)
    assert isinstance(first, Quote)
    assert datetime(2026, 1, 12, 14, 30, tzinfo=UTC) <= first.timestamp
    assert first.timestamp < datetime(2026, 1, 12, 14, 31, tzinfo=UTC)


def test_stocks_trade_in_sessions_only_and_in_every_minute_of_them(year: pd.DataFrame) -> None:
    newyork = year["timestamp"].dt.tz_convert(NEW_YORK)
    clock = newyork.dt.strftime("%H:%M")
    assert (clock.min(), clock.max()) == ("09:30", "15:59")
    assert newyork.dt.day_of_week.max() == 4
    per_day = newyork.dt.date.value_counts(sort=False)
    assert set(per_day.iloc[1:-1]) == {390}


def test_crypto_never_closes() -> None:
    frame = simulate_bars(["BTC/USD"], 3 * 1440, start=datetime(2026, 1, 9, tzinfo=UTC))
    assert (frame["timestamp"].diff().dropna() == pd.Timedelta(minutes=1)).all()


async def test_nights_are_skipped_in_time_and_not_slept_through(fake_time: Any) -> None:
    market = SimulatedMarket(
        ["AAPL"],
        pace=Pace.parse("1x"),
        start=datetime(2026, 1, 9, 20, 59, tzinfo=UTC),
        sleep=fake_time.sleep,
        clock=fake_time.clock,
    )
    events = await until_bars(market, 2)
    finals = [e for e in events if isinstance(e, Bar) and e.final]
    assert finals[1].timestamp - finals[0].timestamp > timedelta(days=2)
    assert max(fake_time.naps) <= 120.0
    assert fake_time.now < 300.0
    assert not any(isinstance(e, MarketGap) for e in events)


async def test_a_mix_goes_on_at_night_without_stocks() -> None:
    start = datetime(2026, 1, 5, 20, 59, tzinfo=UTC)
    events = await take(SimulatedMarket(MIX, pace=MAX, start=start), 3000)
    late = [
        e for e in events if isinstance(e, Trade) and e.timestamp >= start + timedelta(minutes=1)
    ]
    assert {e.symbol for e in late} == {"BTC/USD"}


@pytest.mark.parametrize("timeframe", [1.0, 300.0, 3600.0])
async def test_other_timeframes_stay_within_sessions(timeframe: float) -> None:
    frame = simulate_bars(["AAPL", "ETH/USD"], 300, timeframe=timeframe)
    table = normalise(frame)
    assert table.timeframe == timeframe
    stocks = frame.loc[frame["symbol"] == "AAPL", "timestamp"]
    assert all(is_open("AAPL", time.to_pydatetime()) for time in stocks)


def test_bulk_bars_are_sound_and_fast() -> None:
    start = perf_counter()
    frame = simulate_bars(["NVDA"], 100_000)
    assert perf_counter() - start < 8.0
    assert len(normalise(frame).frame) == 100_000


def test_prices_are_on_the_grid(year: pd.DataFrame) -> None:
    cents = year["close"] * 100
    assert ((cents - cents.round()).abs() < 1e-6).all()


def test_volatility_clusters(year: pd.DataFrame) -> None:
    sizes = np.abs(session_returns(year))
    assert correlation(sizes[:-1], sizes[1:]) > 0.1
    assert correlation(sizes[:-10], sizes[10:]) > 0.05


def test_volatility_of_crypto_clusters_without_any_daily_shape() -> None:
    sizes = np.abs(session_returns(simulate_bars(["BTC/USD"], 20_000)))
    assert correlation(sizes[:-1], sizes[1:]) > 0.08


def test_tails_are_fat(year: pd.DataFrame) -> None:
    returns = session_returns(year)
    centred = returns - returns.mean()
    assert (centred**4).mean() / (centred**2).mean() ** 2 > 5.0


def test_prices_revert_mildly_from_minute_to_minute(year: pd.DataFrame) -> None:
    returns = session_returns(year)
    assert -0.15 < correlation(returns[:-1], returns[1:]) < -0.01


def test_a_normal_day_moves_as_much_as_a_real_one(year: pd.DataFrame) -> None:
    daily = np.sqrt(390) * session_returns(year).std()
    assert 0.008 < daily < 0.025


def test_open_and_close_are_busier_than_noon(year: pd.DataFrame) -> None:
    minute = year["timestamp"].dt.tz_convert(NEW_YORK).dt.strftime("%H:%M")
    size = (year["high"] / year["low"] - 1.0).groupby(minute).mean()
    volume = year["volume"].groupby(minute).mean()
    for shape in (size, volume):
        noon = shape["12:00":"13:00"].mean()
        assert shape["09:30":"09:40"].mean() > 1.5 * noon
        assert shape["15:50":"15:59"].mean() > 1.15 * noon


def test_symbols_move_together_as_their_kinds_do() -> None:
    frame = simulate_bars(["AAPL", "QQQ", "SPY", "BTC/USD", "ETH/USD"], 8_000)
    closes = frame.pivot(index="timestamp", columns="symbol", values="close")
    moves = closes.pct_change(fill_method=None)
    moves = moves[moves.index.strftime("%H:%M") != "14:30"].corr()
    assert moves.loc["QQQ", "SPY"] > 0.6
    assert moves.loc["AAPL", "SPY"] > 0.3
    assert moves.loc["BTC/USD", "ETH/USD"] > 0.5


async def test_quotes_have_a_spread_that_widens_with_volatility() -> None:
    events = await until_bars(SimulatedMarket(["NVDA"], pace=MAX), 700)
    quotes = [e for e in events if isinstance(e, Quote)]
    assert all(quote.ask > quote.bid > 0 for quote in quotes)
    assert all(quote.bid_size > 0 and quote.ask_size > 0 for quote in quotes)
    minute = [int(quote.timestamp.timestamp() // 60) for quote in quotes]
    spread = pd.Series([(q.ask - q.bid) / q.mid for q in quotes]).groupby(minute).mean()
    moved = (
        pd.Series([q.mid for q in quotes])
        .groupby(minute)
        .agg(lambda mid: mid.max() / mid.min() - 1)
    )
    assert correlation(spread.to_numpy(), moved.to_numpy()) > 0.3


async def test_trades_happen_at_the_bid_or_the_ask() -> None:
    events = await take(SimulatedMarket(["AAPL"], pace=MAX), 900)
    for quote, trade in pairwise(e for e in events if not isinstance(e, (Bar, MarketGap))):
        if isinstance(quote, Quote) and isinstance(trade, Trade):
            assert trade.price in (quote.bid, quote.ask)
            assert trade.size >= 1


async def test_at_max_it_sends_far_more_than_twenty_thousand_events_a_second() -> None:
    market = SimulatedMarket(MIX, pace=MAX)
    start = perf_counter()
    await take(market, 40_000)
    assert 40_000 / (perf_counter() - start) > 20_000


async def test_an_unknown_symbol_has_a_price_of_its_own() -> None:
    frame = simulate_bars(["AAAA", "BBBB", "CCC/USD"], 10)
    assert frame.groupby("symbol")["close"].first().nunique() == 3
    assert frame["close"].between(5, 1000).all()


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("symbols", {"symbols": []}),
        ("symbols", {"symbols": "AAPL"}),
        ("seed", {"seed": -1}),
        ("timeframe", {"timeframe": 7.0}),
        ("timeframe", {"timeframe": 86_400.0}),
        ("timeframe", {"timeframe": float("nan")}),
        ("ticks_per_bar", {"ticks_per_bar": 0}),
    ],
)
def test_wrong_options_are_named(field: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=field) as caught:
        SimulatedMarket(**{"symbols": ["AAPL"], "pace": MAX, **options})
    assert caught.value.data["field"] == field


async def test_two_markets_run_side_by_side() -> None:
    markets = [SimulatedMarket(["AAPL"], pace=MAX, seed=seed) for seed in (1, 2)]
    first, second = await asyncio.gather(*(take(market, 500) for market in markets))
    assert first != second
    assert len(first) == len(second) == 500


def test_a_count_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="count"):
        simulate_bars(["AAPL"], 0)
