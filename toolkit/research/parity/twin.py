"""The same bot in a world that differs in what we say: the engine, the book, and forced facts.

Without forced facts it is the backtest, trade by trade (tests/research/parity/test_twin.py).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from itertools import count

from toolkit.core.engine import Engine
from toolkit.core.hours import AlwaysOpen
from toolkit.core.matching import MatchingBook
from toolkit.core.types import (
    Bar,
    ExitPlan,
    Fill,
    Order,
    OrderRequest,
    OrderUpdate,
    Reason,
    Side,
)
from toolkit.errors import BrokerError, DataError
from toolkit.research.parity import made
from toolkit.research.parity.doors import Doors
from toolkit.research.parity.session import Change, Failure, Start
from toolkit.research.parity.trades import Key, Leg, Trade, Trades


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A market and what is done to the bot in it; keys name the bar of a decision.

    `refusals` are bars at which no entry is made, `unattended` ones that nobody decides on.
    `failures` are entries that buy nothing, `shares` what part of an entry is filled. `entries`
    and `exits` come about as they say, whatever the market does; an exit of None never comes.
    `by_hand` are positions that somebody else opened. Their positions count `bars`.
    """

    start: Start
    symbols: tuple[str, ...]
    warm_up: Sequence[Bar]
    bars: Sequence[Bar]
    changes: tuple[Change, ...] = ()
    refusals: Mapping[Key, str] = field(default_factory=dict)
    unattended: frozenset[Key] = frozenset()
    failures: Mapping[Key, Failure] = field(default_factory=dict)
    shares: Mapping[Key, float] = field(default_factory=dict)
    entries: Mapping[Key, Leg] = field(default_factory=dict)
    exits: Mapping[Key, Leg | None] = field(default_factory=dict)
    by_hand: tuple[Trade, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """The trades of a world by decision; `doubtful` left by a signal that is none in it."""

    trades: Mapping[Key, Trade]
    doubtful: frozenset[Key]


def play(world: World, prices: Mapping[str, float]) -> Played:
    """Return the trades of a world; what is open at the end counts at `prices`."""
    twin = _Twin(world)
    twin.run()
    trades = {trade.key: trade for trade in twin.trades.result(prices)}
    return Played(trades=trades, doubtful=frozenset(twin.doubtful))


class _Twin:
    def __init__(self, world: World) -> None:
        start = world.start
        self._world = world
        self._engine = Engine(
            symbols=world.symbols,
            parameters=start.parameters,
            capital=start.capital,
            name=start.name,
        )
        self.trades = Trades()
        self.doubtful: set[Key] = set()
        self._decided: dict[str, datetime] = {}
        self._held: dict[str, Key] = {}
        self._selling: dict[str, OrderRequest] = {}
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._number = count()
        self._recover(start)
        self._hours = start.hours
        self._doors = Doors(start.hours or AlwaysOpen())
        self._book = MatchingBook(
            cash=self._engine.portfolio.capital, costs=start.costs, hours=self._doors
        )
        self._take_over(start)
        for trade in world.by_hand:
            self._plan(trade.entry.position, lambda trade=trade: self._buy_by_hand(trade))  # type: ignore[misc]

    def run(self) -> None:
        """Play all bars."""
        changes = list(self._world.changes)
        for bar in self._world.warm_up:
            if self._sound(bar):
                self._engine.warm_up(bar)
        for number, bar in enumerate(self._world.bars):
            while changes and changes[0].position <= number:
                self._engine.set_parameters(changes.pop(0).values)
            self._happen(number)
            if self._sound(bar):
                self._see(bar)
        self._happen(len(self._world.bars))
        self._happen(None)

    def _see(self, bar: Bar) -> None:
        key = (bar.symbol, bar.timestamp)
        for update in self._book.on_bar(bar):
            self._tell(update)
        if key in self._world.unattended:
            self._engine.warm_up(bar)
            return
        refusal, leave = self._world.refusals.get(key, ""), False
        if self._hours is not None:
            refusal = refusal or self._hours.refusal(*key)
            leave = self._hours.leaves(*key)
        decision = self._engine.on_bar(bar, refusal=refusal, leave=leave)
        if decision.request is not None:
            self._take(decision.request)

    def _take(self, request: OrderRequest) -> None:
        symbol, world = request.symbol, self._world
        if request.side is Side.SELL:
            if self._held.get(symbol) in world.exits:
                self._selling[symbol] = request  # it comes about when it did
            else:
                self._submit(request)
            return
        key = (symbol, request.timestamp)
        self._decided[request.client_order_id] = request.timestamp
        if (failure := world.failures.get(key)) is not None:
            self._plan(failure.position, lambda: self._engine.refused(request))
        elif (leg := world.entries.get(key)) is not None:
            self._plan(leg.position, lambda: self._enter(request, leg))
        else:
            share = Decimal(repr(world.shares.get(key, 1.0)))
            plan = None if key in world.exits else request.exits
            self._submit(replace(request, quantity=request.quantity * share, exits=plan))

    def _submit(self, request: OrderRequest) -> None:
        try:
            self._book.submit(request)
        except BrokerError:
            self._engine.refused(request)

    def _tell(self, update: OrderUpdate) -> None:
        self._engine.on_update(update)
        if isinstance(update, Order):
            return
        decided = self._decided.get(update.client_order_id)
        self.trades.add(update, decided=decided)
        if update.side is Side.BUY:
            self._hold((update.symbol, decided or update.timestamp))
        elif not self._engine.portfolio.quantity(update.symbol):
            self._held.pop(update.symbol, None)

    def _hold(self, key: Key) -> None:
        symbol = key[0]
        if symbol in self._held:
            return
        self._held[symbol] = key
        leg = self._world.exits.get(key)
        if leg is not None:
            self._plan(leg.position, lambda: self._leave(key, leg))

    def _enter(self, request: OrderRequest, leg: Leg) -> None:
        self._put_into_book(request.symbol, leg.price, leg.quantity, plan=None, at=leg.time)
        self._tell(made.filled(request))
        self._tell(made.fill(request.symbol, Side.BUY, leg, name=request.client_order_id))

    def _buy_by_hand(self, trade: Trade) -> None:
        leg = trade.entry
        self._put_into_book(trade.symbol, leg.price, leg.quantity, plan=None, at=leg.time)
        self._decided[f"{made.ORDER}hand"] = trade.decided
        self._tell(made.fill(trade.symbol, Side.BUY, trade.entry, name=f"{made.ORDER}hand"))

    def _leave(self, key: Key, leg: Leg) -> None:
        symbol = key[0]
        held = self._engine.portfolio.quantity(symbol)
        if self._held.get(symbol) != key or not held:
            return
        fee = self._take_out_of_book(symbol, leg.price, at=leg.time)
        exact = key in self._world.entries or leg.quantity == held
        if exact and leg.quantity <= held:
            fee, held = leg.fee, leg.quantity
        request = self._selling.pop(symbol, None)
        if request is None and leg.reason is Reason.SIGNAL and not leg.by_hand:
            self.doubtful.add(key)
        name = request.client_order_id if request else f"{made.ORDER}out"
        if request is not None:
            self._tell(made.filled(request))
        self._tell(made.fill(symbol, Side.SELL, replace(leg, quantity=held, fee=fee), name=name))

    def _recover(self, start: Start) -> None:
        for update in start.recovered:
            self._engine.on_update(update)
            if isinstance(update, Fill):
                self.trades.add(update)
        self.trades.forget_closed()
        for request in start.pending:
            self._decided[request.client_order_id] = request.timestamp
            self._engine.adopt(request)

    def _take_over(self, start: Start) -> None:
        for symbol, held in self._engine.portfolio.holdings.items():
            key, lot = (symbol, held.entry_time), start.lots.get(symbol)
            plan = lot.plan if lot and key not in self._world.exits else None
            at = held.entry_time
            self._put_into_book(symbol, held.entry_price, held.quantity, plan=plan, at=at)
            if lot is not None and plan is not None and lot.peak > held.entry_price:
                with self._doors.forced():
                    self._book.on_bar(made.flat(symbol, lot.peak, at=at))
            self._hold(key)
        for request in start.pending:
            self._take(request)

    def _put_into_book(
        self, symbol: str, price: float, quantity: Decimal, *, plan: ExitPlan | None, at: datetime
    ) -> None:
        """Let the book hold it: it keeps the cash, and the protection."""
        request = made.request(
            f"{made.ORDER}{next(self._number)}", symbol, Side.BUY, quantity, plan
        )
        try:
            order = self._book.submit(request)
        except BrokerError:
            return  # it holds some already
        with self._doors.forced():
            self._book.on_bar(made.flat(symbol, price, at=at))
        if order.id in {waiting.id for waiting in self._book.open_orders()}:
            self._book.cancel(order.id)

    def _take_out_of_book(self, symbol: str, price: float, *, at: datetime) -> Decimal:
        """Let the book sell all that it holds; returns its fee in dollars."""
        fee = Decimal(0)
        for position in [p for p in self._book.positions() if p.symbol == symbol]:
            name = f"{made.ORDER}{next(self._number)}"
            self._book.submit(made.request(name, symbol, Side.SELL, position.quantity, None))
            with self._doors.forced():
                updates = self._book.on_bar(made.flat(symbol, price, at=at))
            for update in updates:
                fee += update.fee if isinstance(update, Fill) else Decimal(0)
        return fee

    def _plan(self, position: int, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (position, next(self._number), action))

    def _happen(self, position: int | None) -> None:
        """Let what is due before this bar come about; None: all that is left."""
        while self._due and (position is None or self._due[0][0] <= position):
            heapq.heappop(self._due)[2]()

    def _sound(self, bar: Bar) -> bool:
        try:
            self._engine.check(bar)
        except DataError:
            return False  # the bot left it out as well
        return True
