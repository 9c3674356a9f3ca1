"""What the rooms above ask of Alpaca, in our own words; `trading`, `data` and `streams` answer.

Every call is a coroutine that answers within its time or raises one of our errors:
OrderRejected (Alpaca said no; nothing was done), UnknownOrderState (a change left and its outcome
is not known), NotConnected (no answer, and nothing was changed), BrokerError or DataError.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from toolkit.core.types import (
    Bar,
    MarketEvent,
    OrderClass,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """An order as it is sent. Either `quantity` or `notional` (dollars).

    `take_profit`, `stop_loss` (with an optional limit) are the legs of BRACKET, OCO and OTO;
    `trail_percent` or `trail_price` (dollars) belong to TRAILING_STOP.
    """

    client_order_id: str
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_percent: Decimal | None = None
    trail_price: Decimal | None = None
    order_class: OrderClass = OrderClass.SIMPLE
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    stop_loss_limit: Decimal | None = None
    extended_hours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOrder:
    """An order as Alpaca knows it; `symbol` in our spelling (`BTC/USD`), `raw_status` in theirs."""

    id: str
    client_order_id: str
    symbol: str
    side: Side
    order_type: OrderType
    order_class: OrderClass
    time_in_force: TimeInForce
    status: OrderStatus
    raw_status: str
    quantity: Decimal | None
    notional: Decimal | None
    filled_quantity: Decimal
    average_price: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    submitted_at: datetime
    updated_at: datetime
    replaced_by: str | None = None
    replaces: str | None = None
    legs: tuple[BrokerOrder, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFill:
    """One execution, from the account's activities; `id` is unique for ever."""

    id: str
    order_id: str
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    timestamp: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFee:
    """A fee of the account (CFEE of crypto: `quantity` of the coin; FEE: `amount` of dollars)."""

    id: str
    symbol: str | None
    amount: Decimal
    quantity: Decimal
    timestamp: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerPosition:
    """Holdings as Alpaca counts them, `symbol` in our spelling."""

    symbol: str
    quantity: Decimal
    available: Decimal
    average_price: Decimal
    current_price: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAccount:
    """Money and permissions."""

    id: str
    status: str
    cash: Decimal
    equity: Decimal
    last_equity: Decimal
    buying_power: Decimal
    non_marginable_buying_power: Decimal
    day_trades: int
    pattern_day_trader: bool
    trading_blocked: bool
    number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """What may be done with a symbol; increments None where Alpaca names none."""

    symbol: str
    crypto: bool
    tradable: bool
    fractionable: bool
    shortable: bool
    min_quantity: Decimal | None
    quantity_increment: Decimal | None
    price_increment: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketClock:
    """Alpaca's clock; `offset` is theirs minus ours in seconds, the way of the answer taken out."""

    timestamp: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime
    offset: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingDay:
    """One session of stocks, UTC."""

    day: date
    open: datetime
    close: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNews:
    """One message of the trading stream; `event` is Alpaca's word (`fill`, `partial_fill`, `new`).

    `price`, `quantity` and `execution_id` belong to fills; `position_quantity` is after it.
    """

    event: str
    timestamp: datetime
    order: BrokerOrder
    execution_id: str | None = None
    price: Decimal | None = None
    quantity: Decimal | None = None
    position_quantity: Decimal | None = None


class Link(StrEnum):
    """What became of a stream's connection."""

    UP = "up"  # logged in and subscribed: what comes from now on is heard
    DOWN = "down"  # lost; it is tried again
    REFUSED = "refused"  # bad keys, no subscription, 406: `reason` says what to do


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkNews:
    """A stream's connection has changed."""

    link: Link
    timestamp: datetime
    reason: str = ""


class Trading(Protocol):
    """Alpaca's trading API."""

    @property
    def paper(self) -> bool: ...
    async def account(self) -> BrokerAccount: ...
    async def clock(self) -> MarketClock: ...
    async def calendar(self, *, start: date, end: date) -> Sequence[TradingDay]: ...
    async def asset(self, symbol: str) -> Asset:
        """Kept for an hour; raises OrderRejected for an unknown symbol."""
        ...

    async def submit(self, ticket: Ticket) -> BrokerOrder:
        """Send an order once; raises OrderRejected, UnknownOrderState or NotConnected."""
        ...

    async def cancel(self, order_id: str) -> bool:
        """Ask to cancel; False where the order is over already or unknown."""
        ...

    async def replace(
        self,
        order_id: str,
        *,
        client_order_id: str,
        quantity: int | None = None,
        limit_price: Decimal | None = None,
        stop_price: Decimal | None = None,
    ) -> BrokerOrder: ...
    async def order(self, order_id: str) -> BrokerOrder | None: ...
    async def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """Return the order, None where Alpaca does not know it; legs included."""
        ...

    async def open_orders(self) -> Sequence[BrokerOrder]:
        """All open orders, legs included (nested), however many there are."""
        ...

    async def orders_since(self, moment: datetime) -> Sequence[BrokerOrder]:
        """All orders submitted since then, oldest first, however many there are."""
        ...

    async def fills_since(self, moment: datetime) -> Sequence[BrokerFill]:
        """All executions since then, oldest first, however many there are."""
        ...

    async def fees_since(self, moment: datetime) -> Sequence[BrokerFee]: ...
    async def positions(self) -> Sequence[BrokerPosition]: ...
    async def close(self) -> None: ...


class OrderStream(Protocol):
    """Alpaca's stream of order events; one task of ours, stopped at once."""

    def news(self) -> AsyncIterator[OrderNews | LinkNews]:
        """Yield link changes and order events until `stop()`; reconnects by itself."""
        ...

    async def stop(self) -> None: ...


class DataStream(Protocol):
    """One market data stream (stocks of one feed, or crypto)."""

    @property
    def last_message(self) -> datetime | None:
        """When something (data, not pings) was heard last, by our clock."""
        ...

    def news(self) -> AsyncIterator[MarketEvent | LinkNews]:
        """Yield link changes and events until `stop()`; an updated bar has `revision` 1."""
        ...

    async def subscribe(self, symbols: Sequence[str]) -> None: ...
    async def unsubscribe(self, symbols: Sequence[str]) -> None: ...
    async def reconnect(self) -> None:
        """Drop the connection and make a new one: the watchdog has lost patience."""
        ...

    async def stop(self) -> None: ...


class Data(Protocol):
    """Alpaca's historical data."""

    async def bars(
        self,
        symbols: Sequence[str],
        *,
        timeframe: float,
        start: datetime,
        end: datetime,
        feed: str | None = None,
        adjustment: str = "raw",
    ) -> Mapping[str, Sequence[Bar]]:
        """Return all bars with `start <= timestamp < end` of each symbol, oldest first.

        A symbol without bars has an empty list. `timeframe` in seconds. Raises DataError.
        """
        ...

    async def close(self) -> None: ...
