"""Alpaca in memory, with a clock that is moved by hand and every fault on request."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.broker.truth import NOON
from toolkit.alpaca.port import (
    Asset,
    BrokerAccount,
    BrokerFee,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    Link,
    LinkNews,
    MarketClock,
    OrderNews,
    Ticket,
    TradingDay,
)
from toolkit.broker.alpaca import AlpacaBroker
from toolkit.broker.fees import settle
from toolkit.core.types import (
    ZERO,
    Fill,
    Order,
    OrderClass,
    OrderStatus,
    OrderType,
    OrderUpdate,
    Side,
    TimeInForce,
    Trade,
    is_crypto,
)
from toolkit.errors import NotConnected, OrderRejected, UnknownOrderState

Fault = Callable[[str], str]


def no_fault(_: str) -> str:
    return ""


class FakeStream:
    """The order stream; `lose`, `twice` and `later` decide about each message."""

    def __init__(self, market: FakeAlpaca) -> None:
        self._market = market
        self.queue: asyncio.Queue[OrderNews | LinkNews | None] = asyncio.Queue()
        self.late: list[OrderNews] = []
        self.fate: Callable[[OrderNews], str] = lambda _: ""
        self.up, self.stopped = True, False
        self.queue.put_nowait(LinkNews(link=Link.UP, timestamp=market.now))

    def tell(self, news: OrderNews) -> None:
        fate = self.fate(news)
        if not self.up or self.stopped or fate == "lost":
            return
        if fate == "late":
            self.late.append(news)
            return
        self.queue.put_nowait(news)
        if fate == "twice":
            self.queue.put_nowait(news)

    def deliver_late(self) -> None:
        late, self.late = self.late[::-1], []
        for news in late:
            if self.up:
                self.queue.put_nowait(news)

    def cut(self) -> None:
        self.up = False
        self.queue.put_nowait(LinkNews(link=Link.DOWN, timestamp=self._market.now, reason="cut"))

    def mend(self) -> None:
        self.up = True
        self.queue.put_nowait(LinkNews(link=Link.UP, timestamp=self._market.now))

    async def news(self) -> AsyncIterator[OrderNews | LinkNews]:
        while (item := await self.queue.get()) is not None:
            yield item

    async def stop(self) -> None:
        self.stopped = True
        self.queue.put_nowait(None)

    @property
    def idle(self) -> bool:
        return self.stopped or self.queue.empty()


@dataclass(slots=True)
class Resting:
    """An order at the broker, changed in place."""

    ticket: Ticket
    id: str
    submitted_at: datetime
    status: OrderStatus = OrderStatus.ACCEPTED
    raw: str = "new"
    filled: Decimal = ZERO
    paid: Decimal = ZERO
    updated_at: datetime = NOON
    triggered: bool = False
    replaced_by: str | None = None
    replaces: str | None = None
    legs: list[Resting] = field(default_factory=list)

    def picture(self) -> BrokerOrder:
        ticket = self.ticket
        return BrokerOrder(
            id=self.id,
            client_order_id=ticket.client_order_id,
            symbol=ticket.symbol,
            side=ticket.side,
            order_type=ticket.order_type,
            order_class=ticket.order_class,
            time_in_force=ticket.time_in_force,
            status=self.status,
            raw_status=self.raw,
            quantity=ticket.quantity,
            notional=ticket.notional,
            filled_quantity=self.filled,
            average_price=None,
            limit_price=ticket.limit_price,
            stop_price=ticket.stop_price,
            submitted_at=self.submitted_at,
            updated_at=self.updated_at,
            replaced_by=self.replaced_by,
            replaces=self.replaces,
            legs=tuple(leg.picture() for leg in self.legs),
        )

    @property
    def left(self) -> Decimal:
        return (self.ticket.quantity or ZERO) - self.filled


class FakeAlpaca:
    """A broker that fills at the price of the moment. `fault(operation)` is asked before each.

    `before`: lost on the way; `after`: done, the answer is lost; `down`: no connection; `no`:
    refused. `slice` is the most that one match fills.
    """

    paper = True

    def __init__(self, *, start: datetime = NOON) -> None:
        self.now = start
        self.prices: dict[str, Decimal] = {}
        self.fractionable = True
        self.is_open = True
        self.slice: Decimal | None = None
        self.fault: Fault = no_fault
        self.orders: dict[str, Resting] = {}
        self.held: dict[str, Decimal] = {}
        self.foreign: dict[str, Decimal] = {}
        self.fills: list[BrokerFill] = []
        self.fees: list[BrokerFee] = []
        self.fee_rate: Decimal | None = None
        self.sent: list[Ticket] = []
        self.calls = 0
        self.stream = FakeStream(self)
        self._numbers = itertools.count(1)
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    # What tests do to it.

    def price(self, symbol: str, price: float | str) -> None:
        self.prices[symbol] = Decimal(str(price))
        self.match()

    def match(self) -> None:
        for order in list(self.orders.values()):
            if order.status.is_open and self._trades(order):
                self._fill(order)

    def trade_by_hand(self, symbol: str, side: Side, quantity: str) -> str:
        ticket = Ticket(
            client_order_id=f"hand-{next(self._numbers)}",
            symbol=symbol,
            side=side,
            order_type=OrderType.MARKET,
            time_in_force=TimeInForce.DAY,
            quantity=Decimal(quantity),
        )
        order = self._book(ticket)
        self.match()
        return order.id

    def expire(self) -> None:
        for order in self.orders.values():
            if order.status.is_open and order.ticket.time_in_force is TimeInForce.DAY:
                self._end(order, OrderStatus.EXPIRED)

    def open_of(self, symbol: str) -> list[Resting]:
        return [o for o in self.orders.values() if o.status.is_open and o.ticket.symbol == symbol]

    def net(self, symbol: str) -> Resting | None:
        stops = (OrderType.STOP, OrderType.STOP_LIMIT)
        found = [
            o
            for o in self.open_of(symbol)
            if o.ticket.order_type in stops and o.ticket.side is Side.SELL
        ]
        assert len(found) <= 1, found
        return found[0] if found else None

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        due = self.now + timedelta(seconds=seconds)
        heapq.heappush(self._sleepers, (due, next(self._numbers), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let time pass, and everything happen that is due in it."""
        end = self.now + timedelta(seconds=seconds)
        await self.quiet()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, future = heapq.heappop(self._sleepers)
            self.now = max(self.now, due)
            if not future.done():
                future.set_result(None)
            await self.quiet()
        self.now = end
        await self.quiet()

    async def quiet(self) -> None:
        """Return when nobody has asked for anything for a while."""
        calm, calls = 0, self.calls
        while calm < 8:
            await asyncio.sleep(0)
            calm = calm + 1 if self.calls == calls and self.stream.idle else 0
            calls = self.calls

    # The port.

    async def account(self) -> BrokerAccount:
        raise NotImplementedError

    async def calendar(self, *, start: date, end: date) -> Sequence[TradingDay]:
        raise NotImplementedError

    async def clock(self) -> MarketClock:
        await self._called("clock")
        day = timedelta(days=1)
        return MarketClock(
            timestamp=self.now,
            is_open=self.is_open,
            next_open=self.now + day,
            next_close=self.now + day,
            offset=0.0,
        )

    async def asset(self, symbol: str) -> Asset:
        await self._called("asset")
        if symbol == "NOPE":
            raise OrderRejected("Alpaca does not know NOPE", symbol=symbol)
        crypto = is_crypto(symbol)
        return Asset(
            symbol=symbol,
            crypto=crypto,
            tradable=symbol != "HALTED",
            fractionable=self.fractionable and not crypto,
            shortable=False,
            min_quantity=Decimal("0.0001") if crypto else None,
            quantity_increment=Decimal("0.0001") if crypto else None,
            price_increment=Decimal("0.01") if crypto else None,
        )

    async def submit(self, ticket: Ticket) -> BrokerOrder:
        fate = await self._called(f"submit {ticket.side.value}")
        if fate == "before":
            raise UnknownOrderState("no answer")
        if any(o.ticket.client_order_id == ticket.client_order_id for o in self.orders.values()):
            raise OrderRejected("client_order_id must be unique")
        if fate == "no":
            raise OrderRejected("refused")
        self._check(ticket)
        order = self._book(ticket)
        picture = order.picture()
        self.match()
        if fate == "after":
            raise UnknownOrderState("no answer")
        return picture

    async def cancel(self, order_id: str) -> bool:
        fate = await self._called("cancel")
        order = self.orders.get(order_id)
        if fate == "before":
            raise UnknownOrderState("no answer")
        if order is None or not order.status.is_open:
            return False
        self._end(order, OrderStatus.CANCELED)
        if fate == "after":
            raise UnknownOrderState("no answer")
        return True

    async def replace(
        self,
        order_id: str,
        *,
        client_order_id: str,
        quantity: int | None = None,
        limit_price: Decimal | None = None,
        stop_price: Decimal | None = None,
    ) -> BrokerOrder:
        fate = await self._called("replace")
        old = self.orders[order_id]
        if fate == "before":
            raise UnknownOrderState("no answer")
        if not old.status.is_open or fate == "no":
            raise OrderRejected(f"cannot replace order in {old.raw} status")
        ticket = replace(
            old.ticket,
            client_order_id=client_order_id,
            quantity=Decimal(quantity) if quantity else old.left,
            limit_price=limit_price or old.ticket.limit_price,
            stop_price=stop_price or old.ticket.stop_price,
        )
        new = Resting(ticket, self._id(), self.now, updated_at=self.now, replaces=old.id)
        old.replaced_by = new.id
        self.orders[new.id] = new
        self.sent.append(ticket)
        self._end(old, OrderStatus.CANCELED, raw="replaced")
        self._tell("new", new)
        if fate == "after":
            raise UnknownOrderState("no answer")
        return new.picture()

    async def order(self, order_id: str) -> BrokerOrder | None:
        await self._called("order")
        order = self.orders.get(order_id)
        return order.picture() if order else None

    async def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        await self._called("order")
        found = [o for o in self.orders.values() if o.ticket.client_order_id == client_order_id]
        return found[0].picture() if found else None

    async def open_orders(self) -> Sequence[BrokerOrder]:
        await self._called("orders")
        return [o.picture() for o in self.orders.values() if o.status.is_open]

    async def orders_since(self, moment: datetime) -> Sequence[BrokerOrder]:
        await self._called("orders")
        return [o.picture() for o in self.orders.values() if o.submitted_at >= moment]

    async def fills_since(self, moment: datetime) -> Sequence[BrokerFill]:
        await self._called("fills")
        return [f for f in self.fills if f.timestamp >= moment]

    async def fees_since(self, moment: datetime) -> Sequence[BrokerFee]:
        await self._called("fees")
        return [f for f in self.fees if f.timestamp >= moment]

    async def positions(self) -> Sequence[BrokerPosition]:
        await self._called("positions")
        return [
            BrokerPosition(
                symbol=symbol,
                quantity=quantity,
                available=quantity,
                average_price=Decimal(100),
                current_price=self.prices.get(symbol),
            )
            for symbol, quantity in self.held.items()
            if quantity
        ]

    async def close(self) -> None:
        """Nothing to release."""

    # How it works.

    async def _called(self, operation: str) -> str:
        self.calls += 1
        await asyncio.sleep(0)
        fate = self.fault(operation)
        if fate == "down" or (
            fate and operation.split(maxsplit=1)[0] not in ("submit", "cancel", "replace")
        ):
            raise NotConnected("no connection")
        return fate

    def _check(self, ticket: Ticket) -> None:
        symbol = ticket.symbol
        others = self.open_of(symbol)
        if ticket.side is Side.SELL:
            taken = sum((o.left for o in others if o.ticket.side is Side.SELL), ZERO)
            free = self.held.get(symbol, ZERO) - taken
            if (ticket.quantity or ZERO) > free:
                raise OrderRejected(f"insufficient qty available: {free}")
        if any(o.ticket.side is not ticket.side for o in others):
            raise OrderRejected("potential wash trade detected")
        price = self.prices.get(symbol)
        if ticket.stop_price and price and ticket.stop_price >= price:
            raise OrderRejected(f"stop price must be less than current price {price}")

    def _book(self, ticket: Ticket) -> Resting:
        order = Resting(ticket, self._id(), self.now, updated_at=self.now)
        self.orders[order.id] = order
        self.sent.append(ticket)
        self._tell("new", order)
        return order

    def _trades(self, order: Resting) -> bool:
        ticket, price = order.ticket, self.prices.get(order.ticket.symbol)
        if price is None or not (self.is_open or is_crypto(ticket.symbol)):
            return False
        if ticket.stop_price is not None and price <= ticket.stop_price:
            order.triggered = True
        if ticket.stop_price is not None and not order.triggered:
            return False
        if ticket.limit_price is not None:
            buys = ticket.side is Side.BUY
            return price <= ticket.limit_price if buys else price >= ticket.limit_price
        return True

    def _fill(self, order: Resting) -> None:
        ticket = order.ticket
        price = self.prices[ticket.symbol]
        if ticket.quantity is None:
            assert ticket.notional is not None
            amount = (ticket.notional / price).quantize(Decimal("0.000000001"))
            order.ticket = ticket = replace(ticket, quantity=amount)
        amount = min(order.left, self.slice) if self.slice else order.left
        order.filled += amount
        order.updated_at = self.now
        order.status = OrderStatus.PARTIALLY_FILLED if order.left else OrderStatus.FILLED
        order.raw = order.status.value
        got = settle(ticket.symbol, ticket.side, quantity=amount, price=price)
        received = got.received
        if self.fee_rate is not None and got.fee_quantity:
            received = amount - amount * self.fee_rate
        change = received if ticket.side is Side.BUY else -amount
        self.held[ticket.symbol] = self.held.get(ticket.symbol, ZERO) + change
        execution = f"e{next(self._numbers)}"
        fill = BrokerFill(
            id=f"20260105::{execution}",
            order_id=order.id,
            symbol=ticket.symbol,
            side=ticket.side,
            price=price,
            quantity=amount,
            timestamp=self.now,
        )
        self.fills.append(fill)
        event = "partial_fill" if order.left else "fill"
        self._tell(event, order, execution=execution, price=price, quantity=amount)

    def _end(self, order: Resting, status: OrderStatus, *, raw: str = "") -> None:
        order.status, order.updated_at = status, self.now
        order.raw = raw or status.value
        self._tell(order.raw, order)

    def _tell(self, event: str, order: Resting, *, execution: str = "", **fields: Any) -> None:
        self.stream.tell(
            OrderNews(
                event=event,
                timestamp=self.now,
                order=order.picture(),
                execution_id=execution or None,
                **fields,
            )
        )

    def _id(self) -> str:
        return f"00000000-0000-4000-8000-{next(self._numbers):012d}"


class Room:
    """A broker over the fake, and what it reported, over any number of restarts."""

    def __init__(self, path: Path, **fields: Any) -> None:
        self.path = path / "journal.sqlite"
        self.market = FakeAlpaca()
        self.updates: list[OrderUpdate] = []
        self.fields = fields
        self.broker = self._broker()

    def _broker(self) -> AlpacaBroker:
        return AlpacaBroker(
            trading=self.market,
            stream=self.market.stream,
            journal=self.path,
            prefix="s-",
            clock=lambda: self.market.now,
            pause=lambda seconds: self.market.sleep(2 * seconds),
            **self.fields,
        )

    async def start(self) -> None:
        await self.broker.start(self.updates.append)
        await self.market.quiet()

    async def kill(self) -> None:
        """End the process as SIGKILL would: nothing is said to the broker, nothing written."""
        broker = self.broker
        broker._books.on_update = lambda _: None
        broker._keeper._running = False
        broker.journal._backlog.clear()
        await broker.stop()

    async def restart(self) -> None:
        """Start again from the journal; what the stream said meanwhile is lost."""
        await self.kill()
        up = self.market.stream.up
        fate = self.market.stream.fate
        self.market.stream = FakeStream(self.market)
        self.market.stream.fate, self.market.stream.up = fate, up
        self.broker = self._broker()
        # A bot that starts again begins with what the journal tells.
        self.updates[:] = (await self.broker.recover()).updates
        await self.start()

    async def see(self, symbol: str, price: float) -> None:
        """The market trades at a price, and we hear of it."""
        self.market.price(symbol, price)
        await self.market.quiet()
        trade = Trade(symbol=symbol, timestamp=self.market.now, price=price)
        self.broker.on_tick(trade)
        await self.market.quiet()

    @property
    def fills(self) -> list[Fill]:
        return [u for u in self.updates if isinstance(u, Fill)]

    def states(self, client_id: str) -> list[str]:
        found = [u for u in self.updates if isinstance(u, Order)]
        return [o.status.value for o in found if o.client_order_id == client_id]


SIMPLE = OrderClass.SIMPLE
