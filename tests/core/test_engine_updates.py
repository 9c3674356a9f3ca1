"""What a real broker reports, in any order: the engine's books stay right."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.markets import bar, minute
from tests.core.test_engine import EAGER, rising
from toolkit.core.engine import Engine
from toolkit.core.types import (
    Fill,
    Order,
    OrderRequest,
    OrderStatus,
    OrderType,
    Reason,
    Side,
)


def order(name: str, side: Side, status: OrderStatus, *, quantity="10", symbol="AAPL") -> Order:
    return Order(
        id=f"id-{name}",
        client_order_id=name,
        symbol=symbol,
        side=side,
        quantity=Decimal(quantity),
        order_type=OrderType.MARKET,
        status=status,
        reason=Reason.ENTRY if side is Side.BUY else Reason.STOP_LOSS,
        submitted_at=minute(0),
        updated_at=minute(1),
    )


def fill(name: str, side: Side, quantity: str, price: float, *, symbol="AAPL", fee="0") -> Fill:
    return Fill(
        order_id=f"id-{name}",
        client_order_id=name,
        symbol=symbol,
        side=side,
        price=price,
        quantity=Decimal(quantity),
        fee=Decimal(fee),
        timestamp=minute(1),
        reason=Reason.ENTRY if side is Side.BUY else Reason.STOP_LOSS,
    )


def entered() -> tuple[Engine, OrderRequest]:
    engine = Engine(symbols=["AAPL"], parameters=EAGER)
    request = next(d.request for d in map(engine.on_bar, rising(4)) if d.request)
    return engine, request


BUY, SELL, OPEN = Side.BUY, Side.SELL, OrderStatus.ACCEPTED


def test_fills_before_the_answer_of_submit_and_in_parts():
    engine, request = entered()
    name = request.client_order_id
    engine.on_update(fill(name, BUY, "4", 100.0))
    engine.on_update(order(name, BUY, OPEN))
    assert engine.on_bar(bar(8, 101, 101, 101, 101)).request is None
    engine.on_update(fill(name, BUY, "6", 110.0))
    engine.on_update(order(name, BUY, OrderStatus.FILLED))
    (holding,) = engine.portfolio.holdings.values()
    assert (holding.quantity, holding.entry_price) == (Decimal(10), 106.0)


def test_an_exit_may_fill_while_its_entry_is_still_open():
    engine, request = entered()
    name = request.client_order_id
    engine.on_update(order(name, BUY, OPEN))
    engine.on_update(fill(name, BUY, "4", 100.0))
    trip = engine.on_update(fill("net", SELL, "4", 99.0))
    assert (trip.quantity, trip.pnl) == (Decimal(4), Decimal(-4))
    engine.on_update(fill(name, BUY, "6", 98.0))
    assert engine.portfolio.quantity("AAPL") == 6
    assert engine.on_bar(bar(8, 101, 101, 101, 101)).request is None


def test_an_unknown_order_keeps_its_symbol_waiting():
    engine, request = entered()
    engine.on_update(order(request.client_order_id, BUY, OrderStatus.UNKNOWN))
    assert not [d for d in map(engine.on_bar, rising(4, start=9)) if d.request]
    engine.on_update(order(request.client_order_id, BUY, OrderStatus.REJECTED))
    assert [d for d in map(engine.on_bar, rising(4, start=20)) if d.request]


def test_a_fee_taken_in_coins_leaves_a_position_of_what_came_and_money_that_agrees():
    engine = Engine(symbols=["BTC/USD"], parameters=EAGER, capital=1000)
    engine.on_update(fill("a", BUY, "0.9975", 100.0, symbol="BTC/USD", fee="0.25"))
    assert engine.portfolio.cash == 900
    trip = engine.on_update(fill("b", SELL, "0.9975", 100.0, symbol="BTC/USD", fee="0.249375"))
    assert (trip.quantity, trip.fees) == (Decimal("0.9975"), Decimal("0.499375"))
    assert engine.portfolio.cash == 1000 + trip.pnl


def test_dust_that_leaves_as_a_fee_closes_the_position():
    engine, request = entered()
    engine.on_update(fill(request.client_order_id, BUY, "10.000000001", 100.0))
    assert engine.on_update(fill("exit", SELL, "10", 101.0)) is None
    trip = engine.on_update(fill("dust", SELL, "0.000000001", 101.0))
    assert (trip.quantity, engine.portfolio.quantity("AAPL")) == (Decimal("10.000000001"), 0)


def test_a_fee_in_coins_that_was_higher_takes_coins_and_moves_no_cash():
    engine = Engine(symbols=["BTC/USD"], parameters=EAGER, capital=1000)
    engine.on_update(fill("a", BUY, "0.9975", 100.0, symbol="BTC/USD", fee="0.25"))
    engine.on_update(fill("a-c1", BUY, "-0.0025", 100.0, symbol="BTC/USD", fee="0.25"))
    assert (engine.portfolio.cash, engine.portfolio.quantity("BTC/USD")) == (900, Decimal("0.995"))
    trip = engine.on_update(fill("b", SELL, "0.995", 100.0, symbol="BTC/USD"))
    assert trip.pnl == Decimal("-0.5") == engine.portfolio.cash - 1000


def test_a_sale_of_half_leaves_the_other_half():
    engine, request = entered()
    engine.on_update(fill(request.client_order_id, BUY, "10", 100.0))
    engine.on_update(order(request.client_order_id, BUY, OrderStatus.FILLED))
    assert engine.on_update(fill("exit", SELL, "5", 101.0)) is None
    assert engine.on_update(order("exit", SELL, OrderStatus.CANCELED)) is None
    assert engine.portfolio.quantity("AAPL") == 5


def test_what_an_earlier_run_traded_is_booked_and_can_be_flattened():
    engine = Engine(symbols=["AAPL"], parameters=EAGER)
    engine.on_update(fill("old", BUY, "3", 50.0, symbol="TSLA"))
    assert engine.symbols == ("AAPL",)
    assert engine.flatten() == []
    (request,) = engine.flatten(now=minute(5))
    assert (request.symbol, request.quantity, request.side) == ("TSLA", Decimal(3), SELL)
    assert engine.on_update(fill("x", SELL, "3", 51.0, symbol="TSLA")).pnl == 3


def test_an_adopted_request_is_waited_for_and_its_id_not_used_again():
    _, request = entered()
    again = Engine(symbols=["AAPL"], parameters=EAGER)
    again.remember(request.client_order_id)
    (other,) = [d.request for d in map(again.on_bar, rising(4)) if d.request]
    assert (other.timestamp, other.client_order_id) == (
        request.timestamp,
        request.client_order_id.removesuffix("1") + "2",
    )
    again = Engine(symbols=["AAPL"], parameters=EAGER)
    again.adopt(request)
    assert not [d for d in map(again.on_bar, rising(4)) if d.request]
    again.on_update(order(request.client_order_id, BUY, OrderStatus.CANCELED))
    later = [d.request for d in map(again.on_bar, rising(4, start=9)) if d.request]
    assert len(later) == 1


def test_flatten_sells_what_has_filled_of_an_entry_that_waits():
    engine, request = entered()
    engine.on_update(order(request.client_order_id, BUY, OPEN))
    engine.on_update(fill(request.client_order_id, BUY, "4", 100.0))
    (sale,) = engine.flatten()
    assert sale.quantity == 4
    engine.on_update(order(request.client_order_id, BUY, OrderStatus.CANCELED))
    assert engine.flatten() == []
    assert engine.on_update(fill(sale.client_order_id, SELL, "4", 100.0)) is not None


PARTS = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@settings(deadline=None)
@given(lives=st.lists(st.tuples(PARTS, st.randoms(use_true_random=False)), min_size=1, max_size=4))
def test_whatever_the_order_of_news_the_books_hold_what_was_bought_less_what_was_sold(lives):
    engine = Engine(symbols=["AAPL"], parameters=EAGER)
    cash, trips = Decimal(10_000), []
    for number, (parts, rng) in enumerate(lives):
        news = _news(number, parts, rng)
        bought = sold = Decimal(0)
        for update in news:
            trip = engine.on_update(update)
            if isinstance(update, Fill):
                value = update.quantity * Decimal(str(update.price))
                bought += update.quantity * (update.side is BUY)
                sold += update.quantity * (update.side is SELL)
                cash += value if update.side is SELL else -value
            if trip:
                trips.append(trip)
            assert engine.portfolio.quantity("AAPL") == bought - sold
            assert engine.portfolio.cash == cash
        assert bought == sold > 0
    assert engine.portfolio.realised_pnl == sum(trip.pnl for trip in trips) == cash - 10_000
    assert sum(trip.quantity for trip in trips) == sum(sum(parts) for parts, _ in lives)


def _news(number, parts, rng):
    """The news of one position: order news at any place, sales never before their purchase."""
    entry, exit_ = f"in{number}", f"out{number}"
    news = [fill(entry, BUY, str(part), 100.0 + part) for part in parts]
    sales = [fill(exit_, SELL, str(part), 99.0 + part) for part in parts]
    held, merged = 0, []
    while news or sales:
        ready = bool(sales) and held >= sales[0].quantity
        take_sale = sales and ready and (not news or rng.random() < 0.5)
        update = sales.pop(0) if take_sale else news.pop(0)
        held += update.quantity if update.side is BUY else -update.quantity
        merged.append(update)
    for name, side in ((entry, BUY), (exit_, SELL)):
        for status in (OPEN, OrderStatus.PARTIALLY_FILLED):
            merged.insert(rng.randrange(len(merged) + 1), order(name, side, status))
        merged.append(replace(order(name, side, OrderStatus.FILLED), quantity=Decimal(sum(parts))))
    return merged
