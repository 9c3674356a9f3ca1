"""What we hold and its levels: docs/execution.md from the prices really paid."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.broker.test_rules import COIN, STOCK, WHOLE
from tests.broker.truth import NOON, Life, at, intent
from toolkit.broker.grid import price_down, quantity_down, sellable
from toolkit.broker.lots import Lot, Lots
from toolkit.broker.orders import Orders
from toolkit.broker.records import Booking, Role
from toolkit.core import execution
from toolkit.core.types import Bar, ExitPlan, OrderStatus, Quote, Reason, Side, Trade

PLAN = ExitPlan(stop_loss=1.0, take_profit=2.0, trailing_stop=0.5, trailing_activation=1.0)


def bookings(sizes: tuple[int, ...], *, side: Side = Side.BUY) -> list[Booking]:
    role = Role.ENTRY if side is Side.BUY else Role.EXIT
    life = Life(intent(f"s-{side}", side=side, role=role), sizes, OrderStatus.CANCELED)
    orders = Orders()
    orders.intend(life.intent)
    changes = [c for step in range(life.steps) for c in orders.news(life.news(step))]
    return [c for c in changes if isinstance(c, Booking)]


def held(*, plan: ExitPlan = PLAN) -> tuple[Lots, Lot]:
    lots = Lots()
    meant = replace(intent("s-buy"), exits=plan)
    for booking in bookings((10,)):
        lots.book(booking, meant, now=NOON)
    lot = lots.get("AAPL")
    assert lot is not None
    return lots, lot


def test_the_entry_price_is_the_average_of_what_was_paid():
    lots = Lots()
    for booking in bookings((4, 6)):
        lots.book(booking, intent("s-buy"), now=NOON)
    lot = lots.get("AAPL")
    assert lot is not None
    assert lot.entry_price == pytest.approx((4 * 100 + 6 * 101) / 10)
    assert lot.quantity == 10


def test_what_is_sold_leaves_and_the_last_of_it_closes_the_position():
    lots, lot = held()
    first, second = bookings((4, 6), side=Side.SELL)
    lots.book(first, None, now=NOON)
    assert lot.quantity == 6
    lots.book(second, None, now=NOON)
    assert lots.get("AAPL") is None


def trade(price: float) -> Trade:
    return Trade(symbol="AAPL", timestamp=at(5), price=price)


def test_a_bid_at_the_target_is_enough_and_a_far_bid_says_nothing_about_stops():
    lots, lot = held()
    far = Quote(symbol="AAPL", timestamp=at(5), bid=1.0, ask=300.0)
    assert not lots.see(far, now=NOON)
    assert lots.see(replace(far, bid=102.0), now=NOON)
    assert lot.wish is Reason.TAKE_PROFIT


def test_a_stop_that_is_passed_for_a_moment_is_left_to_the_net():
    lots, lot = held()
    assert lots.see(trade(98.9), now=at(5))
    assert (lot.crossed, lot.wish) == (at(5), None)
    assert not lots.see(trade(99.5), now=at(6))
    assert lot.crossed is None


def test_the_first_reason_to_sell_stays():
    lots, lot = held()
    lots.want("AAPL", Reason.SIGNAL)
    lots.see(trade(103.0), now=NOON)
    assert lot.wish is Reason.SIGNAL


def bar(start: timedelta, *prices: float) -> Bar:
    open_, high, low, close = prices
    return Bar(symbol="AAPL", timestamp=NOON + start, open=open_, high=high, low=low, close=close)


def test_of_the_bar_in_which_we_bought_only_the_close_counts():
    lots, lot = held()
    lots.bar(bar(timedelta(seconds=-59), 100, 105, 90, 100.5), now=NOON)
    assert (lot.wish, lot.crossed, lot.peak) == (None, None, 100.5)


def test_bars_show_what_ticks_have_missed():
    lots, lot = held()
    lots.bar(bar(timedelta(minutes=1), 100, 103, 100, 101), now=NOON)
    assert lot.wish is Reason.TAKE_PROFIT


def test_a_bar_counts_once():
    lots, lot = held()
    lots.bar(bar(timedelta(minutes=1), 100, 101, 100, 101), now=NOON)
    assert not lots.bar(bar(timedelta(minutes=1), 100, 103, 100, 103), now=NOON)
    assert lot.wish is None


def test_a_position_without_a_plan_is_left_alone():
    lots, _ = held()
    plain = Lots()
    for booking in bookings((10,)):
        plain.book(booking, None, now=NOON)
    assert not plain.see(trade(1.0), now=NOON)
    assert plain.get("AAPL").position().stop is None
    assert lots.get("AAPL").position().stop == 99.0


@given(st.lists(st.floats(99.01, 101.9), min_size=1, max_size=30))
def test_ticks_and_bars_give_the_same_stop_as_the_rules(prices: list[float]):
    lots, lot = held()
    peak = 100.0
    fixed, target, arm = execution.levels(100.0, 1.0, 0.0, 2.0, 1.0)
    for price in prices:
        code, _, peak = execution.exit_in_bar(
            price, price, price, price, peak, fixed, target, arm, 0.5
        )
        lots.see(trade(price), now=NOON)
        if code:
            assert lot.wish is not None or lot.crossed is not None
            return
        assert lot.crossed is None
        assert lot.stop()[0] >= fixed
        assert lot.peak == max(100.0, peak)


@pytest.mark.parametrize(
    ("asset", "quantity", "price", "expected"),
    [
        (STOCK, "2.5000000001", 100, "2.5"),
        (STOCK, "0.005", 100, "0"),
        (STOCK, "0.02", 100, "0.02"),
        (STOCK, "1.005", 0.5, "1.005"),
        (WHOLE, "3.9", 100, "3"),
        (COIN, "0.99759", 1000, "0.9975"),
        (COIN, "0.00009", 1000, "0"),
    ],
)
def test_what_can_be_sold_of_a_holding(asset, quantity: str, price: float, expected: str):
    assert sellable(asset, Decimal(quantity), price=price) == Decimal(expected)


@given(st.decimals("0.01", "100000", places=6))
def test_the_grid_never_rounds_up(value: Decimal):
    for asset in (STOCK, WHOLE, COIN):
        price, quantity = price_down(asset, value), quantity_down(asset, value)
        assert 0 <= value - price < Decimal("0.01")
        assert 0 <= value - quantity < 1
