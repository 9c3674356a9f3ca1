"""Any weather: prices, lost and doubled messages, lost answers, kills; then the sun comes out."""

from __future__ import annotations

import asyncio
import random
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.broker.fakes import Room, no_fault
from tests.broker.truth import request
from toolkit.core.portfolio import Portfolio
from toolkit.core.types import Bar, ExitPlan, Fill, Order, Reason, Side
from toolkit.errors import BrokerError

SYMBOLS = ("AAPL", "BTC/USD")
PLANS = (
    ExitPlan(stop_loss=1.0, take_profit=2.0),
    ExitPlan(stop_loss=2.0, take_profit=3.0, trailing_stop=0.5, trailing_activation=0.5),
)
KINDS = [
    *("enter", "enter", "exit", "price", "price", "price", "bar", "wait", "long wait"),
    *("weather", "calm", "cut", "mend", "late", "kill", "night", "expire", "parts"),
]
ACTIONS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 1), st.integers(0, 1_000_000)), max_size=30
)


@dataclass
class Storm:
    """One bot's day; the truth is the fake's."""

    room: Room
    entries: int = 0
    minutes: int = 0

    async def act(self, kind: str, which: int, number: int) -> None:  # noqa: PLR0912 - a table
        room, market, symbol = self.room, self.room.market, SYMBOLS[which]
        rng = random.Random(number)
        if kind == "enter":
            await self.enter(symbol, rng)
        elif kind == "exit":
            await self.exit(symbol)
        elif kind == "price":
            await room.see(symbol, round(float(market.prices[symbol]) * rng.gauss(1, 0.008), 2))
        elif kind == "bar":
            self.bar(symbol)
        elif kind in ("wait", "long wait"):
            await market.advance(rng.choice([0.3, 2]) if kind == "wait" else 65)
        elif kind == "weather":
            rate = rng.choice([0.1, 0.4])
            market.fault = lambda _: rng.choice(FATES) if rng.random() < rate else ""
            market.stream.fate = lambda _: rng.choice(MAIL) if rng.random() < 0.5 else ""
        elif kind == "calm":
            market.fault, market.stream.fate = no_fault, lambda _: ""
        elif kind == "cut" and market.stream.up:
            market.stream.cut()
        elif kind == "mend" and not market.stream.up:
            market.stream.mend()
        elif kind == "late":
            market.stream.deliver_late()
        elif kind == "kill":
            await room.restart()
        elif kind == "night":
            market.is_open = not market.is_open
        elif kind == "expire":
            market.expire()
        elif kind == "parts":
            market.slice = rng.choice([None, Decimal(1), Decimal("0.3")])
        await market.quiet()
        self.check()

    async def enter(self, symbol: str, rng: random.Random) -> None:
        busy = {p.symbol for p in self.room.broker.positions()}
        busy |= {o.symbol for o in self.room.broker.open_orders()}
        if symbol in busy:
            return
        self.entries += 1
        quantity = rng.choice(["3", "2.5", "0.7321"])
        name = f"s-{symbol[:3]}-{self.entries}"
        entry = request(name, symbol=symbol, quantity=quantity, exits=rng.choice(PLANS))
        await self.attempt(entry)

    async def exit(self, symbol: str) -> None:
        held = {p.symbol: p.quantity for p in self.room.broker.positions()}
        if symbol in held:
            self.entries += 1
            name, quantity = f"s-{symbol[:3]}-{self.entries}", str(held[symbol])
            await self.attempt(
                request(
                    name, symbol=symbol, side=Side.SELL, quantity=quantity, reason=Reason.SIGNAL
                )
            )

    async def attempt(self, wanted) -> None:
        try:
            await self.room.broker.submit(wanted)
        except BrokerError as error:
            assert error.message

    def bar(self, symbol: str) -> None:
        self.minutes += 1
        price = float(self.room.market.prices[symbol])
        at = self.room.market.now
        bar = Bar(symbol=symbol, timestamp=at, open=price, high=price, low=price, close=price)
        self.room.broker.on_bar(bar)

    def check(self) -> None:
        """What must hold at every moment."""
        market = self.room.market
        ids = [t.client_order_id for t in market.sent]
        assert len(ids) == len(set(ids))
        assert all(held >= 0 for held in market.held.values())
        keys = [b.key for b in self.room.broker.journal.bookings()]
        assert len(keys) == len(set(keys))
        portfolio = Portfolio(1e9)
        for fill in self.room.fills:
            portfolio.on_fill(fill)  # raises where more is sold than is held
        ours = {p.symbol: p.quantity for p in self.room.broker.positions()}
        assert {s: h.quantity for s, h in portfolio.holdings.items()} == ours
        assert not self.room.broker._books.fault

    async def heal(self) -> None:
        """The sun comes out: within a little time all is as it must be."""
        market = self.room.market
        market.fault, market.stream.fate = no_fault, lambda _: ""
        market.slice, market.is_open = None, True
        if not market.stream.up:
            market.stream.mend()
        market.match()
        for _ in range(4):
            await market.advance(35)
            market.match()
        self.check()
        broker = self.room.broker
        assert broker.health() == {}
        foreign = broker._books.foreign
        ours = {p.symbol: p.quantity for p in broker.positions()}
        for symbol in SYMBOLS:
            held = market.held.get(symbol, Decimal(0))
            assert held == ours.get(symbol, 0) + foreign.get(symbol, 0)
            assert foreign.get(symbol, Decimal(0)) < Decimal("0.01")
        for symbol, quantity in ours.items():
            net = market.net(symbol)
            assert net is not None, symbol
            assert quantity - net.left < Decimal("0.0001")
        assert len(market.open_of("AAPL")) + len(market.open_of("BTC/USD")) == len(ours)
        executions = {f.id.partition("::")[2] for f in market.fills}
        booked = {b.key for b in broker.journal.bookings() if b.execution.quantity}
        assert executions == booked
        self.check_orders()

    def check_orders(self) -> None:
        """Each order has one end, and that is the broker's."""
        theirs = {o.ticket.client_order_id: o for o in self.room.market.orders.values()}
        last: dict[str, Order] = {}
        for update in self.room.updates:
            if isinstance(update, Order):
                last[update.client_order_id] = update
        for name, order in last.items():
            if name in theirs:
                assert order.status is theirs[name].status, name
                assert order.filled_quantity == theirs[name].filled
            else:
                assert not order.status.is_open
        assert set(theirs) <= set(last)
        told = [u for u in self.room.updates if isinstance(u, Fill)]
        assert told == [b.fill for b in self.room.broker.journal.bookings()]


FATES = ["before", "after", "down", "no"]
MAIL = ["lost", "twice", "late"]


async def weather(actions: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        room = Room(Path(folder))
        room.market.prices = {"AAPL": Decimal(100), "BTC/USD": Decimal(1000)}
        await room.start()
        storm = Storm(room)
        try:
            for action in actions:
                await storm.act(*action)
            await storm.heal()
        finally:
            await room.broker.stop()


@given(actions=ACTIONS)
@settings(max_examples=50, deadline=None)
@example(actions=[("enter", 0, 1), ("price", 0, 5), ("kill", 0, 0), ("exit", 0, 0)])
def test_after_any_weather_books_and_broker_agree_and_every_position_has_its_net(
    actions: list[tuple[str, int, int]],
):
    asyncio.run(weather(actions))
