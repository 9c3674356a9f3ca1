"""What came over the wire, and what of it the strategy may see: each minute once and in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from toolkit.core.checks import check_bar
from toolkit.core.types import Bar, MarketGap, is_crypto
from toolkit.errors import DataError
from toolkit.market.sessions import missing_bars

REMEMBERED = 2000  # bars of each symbol that a correction is compared with

Handed = Bar | MarketGap
_Part = tuple[MarketGap | None, Bar]  # a bar, and the gap that it ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """Bars that may be missing: those of one symbol with `start <= timestamp < end`."""

    symbol: str
    start: datetime
    end: datetime


@dataclass(slots=True, kw_only=True)
class Counts:
    """What happened on the way, since the beginning."""

    duplicates: int = 0
    late: int = 0
    out_of_order: int = 0
    revised: int = 0
    unsound: int = 0
    missing: int = 0


@dataclass(slots=True, kw_only=True)
class _Line:
    """One symbol's bars. `known` holds what was handed out, with the revision on the wire."""

    last: datetime | None = None
    checked: datetime | None = None  # earlier bars are in, or known not to exist
    suspect: datetime | None = None  # silence about earlier bars proves nothing
    overdue: datetime | None = None  # a bar that should have come
    told: datetime | None = None  # the gap before this bar was announced
    known: dict[datetime, tuple[Bar, int]] = field(default_factory=dict)
    waiting: dict[datetime, Bar] = field(default_factory=dict)


class Arrivals:
    """Takes bars as they come; returns what may be handed out. Pure: no clock, no I/O.

    A bar is handed out once, with revision 0, after all that precede it. What comes for it later
    with other values is a correction: final, revision above 0, out of order. A bar behind a hole
    waits until the hole is filled, `answered` or given up; what is missing then is announced as
    MarketGap before the next bar. All bars of stocks, and all of crypto, must be of one feed and
    adjustment: DataError otherwise.
    """

    def __init__(self, timeframe: float = 60.0) -> None:
        self._step = timedelta(seconds=timeframe)
        self._lines: dict[str, _Line] = {}
        self._origins: dict[bool, tuple[str, str]] = {}
        self.counts = Counts()

    def seed(self, symbol: str, bars: Sequence[Bar]) -> None:
        """Take the history that the strategy was warmed up with, oldest first."""
        line = self._line(symbol)
        for bar in bars:
            self._check_origin(bar)
            if line.last is None or bar.timestamp > line.last:
                line.last = bar.timestamp
                self._remember(line, bar, bar.revision)

    def begin(self, symbol: str, at: datetime) -> None:
        """Want the bars from `at` on, where nothing is known yet."""
        line = self._line(symbol)
        if line.last is None and line.checked is None:
            line.checked = at

    def forget(self, symbol: str) -> None:
        """Drop a symbol: it is not followed any longer."""
        self._lines.pop(symbol, None)

    def on_bar(self, bar: Bar) -> list[Handed]:
        """Take a final bar of the stream."""
        return _flat(self._take(bar))

    def on_forming(self, bar: Bar) -> list[Handed]:
        """Return a forming bar where nothing is awaited before it, else nothing."""
        line = self._line(bar.symbol)
        old = line.last is not None and bar.timestamp <= line.last
        if old or line.waiting or not self._follows(line, bar.symbol, bar.timestamp):
            return []
        return _flat([(self._gap(line, bar), bar)])

    def interrupted(self, symbol: str, until: datetime) -> None:
        """The connection is new: bars before `until` may have been missed."""
        self._line(symbol).suspect = until

    def is_overdue(self, symbol: str, timestamp: datetime) -> None:
        """The bar of this time should have come."""
        line = self._line(symbol)
        if line.overdue is None or timestamp > line.overdue:
            line.overdue = timestamp

    def holes(self) -> list[Hole]:
        """Return what has to be fetched before newer bars may pass."""
        return [h for s, line in self._lines.items() if (h := self._hole(s, line)) is not None]

    def answered(
        self, bars: Mapping[str, Iterable[Bar]], *, until: Mapping[str, datetime]
    ) -> list[Handed]:
        """Take what history knows of these symbols, complete before each one's `until`.

        What comes free of several symbols comes in order of (timestamp, symbol).
        """
        for symbol in until:
            line = self._line(symbol)
            for bar in bars.get(symbol, ()):
                if line.last is None or bar.timestamp > line.last:
                    self._wait(line, bar)
        parts = [part for s in until for b in bars.get(s, ()) for part in self._correct(b)]
        for symbol, moment in until.items():
            parts += self._account(symbol, moment)
        return _flat(sorted(parts, key=lambda part: (part[1].timestamp, part[1].symbol)))

    def give_up(self, symbol: str) -> list[Handed]:
        """Stop waiting for a hole: hand out what is behind it, after its MarketGap."""
        hole = self._hole(symbol, self._line(symbol))
        return _flat(self._account(symbol, hole.end)) if hole is not None else []

    def _take(self, bar: Bar) -> list[_Part]:
        line = self._line(bar.symbol)
        if line.last is not None and bar.timestamp <= line.last:
            return self._correct(bar)
        if not self._wait(line, bar):
            return []
        return self._release(line, bar.symbol)

    def _wait(self, line: _Line, bar: Bar) -> bool:
        if not self._is_sound(bar):
            return False
        self._check_origin(bar)
        known = line.waiting.get(bar.timestamp)
        if known is not None and _same(known, bar):
            self.counts.duplicates += 1
        elif known is None or bar.revision >= known.revision:
            self.counts.out_of_order += any(bar.timestamp < later for later in line.waiting)
            line.waiting[bar.timestamp] = bar
        return True

    def _correct(self, bar: Bar) -> list[_Part]:
        """Return the correction of a bar that was handed out, or passed over, already."""
        line = self._line(bar.symbol)
        if line.last is None or bar.timestamp > line.last or not self._is_sound(bar):
            return []
        self._check_origin(bar)
        known = line.known.get(bar.timestamp)
        if known is None:
            self.counts.late += 1
            return self._corrected(line, bar, max(1, bar.revision))
        if _same(known[0], bar) or bar.revision < known[1]:
            self.counts.duplicates += 1
            return []
        self.counts.revised += 1
        return self._corrected(line, bar, known[0].revision + 1)

    def _corrected(self, line: _Line, bar: Bar, revision: int) -> list[_Part]:
        correction = replace(bar, final=True, revision=revision)
        self._remember(line, correction, bar.revision)
        return [(None, correction)]

    def _account(self, symbol: str, until: datetime) -> list[_Part]:
        line = self._line(symbol)
        if line.checked is None or until > line.checked:
            line.checked = until
        return self._release(line, symbol)

    def _release(self, line: _Line, symbol: str) -> list[_Part]:
        parts: list[_Part] = []
        for timestamp in sorted(line.waiting):
            if not self._follows(line, symbol, timestamp):
                break
            bar = line.waiting.pop(timestamp)
            first = replace(bar, final=True, revision=0)
            parts.append((self._gap(line, first), first))
            line.last = timestamp
            self._remember(line, first, bar.revision)
        return parts

    def _gap(self, line: _Line, bar: Bar) -> MarketGap | None:
        after, before = line.last, bar.timestamp
        if after is None or (line.told is not None and before <= line.told):
            return None
        line.told = before
        missing = missing_bars(bar.symbol, after=after, before=before, step=self._step)
        self.counts.missing += missing
        if not missing:
            return None
        return MarketGap(symbol=bar.symbol, after=after, before=before, missing=missing)

    def _follows(self, line: _Line, symbol: str, timestamp: datetime) -> bool:
        """Whether all that precedes a bar is in, or known not to exist."""
        after = self._accounted(line)
        if after is None or timestamp - after <= self._step:
            return True
        if line.suspect is not None and after + self._step < line.suspect:
            return False
        return not missing_bars(symbol, after=after, before=timestamp, step=self._step)

    def _accounted(self, line: _Line) -> datetime | None:
        """Return the open of the last bar that is in, or known not to exist."""
        if line.checked is None:
            return line.last
        checked = line.checked - self._step
        return checked if line.last is None else max(line.last, checked)

    def _hole(self, symbol: str, line: _Line) -> Hole | None:
        after = self._accounted(line)
        if after is None:
            return None
        ends = list(line.waiting)
        if line.suspect is not None:
            ends.append(line.suspect)
        if line.overdue is not None:
            ends.append(line.overdue + self._step)
        start, end = after + self._step, max(ends, default=after)
        return Hole(symbol=symbol, start=start, end=end) if start < end else None

    def _remember(self, line: _Line, bar: Bar, wire_revision: int) -> None:
        line.known[bar.timestamp] = (bar, wire_revision)
        while len(line.known) > REMEMBERED:
            del line.known[next(iter(line.known))]

    def _is_sound(self, bar: Bar) -> bool:
        try:
            check_bar(bar, after=None)
        except DataError:
            self.counts.unsound += 1  # then it is missing, and fetched like what never came
            return False
        return True

    def _check_origin(self, bar: Bar) -> None:
        origin = (bar.feed, bar.adjustment)
        known = self._origins.setdefault(is_crypto(bar.symbol), origin)
        if known != origin:
            raise mixed_feeds(bar, known)

    def _line(self, symbol: str) -> _Line:
        return self._lines.setdefault(symbol, _Line())


def mixed_feeds(bar: Bar, known: tuple[str, str]) -> DataError:
    """Return the error for a bar of another feed or adjustment than those before it."""
    ours, theirs = ", ".join(known), f"{bar.feed}, {bar.adjustment}"
    return DataError(
        f"bar of {bar.symbol} at {bar.timestamp.isoformat()} is of ({theirs}), those before it of"
        f" ({ours}); feeds differ in prices and volumes: trade on one, and start again with it",
        symbol=bar.symbol,
        field="feed",
        value=theirs,
        allowed=ours,
    )


def _same(one: Bar, other: Bar) -> bool:
    names = ("open", "high", "low", "close", "volume")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _flat(parts: Iterable[_Part]) -> list[Handed]:
    return [event for gap, bar in parts for event in (gap, bar) if event is not None]
