"""What the market shows at one moment, and how much of it orders have already taken."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from toolkit.core.types import Side, exact
from toolkit.exchange.values import Micros


class Tick(NamedTuple):
    """A quote and the trade that follows it; prices in dollars, sizes in units."""

    at: Micros
    symbol: str
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    price: float
    size: float


@dataclass(slots=True)
class Room:
    """The quote of one tick as orders see it: sizes shrink as they are taken."""

    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal
    price: Decimal

    @classmethod
    def of(cls, tick: Tick) -> Room:
        """Return all that a tick offers."""
        return cls(
            bid=exact(tick.bid),
            ask=exact(tick.ask),
            bid_size=exact(tick.bid_size),
            ask_size=exact(tick.ask_size),
            price=exact(tick.price),
        )

    def price_for(self, side: Side) -> Decimal:
        """Return what a market order pays or gets."""
        return self.ask if side is Side.BUY else self.bid

    def left(self, side: Side) -> Decimal:
        """Return how much can still be had."""
        return self.ask_size if side is Side.BUY else self.bid_size

    def take(self, side: Side, quantity: Decimal) -> None:
        """Take some, at most what is left (fractions are filled beside the book)."""
        if side is Side.BUY:
            self.ask_size -= min(quantity, self.ask_size)
        else:
            self.bid_size -= min(quantity, self.bid_size)
