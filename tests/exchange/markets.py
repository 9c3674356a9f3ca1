"""A book with one account, and ticks for it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from toolkit.exchange.account import Account
from toolkit.exchange.assets import Asset, Assets
from toolkit.exchange.book import Book, OrderEvent
from toolkit.exchange.desk import Desk
from toolkit.exchange.orders import Order
from toolkit.exchange.rules import Configuration
from toolkit.exchange.ticks import Tick
from toolkit.exchange.timers import Timers
from toolkit.exchange.values import Identifiers, Micros, micros, micros_of
from toolkit.market.sessions import NEW_YORK

OPEN = micros_of(datetime(2026, 1, 5, 10, 0, tzinfo=NEW_YORK))
ASSETS = (
    Asset(symbol="AAPL"),
    Asset(symbol="MSFT"),
    Asset(symbol="BTC/USD"),
    Asset(symbol="WHOLE", fractionable=False),
    Asset(symbol="NOTRADE", tradable=False),
)


def new_york(text: str) -> Micros:
    """Return a moment given in New York time, such as `2026-01-05 16:30`."""
    return micros_of(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK))


class Floor:
    """One account, its desk, and a clock that the test moves."""

    def __init__(
        self,
        *,
        cash: str = "100000",
        multiplier: int = 2,
        latency: float = 0.0,
        at: Micros = OPEN,
        rules: Configuration | None = None,
    ) -> None:
        self.now = at
        self.events: list[OrderEvent] = []
        self.timers = Timers()
        self.account = Account(cash=Decimal(cash), multiplier=multiplier)
        self.book = Book(
            account=self.account,
            assets=Assets(ASSETS),
            timers=self.timers,
            new_id=Identifiers(7),
            on_event=self.events.append,
        )
        self.desk = Desk(self.book, rules=rules or Configuration(), latency=micros(latency))

    def tick(
        self,
        symbol: str,
        bid: float,
        ask: float | None = None,
        *,
        size: float = 1e6,
        price: float | None = None,
        after: float = 1.0,
    ) -> None:
        """Let time pass (seconds), then show a quote and a trade (by default at the bid)."""
        self.wait(after)
        ask = bid if ask is None else ask
        price = bid if price is None else price
        self.book.on_tick(Tick(self.now, symbol, bid, ask, size, size, price, size))

    def wait(self, seconds: float) -> None:
        self.until(self.now + micros(seconds))

    def until(self, moment: Micros) -> None:
        self.now = moment
        self.timers.run(moment)

    def send(self, symbol: str = "AAPL", side: str = "buy", **fields: Any) -> Order:
        """Submit an order: by default a market order for the day (crypto: till cancelled)."""
        crypto = "/" in symbol
        body = {
            "symbol": symbol,
            "side": side,
            "type": "market",
            "time_in_force": "gtc" if crypto else "day",
            **({} if "notional" in fields else {"qty": "10"}),
            **fields,
        }
        order = self.desk.submit(body, self.now)
        self.timers.run(self.now)
        return order

    def names(self, order: Order) -> list[str]:
        """Return the events of one order."""
        return [event.event for event in self.events if event.order_id == order.id]
