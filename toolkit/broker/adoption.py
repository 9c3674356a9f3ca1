"""Orders at the broker that are ours although the journal does not know them."""

from __future__ import annotations

from toolkit.alpaca.port import BrokerOrder, Ticket
from toolkit.broker.records import Intent, Role
from toolkit.core.types import OrderType, Reason, Side

_STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})


def adopted(order: BrokerOrder, *, like: Intent | None, role: Role | None = None) -> Intent:
    """Return the intent that such an order must have had; `like` is the one that it replaces."""
    guessed = role or (like.role if like else _role(order))
    return Intent(
        ticket=Ticket(
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            order_type=order.order_type,
            time_in_force=order.time_in_force,
            quantity=order.quantity,
            notional=order.notional,
            limit_price=order.limit_price,
            stop_price=order.stop_price,
            order_class=order.order_class,
        ),
        reason=like.reason if like else _reason(order, guessed),
        role=guessed,
        made_at=order.submitted_at,
        exits=like.exits if like else None,
        replaces=order.replaces,
        adopted=True,
    )


def _role(order: BrokerOrder) -> Role:
    if order.side is Side.BUY:
        return Role.ENTRY
    # Our own names say what they are for: `<entry>-n3` is a net, `<entry>-x1` an exit.
    tail = order.client_order_id.rpartition("-")[2]
    if tail[:1] == "n" and tail[1:].isdigit():
        return Role.NET
    return Role.NET if order.order_type in _STOPS else Role.EXIT


def _reason(order: BrokerOrder, role: Role) -> Reason:
    if role is Role.ENTRY:
        return Reason.ENTRY
    if order.order_type in _STOPS:
        return Reason.STOP_LOSS
    if role is Role.OTHER and order.order_type is OrderType.LIMIT:
        return Reason.TAKE_PROFIT if order.side is Side.SELL else Reason.MANUAL
    return Reason.MANUAL
