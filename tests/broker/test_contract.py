"""What every broker does, whichever it is; a new adapter joins `BROKERS`."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from tests.core.markets import bar, minute
from toolkit.broker.port import Broker
from toolkit.broker.simulated import SimulatedBroker
from toolkit.core.types import (
    ExitPlan,
    Fill,
    Order,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    Reason,
    Side,
)
from toolkit.errors import BrokerError, NotConnected, OrderRejected

BROKERS: dict[str, Callable[[], Broker]] = {"simulated": SimulatedBroker}


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> Broker:
    return BROKERS[request.param]()


def entry(*, name: str = "one", quantity: str = "2") -> OrderRequest:
    return OrderRequest(
        client_order_id=name,
        symbol="AAPL",
        side=Side.BUY,
        quantity=Decimal(quantity),
        reason=Reason.ENTRY,
        timestamp=minute(0),
        exits=ExitPlan(stop_loss=1.0, take_profit=2.0),
    )


async def started(broker: Broker) -> list[OrderUpdate]:
    updates: list[OrderUpdate] = []
    await broker.start(updates.append)
    return updates


async def test_nothing_is_taken_before_the_start(broker: Broker):
    with pytest.raises(NotConnected, match="start"):
        await broker.submit(entry())


async def test_an_order_is_accepted_then_filled_and_reported_in_that_order(broker: Broker):
    updates = await started(broker)
    order = await broker.submit(entry())
    assert order.status is OrderStatus.ACCEPTED
    assert list(broker.open_orders()) == [order]
    broker.on_bar(bar(1, 100, 100.5, 99.5, 100))
    accepted, filled, fill = updates
    assert (accepted.status, filled.status) == (OrderStatus.ACCEPTED, OrderStatus.FILLED)
    assert isinstance(fill, Fill)
    assert (fill.client_order_id, fill.quantity) == ("one", Decimal(2))
    assert list(broker.open_orders()) == []


async def test_a_position_is_protected_from_the_moment_it_exists(broker: Broker):
    await started(broker)
    await broker.submit(entry())
    broker.on_bar(bar(1, 100, 100.5, 99.5, 100))
    (position,) = broker.positions()
    assert (position.stop, position.target) == (99.0, 102.0)


async def test_a_protective_exit_is_reported_with_its_reason(broker: Broker):
    updates = await started(broker)
    await broker.submit(entry())
    broker.on_bar(bar(1, 100, 100.5, 99.5, 100))
    broker.on_bar(bar(2, 100, 100, 98, 98.5))
    assert [u.reason for u in updates if isinstance(u, Fill)] == [Reason.ENTRY, Reason.STOP_LOSS]
    assert list(broker.positions()) == []


async def test_a_cancelled_order_is_reported_and_never_fills(broker: Broker):
    updates = await started(broker)
    order = await broker.submit(entry())
    await broker.cancel(order.id)
    broker.on_bar(bar(1, 100, 101, 99, 100))
    assert [u.status for u in updates if isinstance(u, Order)][-1] is OrderStatus.CANCELED
    assert not [u for u in updates if isinstance(u, Fill)]
    with pytest.raises(BrokerError):
        await broker.cancel(order.id)


async def test_a_refused_order_leaves_no_trace(broker: Broker):
    updates = await started(broker)
    with pytest.raises(OrderRejected, match="above 0"):
        await broker.submit(entry(quantity="0"))
    assert updates == []
    assert list(broker.open_orders()) == []


async def test_the_same_client_order_id_is_never_sent_twice(broker: Broker):
    await started(broker)
    await broker.submit(entry())
    with pytest.raises(OrderRejected, match="used before"):
        await broker.submit(entry())


async def test_after_the_stop_nothing_is_taken_or_reported(broker: Broker):
    updates = await started(broker)
    await broker.submit(entry())
    reported = len(updates)
    await broker.stop()
    await broker.stop()
    broker.on_bar(bar(1, 100, 101, 99, 100))
    assert len(updates) == reported
    with pytest.raises(NotConnected):
        await broker.submit(entry(name="two"))
