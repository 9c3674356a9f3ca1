"""Orders: what they ask for, where they stand, and how they may move."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from toolkit.core.types import ZERO, Side
from toolkit.exchange.assets import Asset
from toolkit.exchange.values import Micros, maybe, stamp, text


class Kind(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"


class TimeInForce(StrEnum):
    DAY = "day"
    GTC = "gtc"
    OPG = "opg"
    CLS = "cls"
    IOC = "ioc"
    FOK = "fok"


class OrderClass(StrEnum):
    SIMPLE = "simple"
    BRACKET = "bracket"
    OCO = "oco"
    OTO = "oto"


class Status(StrEnum):
    PENDING_NEW = "pending_new"
    ACCEPTED = "accepted"
    HELD = "held"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REPLACED = "replaced"
    REJECTED = "rejected"

    @property
    def is_open(self) -> bool:
        """Whether anything may still happen to the order."""
        return bool(MOVES[self])


_S = Status
_ENDS = frozenset({_S.CANCELED, _S.EXPIRED, _S.REJECTED})
_WORKS = frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.PENDING_CANCEL, _S.PENDING_REPLACE}) | _ENDS
MOVES: dict[Status, frozenset[Status]] = {
    _S.PENDING_NEW: frozenset({_S.ACCEPTED, _S.HELD, _S.NEW, _S.PENDING_CANCEL}) | _ENDS,
    _S.ACCEPTED: frozenset({_S.NEW, _S.PENDING_CANCEL}) | _ENDS,
    _S.HELD: frozenset({_S.NEW, _S.PENDING_CANCEL, _S.PENDING_REPLACE}) | _ENDS,
    _S.NEW: _WORKS,
    _S.PARTIALLY_FILLED: _WORKS,
    _S.PENDING_CANCEL: frozenset({_S.FILLED}) | _ENDS,
    _S.PENDING_REPLACE: frozenset({_S.REPLACED, _S.FILLED, _S.HELD, _S.NEW, _S.PARTIALLY_FILLED})
    | _ENDS,
    _S.FILLED: frozenset(),
    _S.CANCELED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.REPLACED: frozenset(),
    _S.REJECTED: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """An order as it was asked for, its form checked. Either `quantity` or `notional` is set."""

    client_order_id: str
    symbol: str
    side: Side
    kind: Kind
    time_in_force: TimeInForce
    order_class: OrderClass = OrderClass.SIMPLE
    quantity: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    extended_hours: bool = False
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    stop_loss_limit: Decimal | None = None
    position_intent: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Order:
    """An order as the exchange keeps it; `live` exits watch the market although held."""

    id: str
    asset: Asset
    ticket: Ticket
    created_at: Micros
    updated_at: Micros
    status: Status = Status.PENDING_NEW
    quantity: Decimal | None = None
    filled: Decimal = ZERO
    paid: Decimal = ZERO
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    high_water: Decimal | None = None
    triggered: bool = False
    live: bool = False
    legs: list[Order] = field(default_factory=list)
    parent: Order | None = None
    sibling: Order | None = None
    replaces: Order | None = None
    replaced_by: Order | None = None
    ended: dict[str, Micros] = field(default_factory=dict)

    @property
    def symbol(self) -> str:
        """The symbol of orders and data."""
        return self.asset.symbol

    @property
    def side(self) -> Side:
        """Which way."""
        return self.ticket.side

    @property
    def kind(self) -> Kind:
        """Which type."""
        return self.ticket.kind

    @property
    def remaining(self) -> Decimal:
        """What is still to be filled; of a notional order nothing is known before its fill."""
        return ZERO if self.quantity is None else self.quantity - self.filled

    @property
    def filled_in_all(self) -> Decimal:
        """What was filled by this order and by those that it replaced."""
        before = self.replaces.filled_in_all if self.replaces else ZERO
        return self.filled + before

    @property
    def average_price(self) -> Decimal | None:
        """Average price of what was filled, to six decimals."""
        return round(self.paid / self.filled, 6) if self.filled else None

    def move(self, status: Status, at: Micros) -> None:
        """Go to another status along an allowed edge."""
        assert status in MOVES[self.status], f"{self.status} -> {status}"
        self.status = status
        self.updated_at = max(at, self.updated_at)
        if status in _STAMPS:
            self.ended[_STAMPS[status]] = at

    def fill(self, quantity: Decimal, price: Decimal, at: Micros) -> None:
        """Book a part; a request in flight (pending) keeps its status until all is filled."""
        assert self.quantity is not None
        assert 0 < quantity <= self.remaining
        self.filled += quantity
        self.paid += quantity * price
        if not self.remaining:
            self.move(Status.FILLED, at)
        elif self.status in (Status.NEW, Status.PARTIALLY_FILLED):
            self.move(Status.PARTIALLY_FILLED, at)

    def to_dict(self, *, nested: bool = True) -> dict[str, Any]:
        """Return Alpaca's JSON as of now; `nested` adds the legs."""
        ticket = self.ticket
        facts: dict[str, Any] = {
            "id": self.id,
            "client_order_id": ticket.client_order_id,
            "created_at": stamp(self.created_at),
            "updated_at": stamp(self.updated_at),
            "submitted_at": stamp(self.created_at),
            **{name: _when(self.ended.get(name)) for name in _STAMPS.values()},
            "expires_at": None,
            "replaced_by": self.replaced_by.id if self.replaced_by else None,
            "replaces": self.replaces.id if self.replaces else None,
            "asset_id": self.asset.id,
            "symbol": self.symbol,
            "asset_class": self.asset.kind,
            "notional": maybe(ticket.notional),
            "qty": None if ticket.notional is not None else maybe(self.quantity),
            "filled_qty": text(self.filled),
            "filled_avg_price": maybe(self.average_price),
            "order_class": ticket.order_class.value,
            "order_type": ticket.kind.value,
            "type": ticket.kind.value,
            "side": ticket.side.value,
            "position_intent": ticket.position_intent,
            "time_in_force": ticket.time_in_force.value,
            "limit_price": maybe(self.limit_price),
            "stop_price": maybe(self.stop_price),
            "status": self.status.value,
            "extended_hours": ticket.extended_hours,
            "legs": None,
            "trail_percent": maybe(ticket.trail_percent),
            "trail_price": maybe(ticket.trail_price),
            "hwm": maybe(self.high_water),
            "subtag": None,
            "source": None,
        }
        if nested and self.legs:
            facts["legs"] = [leg.to_dict() for leg in self.legs]
        return facts


_STAMPS = {
    Status.FILLED: "filled_at",
    Status.EXPIRED: "expired_at",
    Status.CANCELED: "canceled_at",
    Status.REJECTED: "failed_at",
    Status.REPLACED: "replaced_at",
}


def _when(at: Micros | None) -> str | None:
    return None if at is None else stamp(at)
