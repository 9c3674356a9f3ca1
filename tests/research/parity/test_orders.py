"""What became of an entry that bought nothing, by what was heard of its order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from toolkit.broker.orders import KNOWN_NO_MORE, NEVER_ARRIVED, NOT_SENT
from toolkit.core.types import Order, OrderRequest, OrderStatus, OrderType, Reason, Side
from toolkit.research.parity.orders import OrderFacts
from toolkit.research.parity.session import Cause

AT = datetime(2026, 1, 5, 15, tzinfo=UTC)
ENTRY = OrderRequest(
    client_order_id="one",
    symbol="AAPL",
    side=Side.BUY,
    quantity=Decimal(1),
    reason=Reason.ENTRY,
    timestamp=AT,
)
ORDER = Order(
    id="o-1",
    client_order_id="one",
    symbol="AAPL",
    side=Side.BUY,
    quantity=Decimal(1),
    order_type=OrderType.MARKET,
    status=OrderStatus.ACCEPTED,
    reason=Reason.ENTRY,
    submitted_at=AT,
    updated_at=AT,
)


@pytest.mark.parametrize(
    ("status", "message", "cause"),
    [
        (OrderStatus.REJECTED, NEVER_ARRIVED, Cause.OUTAGE),
        (OrderStatus.REJECTED, f"{NOT_SENT}: no connection", Cause.OUTAGE),
        (OrderStatus.CANCELED, KNOWN_NO_MORE, Cause.OUTAGE),
        (OrderStatus.REJECTED, "insufficient buying power", Cause.GATE_CLOSED),
        (OrderStatus.CANCELED, "", Cause.PARTIAL_FILL),
        (OrderStatus.EXPIRED, "its session is over", Cause.PARTIAL_FILL),
    ],
)
def test_an_order_that_was_lost_is_an_outage_and_one_that_was_refused_a_gate(
    status: OrderStatus, message: str, cause: Cause
) -> None:
    facts = OrderFacts()
    facts.request(ENTRY, delay=0.2)
    facts.update(ORDER, position=1)
    facts.update(replace(ORDER, status=status, message=message), position=3)
    failure = facts.failures(end=9)["AAPL", AT]
    assert (failure.cause, failure.position) == (cause, 3)
