"""The leaf functions of the execution rules, case by case as docs/execution.md lists them."""

from __future__ import annotations

import math

import pytest

from toolkit.core import execution as ex

INF = math.inf


def walk(ohlc, *, peak=100.0, stop=-INF, target=INF, arm=INF, trail=0.0):
    return ex.exit_in_bar(*ohlc, peak, stop, target, arm, trail)


def test_a_quiet_bar_changes_nothing_but_the_peak():
    reason, price, peak = walk((100, 101, 99, 100), stop=98, target=102)
    assert (reason, peak) == (ex.NONE, 101)
    assert math.isnan(price)


def test_a_gap_through_the_stop_fills_at_the_open():
    assert walk((97, 98, 96, 97), stop=98)[:2] == (ex.STOP_LOSS, 97)


def test_a_gap_through_the_target_fills_at_the_open():
    assert walk((103, 104, 102, 103), target=102)[:2] == (ex.TAKE_PROFIT, 103)


def test_the_stop_comes_before_the_target_in_one_bar():
    assert walk((100, 103, 97, 101), stop=98, target=102)[:2] == (ex.STOP_LOSS, 98)


def test_a_touched_stop_and_a_touched_target_fill():
    assert walk((100, 101, 98, 99), stop=98)[:2] == (ex.STOP_LOSS, 98)
    assert walk((100, 102, 99, 101), target=102)[:2] == (ex.TAKE_PROFIT, 102)


def test_the_trail_sleeps_until_it_is_armed():
    assert walk((100, 100.5, 99, 99), arm=101, trail=0.2)[0] == ex.NONE


def test_an_armed_trail_uses_the_peak_of_earlier_bars_at_the_low():
    reason, price, _ = walk((109, 109, 107, 108), peak=110, arm=101, trail=1.0)
    assert (reason, price) == (ex.TRAILING_STOP, 110 * (1 - 1.0 / 100.0))


def test_a_new_high_raises_the_trail_for_the_rest_of_its_bar():
    reason, price, peak = walk((100, 110, 100, 105), arm=101, trail=1.0)
    assert (reason, price, peak) == (ex.TRAILING_STOP, 110 * (1 - 1.0 / 100.0), 110)


def test_the_higher_of_stop_and_trail_counts():
    assert walk((100, 100, 98, 99), stop=99.5, arm=100, trail=1.0)[:2] == (ex.STOP_LOSS, 99.5)


def test_levels_are_none_where_switched_off():
    assert ex.levels(100.0, 0.0, 0.0, 0.0, 0.0) == (-INF, INF, 100.0)
    assert ex.levels(100.0, 1.0, 0.0, 2.0, 0.5) == pytest.approx((99.0, 102.0, 100.5))


def test_a_stop_distance_replaces_the_percent_stop():
    assert ex.levels(100.0, 1.0, 3.0, 0.0, 0.0)[0] == 97.0


def test_an_entry_is_cut_to_the_cash_and_its_fee():
    assert ex.affordable(10.0, 100.0, 0.0, 1000.0) == 10.0
    cut = ex.affordable(10.0, 101.0, 25.0, 1000.0)
    assert ex.micros(101.0 * cut) + ex.fee_micros(101.0, cut, 25.0) <= 1000.0 * 1e6
    assert ex.affordable(1.0, 100.0, 0.0, 0.0) == 0.0


def test_size_is_percent_of_capital_in_nine_decimals():
    assert ex.quantity_for(10_000.0, 300.0, math.nan, 5.0, False, 0.05, 2.0) == 1.666666666


def test_atr_sizing_limits_the_loss_at_the_stop():
    size = ex.quantity_for(10_000.0, 100.0, 2.0, 100.0, True, 1.0, 2.0)
    assert size * 2.0 * 2.0 == 100.0
