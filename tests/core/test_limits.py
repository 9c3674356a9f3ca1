"""Limits of the account: what entries must keep to, and when a loss closes the gate."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.markets import START, bar
from tests.core.test_engine import EAGER, SYMBOLS, random_bars, rising
from toolkit.core.engine import Engine
from toolkit.core.gates import Gate
from toolkit.core.limits import LossGuard, OrderRate, RiskLimits, refusal
from toolkit.core.types import SignalKind
from toolkit.errors import ConfigError

MONDAY = date(2026, 1, 5)
EQUITY = st.floats(1.0, 1e6, allow_nan=False)
PERCENT = st.none() | st.floats(0.1, 100.0)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"max_exposure": 0}, "above 0"),
        ({"max_exposure": float("nan")}, "max_exposure is nan"),
        ({"max_daily_loss": True}, "max_daily_loss is True"),
        ({"max_drawdown_percent": 101}, "up to 100"),
        ({"max_orders_per_minute": 1.5}, "whole numbers"),
        ({"max_position_value": "1"}, "None for no limit"),
    ],
)
def test_a_wrong_limit_is_refused_by_name(values, words):
    with pytest.raises(ConfigError, match=words):
        RiskLimits(**values)


def test_by_default_only_the_order_rate_is_limited():
    given_ = {name for name, value in RiskLimits().to_dict().items() if value is not None}
    assert given_ == {"max_orders_per_minute"}
    assert not any(RiskLimits.none().to_dict().values())
    assert RiskLimits(**RiskLimits(max_exposure=5).to_dict()) == RiskLimits(max_exposure=5)


@pytest.mark.parametrize(
    ("limits", "gate", "words"),
    [
        ({"max_position_value": 250}, Gate.EXPOSURE, "max_position_value: 300.00 of 250.00"),
        ({"max_exposure": 1099}, Gate.EXPOSURE, "max_exposure: 1,100.00 of 1,099.00"),
        ({"max_orders_per_minute": 3}, Gate.RATE, "3 of 3"),
    ],
)
def test_the_reason_names_number_and_limit(limits, gate, words):
    found = refusal(RiskLimits(**limits), value=100, held=200, exposure=1000, recent=3)
    assert found is not None
    assert (found.gate, words in found.reason) == (gate, True)
    fitting = {name: value + 1000 for name, value in limits.items()}
    assert refusal(RiskLimits(**fitting), value=100, held=200, exposure=1000, recent=3) is None


def test_the_rate_counts_the_last_minute():
    rate = OrderRate()
    for second in (0, 30, 59):
        rate.add(START + timedelta(seconds=second))
    assert rate.count(START + timedelta(seconds=59)) == 3
    assert rate.count(START + timedelta(seconds=60)) == 2
    assert rate.count(START + timedelta(seconds=200)) == 0


def test_a_days_loss_holds_until_the_next_day():
    guard = LossGuard(RiskLimits(max_daily_loss=100))
    assert guard.mark(1000, MONDAY) == ""
    assert "max_daily_loss: 100.00 of 100.00 dollars" in guard.mark(900, MONDAY)
    assert guard.mark(1000, MONDAY) == guard.reason != ""
    assert guard.mark(1000, MONDAY + timedelta(days=1)) == ""


def test_the_loss_of_the_night_counts_to_the_new_day():
    guard = LossGuard(RiskLimits(max_daily_loss_percent=10))
    guard.mark(1000, MONDAY)
    assert "10.50 of 10 percent" in guard.mark(895, MONDAY + timedelta(days=1))


def test_a_drawdown_holds_until_a_person_excuses_it_and_counts_from_there():
    guard = LossGuard(RiskLimits(max_drawdown_percent=5))
    guard.mark(1000, MONDAY)
    assert "max_drawdown_percent: 5.00 of 5" in guard.mark(950, MONDAY)
    assert guard.mark(1000, MONDAY + timedelta(days=9))
    guard.mark(950, MONDAY + timedelta(days=9))
    guard.excuse()
    assert guard.mark(910, MONDAY + timedelta(days=9)) == ""
    assert guard.mark(900, MONDAY + timedelta(days=9))


@settings(deadline=None)
@given(
    marks=st.lists(st.tuples(EQUITY, st.booleans()), min_size=1, max_size=30),
    dollars=st.none() | st.floats(1, 1e5),
    percent=PERCENT,
    drawdown=PERCENT,
    restart=st.integers(0, 29),
)
def test_a_guard_that_restarts_says_what_one_that_runs_on_says(
    marks, dollars, percent, drawdown, restart
):
    limits = RiskLimits(
        max_daily_loss=dollars, max_daily_loss_percent=percent, max_drawdown_percent=drawdown
    )
    steady, day = LossGuard(limits), MONDAY
    other = LossGuard(limits)
    lost, peak = False, 0.0
    for number, (equity, next_day) in enumerate(marks):
        day += timedelta(days=int(next_day))
        if number == restart:
            other, before = LossGuard(limits), other
            other.restore(json.loads(json.dumps(before.to_dict())))
        peak = max(peak, equity)
        lost |= drawdown is not None and 100.0 * (peak - equity) / peak >= drawdown
        assert steady.mark(equity, day) == other.mark(equity, day)
        assert ("max_drawdown" in steady.reason) == lost


def entries(limits, bars=None):
    engine = Engine(symbols=SYMBOLS, parameters=EAGER, limits=limits)
    decisions = [engine.on_bar(item) for item in bars or rising(4)]
    return decisions, [d.request for d in decisions if d.request]


def test_an_entry_over_a_limit_is_a_refused_signal_that_says_which():
    decisions, requests = entries(RiskLimits(max_position_value=100))
    assert not requests
    (signal,) = [d.signal for d in decisions if d.signal]
    assert (signal.kind, "max_position_value: 500.00" in signal.refusal) == (SignalKind.LONG, True)
    assert {d.limited.gate for d in decisions if d.limited} == {Gate.EXPOSURE}


def test_waiting_entries_count_to_the_exposure():
    both = [
        item
        for n in range(4)
        for item in (bar(n, *([100 + n] * 4)), bar(n, *([100 + n] * 4), symbol="BTC/USD"))
    ]
    _, requests = entries(RiskLimits(max_exposure=600), both)
    assert [r.symbol for r in requests] == ["AAPL"]
    _, requests = entries(RiskLimits(max_exposure=1100), both)
    assert len(requests) == 2


def test_too_many_entries_in_a_minute_are_refused():
    both = [
        item
        for n in range(4)
        for item in (bar(n, *([100 + n] * 4)), bar(n, *([100 + n] * 4), symbol="BTC/USD"))
    ]
    decisions, requests = entries(RiskLimits(max_orders_per_minute=1), both)
    assert len({r.timestamp for r in requests}) == len(requests)
    assert Gate.RATE in {d.limited.gate for d in decisions if d.limited}


def test_without_limits_nothing_changes():
    bars = random_bars(5)
    _, free = entries(None, bars)
    _, loose = entries(RiskLimits(max_exposure=1e9), bars)
    assert [r.client_order_id for r in free] == [r.client_order_id for r in loose] != []
