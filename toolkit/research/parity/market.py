"""The bars as a later request gives them beside those that the session saw, and what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING

from toolkit.core.engine import MEMORY
from toolkit.core.types import Bar
from toolkit.errors import DataError
from toolkit.market.tables import MarketTable, bars_of, iter_events, normalise
from toolkit.research.parity.session import Cause, Seen, Session
from toolkit.research.parity.trades import Key

if TYPE_CHECKING:
    import pandas as pd

# A bar that comes so long after its close (seconds) is late; Alpaca's take well below one.
LATE_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BarFact:
    """A bar that the session saw otherwise; `seen` or `final` is None where there is none."""

    cause: Cause
    seen: Bar | None
    final: Bar | None
    delay: float | None = None

    @property
    def key(self) -> Key:
        """The bar's symbol and time."""
        bar = self.seen or self.final
        assert bar is not None
        return bar.symbol, bar.timestamp

    @property
    def text(self) -> str:
        """Say what was seen, and what it was."""
        if self.seen is None:
            came = "came after its successor" if self.cause is Cause.LATE_BAR else "never came"
            return f"the bar {came}"
        if self.final is None:
            return f"the bar closed at {self.seen.close:g}; a later request does not know it"
        if self.delay is not None and self.cause is Cause.LATE_BAR:
            return f"the bar came {self.delay:.1f} s after its close"
        pairs = [
            f"{name} {getattr(self.seen, name):g}, later {getattr(self.final, name):g}"
            for name in ("open", "high", "low", "close")
            if getattr(self.seen, name) != getattr(self.final, name)
        ]
        feeds = f" ({self.seen.feed}, later {self.final.feed})"
        return "; ".join(pairs) + (feeds if self.cause is Cause.OTHER_FEED else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What a backtest of the session's span trades on, and how the session's bars differ.

    `warm_up` are the bars before it, `bars` those in it, in order of (timestamp, symbol).
    `prices` are the last closes.
    """

    warm_up: tuple[Bar, ...]
    bars: tuple[Bar, ...]
    facts: Mapping[Key, BarFact]
    prices: Mapping[str, float]


def market_of(session: Session, bars: pd.DataFrame | MarketTable | None) -> Market:
    """Return the market of a session; `bars` None: its own, with what was corrected since.

    Bars before those given are the session's own. Raises DataError where `bars` do not fit.
    """
    known = list(_own(session) if bars is None else _given(session, bars))
    first = {s: _begin(session, s) for s in session.symbols}
    last = max(seen.bar.timestamp for seen in session.seen)
    final = {(b.symbol, b.timestamp): b for b in known if first[b.symbol] <= b.timestamp <= last}
    ordered = sorted(final.values(), key=lambda b: (b.timestamp, b.symbol))
    if not ordered:
        raise DataError(
            f"bars hold nothing of the session, {min(first.values()).isoformat()} to "
            f"{last.isoformat()}; bring bars of that span",
            field="bars",
        )
    return Market(
        warm_up=tuple(_warm_up(session, known, first)),
        bars=tuple(ordered),
        facts={fact.key: fact for fact in _facts(session, final)},
        prices={bar.symbol: bar.close for bar in ordered},
    )


def _begin(session: Session, symbol: str) -> datetime:
    """Return the first bar that the session could have decided on."""
    step = timedelta(seconds=session.timeframe)
    start = min(seen.bar.timestamp for seen in session.seen)
    warm_up = session.start.warm_up.get(symbol, ())
    return max(start, warm_up[-1].timestamp + step) if warm_up else start


def _own(session: Session) -> Iterable[Bar]:
    warm_up = chain.from_iterable(session.start.warm_up.values())
    versions = {(b.symbol, b.timestamp): b for b in warm_up}
    versions |= {seen.key: seen.bar for seen in session.seen}
    return {**versions, **session.corrections}.values()


def _given(session: Session, bars: pd.DataFrame | MarketTable) -> Iterable[Bar]:
    return bars_in(bars, symbols=session.symbols, timeframe=session.timeframe)


def bars_in(
    bars: pd.DataFrame | MarketTable, *, symbols: Sequence[str], timeframe: float
) -> list[Bar]:
    """Return the bars of some symbols; raises DataError where they are missing or do not fit."""
    table = bars if isinstance(bars, MarketTable) else normalise(bars)
    if table.kind != "bars":
        table = normalise(bars_of(table, timeframe=timeframe), source=table.source)
    missing = sorted(set(symbols) - set(table.symbols))
    if missing:
        raise DataError(
            f"{table.source} has no bars of {', '.join(missing)}, which the session traded; "
            "bring bars of all its symbols",
            field="bars",
            value=", ".join(missing),
            allowed=list(symbols),
        )
    if len(table.frame) > len(table.symbols) and table.timeframe != timeframe:
        raise DataError(
            f"{table.source} holds bars of {table.timeframe:g} s, the session's are of "
            f"{timeframe:g} s; bring such",
            field="timeframe",
            value=f"{table.timeframe:g}",
            allowed=f"{timeframe:g}",
        )
    bars_of(table)  # refuses bars of several feeds
    events = iter_events(table.select(symbols))
    return [event for event in events if isinstance(event, Bar)]


def _warm_up(
    session: Session, known: Iterable[Bar], first: Mapping[str, datetime]
) -> Iterable[Bar]:
    for symbol in session.symbols:
        mine = [b for b in known if b.symbol == symbol and b.timestamp < first[symbol]]
        mine.sort(key=lambda b: b.timestamp)
        begin = mine[0].timestamp if mine else first[symbol]
        own = session.start.warm_up.get(symbol, ())
        most = max(MEMORY, len(own))
        yield from [*(b for b in own if b.timestamp < begin), *mine][-most:]


def _facts(session: Session, final: Mapping[Key, Bar]) -> Iterable[BarFact]:
    seen = {item.key: item for item in session.seen}
    feeds = {bar.symbol: bar.feed for bar in final.values()}
    theirs = {item.bar.symbol: item.bar.feed for item in session.seen}
    others = {s for s, feed in feeds.items() if feed and theirs.get(s) and feed != theirs[s]}
    first = {symbol: _begin(session, symbol) for symbol in session.symbols}
    for key in sorted(seen.keys() | final.keys(), key=lambda k: (k[1], k[0])):
        if key[1] < first[key[0]]:
            continue  # the warm-up knew it already
        cause = _cause(session, key, seen.get(key), final.get(key), other=key[0] in others)
        if cause is not None:
            item = seen.get(key)
            yield BarFact(
                cause=cause,
                seen=item.bar if item else None,
                final=final.get(key),
                delay=item.delay if item else None,
            )


def _cause(
    session: Session, key: Key, seen: Seen | None, final: Bar | None, *, other: bool
) -> Cause | None:
    if seen is None:
        if key in session.corrections:
            return Cause.LATE_BAR
        return Cause.OTHER_FEED if other else Cause.MISSING_BAR
    if final is None or not _same(seen.bar, final):
        return Cause.OTHER_FEED if other else Cause.REVISED_BAR
    late = seen.delay is not None and seen.delay > LATE_SECONDS
    return Cause.LATE_BAR if late else None


def _same(one: Bar, other: Bar) -> bool:
    return (one.open, one.high, one.low, one.close) == (
        other.open, other.high, other.low, other.close,
    )  # fmt: skip
