"""When faults and kills may rightly have changed what the bot does, by symbol."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Self

from tests.soak.storm.conductor import Outcome
from tests.soak.storm.world import moment
from toolkit.exchange.faults import ANY, Kind
from toolkit.exchange.values import MINUTE, SECOND, Micros

AFTER = 2 * MINUTE  # connections come back, and the books are compared once more
HELD = 2 * MINUTE  # so long a message may wait for the one that overtakes it
# Nothing that is traded may depend on these. What a revision does to a bar is seen in the bar.
HARMLESS = frozenset(
    {Kind.DUPLICATE_BARS, Kind.DUPLICATE_FILLS, Kind.UNKNOWN_MESSAGE, Kind.REVISED_BARS}
)
# The decision is the same and comes later, so the price may be another.
LATE = frozenset({Kind.LATE_BARS, Kind.UNORDERED_BARS, Kind.MISSING_BARS})
# These are on for a while; of the others each hit counts.
LASTING = frozenset({Kind.MUTE, Kind.HOLE, Kind.HALT, Kind.CLOCK_SKEW})
Span = tuple[Micros, Micros]


def meets(spans: Iterable[Span], start: Micros, end: Micros) -> bool:
    """Whether a stretch of time touches one of these."""
    return any(first <= end and last >= start for first, last in spans)


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return the same times as spans that do not overlap, in order."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


class Troubles:
    """Spans of time by symbol; `*` is all symbols."""

    def __init__(self) -> None:
        self._grave: dict[str, list[Span]] = defaultdict(list)
        self._late: dict[str, list[Span]] = defaultdict(list)

    @classmethod
    def of(cls, storm: Outcome) -> Self:
        """Collect them from what the exchange and the conductor know."""
        troubles, happened = cls(), storm.happened
        for start, end in storm.lives.down:
            troubles._grave[ANY].append((start, end + AFTER))
        for at, kind, subject in happened.strikes:
            troubles._add(Kind(kind), symbol_of(subject), at, at + AFTER)
        for at in storm.lives.behind:
            troubles._grave[ANY].append((at, at + AFTER))
        for entry in happened.faults:
            kind = Kind(entry["kind"])
            if kind in LASTING and entry["what"] == "fault.begins":
                start = moment(entry["time"])
                end = start + round(entry["length"] * SECOND)
                troubles._add(kind, symbol_of(entry["target"]), start, end + AFTER)
        return troubles

    def meet(self, symbol: str, start: Micros, end: Micros, *, price: bool = False) -> bool:
        """Whether something was the matter; with `price` also what only delays a decision."""
        found = [*self._grave[ANY], *self._grave[symbol]]
        if price:
            found += [*self._late[ANY], *self._late[symbol]]
        return meets(found, start, end)

    def spans(self, symbol: str) -> list[Span]:
        """Return all times at which something was the matter with a symbol's orders."""
        return merged([*self._grave[ANY], *self._grave[symbol]])

    def _add(self, kind: Kind, symbol: str, start: Micros, end: Micros) -> None:
        if kind in HARMLESS:
            return
        kept = self._late if kind in LATE else self._grave
        kept[symbol].append((start - SECOND, end + (HELD if kind in LATE else 0)))


def symbol_of(subject: str) -> str:
    """Return the symbol that a fault struck, `*` for all: streams and requests concern them all."""
    return ANY if subject in ("", "market", "trading") or " " in subject else subject
