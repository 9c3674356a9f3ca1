"""Money and holdings: cash to the cent, positions, fees in kind, activities, day trades."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_UP, Decimal

from toolkit.core.costs import CRYPTO_TIERS
from toolkit.core.types import ZERO, Side, exact
from toolkit.exchange.assets import Asset
from toolkit.exchange.hours import day_of
from toolkit.exchange.values import FINEST, Micros, cents

CRYPTO_FEE = exact(CRYPTO_TIERS[0].taker_bps) / 10_000
SESSIONS_OF_DAY_TRADES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One fill. `fee` is in dollars, or in coins where `fee_in_kind`; `cash` is what moved."""

    id: str
    order_id: str
    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_in_kind: bool
    cash: Decimal
    at: Micros
    leaves: Decimal
    filled: Decimal
    status: str


@dataclass(slots=True)
class Position:
    """Holdings of one asset; short where the quantity is negative. `cost` in dollars."""

    asset: Asset
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    opened_on: date | None = None
    counted: bool = False

    @property
    def entry_price(self) -> Decimal:
        """Average price of entry."""
        return self.cost / self.quantity if self.quantity else ZERO

    def value(self, price: Decimal) -> Decimal:
        """Market value in dollars, negative when short."""
        return self.quantity * price


@dataclass(slots=True)
class Account:
    """One account; `multiplier` 1 is cash only, 2 or 4 is margin."""

    cash: Decimal
    multiplier: int = 2
    positions: dict[str, Position] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    day_trades: list[date] = field(default_factory=list)
    last_equity: Decimal = ZERO

    def __post_init__(self) -> None:
        self.last_equity = self.cash

    def quantity(self, symbol: str) -> Decimal:
        """Units held, negative when short."""
        position = self.positions.get(symbol)
        return position.quantity if position else ZERO

    def equity(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Cash and holdings at these prices."""
        return self.cash + sum(
            (p.value(prices.get(s, p.entry_price)) for s, p in self.positions.items()), ZERO
        )

    def exposure(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Holdings, long and short added up."""
        return sum(
            (abs(p.value(prices.get(s, p.entry_price))) for s, p in self.positions.items()), ZERO
        )

    def spare(self, prices: Mapping[str, Decimal]) -> Decimal:
        """What could be bought on margin, before open orders."""
        return self.equity(prices) * self.multiplier - self.exposure(prices)

    def settle(
        self, asset: Asset, side: Side, quantity: Decimal, price: Decimal
    ) -> tuple[Decimal, Decimal, bool]:
        """Return (cash that moves, fee, whether the fee is in coins) of a fill."""
        sign = -1 if side is Side.BUY else 1
        gross = cents(quantity * price)
        if not asset.crypto:
            return sign * gross, ZERO, False
        if side is Side.BUY:
            fee = (quantity * CRYPTO_FEE).quantize(FINEST, ROUND_UP)
            return -gross, min(fee, quantity), True
        fee = cents(gross * CRYPTO_FEE)
        return gross - fee, fee, False

    def book(self, asset: Asset, execution: Execution) -> None:
        """Take a fill into cash, position, day trades and activities."""
        self.cash += execution.cash
        received = execution.quantity - (execution.fee if execution.fee_in_kind else ZERO)
        change = received if execution.side is Side.BUY else -execution.quantity
        position = self.positions.setdefault(asset.symbol, Position(asset))
        before = position.quantity
        opening = before == 0 or (before > 0) == (change > 0)
        if opening:
            position.cost -= execution.cash
        else:
            position.cost *= (before + change) / before
        position.quantity += change
        self._count_day_trade(position, execution.at, opening=opening)
        if not position.quantity:
            del self.positions[asset.symbol]
        self.executions.append(execution)

    def day_trades_since(self, days: Iterable[date]) -> int:
        """Count the day trades of these days."""
        wanted = set(days)
        return sum(day in wanted for day in self.day_trades)

    def closes_today(self, symbol: str, at: Micros) -> bool:
        """Whether closing the position now would be one more day trade."""
        position = self.positions.get(symbol)
        return position is not None and position.opened_on == day_of(at) and not position.counted

    def _count_day_trade(self, position: Position, at: Micros, *, opening: bool) -> None:
        if position.asset.crypto:
            return
        today = day_of(at)
        if opening:
            position.opened_on, position.counted = today, False
        elif position.opened_on == today and not position.counted:
            position.counted = True
            self.day_trades.append(today)
