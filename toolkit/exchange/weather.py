"""Whole days of faults: calm, hiccups, storm, or those of a file."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolkit.errors import ConfigError
from toolkit.exchange.faults import ANY, REQUEST_KINDS, STREAM_KINDS, Fault, Kind, fault_from

DAY = 86_400.0
PRESETS = ("calm", "hiccups", "storm")
_K = Kind
# Mean seconds of exchange time between two faults, and how often each kind comes among them.
_GAPS = {"hiccups": 1_800.0, "storm": 240.0}
_HICCUPS = {
    _K.DROP: 2,
    _K.SLOW: 3,
    _K.SERVER_ERROR: 1,
    _K.RATE_LIMITED: 1,
    _K.LATE_BARS: 2,
    _K.DUPLICATE_BARS: 1,
    _K.DUPLICATE_FILLS: 1,
    _K.PARTIAL_FILLS: 2,
    _K.REVISED_BARS: 2,
}
_STORM = dict.fromkeys(Kind, 2) | {_K.CLOCK_SKEW: 1, _K.HALT: 1, _K.HOLE: 1}
_MIXES: Mapping[str, Mapping[Kind, int]] = {"hiccups": _HICCUPS, "storm": _STORM}
# Shortest and longest length in seconds; kinds that are missing here hit a few times instead.
_LENGTHS = {
    _K.MUTE: (60, 600),
    _K.REFUSE: (10, 180),
    _K.CONNECTION_LIMIT: (10, 120),
    _K.DUPLICATE_BARS: (60, 300),
    _K.LATE_BARS: (60, 300),
    _K.UNORDERED_BARS: (60, 300),
    _K.MISSING_BARS: (60, 600),
    _K.REVISED_BARS: (120, 900),
    _K.HOLE: (120, 1_800),
    _K.HALT: (120, 600),
    _K.PARTIAL_FILLS: (120, 900),
    _K.CLOCK_SKEW: (60, 300),
}
_AMOUNTS = {
    _K.LATE_BARS: (2.0, 90.0),
    _K.LATE_FILLS: (1.0, 60.0),
    _K.SLOW: (0.2, 2.0),
    _K.CLOCK_SKEW: (1.5, 30.0),
}
_REQUESTS = (ANY, "POST /v2/orders", "GET /v2/orders", "DELETE /v2/orders", "GET /v2/positions")


def weather(
    name: str, *, seed: int, symbols: Sequence[str], length: float = 5 * DAY
) -> list[Fault]:
    """Return the faults of a preset by name, or of a JSON file; raises ConfigError.

    The same seed gives the same faults. `length` in seconds of exchange time.
    """
    if name == "calm":
        return []
    if name not in PRESETS:
        return read_faults(Path(name))
    draw = random.Random(f"weather {name} {seed}")
    mix = _MIXES[name]
    found: list[Fault] = []
    at = 0.0
    while True:
        at += draw.expovariate(1.0 / _GAPS[name])
        if at >= length:
            return found
        (kind,) = draw.choices(list(mix), weights=list(mix.values()))
        found.append(_fault(kind, at, symbols=symbols, draw=draw))


def read_faults(path: Path) -> list[Fault]:
    """Read a JSON list of faults; raises ConfigError."""
    try:
        return [fault_from(facts) for facts in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"faults {str(path)!r}: {error}; allowed: {', '.join(PRESETS)}, or a JSON file with a "
            'list such as [{"kind": "mute", "start": 60, "length": 30}]',
            field="faults",
            value=str(path),
            allowed=list(PRESETS),
        ) from None


def _fault(kind: Kind, at: float, *, symbols: Sequence[str], draw: random.Random) -> Fault:
    bounds, amount = _LENGTHS.get(kind), _AMOUNTS.get(kind, (1.0, 1.0))
    if kind in STREAM_KINDS:
        target = draw.choice((ANY, "market", "trading"))
    elif kind in REQUEST_KINDS:
        target = draw.choice(_REQUESTS)
    else:
        target = draw.choice((ANY, ANY, *symbols))
    sign = draw.choice((-1, 1)) if kind is Kind.CLOCK_SKEW else 1
    return Fault(
        kind=kind,
        start=round(at, 3),
        length=float(round(draw.uniform(*bounds))) if bounds else 0.0,
        target=target,
        count=0 if bounds else (1 if kind is Kind.DROP else draw.randint(1, 3)),
        rate=1.0,
        amount=round(sign * draw.uniform(*amount), 3),
    )
