"""Whatever is asked and whatever the market does: nothing is made, lost or moved wrongly."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.effort import tries
from tests.exchange.markets import Floor
from toolkit.core.types import ZERO, Side
from toolkit.exchange.orders import MOVES, Order, Status
from toolkit.exchange.refusals import Refusal

SYMBOLS = st.sampled_from(["AAPL", "MSFT", "BTC/USD"])
SIDES = st.sampled_from(["buy", "sell"])
STOCKS = st.sampled_from(["AAPL", "MSFT"])
QUANTITIES = st.sampled_from(["1", "3", "10", "0.5", "0.123456789"])
WHOLE = st.sampled_from(["1", "3", "10"])
OFFSETS = st.sampled_from([-5.0, -1.0, 0.0, 1.0, 5.0])


class Exchange(RuleBasedStateMachine):
    """Random orders, cancels, replacements and ticks."""

    @initialize(
        cash=st.sampled_from(["1000", "100000"]),
        multiplier=st.sampled_from([1, 2]),
        latency=st.sampled_from([0.0, 1.5]),
    )
    def open(self, cash: str, multiplier: int, latency: float) -> None:
        self.floor = Floor(cash=cash, multiplier=multiplier, latency=latency)
        self.start = Decimal(cash)
        self.seen: dict[str, Status] = {}
        for symbol in ("AAPL", "MSFT", "BTC/USD"):
            self.floor.tick(symbol, 100.0)

    @rule(symbol=SYMBOLS, change=st.integers(-6, 6), size=st.sampled_from([0.0, 2.5, 1000.0]))
    def trade(self, symbol: str, change: int, size: float) -> None:
        price = max(self.price(symbol) + change, 20.0)
        self.floor.tick(symbol, price, price + 0.02, size=size)

    @rule(symbol=SYMBOLS, side=SIDES, quantity=QUANTITIES, hurry=st.booleans())
    def at_market(self, symbol: str, side: str, quantity: str, hurry: bool) -> None:
        usual = "gtc" if "/" in symbol else "day"
        self.send(symbol, side, qty=quantity, time_in_force="ioc" if hurry else usual)

    @rule(symbol=SYMBOLS, side=SIDES, quantity=WHOLE, offset=OFFSETS)
    def at_limit(self, symbol: str, side: str, quantity: str, offset: float) -> None:
        price = self.price(symbol) + offset
        self.send(symbol, side, qty=quantity, type="limit", limit_price=price, time_in_force="gtc")

    @rule(symbol=STOCKS, side=SIDES, quantity=WHOLE, offset=OFFSETS, trail=st.booleans())
    def at_stop(self, symbol: str, side: str, quantity: str, offset: float, trail: bool) -> None:
        fields = {"type": "stop", "stop_price": self.price(symbol) + offset}
        if trail:
            fields = {"type": "trailing_stop", "trail_price": abs(offset) + 1}
        self.send(symbol, side, qty=quantity, time_in_force="gtc", **fields)

    @rule(symbol=STOCKS, up=st.booleans(), quantity=WHOLE, both=st.booleans(), limit=st.booleans())
    def with_exits(self, symbol: str, up: bool, quantity: str, both: bool, limit: bool) -> None:
        price, way = self.price(symbol), 3 if up else -3
        fields = {"stop_loss": {"stop_price": price - way}}
        if both:
            fields["take_profit"] = {"limit_price": price + way}
        if limit:
            fields |= {"type": "limit", "limit_price": price}
        self.send(
            symbol,
            "buy" if up else "sell",
            qty=quantity,
            order_class="bracket" if both else "oto",
            time_in_force="gtc",
            **fields,
        )

    @rule(symbol=STOCKS)
    def one_cancels_other(self, symbol: str) -> None:
        held, price = self.floor.account.quantity(symbol), self.price(symbol)
        way = 2 if held > 0 else -2
        self.send(
            symbol,
            "sell" if held > 0 else "buy",
            qty=str(abs(held) or 1),
            order_class="oco",
            type="limit",
            time_in_force="gtc",
            take_profit={"limit_price": price + way},
            stop_loss={"stop_price": price - way},
        )

    @rule(number=st.integers(min_value=0))
    def cancel(self, number: int) -> None:
        if order := self.pick(number):
            self.attempt(lambda: self.floor.desk.cancel(order.id, self.floor.now))

    @rule(number=st.integers(min_value=0), offset=OFFSETS, quantity=st.integers(1, 12))
    def replace(self, number: int, offset: float, quantity: int) -> None:
        order = self.pick(number)
        if order is None:
            return
        change = {"qty": quantity}
        for name in ("limit_price", "stop_price"):
            if getattr(order, name) is not None:
                change[name] = float(getattr(order, name)) + offset
        self.attempt(lambda: self.floor.desk.replace(order.id, change, self.floor.now))

    @rule(symbol=SYMBOLS)
    def close(self, symbol: str) -> None:
        if self.floor.account.quantity(symbol):
            self.attempt(lambda: self.floor.desk.close(symbol, self.floor.now))

    @rule(seconds=st.sampled_from([0.5, 0.5, 60.0, 30_000.0]))
    def wait(self, seconds: float) -> None:
        self.floor.wait(seconds)

    def send(self, symbol: str, side: str, **fields: Any) -> None:
        self.attempt(lambda: self.floor.send(symbol, side, **fields))

    def price(self, symbol: str) -> float:
        room = self.floor.book.room(symbol)
        assert room is not None
        return float(room.price)

    def attempt(self, action) -> None:
        try:
            action()
        except Refusal as refusal:
            assert refusal.status in (403, 404, 422)
            assert refusal.body()["message"]
        self.floor.timers.run(self.floor.now)

    def pick(self, number: int) -> Order | None:
        orders = self.floor.book.open_orders()
        return orders[number % len(orders)] if orders else None

    @invariant()
    def money_and_holdings_are_the_sum_of_the_fills(self) -> None:
        account = self.floor.account
        cash, held = self.start, dict.fromkeys(("AAPL", "MSFT", "BTC/USD"), ZERO)
        for fill in account.executions:
            cash += fill.cash
            assert fill.cash == fill.cash.quantize(Decimal("0.01"))
            sign = 1 if fill.side is Side.BUY else -1
            held[fill.symbol] += sign * fill.quantity - (fill.fee if fill.fee_in_kind else ZERO)
        assert account.cash == cash
        assert {s: q for s, q in held.items() if q} == {
            s: p.quantity for s, p in account.positions.items()
        }
        assert held["BTC/USD"] >= 0

    @invariant()
    def no_order_fills_more_than_it_asked_for(self) -> None:
        fills: dict[str, Decimal] = {}
        for fill in self.floor.account.executions:
            fills[fill.order_id] = fills.get(fill.order_id, ZERO) + fill.quantity
        for order in self.floor.book.orders.values():
            assert order.filled == fills.get(order.id, ZERO)
            if order.quantity is not None:
                assert ZERO <= order.filled <= order.quantity
            assert (order.status is Status.FILLED) == (order.remaining == 0)

    @invariant()
    def states_only_move_along_allowed_edges(self) -> None:
        for event in self.floor.events:
            status = Status(event.data["order"]["status"])
            before = self.seen.get(event.order_id, Status.PENDING_NEW)
            assert status is before or status in MOVES[before], (before, status)
            self.seen[event.order_id] = status
        self.floor.events.clear()

    @invariant()
    def open_orders_are_those_that_are_open(self) -> None:
        book = self.floor.book
        listed = book.open_orders()
        assert len(listed) == len(set(listed))
        assert all(order.status.is_open for order in listed)
        for order in book.orders.values():
            replacement = order.status is Status.PENDING_NEW and order.replaces
            assert order.status.is_open == (order in listed or bool(replacement))

    @invariant()
    def a_position_is_closed_before_it_turns(self) -> None:
        held: dict[str, Decimal] = {}
        for fill in self.floor.account.executions:
            before = held.get(fill.symbol, ZERO)
            got = fill.quantity - (fill.fee if fill.fee_in_kind else ZERO)
            held[fill.symbol] = before + (got if fill.side is Side.BUY else -got)
            assert before * held[fill.symbol] >= 0, fill


TestExchange = Exchange.TestCase
TestExchange.settings = settings(max_examples=tries(30), stateful_step_count=40, deadline=None)
