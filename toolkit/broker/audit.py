"""Reconciliation as requests: orders, executions, fees and positions of the broker against ours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from toolkit.alpaca.port import BrokerFill, BrokerPosition
from toolkit.broker import corrections
from toolkit.broker.books import Books
from toolkit.broker.desk import Desk
from toolkit.broker.reconcile import (
    Comparison,
    Difference,
    differences,
    foreign_deals,
    is_another_fee,
)
from toolkit.broker.records import key_of
from toolkit.core.types import ZERO, ExitPlan
from toolkit.errors import BrokerError

OVERLAP = timedelta(minutes=15)  # activities may be booked late
FEES_EVERY = timedelta(minutes=15)
FEES_LATE = timedelta(minutes=3)  # after an execution they may still be booked


class Audit:
    """Reconciles one account; `claim` names symbols whose foreign holdings become ours."""

    def __init__(self, books: Books, desk: Desk, *, claim: Sequence[str], exits: ExitPlan) -> None:
        self.comparison = Comparison()
        self._books, self._desk = books, desk
        self._claim, self._exits = frozenset(claim), exits
        self._turn = asyncio.Lock()
        self._began: datetime | None = None
        self._first_run = False
        self._agreed_at: datetime | None = None
        self._away_since: datetime | None = None
        self._fees_at: datetime | None = None
        self._strangers: set[str] = set()

    async def run(self) -> None:
        """Bring the books to the broker's truth and compare; raises BrokerError."""
        async with self._turn:
            at = await self._begin()
            since = self._since(at)
            fills = await self._desk.trading.fills_since(since)
            await self._orders(fills, since)
            self._books.take(self._books.orders.executions(fills))
            for order in self._books.orders.lacking():
                await self._desk.fetch_executions(order)
            if self._first_run:
                await self._first_sight()
            await self._fees(since, at)
            await self._positions(fills)
            if not self.comparison.reason:
                self._agreed_at = at

    async def _fees(self, since: datetime, at: datetime) -> None:
        """Write fees down, soon after executions and now and then: each look asks for two days."""
        if self._fees_at is not None and at < self._fees_at + FEES_EVERY:
            last = self._books.journal.last_booked_at()
            if last is None or last < self._fees_at - FEES_LATE:
                return
        for fee in await self._desk.trading.fees_since(min(since, self._fees_at or since)):
            self._books.journal.fee(fee)
        self._fees_at = at

    async def _begin(self) -> datetime:
        """Return the broker's time; the first time ever, it is where our history begins."""
        clock = await self._desk.trading.clock()
        if self._began is None:
            notes = list(self._books.journal.notes("began"))
            if notes:
                self._began = datetime.fromisoformat(notes[0].data["at"])
            else:
                self._began, self._first_run = clock.timestamp, True
        return clock.timestamp

    async def _first_sight(self) -> None:
        """What is held before our first order belongs to others, unless it is claimed."""
        for position in await self._desk.trading.positions():
            held = self._books.lots.quantity(position.symbol)
            rest = position.quantity - held
            if rest:
                corrections.not_ours(self._books, position.symbol, rest, why="held before")
        self._books.journal.note("began", who="broker", data={"at": self._began})
        self._first_run = False

    def _since(self, at: datetime) -> datetime:
        assert self._began is not None
        if self._agreed_at is not None:
            return max(self._agreed_at - OVERLAP, self._began - OVERLAP)
        # What happened while we were away: since the last thing that the journal knows.
        if self._away_since is None:
            last = self._books.journal.last_booked_at() or at
            pending = [t.submitted_at or t.intent.made_at for t in self._books.orders.open()]
            self._away_since = min([last, at, *pending]) - OVERLAP
        return self._away_since

    async def _orders(self, fills: Sequence[BrokerFill], since: datetime) -> None:
        books, desk = self._books, self._desk
        there = set()
        for order in await desk.trading.open_orders():
            there |= {order.id, *(leg.id for leg in order.legs)}
            books.take_order(order)
        if self._agreed_at is None and not self._first_run:
            for order in await desk.trading.orders_since(since):
                books.take_order(order)
        for tracked in books.orders.open():
            if tracked.id and tracked.id not in there:
                await desk.look(tracked)
        await desk.look_for_unknown()
        unexplained = {f.order_id for f in fills if not self._explained(f)}
        for order_id in sorted(unexplained | set(books.orders.doubtful())):
            found = await desk.trading.order(order_id)
            if found is not None:
                books.take_order(found)
            if books.orders.by_id(order_id) is None:
                self._strangers.add(order_id)

    def _explained(self, fill: BrokerFill) -> bool:
        known = self._books.orders.by_id(fill.order_id)
        return known is not None or fill.order_id in self._strangers

    async def _positions(self, fills: Sequence[BrokerFill]) -> None:
        books, trading = self._books, self._desk.trading
        positions = await trading.positions()
        self._take_foreign([f for f in fills if books.orders.by_id(f.order_id) is None])
        self._take_claims(positions)
        self._mark(positions)
        ours = {lot.symbol: lot.quantity for lot in books.lots}
        found = differences(positions, ours=ours, foreign=books.foreign)
        before = self.comparison.reason
        confirmed = self.comparison.judge(
            found, books.orders.lacking(), version=books.version, now=books.now()
        )
        corrected = [d for d in confirmed if self._correct(d)]
        if corrected:
            self.comparison.settled()
            return
        if self.comparison.reason != before:
            data = {"reason": self.comparison.reason}
            books.journal.note("reconciliation", who="broker", data=data)

    def _mark(self, positions: Sequence[BrokerPosition]) -> None:
        """Look at the broker's own prices of what has no net: its stop may be passed already."""
        books = self._books
        for position in positions:
            lot = books.lots.get(position.symbol)
            if lot is None or position.current_price is None or books.protected(lot):
                continue
            books.lots.mark(lot.symbol, float(position.current_price), now=books.now())

    def _take_foreign(self, fills: Sequence[BrokerFill]) -> None:
        books = self._books
        assert self._began is not None
        # What others did before our history begins is in the holdings that we found.
        fills = [f for f in fills if f.timestamp >= self._began]
        ours = {lot.symbol: lot.quantity for lot in books.lots}
        for deal in foreign_deals(fills, seen=books.foreign_seen, ours=ours, foreign=books.foreign):
            symbol, key = deal.fill.symbol, key_of(deal.fill.id)
            lot = books.lots.get(symbol)
            if deal.sold_ours and lot is not None:
                corrections.sold_by_hand(books, lot, deal.fill, deal.sold_ours)
            corrections.not_ours(books, symbol, deal.change, why="traded by others", key=key)

    def _take_claims(self, positions: Sequence[BrokerPosition]) -> None:
        books = self._books
        if self._agreed_at is not None:
            return  # only what was there at the start
        for position in positions:
            symbol = position.symbol
            surplus = position.quantity - books.lots.quantity(symbol)
            foreign = books.foreign.get(symbol, ZERO)
            if symbol in self._claim and surplus > 0 and surplus == foreign:
                corrections.claim(books, position, surplus, exits=self._exits, at=books.now())
                corrections.not_ours(books, symbol, -foreign, why="claimed")

    def _correct(self, difference: Difference) -> bool:
        """Explain a confirmed difference by a fee of another rate, where it can be."""
        books, lot = self._books, self._books.lots.get(difference.symbol)
        if any(not t.id for t in books.orders.open(difference.symbol)):
            return False
        if lot is not None and is_another_fee(difference, bought=lot.bought):
            corrections.correct_fee(books, lot, difference.amount)
            return True
        last = self._last_bought(difference.symbol) if lot is None else ZERO
        if last and is_another_fee(difference, bought=last):
            corrections.not_ours(books, difference.symbol, difference.amount, why="fee")
            return True
        return False

    def _last_bought(self, symbol: str) -> Decimal:
        booked = self._books.journal.bookings(symbol)
        return max((b.execution.quantity for b in booked), default=ZERO)


async def audited(audit: Audit, desk: Desk) -> bool:
    """Reconcile; False where the broker does not answer, which `desk.silent` then says."""
    try:
        await audit.run()
    except BrokerError as error:
        desk.silent = error.message
        return False
    desk.silent = ""
    return True
