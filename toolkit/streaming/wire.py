"""The wire schema: stream names, delivery classes, roles, and how an event becomes JSON.

Clients import this module and nothing else of the server's room. Numbers travel as JSON numbers
(a quantity's shortest decimal is the same as its float's), times as RFC 3339 in UTC, NaN as null.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any

from toolkit.bot.events import (
    BarCorrection,
    Event,
    Health,
    ParametersChanged,
    Performance,
    Problem,
)
from toolkit.core.report import rfc3339
from toolkit.core.types import (
    Account,
    Bar,
    Evaluation,
    Fill,
    MarketGap,
    Order,
    Position,
    Quote,
    RoundTrip,
    Signal,
    Trade,
)

PROTOCOL = 1
DEFAULT_PORT = 9765
COOKIE = "toolkit_session"
DASHBOARD_KEY_HEADER = "X-Toolkit-Key"


class Stream(StrEnum):
    MARKET_DATA = "market_data"
    SIGNALS = "signals"
    ORDERS = "orders"
    POSITIONS = "positions"
    ACCOUNT = "account"
    SYSTEM_HEALTH = "system_health"
    PERFORMANCE_METRICS = "performance_metrics"
    PARAMETERS = "parameters"


LOSSLESS = frozenset(
    {Stream.ORDERS, Stream.SIGNALS, Stream.POSITIONS, Stream.ACCOUNT, Stream.PARAMETERS}
)


class Role(IntEnum):
    """What a token may do; each includes the ones below it."""

    VIEW = 1
    TUNE = 2
    TRADE = 3
    ADMIN = 4


COMMAND_ROLES: Mapping[str, Role] = {
    "get_parameters": Role.VIEW,
    "get_status": Role.VIEW,
    "get_history": Role.VIEW,
    "get_trades": Role.VIEW,
    "get_orders": Role.VIEW,
    "get_streaming_stats": Role.VIEW,
    "set_parameters": Role.TUNE,
    "set_streaming": Role.TUNE,
    "start": Role.TRADE,
    "stop": Role.TRADE,
    "flatten": Role.TRADE,
    "halt": Role.TRADE,
    "resume_trading": Role.TRADE,
    "start_streaming": Role.TRADE,
    "stop_streaming": Role.TRADE,
    "shutdown": Role.ADMIN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """One event, ready for the hub: where it goes and its JSON-ready data.

    `kind` (also in `data`) tells the messages of one stream apart. Messages with the same
    `conflate` key replace each other for a client that lags; None is never replaced.
    """

    stream: Stream
    symbol: str | None
    kind: str
    timestamp: datetime
    data: dict[str, Any]
    conflate: str | None = None


def dashboard_key(token: str) -> str:
    """Return what opens the dashboard's own port; made from the token, which it does not tell."""
    return hmac.new(token.encode(), b"toolkit dashboard", "sha256").hexdigest()


def plain(value: Any) -> Any:
    """Return `value` as JSON-ready types; an event becomes the data of its message."""
    kind = type(value)
    convert = _PLAIN.get(kind)
    if convert is not None:
        return convert(value)
    if kind in _ROUTES:
        return payload(value).data
    if isinstance(value, float):
        return _finite(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, (str, int)):
        return value
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, type) or not hasattr(value, "__dataclass_fields__"):
        raise TypeError(f"{kind.__name__} has no place on the wire")
    return _members(value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _same(value: Any) -> Any:
    return value


def _list(values: Iterable[Any]) -> list[Any]:
    return [plain(value) for value in values]


def _members(value: Any) -> dict[str, Any]:
    return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}


def format_time(time: datetime) -> str:
    """Return RFC 3339 in UTC, with a trailing Z."""
    if time.tzinfo is UTC:
        return time.isoformat()[:-6] + "Z"
    return rfc3339(time)


def parse_time(text: str) -> datetime:
    """Read what `format_time` wrote; the result is UTC-aware."""
    return datetime.fromisoformat(text).astimezone(UTC)


# By exact type, for speed: nearly all that travels.
_PLAIN: Mapping[type, Callable[[Any], Any]] = {
    str: _same,
    int: _same,
    bool: _same,
    type(None): _same,
    float: _finite,
    Decimal: float,
    datetime: format_time,
    list: _list,
    tuple: _list,
}


def _bar(bar: Bar) -> dict[str, Any]:
    members = {**_members(bar), "price": bar.close}
    if bar.spread is None:
        del members["spread"]
    return members


# Each kind of event: its stream, its `kind`, and its data where that is not the plain object.
_ROUTES: dict[type, tuple[Stream, str, Callable[[Any], dict[str, Any]]]] = {
    Bar: (Stream.MARKET_DATA, "bar", lambda bar: {**_bar(bar), "indicators": None}),
    Evaluation: (
        Stream.MARKET_DATA,
        "bar",
        lambda e: {**_bar(e.bar), "indicators": plain(e.indicators)},
    ),
    BarCorrection: (
        Stream.MARKET_DATA,
        "bar",
        lambda c: {**_bar(c.bar), "indicators": plain(c.indicators), "decided": c.decided},
    ),
    Quote: (Stream.MARKET_DATA, "quote", lambda quote: {**_members(quote), "price": quote.mid}),
    Trade: (Stream.MARKET_DATA, "trade", _members),
    MarketGap: (Stream.SYSTEM_HEALTH, "gap", _members),
    Signal: (Stream.SIGNALS, "signal", lambda s: {**_members(s), "signal": s.kind.value}),
    Order: (Stream.ORDERS, "order", _members),
    Fill: (Stream.ORDERS, "fill", _members),
    RoundTrip: (Stream.ORDERS, "trade", _members),
    Position: (Stream.POSITIONS, "position", _members),
    Account: (Stream.ACCOUNT, "account", _members),
    ParametersChanged: (Stream.PARAMETERS, "parameters", _members),
    Performance: (Stream.PERFORMANCE_METRICS, "performance", _members),
    Health: (Stream.SYSTEM_HEALTH, "health", _members),
    Problem: (Stream.SYSTEM_HEALTH, "problem", _members),
}


def payload(event: Event | Payload) -> Payload:
    """Turn an event of the bot into what the hub publishes; a payload stays as it is."""
    if isinstance(event, Payload):
        return event
    stream, kind, to_data = _ROUTES[type(event)]
    data = to_data(event)
    data["kind"] = kind
    symbol: str | None = data.get("symbol")
    lossless = stream in LOSSLESS or kind in ("gap", "problem") or (kind == "bar" and data["final"])
    return Payload(
        stream=stream,
        symbol=symbol,
        kind=kind,
        timestamp=_moment(event),
        data=data,
        conflate=None if lossless else f"{stream.value}:{kind}:{symbol}",
    )


def route(event: Event | Payload) -> tuple[Stream, str | None]:
    """Return the stream and symbol of an event without converting it."""
    if isinstance(event, Payload):
        return event.stream, event.symbol
    named = event.bar if isinstance(event, (Evaluation, BarCorrection)) else event
    return _ROUTES[type(event)][0], getattr(named, "symbol", None)


def _moment(event: Event) -> datetime:
    match event:
        case Evaluation() | BarCorrection():
            moment = event.bar.timestamp
        case RoundTrip():
            moment = event.exit_time
        case Position() | Order():
            moment = event.updated_at
        case MarketGap():
            moment = event.before
        case _:
            moment = event.timestamp
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
