"""What we hold, and the levels that protect it: docs/execution.md from the prices really paid."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from toolkit.broker.records import Booking, Intent, Role
from toolkit.core import execution
from toolkit.core.portfolio import dollars
from toolkit.core.types import ZERO, Bar, ExitPlan, Position, Quote, Reason, Side, Trade

_REASONS = {
    execution.STOP_LOSS: Reason.STOP_LOSS,
    execution.TRAILING_STOP: Reason.TRAILING_STOP,
    execution.TAKE_PROFIT: Reason.TAKE_PROFIT,
}


@dataclass(slots=True, eq=False)
class Lot:
    """An open position; `wish` is why it is being sold, `crossed` since when its stop is passed.

    `seen_at`, `crossed`, `bare_since` and the two `not_before` are by our clock, other times the
    market's.
    """

    symbol: str
    entry_id: str
    opened_at: datetime
    seen_at: datetime
    plan: ExitPlan | None = None
    quantity: Decimal = ZERO
    bought: Decimal = ZERO
    paid: Decimal = ZERO
    fees: Decimal = ZERO
    peak: float = 0.0
    price: float = 0.0
    updated_at: datetime | None = None
    last_bar: datetime | None = None
    wish: Reason | None = None
    crossed: datetime | None = None
    crossed_reason: Reason = Reason.STOP_LOSS
    move_due: bool = False
    failures: int = 0
    net_not_before: datetime | None = None
    exit_not_before: datetime | None = None
    trouble: str = ""
    refused_closed: bool = False
    bare_since: datetime | None = None

    @property
    def entry_price(self) -> float:
        """Average price paid, without fees."""
        return float(self.paid / self.bought) if self.bought else 0.0

    def levels(self) -> tuple[float, float, float]:
        """Return (fixed stop, target, arming of the trail); infinite where there is none."""
        plan = self.plan or ExitPlan()
        return execution.levels(
            self.entry_price,
            plan.stop_loss,
            plan.stop_distance,
            plan.take_profit,
            plan.trailing_activation,
        )

    def stop(self) -> tuple[float, Reason]:
        """Return the stop now in force, -inf for none, and what it is called."""
        stop, _, arm = self.levels()
        trailing = self.plan.trailing_stop if self.plan else 0.0
        if trailing > 0.0 and self.peak >= arm:
            trail = self.peak * (1.0 - trailing / 100.0)
            if trail > stop:
                return trail, Reason.TRAILING_STOP
        return stop, Reason.STOP_LOSS

    def position(self) -> Position:
        """Return the position as the rest of the house knows it."""
        stop, target = self.stop()[0], self.levels()[1]
        held, price = float(self.quantity), self.price or self.entry_price
        share = self.quantity / self.bought if self.bought else ZERO
        gain = execution.micros(price * held) - execution.micros(self.entry_price * held)
        return Position(
            symbol=self.symbol,
            quantity=self.quantity,
            entry_price=self.entry_price,
            entry_time=self.opened_at,
            updated_at=self.updated_at or self.opened_at,
            price=price,
            unrealised_pnl=dollars(int(gain)) - self.fees * share,
            stop=stop if math.isfinite(stop) else None,
            target=target if math.isfinite(target) else None,
        )


class Lots:
    """All open positions of one bot, at most one of a symbol."""

    def __init__(self) -> None:
        self._lots: dict[str, Lot] = {}

    def __iter__(self) -> Iterator[Lot]:
        return iter(tuple(self._lots.values()))

    def get(self, symbol: str) -> Lot | None:
        """Return what is held of a symbol."""
        return self._lots.get(symbol)

    def quantity(self, symbol: str) -> Decimal:
        """Units held."""
        lot = self._lots.get(symbol)
        return lot.quantity if lot else ZERO

    def book(self, booking: Booking, intent: Intent | None, *, now: datetime) -> None:
        """Take an execution; the plan comes with the entry's intent."""
        fill = booking.fill
        lot = self._lots.get(fill.symbol)
        if fill.side is Side.SELL:
            if lot is not None:
                lot.quantity -= booking.settlement.received
                if lot.quantity <= 0:
                    del self._lots[fill.symbol]
            return
        if lot is None:
            lot = Lot(
                symbol=fill.symbol,
                entry_id=fill.client_order_id,
                opened_at=fill.timestamp,
                seen_at=now,
            )
            self._lots[fill.symbol] = lot
        self._add(lot, booking, intent)

    def see(self, tick: Quote | Trade, *, now: datetime) -> bool:
        """Look at a price; True when something is to be done about it.

        Trades move the peak and pass stops. A quote counts only where its bid has reached the
        target: a far bid in a thin market says nothing about stops.
        """
        lot = self._lots.get(tick.symbol)
        if lot is None or lot.plan is None:
            return False
        if isinstance(tick, Quote):
            return tick.bid >= lot.levels()[1] and self._want(lot, Reason.TAKE_PROFIT)
        return self._at_price(lot, tick.price, tick.timestamp, now)

    def mark(self, symbol: str, price: float, *, now: datetime) -> bool:
        """Look at a price that the broker names; for positions whose market data is not heard."""
        lot = self._lots.get(symbol)
        if lot is None or lot.plan is None:
            return False
        return self._at_price(lot, price, lot.updated_at or lot.opened_at, now)

    def bar(self, bar: Bar, *, now: datetime) -> bool:
        """Look at a final bar; True when something is to be done.

        Of the bar in which we bought only the close counts: its high may be from before.
        """
        lot = self._lots.get(bar.symbol)
        if lot is None or (lot.last_bar is not None and bar.timestamp <= lot.last_bar):
            return False
        lot.last_bar = bar.timestamp
        lot.move_due = True
        if lot.plan is None or bar.timestamp < lot.opened_at:
            if lot.plan is not None:
                self._at_price(lot, bar.close, bar.timestamp, now)
            lot.price, lot.updated_at = bar.close, bar.timestamp
            return True
        fixed, target, arm = lot.levels()
        code, _, lot.peak = execution.exit_in_bar(
            bar.open, bar.high, bar.low, bar.close, lot.peak, fixed, target, arm,
            lot.plan.trailing_stop,
        )  # fmt: skip
        lot.price, lot.updated_at = bar.close, bar.timestamp
        if code == execution.TAKE_PROFIT:
            self._want(lot, Reason.TAKE_PROFIT)
        elif code != execution.NONE:
            self._cross(lot, _REASONS[code], now)
        return True

    def restore(self, symbol: str, *, entry_id: str, peak: float, wish: Reason | None) -> None:
        """Take back what an earlier run knew of a position."""
        lot = self._lots.get(symbol)
        if lot is not None and lot.entry_id == entry_id:
            lot.peak = max(lot.peak, peak)
            lot.wish = wish

    def want(self, symbol: str, reason: Reason) -> None:
        """Sell a position for a reason that comes from elsewhere; the first reason stays."""
        lot = self._lots.get(symbol)
        if lot is not None:
            self._want(lot, reason)

    def _add(self, lot: Lot, booking: Booking, intent: Intent | None) -> None:
        deal = booking.execution
        lot.quantity += booking.settlement.received
        lot.bought += deal.quantity
        lot.paid += deal.quantity * deal.price
        lot.fees += booking.settlement.fee
        lot.peak = max(lot.peak, lot.entry_price)
        if intent is not None and intent.exits is not None and lot.plan is None:
            lot.plan = intent.exits
            if intent.role is Role.ENTRY:
                lot.entry_id = booking.fill.client_order_id
        if not lot.price:
            lot.price = booking.fill.price

    def _at_price(self, lot: Lot, price: float, at: datetime, now: datetime) -> bool:
        before = lot.stop()[0]
        lot.price, lot.updated_at = price, at
        if price >= lot.levels()[1]:
            return self._want(lot, Reason.TAKE_PROFIT)
        if price <= before:
            return self._cross(lot, lot.stop()[1], now)
        lot.peak = max(lot.peak, price)
        lot.crossed = None
        return False

    def _cross(self, lot: Lot, reason: Reason, now: datetime) -> bool:
        if lot.crossed is None:
            lot.crossed, lot.crossed_reason = now, reason
        return True

    def _want(self, lot: Lot, reason: Reason) -> bool:
        if lot.wish is None:
            lot.wish = reason
        return True
