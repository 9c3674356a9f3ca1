"""Bars of several minutes, built from minutes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.core.types import Bar
from toolkit.errors import ConfigError
from toolkit.market.longer import LongerBars

START = datetime(2026, 1, 5, 15, tzinfo=UTC)


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def bar(minute: int, price: float = 0.0, volume: float = 1.0) -> Bar:
    p = price or 100.0 + minute
    return Bar(
        symbol="A/USD",
        timestamp=at(minute),
        open=p,
        high=p + 1,
        low=p - 1,
        close=p,
        volume=volume,
        feed="crypto",
    )


def fed(*numbers: int) -> tuple[LongerBars, list[Bar]]:
    longer = LongerBars(300.0)
    return longer, [b for n in numbers for b in longer.on_minute(bar(n))]


def test_the_last_minute_makes_the_bar_final_at_once() -> None:
    _, done = fed(0, 1, 2, 3, 4)
    assert done == [
        Bar(
            symbol="A/USD",
            timestamp=at(0),
            open=100.0,
            high=105.0,
            low=99.0,
            close=104.0,
            volume=5.0,
            feed="crypto",
        )
    ]


def test_a_minute_of_a_later_bar_ends_the_one_before() -> None:
    _, done = fed(0, 2, 6)
    assert [(b.timestamp, b.close) for b in done] == [(at(0), 102.0)]


def test_time_ends_a_bar_whose_last_minute_did_not_trade() -> None:
    longer, done = fed(0, 1)
    assert done == []
    assert longer.close_until("A/USD", at(4)) == []
    assert [b.timestamp for b in longer.close_until("A/USD", at(5))] == [at(0)]
    assert longer.close_until("A/USD", at(6)) == []


def test_a_corrected_minute_corrects_its_bar() -> None:
    longer, _ = fed(0, 1, 2, 3, 4, 5)
    (correction,) = longer.on_minute(replace(bar(2, 200.0), revision=1))
    assert (correction.timestamp, correction.high, correction.revision) == (at(0), 201.0, 1)
    (again,) = longer.on_minute(replace(bar(2, 300.0), revision=2))
    assert (again.high, again.revision) == (301.0, 2)


def test_a_correction_inside_the_forming_bar_is_no_correction_of_it() -> None:
    longer, _ = fed(0, 1)
    assert longer.on_minute(replace(bar(0, 200.0), revision=1)) == []
    (done,) = (b for n in (2, 3, 4) for b in longer.on_minute(bar(n)))
    assert (done.open, done.revision) == (200.0, 0)


def test_a_minute_of_a_bar_that_was_passed_over_comes_out_as_a_correction() -> None:
    longer, _ = fed(0, 12)
    (late,) = longer.on_minute(replace(bar(7), revision=1))
    assert (late.timestamp, late.revision) == (at(5), 1)


def test_the_forming_bar_grows_out_of_the_minutes_before_it() -> None:
    longer, _ = fed(0, 1)
    forming = longer.on_forming(replace(bar(2, 150.0), final=False))
    assert forming is not None
    assert (forming.timestamp, forming.open, forming.close) == (at(0), 100.0, 150.0)
    assert (forming.volume, forming.final) == (3.0, False)


@pytest.mark.parametrize("timeframe", [0.0, 30.0, 90.0, 420.0, 7200.0])
def test_timeframes_that_do_not_divide_an_hour_are_refused(timeframe: float) -> None:
    with pytest.raises(ConfigError, match="divide an hour"):
        LongerBars(timeframe)


@given(st.sets(st.integers(0, 30)), st.sampled_from([300.0, 600.0, 900.0]))
@settings(max_examples=60, deadline=None)
def test_bars_are_the_joined_minutes_of_their_windows(minutes: set[int], step: float) -> None:
    longer, out = LongerBars(step), list[Bar]()
    for minute in sorted(minutes):
        out += longer.on_minute(bar(minute))
    out += longer.close_until("A/USD", at(60))
    size = int(step // 60)
    windows = {n // size for n in minutes}
    assert [b.timestamp for b in out] == [at(w * size) for w in sorted(windows)]
    for made, window in zip(out, sorted(windows), strict=True):
        parts = [bar(n) for n in sorted(minutes) if n // size == window]
        assert (made.open, made.close) == (parts[0].open, parts[-1].close)
        assert made.volume == len(parts)
        assert made.high == max(p.high for p in parts)
