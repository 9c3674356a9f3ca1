"""What the bot remembers to tell newcomers: last events, orders, fills, round trips, totals."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from toolkit.bot.events import BarCorrection, Event, Performance
from toolkit.core.types import ZERO, Account, Bar, Fill, Order, Quote, RoundTrip

KEPT = 10_000
KEPT_ORDERS = 500
KEPT_CORRECTIONS = 200


class Ledger:
    """Bounded memory of one bot: newest `KEPT` fills and round trips, `KEPT_ORDERS` orders."""

    def __init__(self) -> None:
        self._fills: deque[Fill] = deque(maxlen=KEPT)
        self._trips: deque[RoundTrip] = deque(maxlen=KEPT)
        self._orders: dict[str, Order] = {}
        self._corrections: deque[BarCorrection] = deque(maxlen=KEPT_CORRECTIONS)
        self._first: dict[str, datetime] = {}
        self._last: dict[str, datetime] = {}
        self._quotes: dict[str, Quote] = {}
        self._forming: dict[str, Bar] = {}
        self._account: Account | None = None
        self._trades = self._wins = self.bars = 0
        self._realised = self._peak = ZERO
        self._drawdown = 0.0
        self.market_time: datetime | None = None

    def record(self, event: Event) -> None:
        """Remember what matters of a published event."""
        match event:
            case Order():
                self._remember(event)
            case Fill():
                self._fills.append(event)
            case RoundTrip():
                self._trips.append(event)
                self._trades += 1
                self._wins += event.pnl > 0
                self._realised += event.pnl
            case Quote():
                self._quotes[event.symbol] = event
            case BarCorrection():
                self._corrections.append(event)
            case Bar():
                self._forming[event.symbol] = event
            case Account():
                self._account = event
                self._mark(event.equity)

    def _remember(self, order: Order) -> None:
        self._orders[order.id] = order
        if len(self._orders) > KEPT_ORDERS:
            del self._orders[next(iter(self._orders))]

    def _mark(self, equity: Decimal) -> None:
        self._peak = max(self._peak, equity)
        if self._peak > 0:
            self._drawdown = max(self._drawdown, float(1 - equity / self._peak) * 100.0)

    def on_final_bar(self, bar: Bar) -> None:
        """Count a final bar; its forming versions are over."""
        self.bars += 1
        self.market_time = bar.timestamp
        self._forming.pop(bar.symbol, None)
        self._first.setdefault(bar.symbol, bar.timestamp)
        self._last[bar.symbol] = bar.timestamp

    def decided(self, bar: Bar) -> bool:
        """Whether a decision was taken on this bar."""
        first = self._first.get(bar.symbol)
        return first is not None and first <= bar.timestamp <= self._last[bar.symbol]

    def corrections(self, symbol: str) -> list[BarCorrection]:
        """Bars of one symbol that came again, oldest first."""
        return [c for c in self._corrections if c.bar.symbol == symbol]

    def fills(self, symbol: str) -> list[Fill]:
        """Fills of one symbol, oldest first."""
        return [fill for fill in self._fills if fill.symbol == symbol]

    def orders(self) -> Sequence[Order]:
        """Latest states of the orders, oldest order first."""
        return tuple(self._orders.values())

    def round_trips(self) -> Sequence[RoundTrip]:
        """Round trips in the order in which they closed."""
        return tuple(self._trips)

    def latest(self) -> list[Event]:
        """Last quotes, forming bars and the account."""
        account: list[Event] = [self._account] if self._account else []
        return [*self._quotes.values(), *self._forming.values(), *account]

    def performance(self, *, timestamp: datetime, bars_per_second: float) -> Performance:
        """Return the running totals."""
        return Performance(
            timestamp=timestamp,
            trades=self._trades,
            wins=self._wins,
            win_rate_percent=100.0 * self._wins / self._trades if self._trades else 0.0,
            realised_pnl=float(self._realised),
            max_drawdown_percent=self._drawdown,
            bars=self.bars,
            bars_per_second=bars_per_second,
        )
