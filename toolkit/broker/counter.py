"""What the bot and people ask for: orders sent, cancelled, replaced, positions closed."""

from __future__ import annotations

from dataclasses import replace as changed
from decimal import Decimal

from toolkit.alpaca.port import Ticket
from toolkit.broker.books import Books
from toolkit.broker.desk import Desk
from toolkit.broker.keeper import Keeper
from toolkit.broker.records import Intent, Role
from toolkit.broker.rules import check_replacement, ticket_of
from toolkit.broker.tracked import Tracked
from toolkit.core.types import (
    ZERO,
    Order,
    OrderClass,
    OrderRequest,
    OrderType,
    Reason,
    Side,
)
from toolkit.errors import BrokerError, OrderRejected


class Counter:
    """Checks what is asked for, writes it down, and hands it to the desk or the keeper."""

    def __init__(self, books: Books, desk: Desk, keeper: Keeper) -> None:
        self._books, self._desk, self._keeper = books, desk, keeper

    async def submit(self, request: OrderRequest) -> Order:
        """Send an order; raises OrderRejected, NotConnected or BrokerError."""
        books, name = self._books, request.client_order_id
        if books.orders.get(name) is not None:
            raise _rejected(request.symbol, f"client_order_id {name} was used before")
        if request.quantity <= 0 and request.notional is None:
            raise _rejected(request.symbol, f"quantity is {request.quantity}; it must be above 0")
        asset = await self._desk.asset(request.symbol)
        if _closes(request):
            return self._sell(request)
        open_now = self._desk.market_open(request.symbol)
        ticket = ticket_of(request, asset, market_open=open_now)
        role = Role.ENTRY if request.side is Side.BUY else Role.OTHER
        intent = Intent(
            ticket=ticket,
            reason=request.reason,
            role=role,
            made_at=books.now(),
            request=request,
            exits=request.exits,
        )
        self._check_room(intent)
        order = books.intend(intent, kept=False)
        await self._desk.send(order)
        return order.as_order()

    async def cancel(self, order_id: str) -> None:
        """Ask for an order of ours to be cancelled; raises BrokerError where none is open."""
        order = self._open(order_id)
        if not order.sent:
            books = self._books
            message = "cancelled before it was sent"
            books.take(books.orders.withdrawn(order.client_id, message, at=books.now()))
            return
        if order.intent.role is Role.NET:
            raise BrokerError(
                f"{order_id} protects a position; close the position instead", order_id=order_id
            )
        await self._desk.cancel(order)

    async def replace(
        self,
        order_id: str,
        *,
        client_order_id: str,
        quantity: Decimal | None,
        limit_price: Decimal | None,
        stop_price: Decimal | None,
    ) -> Order:
        """Change an order of ours; raises OrderRejected, NotConnected or BrokerError."""
        books, old = self._books, self._open(order_id)
        if books.orders.get(client_order_id) is not None:
            raise _rejected(old.symbol, f"client_order_id {client_order_id} was used before")
        asset = await self._desk.asset(old.symbol)
        check_replacement(asset, quantity=quantity, limit_price=limit_price, stop_price=stop_price)
        ticket = old.intent.ticket
        intent = changed(
            old.intent,
            ticket=changed(
                ticket,
                client_order_id=client_order_id,
                quantity=quantity or ticket.quantity,
                limit_price=limit_price or ticket.limit_price,
                stop_price=stop_price or ticket.stop_price,
            ),
            made_at=books.now(),
            request=None,
            replaces=order_id,
        )
        new = books.intend(intent, kept=False)
        await self._desk.replace(
            old,
            new,
            quantity=None if quantity is None else int(quantity),
            limit_price=limit_price,
            stop_price=stop_price,
        )
        return new.as_order()

    def close(self, symbol: str, reason: Reason) -> None:
        """Sell what is held of a symbol; raises BrokerError where nothing is."""
        if self._books.lots.get(symbol) is None:
            raise BrokerError(f"nothing is held of {symbol}", symbol=symbol)
        self._books.lots.want(symbol, reason)
        self._books.remember(symbol)
        self._keeper.wake(symbol)

    async def flatten(self, reason: Reason) -> None:
        """Cancel all entries, sell all positions."""
        for lot in self._books.lots:
            self.close(lot.symbol, reason)
        for order in self._books.orders.open():
            if order.intent.role is Role.ENTRY and order.id:
                await self._desk.cancel(order)

    def _sell(self, request: OrderRequest) -> Order:
        """Write an exit down; the keeper sends it as soon as nothing stands in its way."""
        books, symbol = self._books, request.symbol
        lot = books.lots.get(symbol)
        held = books.lots.quantity(symbol)
        if lot is None or request.quantity > held:
            raise _rejected(
                symbol, f"{request.quantity} to sell, but {held} held; shorts are not taken"
            )
        if request.quantity < held:
            raise _rejected(
                symbol, f"{held} are held; a market order sells all of it, a limit may sell a part"
            )
        asset = self._desk.known_asset(symbol)
        ticket = ticket_of(request, asset, market_open=True)
        intent = Intent(
            ticket=ticket,
            reason=request.reason,
            role=Role.EXIT,
            made_at=books.now(),
            request=request,
        )
        order = books.intend(intent, kept=True, sent=False)
        books.lots.want(symbol, request.reason)
        books.remember(symbol)
        self._keeper.wake(symbol)
        return order.as_order()

    def _check_room(self, intent: Intent) -> None:
        """Alpaca takes no buy while a sale of the symbol works, and the other way round."""
        ticket = intent.ticket
        if ticket.side is Side.SELL:
            self._check_holding(ticket)
        for other in self._books.orders.open(ticket.symbol):
            opposite = other.intent.ticket.side is not ticket.side
            if opposite and ticket.order_class is OrderClass.SIMPLE:
                raise _rejected(
                    ticket.symbol,
                    f"order {other.client_id} works the other way; cancel it or close the position",
                )

    def _check_holding(self, ticket: Ticket) -> None:
        lot, symbol = self._books.lots.get(ticket.symbol), ticket.symbol
        if lot is None or (ticket.quantity or ZERO) > lot.quantity:
            held = lot.quantity if lot else ZERO
            raise _rejected(symbol, f"{held} are held by the bot; shorts are not taken")
        if lot.plan is not None:
            raise _rejected(symbol, "its protective stop holds the shares; close the position")

    def _open(self, order_id: str) -> Tracked:
        for order in self._books.orders.open():
            if order_id and order_id in (order.id, order.client_id):
                return order
        raise BrokerError(f"no open order {order_id}", order_id=order_id)


def _closes(request: OrderRequest) -> bool:
    """Whether a request is a plain sale at the market, which is the keeper's work."""
    return (
        request.side is Side.SELL
        and request.order_type is OrderType.MARKET
        and request.order_class is OrderClass.SIMPLE
        and request.notional is None
    )


def _rejected(symbol: str, problem: str) -> OrderRejected:
    return OrderRejected(f"{symbol}: {problem}", symbol=symbol, reason=problem)
