"""What clients may send, parsed and checked; every refusal names the field and what is allowed."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from toolkit.errors import WireError
from toolkit.streaming.wire import COMMAND_ROLES, Stream

MAX_RATE = 1000.0
MAX_ID = 100
PERCENTILES = ("p50", "p95", "p99", "max")
LONGEST_MS = 86_400_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Streams and symbols (None = all), and at most `max_rate` conflatable updates a second."""

    streams: tuple[Stream, ...]
    symbols: tuple[str, ...] | None
    max_rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSeen:
    """The last number of each stream that a client has, and the epoch they belong to."""

    epoch: str
    seq: Mapping[Stream, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command; the same `id` is executed once, None is executed always."""

    name: str
    args: Mapping[str, Any]
    id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyReport:
    """One-way latency as a client measures it, in milliseconds, of `count` messages.

    Slightly negative where the client's estimate of our clock is off.
    """

    count: int
    p50: float
    p95: float
    p99: float
    max: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """A client's own time, a number or a string that is sent back, and what it measured."""

    timestamp: float | str | None
    latency: LatencyReport | None


def parse_selection(body: Any, *, symbols: Collection[str]) -> Selection:
    """Read `{stream_types, symbols?, max_rate?}`; `symbols` are the ones the bot trades."""
    data = _mapping(body, "subscribe", {"stream_types", "symbols", "max_rate"})
    names = _strings(data.get("stream_types"), "stream_types", [s.value for s in Stream])
    wanted = data.get("symbols")
    chosen = _strings(wanted, "symbols", list(symbols)) if wanted else None
    return Selection(
        streams=tuple(Stream(name) for name in names),
        symbols=chosen,
        max_rate=_rate(data.get("max_rate")),
    )


def parse_last_seen(body: Any) -> LastSeen:
    """Read `{epoch, seq: {stream: number}}`."""
    data = _mapping(body, "resume", {"epoch", "seq"})
    epoch, seq = data.get("epoch"), data.get("seq")
    if not isinstance(epoch, str):
        raise _refusal("epoch", epoch, "the epoch that `connected` carried, a string")
    if not isinstance(seq, Mapping):
        raise _refusal("seq", seq, "an object of stream names and numbers")
    names = _strings(list(seq), "seq", [s.value for s in Stream]) if seq else ()
    for name in names:
        number = seq[name]
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 2**63:
            raise _refusal(f"seq.{name}", number, "whole numbers from 0")
    return LastSeen(epoch=epoch, seq={Stream(name): seq[name] for name in names})


def parse_command(body: Any) -> Command:
    """Read `{name, args?, id?}`."""
    data = _mapping(body, "command", {"name", "args", "id"})
    name, args, key = data.get("name"), data.get("args"), data.get("id")
    if not isinstance(name, str) or name not in COMMAND_ROLES:
        raise _refusal("name", name, list(COMMAND_ROLES))
    if args is None:
        args = {}
    if not isinstance(args, Mapping):
        raise _refusal("args", args, "an object")
    if not _is_whole(args):
        raise _refusal("args", args, "text without half of a surrogate pair")
    if key is not None and (not isinstance(key, str) or not 0 < len(key) <= MAX_ID):
        raise _refusal("id", key, f"a string of 1 to {MAX_ID} characters")
    return Command(name=name, args=args, id=key)


def parse_ping(body: Any) -> Ping:
    """Read `{timestamp?, latency?: {count, p50, p95, p99, max}}`."""
    data = _mapping({} if body is None else body, "ping", {"timestamp", "latency"})
    stamp, latency = data.get("timestamp"), data.get("latency")
    fine = isinstance(stamp, str) and len(stamp) <= MAX_ID
    if stamp is not None and not fine and not _is_number(stamp, -(2**53), 2**53):
        raise _refusal("timestamp", stamp, f"a number, or a string up to {MAX_ID} characters")
    return Ping(timestamp=stamp, latency=None if latency is None else _report(latency))


def _report(value: Any) -> LatencyReport | None:
    data = _mapping(value, "latency", {"count", *PERCENTILES})
    count = data.get("count")
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= 2**53:
        raise _refusal("latency.count", count, "whole numbers from 0")
    if count == 0:
        return None
    before = -LONGEST_MS
    for name in PERCENTILES:
        if not _is_number(data.get(name), before, LONGEST_MS):
            allowed = f"milliseconds from {before:g} to {LONGEST_MS:g}, p50 <= p95 <= p99 <= max"
            raise _refusal(f"latency.{name}", data.get(name), allowed)
        before = data[name]
    return LatencyReport(count=count, **{name: float(data[name]) for name in PERCENTILES})


def _is_number(value: Any, lowest: float, highest: float) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and lowest <= value <= highest


def _is_whole(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return False
    return True


def _mapping(body: Any, what: str, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(body, Mapping):
        raise _refusal(what, body, f"one object with {', '.join(sorted(known))}")
    for key in body:
        if key not in known:
            raise _refusal(str(key)[:MAX_ID], body[key], f"the fields {', '.join(sorted(known))}")
    return body


def _strings(value: Any, field: str, allowed: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise _refusal(field, value, allowed)
    for item in value:
        if not isinstance(item, str) or item not in allowed:
            raise _refusal(field, item, allowed)
    return tuple(dict.fromkeys(value))


def _rate(value: Any) -> float | None:
    if value is None:
        return None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 < value <= MAX_RATE:
        raise _refusal("max_rate", value, f"above 0 up to {MAX_RATE:g} (updates a second)")
    return float(value)


def _refusal(field: str, value: Any, allowed: str | Sequence[str]) -> WireError:
    shown = repr(value)
    shown = shown if len(shown) <= MAX_ID else f"{shown[:MAX_ID]}..."
    listed = allowed if isinstance(allowed, str) else ", ".join(allowed)
    return WireError(
        f"{field} is {shown}; allowed: {listed}",
        field=field,
        value=shown,
        allowed=allowed if isinstance(allowed, str) else list(allowed),
    )
