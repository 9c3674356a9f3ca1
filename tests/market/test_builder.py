from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.core.checks import check_bar
from toolkit.core.types import Bar, Quote, Trade
from toolkit.errors import ConfigError
from toolkit.market.builder import BarBuilder

START = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def trade(seconds: float, price: float, size: float = 1.0, symbol: str = "A") -> Trade:
    return Trade(symbol=symbol, timestamp=at(seconds), price=price, size=size)


def test_trades_of_a_minute_make_one_bar() -> None:
    builder = BarBuilder(60.0)
    for seconds, price, size in ((1, 10.0, 2.0), (2, 12.0, 1.0), (3, 9.0, 4.0), (59.9, 11.0, 3.0)):
        builder.on_trade(trade(seconds, price, size))
    expected = Bar(
        symbol="A", timestamp=START, open=10.0, high=12.0, low=9.0, close=11.0, volume=10.0
    )
    assert builder.flush() == [expected]
    assert builder.flush() == []


def test_each_event_returns_its_forming_bar() -> None:
    builder = BarBuilder(60.0)
    builder.on_trade(trade(1, 10.0))
    (forming,) = builder.on_trade(trade(2, 11.0))
    assert not forming.final
    assert (forming.open, forming.close, forming.volume) == (10.0, 11.0, 2.0)


def test_a_later_minute_closes_every_symbol_in_order_before_the_new_forming_bar() -> None:
    builder = BarBuilder(60.0)
    builder.on_trade(trade(1, 10.0, symbol="B"))
    builder.on_trade(trade(2, 20.0, symbol="A"))
    bars = builder.on_trade(trade(60, 30.0, symbol="C"))
    assert [(b.symbol, b.final) for b in bars] == [("A", True), ("B", True), ("C", False)]


def test_quotes_make_bars_of_mid_prices_without_volume() -> None:
    builder = BarBuilder(60.0)
    quote = Quote(symbol="A", timestamp=at(5), bid=10.0, ask=11.0, bid_size=3.0, ask_size=4.0)
    (bar,) = builder.on_tick(quote)
    assert (bar.close, bar.volume, bar.timestamp) == (10.5, 0.0, START)


def test_a_bar_of_quotes_knows_their_mean_spread_and_a_bar_of_trades_knows_none() -> None:
    builder = BarBuilder(60.0)
    for seconds, bid, ask in ((1, 9.5, 10.5), (2, 10.0, 10.5), (61, 10.0, 10.25)):
        builder.on_quote(Quote(symbol="A", timestamp=at(seconds), bid=bid, ask=ask))
        builder.on_trade(trade(seconds, 10.0, symbol="B"))
        builder.on_quote(Quote(symbol="A", timestamp=at(-1), bid=1.0, ask=100.0))  # late
    (forming,) = builder.on_trade(trade(62, 10.0, symbol="A"))
    assert forming.spread is None
    assert [(bar.symbol, bar.spread) for bar in builder.flush()] == [("A", 0.25), ("B", None)]


def test_the_spread_of_a_bar_is_the_mean_over_its_quotes() -> None:
    builder = BarBuilder(60.0)
    for seconds, ask in ((1, 10.5), (2, 11.5)):
        builder.on_quote(Quote(symbol="A", timestamp=at(seconds), bid=10.0, ask=ask))
    (bar,) = builder.flush()
    assert bar.spread == 1.0


def test_minutes_without_events_make_no_bar() -> None:
    builder = BarBuilder(60.0)
    builder.on_trade(trade(0, 10.0))
    finals = [bar for bar in builder.on_trade(trade(600, 11.0)) if bar.final]
    assert [bar.timestamp for bar in finals] == [START]


def test_late_events_are_ignored_and_counted() -> None:
    builder = BarBuilder(60.0)
    builder.on_trade(trade(61, 10.0, symbol="A"))
    assert builder.on_trade(trade(59, 99.0, symbol="A")) == []
    assert builder.on_trade(trade(59, 99.0, symbol="never seen")) == []
    assert builder.late == 2
    assert [bar.high for bar in builder.flush()] == [10.0]


def test_a_clock_closes_bars_once() -> None:
    builder = BarBuilder(60.0)
    builder.on_trade(trade(1, 10.0))
    assert builder.due == at(60)
    assert builder.close_until(at(59.999)) == []
    assert [bar.final for bar in builder.close_until(at(60))] == [True]
    assert builder.due is None
    assert builder.on_trade(trade(30, 11.0)) == []
    assert builder.late == 1


def test_after_a_flush_the_same_minute_is_late() -> None:
    builder = BarBuilder(60.0)
    builder.on_trade(trade(1, 10.0))
    builder.flush()
    assert builder.on_trade(trade(2, 11.0)) == []


@pytest.mark.parametrize("timeframe", [0.0, -60.0, float("nan"), float("inf")])
def test_a_timeframe_that_is_no_duration_is_refused(timeframe: float) -> None:
    with pytest.raises(ConfigError, match="timeframe"):
        BarBuilder(timeframe)


prices = st.floats(0.01, 1e6, allow_nan=False)
sizes = st.floats(0.0, 1e6, allow_nan=False)
some_trades = st.lists(
    st.tuples(st.integers(0, 900), st.sampled_from("ABC"), prices, sizes), max_size=80
)


def expected_bars(trades: list[Trade], step: int) -> list[Bar]:
    groups: dict[tuple[datetime, str], list[Trade]] = {}
    for t in trades:
        seconds = int((t.timestamp - START).total_seconds()) // step * step
        groups.setdefault((at(seconds), t.symbol), []).append(t)
    bars = []
    for (time, symbol), group in sorted(groups.items()):
        volume = 0.0
        for t in group:
            volume += t.size
        values = [t.price for t in group]
        bars.append(
            Bar(
                symbol=symbol,
                timestamp=time,
                open=values[0],
                high=max(values),
                low=min(values),
                close=values[-1],
                volume=volume,
            )
        )
    return bars


@settings(deadline=None)
@given(some_trades, st.sampled_from((1, 5, 60, 300)))
def test_bars_are_what_grouping_by_hand_gives(
    rows: list[tuple[int, str, float, float]], step: int
) -> None:
    trades = [trade(s, p, z, symbol) for s, symbol, p, z in sorted(rows, key=lambda r: r[0])]
    builder = BarBuilder(float(step))
    out = [bar for t in trades for bar in builder.on_trade(t)] + builder.flush()
    finals = [bar for bar in out if bar.final]
    assert finals == expected_bars(trades, step)
    assert len(out) - len(finals) == len(trades)
    assert builder.late == 0
    for bar in out:
        check_bar(bar, after=None)


@settings(deadline=None)
@given(some_trades)
def test_in_any_order_no_bar_is_final_twice_and_every_event_counts_or_is_late(
    rows: list[tuple[int, str, float, float]],
) -> None:
    builder = BarBuilder(60.0)
    out = [bar for s, name, p, _ in rows for bar in builder.on_trade(trade(s, p, 1.0, name))]
    finals = [bar for bar in [*out, *builder.flush()] if bar.final]
    keys = [(bar.timestamp, bar.symbol) for bar in finals]
    assert keys == sorted(set(keys))
    assert sum(bar.volume for bar in finals) + builder.late == len(rows)
