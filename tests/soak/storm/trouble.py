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
            troubles._add(Kind(kind), _symbol(subject), at, at + AFTER)
        begun: dict[tuple[str, str], Micros] = {}
        for entry in happened.faults:
            kind, target = Kind(entry["kind"]), entry["target"]
            if kind not in LASTING:
                continue
            if entry["what"] == "fault.begins":
                begun[kind, target] = moment(entry["time"])
            elif (start := begun.pop((kind, target), None)) is not None:
                troubles._add(kind, _symbol(target), start, moment(entry["time"]) + AFTER)
        for (name, target), start in begun.items():
            troubles._add(Kind(name), _symbol(target), start, storm.end)
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


def _symbol(subject: str) -> str:
    """Streams and requests concern all symbols."""
    return ANY if subject in ("", "market", "trading") or " " in subject else subject
