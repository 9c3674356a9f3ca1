"""Orders that hang together: entries and their exits, and exits that cancel each other."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

from toolkit.exchange.hours import day_of, hours_on
from toolkit.exchange.orders import Kind, Order, OrderClass, Status, TimeInForce
from toolkit.exchange.timers import Timers
from toolkit.exchange.values import Micros

_ENTRIES = frozenset({OrderClass.BRACKET, OrderClass.OTO})


class OpenOrders(Protocol):
    """What is done here with the book that the orders stand in."""

    timers: Timers

    def end(self, order: Order, status: Status, at: Micros, *, alone: bool = False) -> None:
        """End an open order and, unless `alone`, what hangs on it."""

    def tell(self, event: str, order: Order, at: Micros) -> None:
        """Send one event about an order."""


def hanging_on(order: Order) -> list[Order]:
    """Return the open orders that end with this one: its unstarted exits, or the other exit."""
    others = [*order.legs, *([order.sibling] if order.sibling else [])]
    return [other for other in dict.fromkeys(others) if other.status.is_open]


def resting_status(order: Order) -> Status:
    """Return what an open exit shows: the stop of a pair stays `held` until it is triggered."""
    paired_stop = order.sibling is not None and order.kind is not Kind.LIMIT
    held = not order.live or (paired_stop and not order.triggered)
    return Status.HELD if held else Status.NEW


def after_fill(book: OpenOrders, order: Order, quantity: Decimal, at: Micros) -> None:
    """Start the exits of a filled entry, or take a fill from the other exit."""
    is_entry = order.parent is None and order.ticket.order_class in _ENTRIES
    if is_entry and order.status is Status.FILLED:
        for leg in order.legs:
            if leg.status.is_open:
                _start(book, leg, order.filled_in_all, at)
    other = order.sibling
    if other is None or not other.status.is_open:
        return
    if order.status is Status.FILLED:
        book.end(other, Status.CANCELED, at, alone=True)
    elif other.quantity is not None:
        other.quantity -= quantity


def _start(book: OpenOrders, leg: Order, quantity: Decimal, at: Micros) -> None:
    leg.live = True
    leg.quantity = quantity
    if leg.status is Status.HELD and resting_status(leg) is Status.NEW:
        leg.move(Status.NEW, at)
        book.tell("new", leg, at)
    if leg.ticket.time_in_force is TimeInForce.DAY:
        hours = hours_on(day_of(at))
        if hours is not None:
            book.timers.at(hours.close, lambda due: expire(book, leg, due))


def expire(book: OpenOrders, order: Order, at: Micros) -> None:
    """End an order whose time is over, if it is still open."""
    if order.status.is_open:
        book.end(order, Status.EXPIRED, at)
