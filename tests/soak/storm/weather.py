"""The weather of a storm: every kind of fault, short ones more often, by seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

from toolkit.exchange.faults import ANY, REQUEST_KINDS, STREAM_KINDS, Fault, Kind

EVERY = 240.0  # seconds between two faults, on average
_K = Kind
_RARE = frozenset({_K.HOLE, _K.HALT, _K.CLOCK_SKEW})
# Shortest and longest length in seconds; kinds that are missing here hit a few times instead.
_LENGTHS = {
    _K.MUTE: (5, 600),
    _K.REFUSE: (5, 180),
    _K.CONNECTION_LIMIT: (5, 120),
    _K.DUPLICATE_BARS: (60, 300),
    _K.LATE_BARS: (60, 300),
    _K.UNORDERED_BARS: (60, 300),
    _K.MISSING_BARS: (60, 600),
    _K.REVISED_BARS: (60, 600),
    _K.HOLE: (60, 1_800),
    _K.HALT: (60, 600),
    _K.PARTIAL_FILLS: (60, 900),
    _K.CLOCK_SKEW: (60, 300),
}
_AMOUNTS = {
    _K.LATE_BARS: (2.0, 90.0),
    _K.LATE_FILLS: (1.0, 60.0),
    _K.SLOW: (0.02, 0.3),  # real seconds
    _K.CLOCK_SKEW: (1.5, 30.0),
}
_REQUESTS = (
    ANY,
    "POST /v2/orders",
    "POST /v2/orders",
    "GET /v2/orders",
    "DELETE /v2/orders",
    "PATCH /v2/orders",
    "GET /v2/positions",
    "GET /v2/account",
)


def storm(*, seed: int, symbols: Sequence[str], length: float, every: float = EVERY) -> list[Fault]:
    """Return the faults of so many seconds; each kind comes once before any comes twice."""
    draw = random.Random(f"storm {seed}")
    kinds = list(Kind)
    draw.shuffle(kinds)
    found: list[Fault] = []
    at = draw.expovariate(1.0 / every)
    while at < length:
        kind = kinds[len(found)] if len(found) < len(kinds) else _any(draw)
        found.append(_fault(kind, at, symbols=symbols, draw=draw))
        at += draw.expovariate(1.0 / every)
    return found


def _any(draw: random.Random) -> Kind:
    kinds = list(Kind)
    (kind,) = draw.choices(kinds, weights=[1 if kind in _RARE else 3 for kind in kinds])
    return kind


def _fault(kind: Kind, at: float, *, symbols: Sequence[str], draw: random.Random) -> Fault:
    bounds, amount = _LENGTHS.get(kind), _AMOUNTS.get(kind, (1.0, 1.0))
    if kind in STREAM_KINDS:
        target = draw.choice((ANY, "market", "trading"))
    elif kind in REQUEST_KINDS:
        target = draw.choice(_REQUESTS)
    else:
        target = draw.choice((ANY, *symbols))
    sign = draw.choice((-1, 1)) if kind is Kind.CLOCK_SKEW else 1
    return Fault(
        kind=kind,
        start=round(at, 3),
        length=_length(bounds, draw) if bounds else 0.0,
        target=target,
        count=0 if bounds else (1 if kind is Kind.DROP else draw.randint(1, 3)),
        amount=round(sign * draw.uniform(*amount), 3),
    )


def _length(bounds: tuple[int, int], draw: random.Random) -> float:
    shortest, longest = bounds
    return round(shortest * (longest / shortest) ** (draw.random() ** 2), 1)
