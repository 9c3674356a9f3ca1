"""Alpaca's JSON in our words, and tickets in theirs. Pure.

Read from raw JSON and not from the SDK's models: those turn exact strings into floats, and one
word that they do not know yet makes a whole list unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from toolkit.alpaca.port import (
    Asset,
    BrokerAccount,
    BrokerFee,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    OrderNews,
    Ticket,
    TradingDay,
)
from toolkit.core.types import (
    ZERO,
    OrderClass,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
    is_crypto,
)

NEW_YORK = ZoneInfo("America/New_York")
Json = Mapping[str, Any]

# Pairs that are written in one word; no stock has a symbol of this shape.
_PAIR = re.compile(r"([A-Z0-9]{2,})(USDT|USDC|USD)|([A-Z0-9]{3,})(BTC)")
_STATUSES = {
    **dict.fromkeys(
        (
            "new",
            "accepted",
            "pending_new",
            "accepted_for_bidding",
            "pending_review",
            "held",
            "pending_cancel",
            "pending_replace",
            "stopped",
            "suspended",
            "calculated",
            "done_for_day",
        ),
        OrderStatus.ACCEPTED,
    ),
    "partially_filled": OrderStatus.PARTIALLY_FILLED,
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "replaced": OrderStatus.CANCELED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}


def our_symbol(symbol: str, *, crypto: bool | None = None) -> str:
    """Return `BTC/USD` for `BTCUSD`; `crypto` None leaves it to the symbol's shape."""
    if crypto is False or is_crypto(symbol) or not (pair := _PAIR.fullmatch(symbol)):
        return symbol
    return "/".join(part for part in pair.groups() if part)


def moment(text: str) -> datetime:
    """Read RFC 3339 as UTC; digits beyond the microsecond are cut off."""
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def decimal(value: Any) -> Decimal | None:
    """Read a number or its text exactly; None stays None."""
    return None if value is None or value == "" else Decimal(str(value))


def is_foreign(raw: Json) -> bool:
    """Whether an order is about options, which have fields of their own and are not ours."""
    return raw.get("order_class") == "mleg" or raw.get("asset_class") == "us_option"


def orders_of(raws: Iterable[Json]) -> list[BrokerOrder]:
    """Read orders of stocks and crypto; one that cannot be read makes all unreadable."""
    return [order_of(raw) for raw in raws if not is_foreign(raw)]


def order_of(raw: Json) -> BrokerOrder:
    """Read an order, legs included; raises KeyError or ValueError."""
    filled = decimal(raw.get("filled_qty")) or ZERO
    status = _STATUSES.get(raw["status"], OrderStatus.UNKNOWN)
    if status is OrderStatus.ACCEPTED and filled:
        status = OrderStatus.PARTIALLY_FILLED
    kind = raw.get("asset_class")
    return BrokerOrder(
        id=raw["id"],
        client_order_id=raw["client_order_id"],
        symbol=our_symbol(raw["symbol"], crypto=None if kind is None else kind == "crypto"),
        side=Side(raw["side"]),
        order_type=OrderType(raw.get("type") or raw["order_type"]),
        order_class=OrderClass(raw.get("order_class") or "simple"),
        time_in_force=TimeInForce(raw["time_in_force"]),
        status=status,
        raw_status=raw["status"],
        quantity=decimal(raw.get("qty")),
        notional=decimal(raw.get("notional")),
        filled_quantity=filled,
        average_price=decimal(raw.get("filled_avg_price")),
        limit_price=decimal(raw.get("limit_price")),
        stop_price=decimal(raw.get("stop_price")),
        submitted_at=moment(raw.get("submitted_at") or raw["created_at"]),
        updated_at=moment(raw.get("updated_at") or raw["created_at"]),
        replaced_by=raw.get("replaced_by"),
        replaces=raw.get("replaces"),
        legs=tuple(orders_of(raw.get("legs") or ())),
    )


def news_of(raw: Json) -> OrderNews:
    """Read a trade update, of a known event or not; raises KeyError or ValueError."""
    order = order_of(raw["order"])
    stamp = raw.get("timestamp") or raw.get("at")
    is_fill = raw["event"] in ("fill", "partial_fill")
    return OrderNews(
        event=raw["event"],
        timestamp=moment(stamp) if stamp else order.updated_at,
        order=order,
        execution_id=raw.get("execution_id") if is_fill else None,
        price=decimal(raw["price"]) if is_fill else None,
        quantity=decimal(raw["qty"]) if is_fill else None,
        position_quantity=decimal(raw.get("position_qty")),
    )


def fill_of(raw: Json) -> BrokerFill:
    """Read an activity of the kind FILL."""
    return BrokerFill(
        id=raw["id"],
        order_id=raw["order_id"],
        symbol=our_symbol(raw["symbol"]),
        side=Side.BUY if raw["side"] == "buy" else Side.SELL,  # also `sell_short`
        price=Decimal(str(raw["price"])),
        quantity=Decimal(str(raw["qty"])),
        timestamp=moment(raw["transaction_time"]),
    )


def fee_of(raw: Json) -> BrokerFee:
    """Read an activity of the kind CFEE or FEE; its time is in its id, else only a day is known."""
    symbol = raw.get("symbol")
    return BrokerFee(
        id=raw["id"],
        symbol=our_symbol(symbol) if symbol else None,
        amount=decimal(raw.get("net_amount")) or ZERO,
        quantity=decimal(raw.get("qty")) or ZERO,
        timestamp=_activity_time(raw),
    )


def position_of(raw: Json) -> BrokerPosition:
    """Read a position; short ones are negative."""
    quantity = Decimal(raw["qty"])
    available = decimal(raw.get("qty_available"))
    return BrokerPosition(
        symbol=our_symbol(raw["symbol"], crypto=raw["asset_class"] == "crypto"),
        quantity=quantity,
        available=quantity if available is None else available,
        average_price=Decimal(raw["avg_entry_price"]),
        current_price=decimal(raw.get("current_price")),
    )


def account_of(raw: Json) -> BrokerAccount:
    """Read the account."""
    money = {
        name: decimal(raw.get(name)) or ZERO
        for name in ("cash", "equity", "last_equity", "buying_power")
    }
    blocks = ("trading_blocked", "account_blocked", "trade_suspended_by_user")
    return BrokerAccount(
        id=raw["id"],
        status=raw["status"],
        **money,
        non_marginable_buying_power=decimal(raw.get("non_marginable_buying_power"))
        or money["cash"],
        day_trades=int(raw.get("daytrade_count") or 0),
        pattern_day_trader=bool(raw.get("pattern_day_trader")),
        trading_blocked=any(raw.get(name) for name in blocks),
        number=str(raw.get("account_number") or ""),
    )


def asset_of(raw: Json) -> Asset:
    """Read what may be done with a symbol."""
    crypto = raw["class"] == "crypto"
    return Asset(
        symbol=our_symbol(raw["symbol"], crypto=crypto),
        crypto=crypto,
        tradable=bool(raw["tradable"]) and raw.get("status", "active") == "active",
        fractionable=bool(raw["fractionable"]),
        shortable=bool(raw["shortable"]),
        min_quantity=decimal(raw.get("min_order_size")),
        quantity_increment=decimal(raw.get("min_trade_increment")),
        price_increment=decimal(raw.get("price_increment")),
    )


def day_of(raw: Json) -> TradingDay:
    """Read a day of the calendar, which names New York's hours."""
    day = date.fromisoformat(raw["date"])
    opens, closes = (
        datetime.combine(day, time.fromisoformat(raw[name]), NEW_YORK).astimezone(UTC)
        for name in ("open", "close")
    )
    return TradingDay(day=day, open=opens, close=closes)


def body_of(ticket: Ticket) -> dict[str, Any]:
    """Return the body of POST /v2/orders; numbers are texts, so that none is rounded on the way."""
    profit = {"limit_price": _text(ticket.take_profit)}
    loss = {
        "stop_price": _text(ticket.stop_loss),
        "limit_price": _text(ticket.stop_loss_limit),
    }
    body = {
        "client_order_id": ticket.client_order_id,
        "symbol": ticket.symbol,
        "side": ticket.side.value,
        "type": ticket.order_type.value,
        "time_in_force": ticket.time_in_force.value,
        "qty": _text(ticket.quantity),
        "notional": _text(ticket.notional),
        "limit_price": _text(ticket.limit_price),
        "stop_price": _text(ticket.stop_price),
        "trail_percent": _text(ticket.trail_percent),
        "trail_price": _text(ticket.trail_price),
        "order_class": ticket.order_class.value,
        "take_profit": _without_none(profit) or None,
        "stop_loss": _without_none(loss) or None,
        "extended_hours": ticket.extended_hours or None,
    }
    return _without_none(body)


def replacement_body(
    *,
    client_order_id: str,
    quantity: int | None,
    limit_price: Decimal | None,
    stop_price: Decimal | None,
) -> dict[str, Any]:
    """Return the body of PATCH /v2/orders/{id}."""
    return _without_none(
        {
            "client_order_id": client_order_id,
            "qty": None if quantity is None else str(quantity),
            "limit_price": _text(limit_price),
            "stop_price": _text(stop_price),
        }
    )


def _activity_time(raw: Json) -> datetime:
    stamp = str(raw["id"]).partition("::")[0]
    if "transaction_time" in raw:
        return moment(raw["transaction_time"])
    if len(stamp) == 17 and stamp.isdecimal():
        return datetime.strptime(stamp + "000", "%Y%m%d%H%M%S%f").replace(tzinfo=UTC)
    return datetime.combine(date.fromisoformat(raw["date"][:10]), time(), UTC)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
