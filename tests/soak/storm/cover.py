"""How long positions stood without their protective stop, by the exchange's own events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from toolkit.core.types import ZERO, is_crypto
from toolkit.exchange.hours import day_of, days_between
from toolkit.exchange.values import Micros

_PROTECT = frozenset({"stop", "stop_limit", "trailing_stop"})
_WORKING = frozenset(
    {"new", "partially_filled", "accepted", "held", "pending_new", "pending_replace"}
)
_LEAVING = frozenset({"market"})
SMALLEST_DOLLARS = Decimal(10)  # below it Alpaca takes no order worth the name: dust


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """A position without cover; `open_seconds` counts only while its market was open."""

    symbol: str
    start: Micros
    end: Micros
    open_seconds: float
    quantity: Decimal


@dataclass(slots=True)
class _Symbol:
    held: Decimal = ZERO
    price: Decimal = ZERO
    cover: dict[str, Decimal] = field(default_factory=dict)
    since: Micros | None = None
    most: Decimal = ZERO


def bare_times(orders: Iterable[tuple[Micros, dict[str, Any]]], *, end: Micros) -> list[Bare]:
    """Return every stretch in which a position was not covered by a stop or a leaving order."""
    symbols: dict[str, _Symbol] = {}
    found: list[Bare] = []
    for at, data in orders:
        name = data["order"]["symbol"]
        symbol = symbols.setdefault(name, _Symbol())
        _apply(symbol, data)
        _look(name, symbol, at, found)
    for name, symbol in symbols.items():
        if symbol.since is not None:
            found.append(_bare(name, symbol, end))
    return found


def _apply(symbol: _Symbol, data: dict[str, Any]) -> None:
    order = data["order"]
    if "position_qty" in data:
        symbol.held, symbol.price = Decimal(data["position_qty"]), Decimal(data["price"])
    if order["side"] != "sell" or order["type"] not in _PROTECT | _LEAVING:
        return
    left = Decimal(order["qty"] or 0) - Decimal(order["filled_qty"])
    if order["status"] in _WORKING and left > 0:
        symbol.cover[order["id"]] = left
    else:
        symbol.cover.pop(order["id"], None)


def _look(name: str, symbol: _Symbol, at: Micros, found: list[Bare]) -> None:
    lacking = symbol.held - sum(symbol.cover.values(), ZERO)
    if lacking * symbol.price >= SMALLEST_DOLLARS:
        symbol.since = at if symbol.since is None else symbol.since
        symbol.most = max(symbol.most, lacking)
    elif symbol.since is not None:
        found.append(_bare(name, symbol, at))
        symbol.since, symbol.most = None, ZERO


def _bare(name: str, symbol: _Symbol, end: Micros) -> Bare:
    assert symbol.since is not None
    return Bare(
        symbol=name,
        start=symbol.since,
        end=end,
        open_seconds=open_seconds(name, symbol.since, end),
        quantity=symbol.most,
    )


def open_seconds(symbol: str, start: Micros, end: Micros) -> float:
    """Return how much of a stretch the symbol's market was open."""
    if is_crypto(symbol):
        return (end - start) / 1e6
    days = days_between(day_of(start), day_of(end))
    return sum(max(0, min(end, d.close) - max(start, d.open)) for d in days) / 1e6


def overlap(start: Micros, end: Micros, spans: Sequence[tuple[Micros, Micros]]) -> float:
    """Return how many seconds of a stretch lie in any of these spans (not overlapping ones)."""
    return sum(max(0, min(end, last) - max(start, first)) for first, last in spans) / 1e6
