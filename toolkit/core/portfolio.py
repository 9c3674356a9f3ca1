"""The bot's own books: fills in, positions and round trips out, money exact to the micro-dollar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from toolkit.core import execution
from toolkit.core.types import Account, Fill, Reason, RoundTrip, Side
from toolkit.errors import BrokerError


def dollars(micros: int) -> Decimal:
    """Return whole micro-dollars as dollars."""
    return Decimal(micros).scaleb(-6)


@dataclass(slots=True)
class Holding:
    """An open position while it is being built and sold; money in micro-dollars."""

    symbol: str
    entry_time: datetime
    quantity: Decimal = Decimal(0)
    bought: Decimal = Decimal(0)
    cost: int = 0
    entry_fees: int = 0
    sold: Decimal = Decimal(0)
    proceeds: int = 0
    exit_fees: int = 0
    entry_price: float = 0.0
    exit_price: float = 0.0


def _average(old_price: float, old: Decimal, price: float, new: Decimal) -> float:
    if not old:
        return price
    return (old_price * float(old) + price * float(new)) / float(old + new)


class Portfolio:
    """Long-only books of one bot, started with `capital` dollars."""

    def __init__(self, capital: float) -> None:
        self._start = int(execution.micros(capital))
        self._cash = self._start
        self._realised = 0
        self._holdings: dict[str, Holding] = {}

    @property
    def cash(self) -> Decimal:
        """Dollars that are not in positions."""
        return dollars(self._cash)

    @property
    def realised_pnl(self) -> Decimal:
        """Profit of all closed round trips, after fees."""
        return dollars(self._realised)

    @property
    def capital(self) -> float:
        """Start capital plus realised profit, which sizes the next trade."""
        return (self._start + self._realised) / execution.MICRO

    @property
    def holdings(self) -> dict[str, Holding]:
        """Open positions by symbol."""
        return dict(self._holdings)

    def quantity(self, symbol: str) -> Decimal:
        """Units held now."""
        holding = self._holdings.get(symbol)
        return holding.quantity if holding else Decimal(0)

    def on_fill(self, fill: Fill) -> RoundTrip | None:
        """Book a fill; returns the round trip that it completes, if it does.

        Raises BrokerError where more is sold than is held.
        """
        amount = int(execution.micros(fill.price * float(fill.quantity)))
        fee = int(fill.fee.scaleb(6).to_integral_value())
        if fill.side is Side.BUY:
            self._buy(fill, amount, fee)
            return None
        return self._sell(fill, amount, fee)

    def _buy(self, fill: Fill, amount: int, fee: int) -> None:
        holding = self._holdings.setdefault(
            fill.symbol, Holding(symbol=fill.symbol, entry_time=fill.timestamp)
        )
        holding.entry_price = _average(
            holding.entry_price, holding.bought, fill.price, fill.quantity
        )
        holding.bought += fill.quantity
        holding.quantity += fill.quantity
        holding.cost += amount
        holding.entry_fees += fee
        self._cash -= amount + fee

    def _sell(self, fill: Fill, amount: int, fee: int) -> RoundTrip | None:
        holding = self._holdings.get(fill.symbol)
        if holding is None or fill.quantity > holding.quantity:
            held = holding.quantity if holding else Decimal(0)
            raise BrokerError(
                f"a fill sells {fill.quantity} {fill.symbol}, but only {held} are held",
                symbol=fill.symbol,
                sold=str(fill.quantity),
                held=str(held),
            )
        holding.exit_price = _average(holding.exit_price, holding.sold, fill.price, fill.quantity)
        holding.sold += fill.quantity
        holding.quantity -= fill.quantity
        holding.proceeds += amount
        holding.exit_fees += fee
        self._cash += amount - fee
        if holding.quantity:
            return None
        del self._holdings[fill.symbol]
        return self._close(holding, fill.timestamp, fill.reason)

    def _close(self, holding: Holding, time: datetime, reason: Reason) -> RoundTrip:
        fees = holding.entry_fees + holding.exit_fees
        profit = holding.proceeds - holding.cost - fees
        self._realised += profit
        return RoundTrip(
            symbol=holding.symbol,
            entry_time=holding.entry_time,
            entry_price=holding.entry_price,
            exit_time=time,
            exit_price=holding.exit_price,
            quantity=holding.bought,
            pnl=dollars(profit),
            return_percent=100.0 * float(profit) / float(holding.cost) if holding.cost else 0.0,
            fees=dollars(fees),
            exit_reason=reason,
        )

    def account(self, prices: dict[str, float], *, timestamp: datetime) -> Account:
        """Value everything at the last `prices`; a symbol without one counts at its entry."""
        value = sum(
            int(execution.micros(prices.get(s, h.entry_price) * float(h.quantity)))
            for s, h in self._holdings.items()
        )
        return Account(
            timestamp=timestamp,
            cash=self.cash,
            equity=dollars(self._cash + value),
            realised_pnl=self.realised_pnl,
            open_positions=len(self._holdings),
        )
