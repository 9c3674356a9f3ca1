"""Bars: what they are made of, and where longer ones begin."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exchange.markets import new_york
from toolkit.exchange.bars import BarStore, MinuteBar, Timeframe, bar_of, joined
from toolkit.exchange.values import DAY, MINUTE, micros_of

PRINTS = st.lists(st.tuples(st.floats(1, 1000), st.floats(0, 1e6)), min_size=1, max_size=20)


@given(PRINTS)
def test_a_bar_holds_its_prints(prints):
    bar = bar_of(0, prints)
    assert (bar.open, bar.close, bar.trades) == (prints[0][0], prints[-1][0], len(prints))
    assert bar.low - 1e-6 <= bar.vwap <= bar.high + 1e-6
    assert all(bar.low <= price <= bar.high for price, _ in prints)


@pytest.mark.parametrize(
    ("text", "at", "opens"),
    [
        ("1Min", "2026-01-05 10:07", "2026-01-05 10:07"),
        ("5Min", "2026-01-05 10:07", "2026-01-05 10:05"),
        ("7Min", "2026-01-05 00:15", "2026-01-05 00:14"),
        ("1Hour", "2026-01-05 10:07", "2026-01-05 10:00"),
        ("4H", "2026-01-05 10:07", "2026-01-05 08:00"),
        ("1Day", "2026-01-05 10:07", "2026-01-05 00:00"),
        ("1W", "2026-01-08 10:07", "2026-01-05 00:00"),
        ("3Month", "2026-06-08 10:07", "2026-04-01 00:00"),
    ],
)
def test_longer_bars_begin_where_new_york_begins_them(text, at, opens):
    assert Timeframe.parse(text).start_of(new_york(at), crypto=False) == new_york(opens)


def test_a_day_of_crypto_begins_at_midnight_in_chicago():
    noon = micros_of(datetime(2026, 1, 5, 12, tzinfo=UTC))
    begin = Timeframe.parse("1Day").start_of(noon, crypto=True)
    assert begin == micros_of(datetime(2026, 1, 5, 6, tzinfo=UTC))


@pytest.mark.parametrize("text", ["", "0Min", "60Min", "24Hour", "2Day", "5Month", "1Year", "min"])
def test_what_is_no_timeframe_is_refused(text):
    with pytest.raises(ValueError, match="invalid timeframe"):
        Timeframe.parse(text)


@given(st.lists(st.integers(0, 200), unique=True, min_size=1))
def test_a_store_is_in_order_whatever_comes_when(minutes):
    store = BarStore()
    for minute in minutes:
        store.put(bar_of(minute * MINUTE, [(1.0, 1.0)]))
    store.put(bar_of(minutes[0] * MINUTE, [(2.0, 1.0)]))
    assert [bar.at // MINUTE for bar in store] == sorted(minutes)
    assert [bar.at // MINUTE for bar in store.between(50 * MINUTE, 100 * MINUTE)] == [
        minute for minute in sorted(minutes) if 50 <= minute <= 100
    ]
    assert {bar.close for bar in store if bar.at == minutes[0] * MINUTE} == {2.0}


def test_a_stocks_day_is_its_regular_session():
    def bar(at: str, price: float) -> MinuteBar:
        return bar_of(new_york(at), [(price, 1.0)])

    bars = [
        bar("2026-01-05 09:29", 1.0),
        bar("2026-01-05 09:30", 2.0),
        bar("2026-01-05 15:59", 3.0),
        bar("2026-01-05 16:00", 4.0),
    ]
    (day,) = joined(bars, Timeframe(1, "Day"), crypto=False)
    assert (day.open, day.close, day.volume) == (2.0, 3.0, 2.0)
    assert day.at + DAY > bars[-1].at
