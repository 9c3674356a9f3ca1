"""What every broker does, whichever it is; a new adapter joins `STAGES`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path

import pytest

from tests.broker.fakes import Room
from tests.core.markets import bar, minute
from toolkit.broker.port import Broker
from toolkit.broker.simulated import SimulatedBroker
from toolkit.core.types import (
    Bar,
    ExitPlan,
    Fill,
    Order,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    Reason,
    Side,
    Trade,
)
from toolkit.errors import BrokerError, NotConnected, OrderRejected


class Stage:
    """A broker and its market, which is moved bar by bar."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.updates: list[OrderUpdate] = []

    async def start(self) -> None:
        await self.broker.start(self.updates.append)
        await self.settle()

    async def bar(self, item: Bar) -> None:
        """Let a bar happen, and hear of it."""
        self.broker.on_bar(item)

    async def settle(self) -> None:
        """Return when everything is told that has happened."""

    def of(self, name: str) -> list[OrderUpdate]:
        return [u for u in self.updates if u.client_order_id == name]


class AlpacaStage(Stage):
    """The broker for Alpaca on a market in memory."""

    def __init__(self, path: Path) -> None:
        self.room = Room(path)
        super().__init__(self.room.broker)

    async def bar(self, item: Bar) -> None:
        for price in (item.open, item.low, item.high, item.close):
            self.room.market.price(item.symbol, price)
            await self.settle()
            tick = Trade(symbol=item.symbol, timestamp=item.timestamp, price=price)
            self.broker.on_tick(tick)
            await self.settle()
        self.broker.on_bar(item)
        await self.settle()

    async def settle(self) -> None:
        await self.room.market.quiet()


STAGES: dict[str, Callable[[Path], Stage]] = {
    "simulated": lambda _: Stage(SimulatedBroker()),
    "alpaca": AlpacaStage,
}


@pytest.fixture(params=STAGES)
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = STAGES[request.param](tmp_path)
    yield stage
    await stage.broker.stop()


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


async def test_nothing_is_taken_before_the_start(stage: Stage):
    with pytest.raises(NotConnected, match="start"):
        await stage.broker.submit(entry())


async def test_an_order_is_accepted_then_filled_and_reported_in_that_order(stage: Stage):
    await stage.start()
    order = await stage.broker.submit(entry())
    assert order.status is OrderStatus.ACCEPTED
    assert list(stage.broker.open_orders()) == [order]
    await stage.bar(bar(1, 100, 100.5, 99.5, 100))
    accepted, filled, fill = stage.of("one")
    assert (accepted.status, filled.status) == (OrderStatus.ACCEPTED, OrderStatus.FILLED)
    assert isinstance(fill, Fill)
    assert (fill.client_order_id, fill.quantity) == ("one", Decimal(2))
    assert [o for o in stage.broker.open_orders() if o.side is Side.BUY] == []


async def test_a_position_is_protected_from_the_moment_it_exists(stage: Stage):
    await stage.start()
    await stage.broker.submit(entry())
    await stage.bar(bar(1, 100, 100.5, 99.5, 100))
    (position,) = stage.broker.positions()
    assert (position.stop, position.target) == (99.0, 102.0)


@pytest.mark.parametrize(
    ("prices", "reason"),
    [((100, 100, 98, 98.5), Reason.STOP_LOSS), ((100, 103, 100, 103), Reason.TAKE_PROFIT)],
)
async def test_a_protective_exit_is_reported_with_its_reason(
    stage: Stage, prices: tuple[float, float, float, float], reason: Reason
):
    await stage.start()
    await stage.broker.submit(entry())
    await stage.bar(bar(1, 100, 100.5, 99.5, 100))
    await stage.bar(bar(2, *prices))
    assert [u.reason for u in stage.updates if isinstance(u, Fill)] == [Reason.ENTRY, reason]
    assert list(stage.broker.positions()) == []
    assert list(stage.broker.open_orders()) == []


async def test_a_position_is_sold_on_request(stage: Stage):
    await stage.start()
    await stage.broker.submit(entry())
    await stage.bar(bar(1, 100, 100.5, 99.5, 100))
    sale = OrderRequest(
        client_order_id="two",
        symbol="AAPL",
        side=Side.SELL,
        quantity=Decimal(2),
        reason=Reason.SIGNAL,
        timestamp=minute(1),
    )
    assert (await stage.broker.submit(sale)).status.is_open
    await stage.bar(bar(2, 100, 100.5, 99.5, 100))
    (fill,) = [u for u in stage.of("two") if isinstance(u, Fill)]
    assert (fill.quantity, fill.reason) == (2, Reason.SIGNAL)
    assert list(stage.broker.positions()) == []


async def test_a_cancelled_order_is_reported_and_never_fills(stage: Stage):
    await stage.start()
    order = await stage.broker.submit(entry())
    await stage.broker.cancel(order.id)
    await stage.bar(bar(1, 100, 101, 99, 100))
    assert [u.status for u in stage.updates if isinstance(u, Order)][-1] is OrderStatus.CANCELED
    assert not [u for u in stage.updates if isinstance(u, Fill)]
    with pytest.raises(BrokerError):
        await stage.broker.cancel(order.id)


async def test_a_refused_order_leaves_no_trace(stage: Stage):
    await stage.start()
    with pytest.raises(OrderRejected, match="above 0"):
        await stage.broker.submit(entry(quantity="0"))
    assert stage.updates == []
    assert list(stage.broker.open_orders()) == []


async def test_more_than_is_held_is_not_sold(stage: Stage):
    await stage.start()
    sale = OrderRequest(
        client_order_id="two",
        symbol="AAPL",
        side=Side.SELL,
        quantity=Decimal(1),
        reason=Reason.SIGNAL,
        timestamp=minute(1),
    )
    with pytest.raises(OrderRejected, match="shorts are not taken"):
        await stage.broker.submit(sale)


async def test_the_same_client_order_id_is_never_sent_twice(stage: Stage):
    await stage.start()
    await stage.broker.submit(entry())
    with pytest.raises(OrderRejected, match="used before"):
        await stage.broker.submit(entry())


async def test_after_the_stop_nothing_is_taken_or_reported(stage: Stage):
    await stage.start()
    await stage.broker.submit(entry())
    reported = len(stage.updates)
    await stage.broker.stop()
    await stage.broker.stop()
    await stage.bar(bar(1, 100, 101, 99, 100))
    assert len(stage.updates) == reported
    with pytest.raises(NotConnected):
        await stage.broker.submit(entry(name="two"))
