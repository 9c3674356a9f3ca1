"""The order book of one account: what works, what fills, and the events that tell of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from toolkit.core.types import ZERO
from toolkit.exchange import groups
from toolkit.exchange.account import Account, Execution
from toolkit.exchange.assets import Assets
from toolkit.exchange.hours import is_extended, is_regular
from toolkit.exchange.matching import fill_price, fill_quantity, waits_for_stop, watch
from toolkit.exchange.orders import Order, Status, TimeInForce
from toolkit.exchange.refusals import missing
from toolkit.exchange.ticks import Room, Tick
from toolkit.exchange.timers import Timers
from toolkit.exchange.values import Identifiers, Micros, stamp, text

FillCap = Callable[[Order, Decimal, Micros], Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent:
    """One `trade_updates` message: `data` is its JSON as of that moment."""

    event: str
    order_id: str
    client_order_id: str
    symbol: str
    at: Micros
    data: dict[str, Any]


class Book:
    """Orders of one account against the ticks of the market.

    `on_event` hears of everything that happens; `fill_cap` may make fills smaller than the
    market would allow. Nothing here reads a clock: every method is told the time.
    """

    def __init__(
        self,
        *,
        account: Account,
        assets: Assets,
        timers: Timers,
        new_id: Identifiers,
        on_event: Callable[[OrderEvent], None],
        fill_cap: FillCap | None = None,
    ) -> None:
        self.account = account
        self.assets = assets
        self.timers = timers
        self.new_id = new_id
        self.orders: dict[str, Order] = {}
        self.by_client: dict[str, Order] = {}
        self.halted: set[str] = set()
        self._on_event = on_event
        self._fill_cap = fill_cap
        self._open: dict[str, list[Order]] = {}
        self._ticks: dict[str, Tick] = {}
        self._rooms: dict[str, Room] = {}

    def room(self, symbol: str) -> Room | None:
        """Return what the market offers now, None before its first tick."""
        if symbol not in self._rooms and symbol in self._ticks:
            self._rooms[symbol] = Room.of(self._ticks[symbol])
        return self._rooms.get(symbol)

    def prices(self) -> dict[str, Decimal]:
        """Return the last trade of each symbol that is held."""
        rooms = {symbol: self.room(symbol) for symbol in self.account.positions}
        return {symbol: room.price for symbol, room in rooms.items() if room}

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return open orders, oldest first; those of one symbol, or all."""
        if symbol is not None:
            return list(self._open.get(symbol, ()))
        found = [order for orders in self._open.values() for order in orders]
        return sorted(found, key=lambda order: order.created_at)

    def get(self, order_id: str) -> Order:
        """Return an order by its id; refuses with 404."""
        order = self.orders.get(order_id)
        if order is None:
            raise missing(f"order not found for {order_id}")
        return order

    def know(self, order: Order) -> None:
        """Keep an order under its ids for ever."""
        self.orders[order.id] = order
        self.by_client[order.ticket.client_order_id] = order

    def add(self, order: Order) -> None:
        """Know an order and count it among the open ones."""
        self.know(order)
        self._open.setdefault(order.symbol, []).append(order)

    def on_tick(self, tick: Tick) -> None:
        """Show a tick to the orders of its symbol."""
        self._ticks[tick.symbol] = tick
        self._rooms.pop(tick.symbol, None)
        for order in tuple(self._open.get(tick.symbol, ())):
            self._try(order, tick.at)

    def work(self, order: Order, at: Micros) -> None:
        """Let an order work from now on, and try it against the market as it stands."""
        order.live = True
        order.move(Status.NEW, at)
        self.tell("new", order, at)
        self._try(order, at)
        instant = order.ticket.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
        if instant and order.status.is_open:
            self.end(order, Status.CANCELED, at)

    def end(self, order: Order, status: Status, at: Micros, *, alone: bool = False) -> None:
        """Cancel, expire or reject an open order, and (unless `alone`) what hangs on it."""
        order.live = False
        order.move(status, at)
        self.forget(order)
        self.tell(status.value, order, at)
        if not alone:
            for other in groups.hanging_on(order):
                if other.status.is_open:  # not ended by the one before it
                    self.end(other, Status.CANCELED, at)

    def forget(self, order: Order) -> None:
        """Stop watching an order that is no longer open."""
        orders = self._open.get(order.symbol, [])
        if order in orders:
            orders.remove(order)
        if not orders:
            self._open.pop(order.symbol, None)

    def tell(
        self, event: str, order: Order, at: Micros, execution: Execution | None = None
    ) -> None:
        """Send one event about an order, as it is now."""
        data: dict[str, Any] = {"event": event, "timestamp": stamp(at), "order": order.to_dict()}
        if execution:
            data |= {
                "execution_id": execution.id,
                "price": text(execution.price),
                "qty": text(execution.quantity),
                "position_qty": text(self.account.quantity(order.symbol)),
            }
        self._on_event(
            OrderEvent(
                event=event,
                order_id=order.id,
                client_order_id=order.ticket.client_order_id,
                symbol=order.symbol,
                at=at,
                data=data,
            )
        )

    def _trades_now(self, order: Order, at: Micros) -> bool:
        if not order.live or not order.status.is_open or order.symbol in self.halted:
            return False
        if order.asset.crypto or is_regular(at):
            return True
        return order.ticket.extended_hours and is_extended(at)

    def _try(self, order: Order, at: Micros) -> None:
        room = self.room(order.symbol)
        if room is None or not self._trades_now(order, at):
            return
        if waits_for_stop(order):
            if not watch(order, room):
                return
            self._elect(order, at)
        price = fill_price(order, room)
        if price is None:
            return
        quantity = fill_quantity(order, room, price)
        if self._fill_cap and quantity > 0:
            quantity = self._fill_cap(order, quantity, at)
        if quantity > 0:
            room.take(order.side, quantity)
            self._execute(order, quantity, price, at)

    def _elect(self, order: Order, at: Micros) -> None:
        """A stop price has traded: the other exit goes first, then the stop works."""
        order.triggered = True
        other = order.sibling
        if other is not None and other.status.is_open:
            self.end(other, Status.CANCELED, at, alone=True)
        if order.status is Status.HELD:
            order.move(Status.NEW, at)
            self.tell("new", order, at)

    def _execute(self, order: Order, quantity: Decimal, price: Decimal, at: Micros) -> None:
        cash, fee, in_kind = self.account.settle(order.asset, order.side, quantity, price)
        order.fill(quantity, price, at)
        execution = Execution(
            id=self.new_id(),
            order_id=order.id,
            client_order_id=order.ticket.client_order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            price=price,
            fee=fee,
            fee_in_kind=in_kind,
            cash=cash,
            at=at,
            leaves=order.remaining,
            filled=order.filled,
            status=order.status.value,
        )
        self.account.book(order.asset, execution)
        done = order.status is Status.FILLED
        if done:
            order.live = False
            self.forget(order)
        self.tell("fill" if done else "partial_fill", order, at, execution)
        groups.after_fill(self, order, quantity, at)


def promised(orders: Iterable[Order]) -> tuple[Decimal, list[str]]:
    """Return how much these open orders may still take from a position, and their ids.

    The two exits of a group count once, exits that wait for their entry not at all.
    """
    total, ids = ZERO, []
    counted: set[Order] = set()
    for order in orders:
        waiting = order.parent is not None and not order.live
        if waiting or order.sibling in counted:
            continue
        counted.add(order)
        total += order.remaining
        ids.append(order.id)
    return total, ids
