"""One order of ours and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from toolkit.alpaca.port import BrokerFill
from toolkit.broker.fees import settle
from toolkit.broker.records import Booking, Intent
from toolkit.core.types import ZERO, Fill, Order, OrderStatus


@dataclass(slots=True, eq=False)
class Tracked:
    """One order of ours; `filled` is the most that the broker has said, `known` what is booked."""

    intent: Intent
    id: str = ""
    sent: bool = True
    lost_at: datetime | None = None
    looks: int = 0
    end: OrderStatus | None = None
    given_up: bool = False
    filled: Decimal = ZERO
    quantity: Decimal | None = None
    stop_price: Decimal | None = None
    submitted_at: datetime | None = None
    updated_at: datetime | None = None
    message: str = ""
    cancel_asked: datetime | None = None
    looked_at: datetime | None = None
    not_before: datetime | None = None
    replaced_by: str | None = None
    bookings: dict[str, Booking] = field(default_factory=dict)
    reported: tuple[OrderStatus, Decimal] | None = None

    @property
    def client_id(self) -> str:
        """The client order id."""
        return self.intent.ticket.client_order_id

    @property
    def symbol(self) -> str:
        """What is traded."""
        return self.intent.ticket.symbol

    @property
    def known(self) -> Decimal:
        """What the booked executions add up to, before fees."""
        return sum((b.execution.quantity for b in self.bookings.values()), ZERO)

    @property
    def status(self) -> OrderStatus:
        """Where the order stands, as far as all of it is known."""
        known = self.known
        if known and self.quantity is not None and known >= self.quantity:
            return OrderStatus.FILLED
        if self.end is not None and known >= self.filled:
            return self.end
        if known:
            return OrderStatus.PARTIALLY_FILLED
        if self.id:
            return OrderStatus.ACCEPTED
        return OrderStatus.UNKNOWN if self.lost_at else OrderStatus.PENDING

    @property
    def is_open(self) -> bool:
        """Whether anything may still come."""
        return self.status.is_open

    @property
    def lacks_executions(self) -> bool:
        """Whether the broker has told of more than is booked."""
        return self.filled > self.known

    def as_order(self) -> Order:
        """Return the order as the rest of the house knows it."""
        ticket, known = self.intent.ticket, self.known
        paid = sum((b.execution.quantity * b.execution.price for b in self.bookings.values()), ZERO)
        made = self.intent.made_at
        return Order(
            id=self.id,
            client_order_id=self.client_id,
            symbol=ticket.symbol,
            side=ticket.side,
            quantity=self.quantity or ticket.quantity or known,
            order_type=ticket.order_type,
            status=self.status,
            reason=self.intent.reason,
            submitted_at=self.submitted_at or made,
            updated_at=self.updated_at or made,
            filled_quantity=known,
            average_price=float(paid / known) if known else None,
            message=self.message,
        )


def booking_of(tracked: Tracked, key: str, execution: BrokerFill) -> Booking:
    intent = tracked.intent
    settlement = settle(
        execution.symbol, execution.side, quantity=execution.quantity, price=execution.price
    )
    fill = Fill(
        order_id=tracked.id,
        client_order_id=tracked.client_id,
        symbol=intent.ticket.symbol,
        side=execution.side,
        price=float(execution.price),
        quantity=settlement.received,
        fee=settlement.fee,
        timestamp=execution.timestamp,
        reason=intent.reason,
    )
    return Booking(key=key, fill=fill, execution=execution, settlement=settlement, role=intent.role)
