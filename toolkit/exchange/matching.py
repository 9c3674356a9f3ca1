"""Whether an order trades at a tick, at what price, and how much of it."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from toolkit.core.types import ZERO, Side
from toolkit.exchange.orders import Kind, Order, TimeInForce
from toolkit.exchange.ticks import Room
from toolkit.exchange.values import floor_quantity, is_whole

_STOPS = frozenset({Kind.STOP, Kind.STOP_LIMIT, Kind.TRAILING_STOP})


def waits_for_stop(order: Order) -> bool:
    """Whether the order does nothing before its stop price has traded."""
    return order.kind in _STOPS and not order.triggered


def watch(order: Order, room: Room) -> bool:
    """Let a stop order see the last trade; returns whether its stop price is reached."""
    if order.kind is Kind.TRAILING_STOP:
        _trail(order, room.price)
    assert order.stop_price is not None
    if order.side is Side.BUY:
        return room.price >= order.stop_price
    return room.price <= order.stop_price


def fill_price(order: Order, room: Room) -> Decimal | None:
    """Return the price at which the order trades now, None when it does not."""
    price = room.price_for(order.side)
    limit = order.limit_price
    if limit is None:
        return price
    fits = price <= limit if order.side is Side.BUY else price >= limit
    return price if fits else None


def fill_quantity(order: Order, room: Room, price: Decimal) -> Decimal:
    """Return how much trades now. Fractions of shares and notional orders fill at once."""
    if order.quantity is None:
        assert order.ticket.notional is not None
        order.quantity = floor_quantity(order.ticket.notional / price)
    wanted, left = order.remaining, room.left(order.side)
    if not left:
        return ZERO
    if order.ticket.notional is not None:
        return wanted
    if not order.asset.crypto:
        if not is_whole(wanted):
            return wanted
        left = Decimal(int(left))
    if order.ticket.time_in_force is TimeInForce.FOK and left < wanted:
        return ZERO
    return min(wanted, left)


def _trail(order: Order, price: Decimal) -> None:
    """Move the high (for buys: low) water mark and the stop that hangs on it."""
    mark, buys = order.high_water, order.side is Side.BUY
    if mark is None:
        mark = price
    order.high_water = mark = min(mark, price) if buys else max(mark, price)
    distance = order.ticket.trail_price
    if distance is None:
        assert order.ticket.trail_percent is not None
        distance = mark * order.ticket.trail_percent / 100
    step = Decimal("0.01") if mark >= 1 else Decimal("0.0001")
    stop = mark + distance if buys else mark - distance
    order.stop_price = stop.quantize(step, ROUND_HALF_UP)
