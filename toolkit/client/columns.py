"""Columns of each kind of message as a DataFrame shows them; `core.types` says what there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from toolkit.core.types import (
    Account,
    Bar,
    Fill,
    Indicators,
    Order,
    Position,
    Quote,
    RoundTrip,
    Signal,
    Trade,
)
from toolkit.streaming.wire import Stream

KINDS: Mapping[str, Mapping[str, type]] = {
    Stream.MARKET_DATA: {"bar": Bar, "quote": Quote, "trade": Trade},
    Stream.SIGNALS: {"signal": Signal},
    Stream.ORDERS: {"order": Order, "fill": Fill, "trade": RoundTrip},
    Stream.POSITIONS: {"position": Position},
    Stream.ACCOUNT: {"account": Account},
}
_NUMBERS = ("float", "Decimal", "int")


def columns(stream: str, kind: str | None) -> dict[str, str]:
    """Return `{column: "number" | "flag" | "time" | "text"}`; empty where it is not fixed."""
    known = KINDS.get(stream, {})
    chosen = list(known.values()) if kind is None else [known[k] for k in known if k == kind]
    found: dict[str, str] = {}
    if len(chosen) > 1:
        found["kind"] = "text"
    for noun in chosen:
        for field in fields(noun):
            if field.name not in ("timestamp", "kind", "indicators"):
                found[field.name] = _type(str(field.type), alone=len(chosen) == 1)
        if noun is Quote:
            found["price"] = "number"
        if noun in (Bar, Signal):
            found.update(dict.fromkeys((f.name for f in fields(Indicators)), "number"))
    return found


def flat(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return `data` with the indicators beside the other values."""
    rest = {key: value for key, value in data.items() if key != "indicators"}
    return {**rest, **(data.get("indicators") or {})}


def _type(annotation: str, *, alone: bool) -> str:
    name = annotation.removesuffix(" | None")
    if name in _NUMBERS:
        return "number"
    if name == "datetime":
        return "time"
    return "flag" if name == "bool" and alone else "text"
