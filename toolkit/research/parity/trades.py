"""Trades as a parity report compares them: fills in, one trade for each position out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from toolkit.core import execution
from toolkit.core.portfolio import Portfolio, dollars
from toolkit.core.types import ZERO, Fill, Reason, Side

Key = tuple[str, datetime]  # a symbol, and the bar on which its entry was decided


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """The way in or out: average price, units, fee in dollars, and when it was complete.

    `position` counts the session's bars that had been decided on before; -1 where no session is.
    `delay` (seconds) is how late the bar came on which it was decided; `by_hand`: a person did.
    """

    time: datetime
    price: float
    quantity: Decimal
    fee: Decimal
    reason: Reason
    position: int = -1
    delay: float = 0.0
    by_hand: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One position; `exit` is None while it is open, and `profit` then counts the last price.

    `decided` is the bar at whose close the entry was decided, or the time of the entry where
    nobody decided on it here. `profit` is in dollars, after fees.
    """

    symbol: str
    decided: datetime
    entry: Leg
    exit: Leg | None
    profit: Decimal

    @property
    def key(self) -> Key:
        """What two trades of the same decision have in common."""
        return self.symbol, self.decided


@dataclass(slots=True)
class _Side:
    fills: list[Fill] = field(default_factory=list)
    position: int = -1
    delay: float = 0.0
    by_hand: bool = False

    def add(self, fill: Fill, position: int, delay: float, by_hand: bool) -> None:
        self.fills.append(fill)
        self.position, self.delay = position, max(self.delay, delay)
        self.by_hand |= by_hand

    def leg(self) -> Leg:
        last, total = self.fills[-1], sum((f.quantity for f in self.fills), ZERO)
        price = last.price
        if len(self.fills) > 1 and total:
            price = sum(f.price * float(f.quantity) for f in self.fills) / float(total)
        return Leg(
            time=last.timestamp,
            price=price,
            quantity=total,
            fee=sum((f.fee for f in self.fills), ZERO),
            reason=last.reason,
            position=self.position,
            delay=self.delay,
            by_hand=self.by_hand,
        )


@dataclass(slots=True)
class _Open:
    decided: datetime
    way_in: _Side = field(default_factory=_Side)
    way_out: _Side = field(default_factory=_Side)


class Trades:
    """Collects fills in the order in which they were told; raises BrokerError as Portfolio does."""

    def __init__(self) -> None:
        self._books = Portfolio(1.0)
        self._open: dict[str, _Open] = {}
        self._closed: list[Trade] = []

    def add(
        self,
        fill: Fill,
        *,
        decided: datetime | None = None,
        position: int = -1,
        delay: float = 0.0,
        by_hand: bool = False,
    ) -> None:
        """Take a fill; `decided` is the bar that its order was decided on, where one was."""
        found = self._open.get(fill.symbol)
        if found is None:
            found = self._open[fill.symbol] = _Open(decided or fill.timestamp)
        side = found.way_in if fill.side is Side.BUY else found.way_out
        side.add(fill, position, delay, by_hand)
        trip = self._books.on_fill(fill)
        if trip is not None:
            del self._open[fill.symbol]
            self._closed.append(_trade(fill.symbol, found, trip.pnl, closed=True))

    def forget_closed(self) -> None:
        """Begin anew with what is open."""
        self._closed.clear()

    def result(self, prices: Mapping[str, float]) -> tuple[Trade, ...]:
        """Return all trades, those still open at these `prices`; by decision, then symbol."""
        still = [
            _trade(symbol, found, self._marked(symbol, prices), closed=False)
            for symbol, found in self._open.items()
        ]
        return tuple(sorted([*self._closed, *still], key=lambda t: (t.decided, t.symbol)))

    def _marked(self, symbol: str, prices: Mapping[str, float]) -> Decimal:
        held = self._books.holdings[symbol]
        price = prices.get(symbol, held.entry_price)
        worth = int(execution.micros(price * float(held.quantity)))
        return dollars(worth + held.proceeds - held.cost - held.entry_fees - held.exit_fees)


def _trade(symbol: str, found: _Open, profit: Decimal, *, closed: bool) -> Trade:
    return Trade(
        symbol=symbol,
        decided=found.decided,
        entry=found.way_in.leg(),
        exit=found.way_out.leg() if closed else None,
        profit=profit,
    )
