"""Reading the body of POST /v2/orders: its form, before anyone looks at asset or account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from toolkit.core.types import Side
from toolkit.exchange.orders import Kind, OrderClass, Ticket, TimeInForce
from toolkit.exchange.refusals import invalid, malformed
from toolkit.exchange.values import decimal_of

E = TypeVar("E", bound=StrEnum)
LONGEST_ID = 128
_PRICES: dict[Kind, tuple[str, ...]] = {
    Kind.MARKET: (),
    Kind.LIMIT: ("limit_price",),
    Kind.STOP: ("stop_price",),
    Kind.STOP_LIMIT: ("stop_price", "limit_price"),
    Kind.TRAILING_STOP: ("trail_price", "trail_percent"),
}


def parse_ticket(body: Mapping[str, Any], *, new_id: Callable[[], str]) -> Ticket:
    """Return the order that is asked for; raises Refusal (422)."""
    if not isinstance(body, Mapping):
        raise malformed("request body format is invalid")
    symbol = body.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise malformed("symbol is required")
    order_class = _choice(OrderClass, body, "order_class", default="simple")
    kind = _choice(Kind, body, "type", default="limit" if order_class == "oco" else None)
    profit, loss = _part(body, "take_profit"), _part(body, "stop_loss")
    ticket = Ticket(
        client_order_id=_own_id(body, new_id),
        symbol=symbol,
        side=_choice(Side, body, "side"),
        kind=kind,
        time_in_force=_choice(TimeInForce, body, "time_in_force"),
        order_class=order_class,
        quantity=_number(body, "qty"),
        notional=_number(body, "notional"),
        limit_price=_number(body, "limit_price"),
        stop_price=_number(body, "stop_price"),
        trail_price=_number(body, "trail_price"),
        trail_percent=_number(body, "trail_percent"),
        extended_hours=bool(body.get("extended_hours", False)),
        take_profit=_number(profit, "limit_price", "take_profit."),
        stop_loss=_number(loss, "stop_price", "stop_loss."),
        stop_loss_limit=_number(loss, "limit_price", "stop_loss."),
        position_intent=body.get("position_intent"),
    )
    _check_size(ticket)
    _check_prices(ticket)
    _check_class(ticket)
    _check_hours(ticket)
    return ticket


def _own_id(body: Mapping[str, Any], new_id: Callable[[], str]) -> str:
    name = body.get("client_order_id") or new_id()
    if not isinstance(name, str) or len(name) > LONGEST_ID:
        raise malformed(f"client_order_id must be no more than {LONGEST_ID} characters")
    return name


def _choice(kind: type[E], body: Mapping[str, Any], name: str, *, default: str | None = None) -> E:
    value = body.get(name) or default
    if value is None:
        raise malformed(f"{name} is required")
    try:
        return kind(value)
    except ValueError:
        raise malformed(f"invalid {name}") from None


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name) or {}
    if not isinstance(value, Mapping):
        raise malformed(f"invalid {name}")
    return value


def _number(body: Mapping[str, Any], name: str, prefix: str = "") -> Decimal | None:
    value = body.get(name)
    if value is None or value == "":
        return None
    try:
        return decimal_of(value)
    except ValueError:
        raise malformed(f"invalid {prefix}{name}") from None


def _check_size(ticket: Ticket) -> None:
    if ticket.quantity is None and ticket.notional is None:
        raise invalid("qty or notional is required")
    if ticket.quantity is not None and ticket.notional is not None:
        raise invalid("only one of qty or notional is accepted")
    if ticket.quantity is not None and ticket.quantity <= 0:
        raise invalid("qty must be > 0")
    if ticket.notional is not None and ticket.notional <= 0:
        raise invalid("notional must be > 0")


def _check_prices(ticket: Ticket) -> None:
    wanted = _PRICES[ticket.kind]
    given = {name: getattr(ticket, name) for names in _PRICES.values() for name in names}
    for name, value in given.items():
        if value is not None and name not in wanted:
            raise invalid(f"{ticket.kind} orders must not have {name}")
    if ticket.kind is Kind.TRAILING_STOP:
        if (ticket.trail_price is None) == (ticket.trail_percent is None):
            raise invalid("trailing stop orders must specify one of trail_price or trail_percent")
        if (ticket.trail_price or ticket.trail_percent or 0) <= 0:
            raise invalid("trail must be > 0")
        return
    if ticket.order_class is OrderClass.OCO:
        return  # its prices are those of its exits
    for name in wanted:
        if given[name] is None:
            raise invalid(f"{ticket.kind} orders require {name.replace('_', ' ')}")


def _check_class(ticket: Ticket) -> None:
    name, profit, loss = ticket.order_class, ticket.take_profit, ticket.stop_loss
    if name is OrderClass.SIMPLE:
        if profit is not None or loss is not None:
            raise invalid("simple orders must not have take_profit or stop_loss")
        return
    if ticket.time_in_force not in (TimeInForce.DAY, TimeInForce.GTC):
        raise invalid(f"{name} orders must be DAY or GTC orders")
    if name in (OrderClass.BRACKET, OrderClass.OCO):
        if profit is None:
            raise invalid(f"{name} orders require take_profit.limit_price")
        if loss is None:
            raise invalid(f"{name} orders require stop_loss.stop_price")
    elif (profit is None) == (loss is None):
        raise invalid("oto orders require one of take_profit or stop_loss")
    allowed = (Kind.LIMIT,) if name is OrderClass.OCO else (Kind.MARKET, Kind.LIMIT)
    if ticket.kind not in allowed:
        raise invalid(f"{name} orders must be {' or '.join(allowed)} orders")
    if ticket.extended_hours:
        raise invalid(f"{name} orders do not support extended hours")


def _check_hours(ticket: Ticket) -> None:
    limit_of_the_day = ticket.kind is Kind.LIMIT and ticket.time_in_force is TimeInForce.DAY
    if ticket.extended_hours and not limit_of_the_day:
        raise invalid("extended hours order must be DAY limit orders")
    at_auction = ticket.time_in_force in (TimeInForce.OPG, TimeInForce.CLS)
    if at_auction and ticket.kind not in (Kind.MARKET, Kind.LIMIT):
        raise invalid(f"{ticket.time_in_force} orders must be market or limit orders")
