"""Bars, orders and fills that are made up, so that the twin's book does what came about."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from toolkit.core.types import (
    Bar,
    ExitPlan,
    Fill,
    Order,
    OrderRequest,
    OrderStatus,
    OrderType,
    Reason,
    Side,
)
from toolkit.research.parity.trades import Leg

ORDER = "parity-"
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
ENDLESS = 1e18


def flat(symbol: str, price: float, *, at: datetime) -> Bar:
    """Return a bar in which one price is paid for any quantity."""
    return Bar(
        symbol=symbol, timestamp=at, open=price, high=price, low=price, close=price, volume=ENDLESS
    )


def request(
    name: str, symbol: str, side: Side, quantity: Decimal, plan: ExitPlan | None
) -> OrderRequest:
    """Return a market order that nobody decided on."""
    return OrderRequest(
        client_order_id=name,
        symbol=symbol,
        side=side,
        quantity=quantity,
        reason=Reason.MANUAL,
        timestamp=NEVER,
        exits=plan,
    )


def filled(request: OrderRequest) -> Order:
    """Return the order of a request once it has filled."""
    return Order(
        id=f"{ORDER}{request.client_order_id}",
        client_order_id=request.client_order_id,
        symbol=request.symbol,
        side=request.side,
        quantity=request.quantity,
        order_type=OrderType.MARKET,
        status=OrderStatus.FILLED,
        reason=request.reason,
        submitted_at=request.timestamp,
        updated_at=request.timestamp,
    )


def fill(symbol: str, side: Side, leg: Leg, *, name: str) -> Fill:
    """Return an execution as a leg says it was."""
    return Fill(
        order_id=name,
        client_order_id=name,
        symbol=symbol,
        side=side,
        price=leg.price,
        quantity=leg.quantity,
        fee=leg.fee,
        timestamp=leg.time,
        reason=leg.reason,
    )
