"""The whole exchange without its wires: market, tape, book and faults on one line of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from toolkit.exchange.account import Account
from toolkit.exchange.assets import Assets
from toolkit.exchange.book import Book, OrderEvent
from toolkit.exchange.desk import Desk
from toolkit.exchange.faults import ANY, Fault, Faults, Kind
from toolkit.exchange.hours import next_hours
from toolkit.exchange.log import EventLog
from toolkit.exchange.messages import MarketMessage, halt_fields
from toolkit.exchange.orders import Order
from toolkit.exchange.post import Post
from toolkit.exchange.settings import ExchangeSettings
from toolkit.exchange.source import Source
from toolkit.exchange.tape import Tape
from toolkit.exchange.ticks import Tick
from toolkit.exchange.timers import Timers
from toolkit.exchange.values import Identifiers, Micros, floor_quantity, is_whole, micros

Wanted = Callable[[str, str], bool]


class Exchange:
    """One account at one exchange; `advance` moves its time, requests happen in between.

    Everything that happens depends on source, settings, faults, and on what is asked when.
    """

    def __init__(
        self, source: Source, settings: ExchangeSettings, *, faults: Iterable[Fault] = ()
    ) -> None:
        self.source = source
        self.settings = settings
        self.now: Micros = source.start
        self.log = EventLog()
        self.timers = Timers()
        self.faults = Faults(
            faults, seed=settings.seed, origin=self.now, timers=self.timers, log=self.log
        )
        self.post = Post(faults=self.faults, timers=self.timers)
        self.wanted: Wanted = lambda channel, symbol: False
        self.tape = Tape(
            {symbol: source.history(symbol) for symbol in source.symbols},
            seed=settings.seed,
            timers=self.timers,
            publish=lambda message: self.post.market(message, self.now),
            wanted=self._is_wanted,
            revision_rate=self._revision_rate,
        )
        self.account = Account(cash=Decimal(settings.cash), multiplier=settings.multiplier)
        self.book = Book(
            account=self.account,
            assets=Assets(settings.assets(list(source.symbols))),
            timers=self.timers,
            new_id=Identifiers(settings.seed),
            on_event=self._on_order_event,
            fill_cap=self._fill_cap,
        )
        self.desk = Desk(self.book, rules=settings.rules, latency=micros(settings.latency))
        self._show_last_closes()
        self._ticks = source.ticks()
        self._next = next(self._ticks, None)
        self.faults.on_change(self._on_fault)
        self._plan_day_end(self.now)

    @property
    def clock(self) -> Micros:
        """The time that the exchange tells, right or wrong."""
        skew = self.faults.running(Kind.CLOCK_SKEW, ANY)
        return self.now + (micros(skew.amount) if skew else 0)

    @property
    def next_tick(self) -> Micros | None:
        """When something trades next; None when the recording is over."""
        return self._next.at if self._next else None

    def advance(self, until: Micros) -> None:
        """Let everything happen that is due up to a moment; going back is not possible."""
        while True:
            tick, timer = self._next, self.timers.due
            if timer is not None and timer <= until and (tick is None or timer <= tick.at):
                self.now = max(timer, self.now)
                self.timers.run(timer)
            elif tick is not None and tick.at <= until:
                self.now = max(tick.at, self.now)
                self._next = next(self._ticks, None)
                self._on_tick(tick)
            else:
                break
        self.now = max(until, self.now)

    def _show_last_closes(self) -> None:
        """Let orders be priced before the first tick; nothing is on offer yet."""
        for symbol in self.source.symbols:
            bar = self.tape.bars(symbol).last
            if bar is not None:
                close = bar.close
                self.book.on_tick(Tick(self.now, symbol, close, close, 0.0, 0.0, close, 0.0))

    def _on_tick(self, tick: Tick) -> None:
        for kind in (Kind.HOLE, Kind.HALT):
            if self.faults.hit(kind, tick.symbol, tick.at):
                return
        self.book.on_tick(tick)
        self.tape.on_tick(tick)

    def _is_wanted(self, channel: str, symbol: str) -> bool:
        return self.wanted(channel, symbol)

    def _on_order_event(self, event: OrderEvent) -> None:
        facts: dict[str, Any] = {
            name: event.data[name] for name in ("price", "qty") if name in event.data
        }
        self.log.add(
            f"order.{event.event}",
            event.at,
            order=event.client_order_id,
            symbol=event.symbol,
            **facts,
        )
        self.post.trading(event, event.at)

    def _fill_cap(self, order: Order, quantity: Decimal, at: Micros) -> Decimal:
        """Under partial fills, allow a third of the order at a time."""
        assert order.quantity is not None
        third = floor_quantity(order.quantity / 3)
        if is_whole(order.quantity) and not order.asset.crypto:
            third = max(Decimal(int(third)), Decimal(1))
        if third <= 0 or third >= quantity:
            return quantity
        order_id = order.ticket.client_order_id
        hit = self.faults.hit(Kind.PARTIAL_FILLS, order.symbol, at, order=order_id)
        return third if hit else quantity

    def _revision_rate(self, symbol: str, at: Micros) -> float:
        hit = self.faults.hit(Kind.REVISED_BARS, symbol, self.now)
        return 1.0 if hit else self.settings.revision_rate

    def _on_fault(self, fault: Fault, begins: bool, at: Micros) -> None:
        if fault.kind is not Kind.HALT:
            return
        for symbol in self.source.symbols if fault.target == ANY else (fault.target,):
            if begins:
                self.book.halted.add(symbol)
            else:
                self.book.halted.discard(symbol)
            if self.wanted("statuses", symbol):
                fields = halt_fields(halted=begins)
                self.post.market(MarketMessage("statuses", symbol, at, fields), at)

    def _plan_day_end(self, at: Micros) -> None:
        close = next_hours(at).close
        self.timers.at(close, self._end_day)

    def _end_day(self, at: Micros) -> None:
        self.account.last_equity = self.account.equity(self.book.prices())
        self._plan_day_end(at)
