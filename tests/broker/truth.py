"""Orders and executions as a broker would tell of them, for tests of what we make of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from toolkit.alpaca.port import BrokerFill, BrokerOrder, OrderNews, Ticket
from toolkit.broker.records import Intent, Role
from toolkit.core.types import (
    ZERO,
    ExitPlan,
    OrderClass,
    OrderRequest,
    OrderStatus,
    OrderType,
    Reason,
    Side,
    TimeInForce,
)

NOON = datetime(2026, 1, 5, 17, 0, tzinfo=UTC)
PLAN = ExitPlan(stop_loss=1.0, take_profit=2.0, trailing_stop=0.5, trailing_activation=1.0)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def request(
    name: str = "s-AAPL-1",
    *,
    symbol: str = "AAPL",
    side: Side = Side.BUY,
    quantity: str = "10",
    reason: Reason = Reason.ENTRY,
    exits: ExitPlan | None = PLAN,
    **fields: object,
) -> OrderRequest:
    return OrderRequest(
        client_order_id=name,
        symbol=symbol,
        side=side,
        quantity=Decimal(quantity),
        reason=reason,
        timestamp=NOON,
        exits=exits if side is Side.BUY else None,
        **fields,  # type: ignore[arg-type]
    )


def intent(
    name: str = "s-AAPL-1",
    *,
    symbol: str = "AAPL",
    side: Side = Side.BUY,
    quantity: str = "10",
    role: Role = Role.ENTRY,
    reason: Reason = Reason.ENTRY,
) -> Intent:
    return Intent(
        ticket=Ticket(
            client_order_id=name,
            symbol=symbol,
            side=side,
            order_type=OrderType.MARKET,
            time_in_force=TimeInForce.DAY,
            quantity=Decimal(quantity),
        ),
        reason=reason,
        role=role,
        made_at=NOON,
        request=request(name, symbol=symbol, quantity=quantity) if role is Role.ENTRY else None,
        exits=PLAN if role is Role.ENTRY else None,
    )


@dataclass(frozen=True)
class Life:
    """All that ever happens to one order: executions of these sizes, then this end."""

    intent: Intent
    sizes: Sequence[int]
    end: OrderStatus

    def picture(self, step: int) -> BrokerOrder:
        """The order after `step` executions; one more step is its end."""
        done = min(step, len(self.sizes))
        filled = Decimal(sum(self.sizes[:done]))
        over = step > len(self.sizes) or filled == self.intent.ticket.quantity
        working = OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.ACCEPTED
        ticket = self.intent.ticket
        return BrokerOrder(
            id=f"id-{ticket.client_order_id}",
            client_order_id=ticket.client_order_id,
            symbol=ticket.symbol,
            side=ticket.side,
            order_type=ticket.order_type,
            order_class=OrderClass.SIMPLE,
            time_in_force=ticket.time_in_force,
            status=self.end if over else working,
            raw_status="",
            quantity=ticket.quantity,
            notional=None,
            filled_quantity=filled,
            average_price=None,
            limit_price=None,
            stop_price=None,
            submitted_at=NOON,
            updated_at=at(step),
        )

    def execution(self, number: int) -> BrokerFill:
        ticket = self.intent.ticket
        return BrokerFill(
            id=f"2026::{ticket.client_order_id}-{number}",
            order_id=f"id-{ticket.client_order_id}",
            symbol=ticket.symbol,
            side=ticket.side,
            price=Decimal(100 + number),
            quantity=Decimal(self.sizes[number]),
            timestamp=at(number + 1),
        )

    @property
    def executions(self) -> list[BrokerFill]:
        return [self.execution(number) for number in range(len(self.sizes))]

    def news(self, step: int) -> OrderNews:
        """The message of one step: 0 is `new`, then executions, then the end."""
        order = self.picture(step)
        if 0 < step <= len(self.sizes):
            fill = self.execution(step - 1)
            return OrderNews(
                event="fill",
                timestamp=fill.timestamp,
                order=order,
                execution_id=fill.id.partition("::")[2],
                price=fill.price,
                quantity=fill.quantity,
            )
        return OrderNews(event="new" if not step else "canceled", timestamp=at(step), order=order)

    @property
    def steps(self) -> int:
        """How many messages there are."""
        whole = Decimal(sum(self.sizes)) == self.intent.ticket.quantity
        return 1 + len(self.sizes) + (0 if whole else 1)

    @property
    def total(self) -> Decimal:
        return sum((f.quantity for f in self.executions), ZERO)
