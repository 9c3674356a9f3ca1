"""The simulated exchange's book and the bot's own books."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.markets import bar, minute, random_costs
from tests.effort import tries
from toolkit.core.costs import Costs
from toolkit.core.matching import MatchingBook
from toolkit.core.portfolio import Portfolio
from toolkit.core.types import (
    ExitPlan,
    Fill,
    OrderRequest,
    OrderStatus,
    OrderType,
    Reason,
    Side,
)
from toolkit.errors import BrokerError, OrderRejected
from toolkit.market.hours import Hours


def request(side=Side.BUY, quantity="2", name="a", exits=None):
    return OrderRequest(
        client_order_id=name,
        symbol="AAPL",
        side=side,
        quantity=Decimal(quantity),
        reason=Reason.ENTRY,
        timestamp=minute(0),
        exits=exits,
    )


def make_book(cash=10_000.0, **costs):
    return MatchingBook(cash=cash, costs=Costs(**costs))


def test_an_order_fills_at_the_open_of_the_next_bar_of_its_own_symbol():
    book = make_book()
    book.submit(request())
    assert book.on_bar(bar(1, 50, 50, 50, 50, symbol="MSFT")) == []
    order, fill = book.on_bar(bar(7, 100, 101, 99, 100.5))
    assert (order.status, fill.price, fill.timestamp) == (OrderStatus.FILLED, 100, minute(7))
    assert book.open_orders() == []


def test_slippage_and_fees_move_against_us():
    book = make_book(slippage_bps=10.0, stock_fee_bps=5.0)
    book.submit(request())
    _, fill = book.on_bar(bar(1, 100, 101, 99, 100))
    assert fill.price == 100 * (1 + 10 / 10000)
    assert fill.fee == Decimal("0.1001") + Decimal("0.01")  # the audit trail's first cent


def test_a_stop_and_a_target_pay_slippage_and_a_resting_target_does_not():
    for exits, high, low, rests, expected in (
        (ExitPlan(take_profit=1.0), 102, 99.5, True, 101.0),
        (ExitPlan(take_profit=1.0), 102, 99.5, False, 101.0 * 0.999),
        (ExitPlan(stop_loss=1.0), 100, 98, True, 99.0 * 0.999),
    ):
        book = make_book(slippage_bps=10.0, targets_rest=rests)
        book.submit(request(exits=exits))
        entry_open = 100 / 1.001
        updates = book.on_bar(bar(1, entry_open, high, low, 99.5))
        assert updates[-1].price == pytest.approx(expected)


def test_a_protective_exit_works_on_the_entry_bar():
    book = make_book()
    book.submit(request(exits=ExitPlan(stop_loss=1.0)))
    updates = book.on_bar(bar(1, 100, 100, 98, 99))
    assert [u.reason for u in updates] == [Reason.ENTRY] * 2 + [Reason.STOP_LOSS] * 2
    assert book.positions() == []


def test_a_position_shows_the_levels_in_force():
    book = make_book()
    plan = ExitPlan(stop_loss=1.0, take_profit=5.0, trailing_stop=1.0, trailing_activation=2.0)
    book.submit(request(exits=plan))
    book.on_bar(bar(1, 100, 101, 100, 101))
    (before,) = book.positions()
    book.on_bar(bar(2, 102, 103, 102, 103))
    (after,) = book.positions()
    assert (before.stop, before.target) == (99.0, 105.0)
    assert after.stop == 103 * (1 - 1.0 / 100.0)
    assert after.unrealised_pnl == Decimal("6") - Decimal("0.01")


def test_an_entry_beyond_the_cash_is_cut_or_rejected():
    book = make_book(cash=150.0)
    book.submit(request())
    order, fill = book.on_bar(bar(1, 100, 100, 100, 100))
    assert (fill.quantity, order.message) == (Decimal("1.49989994"), "cut to what the cash allowed")
    poor = make_book(cash=0.0)
    poor.submit(request())
    (order,) = poor.on_bar(bar(1, 100, 100, 100, 100))
    assert order.status is OrderStatus.REJECTED


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (request(quantity="0"), "above 0"),
        (request(side=Side.SELL), "shorts are not taken"),
        (replace(request(), order_type=OrderType.LIMIT), "market orders"),
    ],
)
def test_what_cannot_be_executed_is_refused_with_a_reason(bad, words):
    with pytest.raises(OrderRejected, match=words):
        make_book().submit(bad)


def hours(**options):
    return Hours(timeframe=60.0, sessions="regular", **options)


def evening(number, price=100.0, **values):
    """Bars around the close of 5 January: number 0 begins at 15:59 in New York."""
    moment = datetime(2026, 1, 5, 20, 59 + number, tzinfo=UTC) if number < 1 else None
    moment = moment or datetime(2026, 1, 5, 21, number - 1, tzinfo=UTC)
    made = replace(bar(0, price, price, price, price), timestamp=moment)
    return replace(made, **values)


def test_an_entry_expires_where_its_session_is_over_before_the_next_bar():
    book = MatchingBook(cash=1e4, costs=Costs(), hours=hours())
    book.submit(replace(request(), timestamp=evening(-1).timestamp))
    (order,) = book.on_bar(evening(1))
    assert (order.status, order.message) == (OrderStatus.EXPIRED, "its session is over")
    assert book.open_orders() == []


def test_an_entry_by_hand_while_the_market_is_closed_expires():
    book = MatchingBook(cash=1e4, costs=Costs(), hours=hours())
    book.submit(replace(request(), timestamp=evening(1).timestamp))
    (order,) = book.on_bar(evening(2))
    assert order.status is OrderStatus.EXPIRED


def test_outside_its_session_nothing_fills_and_no_level_is_looked_at():
    book = MatchingBook(cash=1e4, costs=Costs(), hours=hours())
    plan = ExitPlan(stop_loss=1.0, trailing_stop=1.0, trailing_activation=0.0)
    book.submit(replace(request(exits=plan), timestamp=evening(-1).timestamp))
    book.on_bar(evening(0))
    assert book.on_bar(evening(1, 90.0)) == []
    assert book.on_bar(evening(2, 130.0)) == []
    (position,) = book.positions()
    assert (position.price, position.stop) == (130.0, 99.0)
    book.submit(replace(request(Side.SELL, name="b"), timestamp=evening(2).timestamp))
    assert book.on_bar(evening(3, 120.0)) == []
    assert len(book.open_orders()) == 1
    morning = replace(evening(3, 95.0), timestamp=datetime(2026, 1, 6, 14, 30, tzinfo=UTC))
    _, fill = book.on_bar(morning)
    assert fill.price == 95.0


def test_an_entry_takes_no_more_than_its_share_of_the_volume():
    book = make_book(max_volume_percent=10.0)
    book.submit(request(quantity="5"))
    order, fill = book.on_bar(replace(bar(1, 100, 100, 100, 100), volume=20.0))
    assert (fill.quantity, order.message) == (Decimal(2), "cut to what the bar's volume allowed")


def test_a_sale_pays_what_its_day_owes_the_regulators():
    book = make_book(stock_fee_bps=0.0)
    book.submit(request(quantity="50"))
    _, bought = book.on_bar(bar(1, 100, 100, 100, 100))
    book.submit(request(Side.SELL, quantity="50", name="b"))
    _, sold = book.on_bar(bar(2, 100, 100, 100, 100))
    assert (bought.fee, sold.fee) == (Decimal("0.01"), Decimal("0.11") + Decimal("0.01"))


def test_a_client_order_id_is_taken_once():
    book = make_book()
    book.submit(request())
    with pytest.raises(OrderRejected, match="used before"):
        book.submit(request())


def test_a_cancelled_order_does_not_fill():
    book = make_book()
    order = book.submit(request())
    assert book.cancel(order.id).status is OrderStatus.CANCELED
    assert book.on_bar(bar(1, 100, 100, 100, 100)) == []
    with pytest.raises(BrokerError, match="no open order"):
        book.cancel(order.id)


def fill(side, price, quantity, number=0, fee="0"):
    return Fill(
        order_id="o",
        client_order_id="c",
        symbol="AAPL",
        side=side,
        price=price,
        quantity=Decimal(quantity),
        fee=Decimal(fee),
        timestamp=minute(number),
        reason=Reason.ENTRY if side is Side.BUY else Reason.SIGNAL,
    )


def test_a_round_trip_books_profit_after_fees_to_the_micro_dollar():
    books = Portfolio(1000.0)
    books.on_fill(fill(Side.BUY, 100.0, "2", fee="0.10"))
    trip = books.on_fill(fill(Side.SELL, 101.0, "2", 5, fee="0.20"))
    assert (trip.pnl, trip.fees, trip.return_percent) == (Decimal("1.7"), Decimal("0.3"), 0.85)
    assert (books.cash, books.capital) == (Decimal("1001.7"), 1001.7)


def test_partial_fills_average_and_close_once():
    books = Portfolio(1000.0)
    books.on_fill(fill(Side.BUY, 100.0, "1"))
    books.on_fill(fill(Side.BUY, 102.0, "1", 1))
    assert books.on_fill(fill(Side.SELL, 103.0, "0.5", 2)) is None
    trip = books.on_fill(fill(Side.SELL, 104.0, "1.5", 3))
    assert (trip.entry_price, trip.exit_price, trip.pnl) == (101.0, 103.75, Decimal("5.5"))


def test_selling_more_than_is_held_is_an_error():
    with pytest.raises(BrokerError, match="only 0 are held"):
        Portfolio(1000.0).on_fill(fill(Side.SELL, 100.0, "1"))


def test_the_account_marks_positions_at_the_last_price():
    books = Portfolio(1000.0)
    books.on_fill(fill(Side.BUY, 100.0, "2"))
    account = books.account({"AAPL": 110.0}, timestamp=minute(1))
    assert (account.cash, account.equity) == (Decimal(800), Decimal(1020))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell", "wait", "wait"]),
        st.floats(0.97, 1.03),
        st.sampled_from([0.0, 5.0, 500.0]),
        st.sampled_from([1, 1, 20, 600]),
    ),
    max_size=60,
)


@settings(max_examples=tries(100), deadline=None)
@given(steps=STEPS, seed=st.integers(0, 200), cash=st.sampled_from([50.0, 10_000.0]))
def test_whatever_is_ordered_books_agree_and_closed_markets_fill_nothing(steps, seed, cash):
    exits = ExitPlan(stop_loss=2.0, take_profit=2.0)
    when, price = datetime(2026, 1, 5, 20, 0, tzinfo=UTC), 100.0
    session = hours(flat_before_close=600.0)
    book, books = MatchingBook(cash=cash, costs=random_costs(seed), hours=session), Portfolio(cash)
    states: dict[str, list[OrderStatus]] = {}
    for number, (action, move, volume, minutes) in enumerate(steps):
        when += timedelta(minutes=minutes)
        item = replace(
            bar(0, price, price * max(move, 1.0), price * min(move, 1.0), price * move),
            timestamp=when,
            volume=volume,
            spread=0.02,
        )
        price *= move
        updates = book.on_bar(item)
        if session.session("AAPL", when) == -1:
            assert not [u for u in updates if isinstance(u, Fill)]
        for update in updates:
            if isinstance(update, Fill):
                books.on_fill(update)
                assert update.fee >= 0
            else:
                states.setdefault(update.client_order_id, []).append(update.status)
        side = {"buy": Side.BUY, "sell": Side.SELL}.get(action)
        if side:
            quantity = str(books.quantity("AAPL")) if side is Side.SELL else "30"
            asked = replace(request(side, quantity, f"o{number}", exits), timestamp=when)
            with suppress(OrderRejected):
                book.submit(asked)
        held = books.quantity("AAPL")
        assert [p.quantity for p in book.positions()] == ([held] if held else [])
        assert books.cash == Decimal(book._cash).scaleb(-6) >= Decimal("-0.000001")
    assert all(len(found) == 1 and not found[0].is_open for found in states.values())
