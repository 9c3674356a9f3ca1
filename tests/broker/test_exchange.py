"""The broker over the real alpaca-py against the exchange double, in fair and bad weather."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.alpaca.reaching import exchange_of, settings_of
from tests.broker.truth import request
from tests.exchange.serving import Served
from toolkit.alpaca.order_stream import AlpacaOrderStream
from toolkit.alpaca.trading import AlpacaTrading
from toolkit.broker.alpaca import AlpacaBroker
from toolkit.core.types import (
    ExitPlan,
    Fill,
    Order,
    OrderClass,
    OrderType,
    OrderUpdate,
    Reason,
    Side,
    Trade,
)
from toolkit.errors import BrokerError, OrderRejected
from toolkit.exchange.faults import Kind
from toolkit.exchange.values import moment_of

BTC = "BTC/USD"
PLAN = ExitPlan(stop_loss=5.0, take_profit=5.0)


@pytest.fixture
def exchange() -> Iterator[Served]:
    with exchange_of() as exchange:
        yield exchange


@dataclass
class Seat:
    """A broker at the exchange, and what it has told."""

    exchange: Served
    broker: AlpacaBroker
    updates: list[OrderUpdate] = field(default_factory=list)

    async def until(self, condition: Callable[[], Any]) -> None:
        """Let exchange time pass until something holds; the test's timeout ends it."""
        while not condition():
            await self.exchange.pass_time(0.25)
            await asyncio.sleep(0.005)

    @property
    def fills(self) -> list[Fill]:
        return [u for u in self.updates if isinstance(u, Fill)]

    def price(self, symbol: str) -> float:
        return self.exchange.ask(lambda: float(self.exchange.exchange.book.room(symbol).price))

    def nets(self, symbol: str) -> list[Order]:
        return [
            o for o in self.broker.open_orders() if o.symbol == symbol and "-n" in o.client_order_id
        ]

    async def agreed(self) -> None:
        """Books and broker agree on every order, execution, position and cent."""
        await self.until(lambda: not self.broker.health())
        truth = self.exchange.state()
        theirs = {s: Decimal(p) for s, p in truth["positions"].items()}
        foreign = {s: q for s, q in self.broker._books.foreign.items() if q}
        ours = {p.symbol: p.quantity for p in self.broker.positions()}
        names = set(ours) | set(foreign)
        assert {s: ours.get(s, 0) + foreign.get(s, 0) for s in names} == theirs
        bookings = [b for b in self.broker.journal.bookings() if b.execution.quantity]
        assert sorted(b.key for b in bookings) == sorted(f["id"] for f in truth["fills"])
        assert self.broker.journal.recorded().cash == Decimal(truth["cash"]) - Decimal(100_000)


@asynccontextmanager
async def seated(exchange: Served, path: Path) -> AsyncIterator[Seat]:
    settings = settings_of(exchange)
    trading = AlpacaTrading(settings)
    broker = AlpacaBroker(
        trading=trading,
        stream=AlpacaOrderStream(settings),
        journal=path / "journal.sqlite",
        prefix="s-",
        clock=lambda: moment_of(exchange.exchange.now),
        pause=lambda _: asyncio.sleep(0.01),
    )
    seat = Seat(exchange, broker)
    seat.updates += (await broker.recover()).updates
    try:
        await broker.start(seat.updates.append)
        await seat.until(lambda: not broker.health())
        yield seat
    finally:
        await broker.stop()
        await trading.close()


async def test_bought_protected_and_sold_at_the_target(exchange: Served, tmp_path: Path):
    async with seated(exchange, tmp_path) as seat:
        await seat.broker.submit(request(quantity="3", exits=PLAN))
        await seat.until(lambda: seat.nets("AAPL") and seat.nets("AAPL")[0].id)
        (position,) = seat.broker.positions()
        high = position.entry_price * 1.06
        seat.broker.on_tick(Trade(symbol="AAPL", timestamp=position.entry_time, price=high))
        await seat.until(lambda: not seat.broker.positions())
        assert [f.reason for f in seat.fills] == [Reason.ENTRY, Reason.TAKE_PROFIT]
        await seat.agreed()


async def test_crypto_agrees_to_the_last_decimal_after_fees_in_kind(
    exchange: Served, tmp_path: Path
):
    async with seated(exchange, tmp_path) as seat:
        bought = request("s-B-1", symbol=BTC, quantity="0.123456789", exits=PLAN)
        await seat.broker.submit(bought)
        await seat.until(lambda: seat.nets(BTC))
        await seat.agreed()
        await seat.broker.flatten()
        await seat.until(lambda: not seat.broker.positions())
        await seat.agreed()


FAULTS: dict[str, tuple[Kind, dict[str, Any]]] = {
    "the answer to the entry times out": (Kind.TIMEOUT_AFTER, {"target": "POST /v2/orders"}),
    "the entry times out": (Kind.TIMEOUT_BEFORE, {"target": "POST /v2/orders"}),
    "the connection breaks after it": (Kind.RESET_AFTER, {"target": "POST /v2/orders"}),
    "server error": (Kind.SERVER_ERROR, {"target": "POST /v2/orders"}),
    "fills come twice": (Kind.DUPLICATE_FILLS, {"target": "*", "count": 4}),
    "fills come late": (Kind.LATE_FILLS, {"target": "*", "count": 4, "amount": 3.0}),
    "fills come in disorder": (Kind.UNORDERED_FILLS, {"target": "*", "count": 4}),
    "fills come in parts": (Kind.PARTIAL_FILLS, {"target": "*", "count": 4}),
    "the stream drops": (Kind.DROP, {"target": "trading"}),
    "the stream is mute": (Kind.MUTE, {"target": "trading", "length": 30.0, "count": None}),
    "a frame is malformed": (Kind.MALFORMED, {"target": "trading"}),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_after_a_fault_the_books_agree_and_nothing_is_sent_twice(
    exchange: Served, tmp_path: Path, name: str
):
    kind, fields = FAULTS[name]
    async with seated(exchange, tmp_path) as seat:
        exchange.inject(kind, **{"count": 1, **fields})
        try:
            await seat.broker.submit(request(quantity="9", exits=PLAN))
        except BrokerError as error:
            assert kind is not Kind.TIMEOUT_AFTER, error
        await seat.until(
            lambda: not [o for o in seat.broker.open_orders() if "-n" not in o.client_order_id]
        )
        await seat.until(lambda: bool(seat.broker.positions()) == bool(seat.nets("AAPL")))
        await seat.agreed()
        entries = [o for o in exchange.state()["orders"] if o["side"] == Side.BUY.value]
        assert len(entries) <= 1
        came = exchange.happened(f"fault.{kind.value}") or exchange.happened("fault.begins")
        assert came, "the fault never came"


async def test_brackets_are_alpacas_business_and_flatten_ends_them(
    exchange: Served, tmp_path: Path
):
    async with seated(exchange, tmp_path) as seat:
        price = Decimal(str(seat.price("AAPL")))
        bracket = request(
            quantity="3",
            exits=None,
            order_class=OrderClass.BRACKET,
            take_profit_price=price * Decimal("1.2"),
            stop_loss_price=price * Decimal("0.8"),
        )
        await seat.broker.submit(bracket)
        await seat.until(seat.broker.positions)
        assert {o.reason for o in seat.broker.open_orders()} == {
            Reason.TAKE_PROFIT,
            Reason.STOP_LOSS,
        }
        await seat.broker.flatten()
        await seat.until(lambda: not seat.broker.positions() and not seat.broker.open_orders())
        await seat.agreed()


async def test_a_position_without_exits_takes_orders_by_hand(exchange: Served, tmp_path: Path):
    async with seated(exchange, tmp_path) as seat:
        await seat.broker.submit(request(quantity="3", exits=None))
        await seat.until(seat.broker.positions)
        price = Decimal(str(seat.price("AAPL")))
        by_hand = {"side": Side.SELL, "quantity": "3", "reason": Reason.MANUAL}
        trail = request(
            "s-t", order_type=OrderType.TRAILING_STOP, trail_percent=Decimal(10), **by_hand
        )
        order = await seat.broker.submit(trail)
        await seat.broker.cancel(order.id)
        await seat.until(lambda: not seat.broker.open_orders())
        oco = request(
            "s-o",
            order_class=OrderClass.OCO,
            order_type=OrderType.LIMIT,
            take_profit_price=price * Decimal("1.2"),
            stop_loss_price=price * Decimal("0.8"),
            **by_hand,
        )
        await seat.broker.submit(oco)
        await seat.until(lambda: len(seat.broker.open_orders()) == 2)
        seat.broker.close("AAPL")
        await seat.until(lambda: not seat.broker.positions() and not seat.broker.open_orders())
        await seat.agreed()


async def test_killed_between_request_and_answer_it_finds_the_order_again(
    exchange: Served, tmp_path: Path
):
    async with seated(exchange, tmp_path) as seat:
        exchange.inject(Kind.SLOW, target="POST /v2/orders", count=1, amount=0.5)
        sending = asyncio.create_task(seat.broker.submit(request(exits=PLAN)))
        await seat.until(lambda: exchange.happened("request.") or exchange.state()["orders"])
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    async with seated(exchange, tmp_path) as seat:
        await seat.until(lambda: seat.nets("AAPL"))
        await seat.agreed()
        entries = [o for o in exchange.state()["orders"] if o["side"] == Side.BUY.value]
        assert len(entries) == 1


async def test_the_net_fills_while_nobody_runs_and_is_told_at_the_next_start(
    exchange: Served, tmp_path: Path
):
    tight = ExitPlan(stop_loss=0.05)
    async with seated(exchange, tmp_path) as seat:
        await seat.broker.submit(request(exits=tight))
        await seat.until(lambda: seat.fills)
    for _ in range(200):
        await exchange.pass_time(60)
        if not exchange.state()["positions"]:
            break
    async with seated(exchange, tmp_path) as seat:
        await seat.until(lambda: not seat.broker.positions())
        assert seat.fills[-1].side is Side.SELL
        await seat.agreed()


async def test_refusals_of_the_exchange_are_one_clear_message(exchange: Served, tmp_path: Path):
    async with seated(exchange, tmp_path) as seat:
        with pytest.raises(OrderRejected, match="buying power"):
            await seat.broker.submit(request(quantity="100000", exits=PLAN))
        with pytest.raises(OrderRejected, match="does not know the symbol NOPE"):
            await seat.broker.submit(request("s-2", symbol="NOPE"))
        assert not seat.broker.health()


async def test_bad_keys_end_the_start_with_what_to_do(exchange: Served, tmp_path: Path):
    settings = settings_of(exchange, secret_key="wrong")
    trading = AlpacaTrading(settings)
    broker = AlpacaBroker(
        trading=trading, stream=AlpacaOrderStream(settings), journal=tmp_path / "j.sqlite"
    )
    with pytest.raises(BrokerError, match="keys"):
        await broker.start(lambda _: None)
    await trading.close()
