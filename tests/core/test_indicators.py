"""Incremental indicators against their definitions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.core import indicators as ind

PRICES = st.lists(st.floats(1, 1000), min_size=1, max_size=60)


def feed(indicator, values):
    return [indicator.update(value) for value in values]


def test_an_ema_starts_at_the_first_value():
    assert feed(ind.Ema(3), [10.0, 20.0, 20.0]) == [10.0, 15.0, 17.5]


def test_the_rsi_is_wilders_and_starts_after_its_length():
    values = feed(ind.Rsi(2), [1.0, 2.0, 1.0, 3.0])
    assert math.isnan(values[0])
    assert math.isnan(values[1])
    assert values[2:] == pytest.approx([50.0, 100 * 1.25 / 1.5])


def test_the_rsi_of_a_market_that_only_rises_or_stands_is_100():
    assert feed(ind.Rsi(2), [1.0, 2.0, 3.0])[-1] == 100.0
    assert feed(ind.Rsi(2), [1.0, 1.0, 1.0])[-1] == 100.0


def test_a_flat_range_repeats_the_last_answer_instead_of_flipping():
    stochastic = ind.Stochastic(2, 1, 1)
    moving = feed_bars(stochastic, [(11, 9, 10), (12, 10, 12)])
    flat = feed_bars(stochastic, [(12, 12, 12), (12, 12, 12)])
    assert moving[-1][0] == 100.0
    assert [k for k, _ in flat] == [100.0, 100.0]


def test_a_flat_range_from_the_start_stays_undefined():
    assert all(math.isnan(k) for k, _ in feed_bars(ind.Stochastic(2, 1, 1), [(5, 5, 5)] * 4))


def feed_bars(indicator, bars):
    return [indicator.update(*bar) for bar in bars]


def test_the_true_range_counts_the_gap_from_the_last_close():
    assert feed_bars(ind.Atr(1), [(11, 9, 10), (16, 15, 15)]) == [2, 6]


def test_adaptive_bands_widen_when_volatility_rises():
    bands = ind.Bands(30.0, 80.0, length=2)
    bands.update(1.0, 100.0)
    lower, upper = bands.update(3.0, 100.0)
    assert (lower, upper) == pytest.approx((20.0, 100 - 20 / 1.5))


def test_fixed_bands_stay():
    assert ind.Bands(30.0, 80.0, length=None).update(math.nan, 1.0) == (30.0, 80.0)


@given(PRICES)
def test_oscillators_stay_between_0_and_100(prices):
    rsi, stoch = ind.Rsi(3), ind.StochRsi(3, 2, 2)
    for price in prices:
        value = rsi.update(price)
        for result in (value, *stoch.update(value)):
            assert math.isnan(result) or -1e-9 <= result <= 100 + 1e-9
