"""Bars of any span: from the store as far as it goes, the rest from Alpaca."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from toolkit.alpaca.port import Data
from toolkit.core.types import Bar, is_crypto
from toolkit.errors import DataError
from toolkit.market.sessions import NEW_YORK, session_on
from toolkit.market.spans import Span, pieces
from toolkit.market.store import COLUMNS, BarStore, Series, frame_of_bars

if TYPE_CHECKING:
    import pandas as pd

Report = Callable[[int, int], None]
SETTLE = timedelta(minutes=5)  # bars are revised half a minute after their end
CRYPTO = "crypto"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BARS_AT_ONCE = 40_000  # what an interruption may cost, over all symbols
_TRIES = 3  # a file found damaged is fetched again


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which bars are wanted; `timeframe` in seconds, `feed` that of stocks."""

    symbols: tuple[str, ...]
    timeframe: float
    span: Span
    feed: str
    adjustment: str = "raw"

    def series(self, symbol: str) -> Series:
        """Return where a symbol's bars are kept; crypto is never adjusted."""
        crypto = is_crypto(symbol)
        return Series(
            feed=CRYPTO if crypto else self.feed,
            adjustment="raw" if crypto else self.adjustment,
            timeframe=self.timeframe,
            symbol=symbol,
        )


class Collector:
    """Fetches what the store lacks, in parts that are kept as they come; raises DataError.

    Bars that ended less than five minutes ago may still be revised: they are returned, and not
    kept. Weekends and holidays of stocks are not asked for.
    """

    def __init__(self, data: Data, store: BarStore, *, clock: Callable[[], datetime]) -> None:
        self._data = data
        self._store = store
        self._clock = clock

    async def collect(self, wish: Wish, *, report: Report) -> pd.DataFrame:
        """Return timestamp, symbol, open, high, low, close, volume and feed, in order of
        (timestamp, symbol); `report(done, total)` is called after every request.
        """
        now, step = self._clock(), timedelta(seconds=wish.timeframe)
        settled = now - SETTLE - step
        wish = replace(wish, span=_aligned(wish.span, step))
        fresh: dict[str, list[Bar]] = {symbol: [] for symbol in wish.symbols}
        for _ in range(_TRIES):
            todo = self._todo(wish)
            for done, (symbols, span) in enumerate(todo, 1):
                found = await self._fetch(wish, symbols, span)
                for symbol in symbols:
                    bars = found.get(symbol, ())
                    self._keep(wish.series(symbol), span, bars, settled)
                    fresh[symbol] += [b for b in bars if settled <= b.timestamp <= now - step]
                report(done, len(todo))
            frames = [self._frame(wish, symbol, fresh[symbol], settled) for symbol in wish.symbols]
            if not any(self._gaps(wish, symbol, settled) for symbol in wish.symbols):
                return _joined(frames)
            fresh = {symbol: [] for symbol in wish.symbols}
        raise DataError(
            f"bars kept in {self._store.root} are damaged again and again; check the disk, or keep"
            " them elsewhere: TOOLKIT_BARS_DIR",
            field="store",
            value=str(self._store.root),
        )

    async def bars(self, wish: Wish) -> list[Bar]:
        """Return the bars of one symbol, oldest first."""
        frame = await self.collect(wish, report=lambda _done, _total: None)
        (symbol,) = wish.symbols
        series = wish.series(symbol)
        times = frame["timestamp"].dt.tz_localize(None).to_numpy().astype("M8[us]").tolist()
        columns = [frame[name].tolist() for name in COLUMNS]
        return [
            Bar(
                symbol=symbol,
                timestamp=time.replace(tzinfo=UTC),
                feed=series.feed,
                adjustment=series.adjustment,
                **dict(zip(COLUMNS, values, strict=True)),
            )
            for time, *values in zip(times, *columns, strict=True)
        ]

    def _todo(self, wish: Wish) -> list[tuple[list[str], Span]]:
        """Return the requests to be made: symbols that lack the same are asked for together."""
        groups: dict[Span, list[str]] = {}
        for symbol in wish.symbols:
            for span in self._store.missing(wish.series(symbol), wish.span):
                groups.setdefault(span, []).append(symbol)
        todo = []
        for span, symbols in sorted(groups.items(), key=lambda group: group[0]):
            for crypto in (False, True):
                kind = [s for s in symbols if is_crypto(s) == crypto]
                longest = timedelta(seconds=wish.timeframe) * max(_BARS_AT_ONCE // len(symbols), 1)
                todo += [(kind, part) for part in pieces(span, longest) if kind]
        return todo

    async def _fetch(
        self, wish: Wish, symbols: Sequence[str], span: Span
    ) -> Mapping[str, Sequence[Bar]]:
        crypto = is_crypto(symbols[0])
        if not crypto and not _has_session(span):
            return {}
        found = await self._data.bars(
            symbols,
            timeframe=wish.timeframe,
            start=span.start,
            end=span.end,
            feed=None if crypto else wish.feed,
            adjustment="raw" if crypto else wish.adjustment,
        )
        return {s: [bar for bar in bars if bar.final] for s, bars in found.items()}

    def _keep(self, series: Series, span: Span, bars: Sequence[Bar], settled: datetime) -> None:
        end = min(span.end, settled)
        if span.start < end:
            self._store.write(series, Span(span.start, end), bars)

    def _gaps(self, wish: Wish, symbol: str, settled: datetime) -> bool:
        span = Span(wish.span.start, min(wish.span.end, settled))
        return span.start < span.end and bool(self._store.missing(wish.series(symbol), span))

    def _frame(
        self, wish: Wish, symbol: str, fresh: Sequence[Bar], settled: datetime
    ) -> pd.DataFrame:
        import pandas as pd

        series = wish.series(symbol)
        frame = self._store.read(series, Span(wish.span.start, min(wish.span.end, settled)))
        if fresh:
            frame = pd.concat([frame, frame_of_bars(fresh)], ignore_index=True)
        frame.insert(1, "symbol", pd.Series([symbol] * len(frame), dtype="str"))
        frame["feed"] = pd.Series([series.feed] * len(frame), dtype="str")
        return frame


def _aligned(span: Span, step: timedelta) -> Span:
    """Return a span of whole bars: one that is cut would be partial."""
    start, end = (_EPOCH - (_EPOCH - moment) // step * step for moment in (span.start, span.end))
    return Span(start, end)


def _has_session(span: Span) -> bool:
    """Whether stocks trade, be it before or after hours, on any day of a span."""
    day, last = (moment.astimezone(NEW_YORK).date() for moment in (span.start, span.end))
    while day <= last:
        if session_on(day) is not None:
            return True
        day += timedelta(days=1)
    return False


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    full = [frame for frame in frames if len(frame)] or frames[:1]
    joined = pd.concat(full, ignore_index=True)
    return joined.sort_values(["timestamp", "symbol"], ignore_index=True)
