"""Says where bars are missing, so that nobody mistakes a hole for a calm market."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from toolkit.core.types import Bar, MarketGap
from toolkit.market.sessions import missing_bars


class GapDetector:
    """Compares each bar with its symbol's previous one; `timeframe` in seconds.

    Crypto misses every absent bar, a stock only those of regular sessions.
    """

    def __init__(self, timeframe: float) -> None:
        self._step = timedelta(seconds=timeframe)
        self._last: dict[str, datetime] = {}

    def on_bar(self, bar: Bar) -> MarketGap | None:
        """Return the gap that ends at this bar, once, be the bar forming or final."""
        after = self._last.get(bar.symbol)
        if after is not None and bar.timestamp <= after:
            return None
        self._last[bar.symbol] = bar.timestamp
        if after is None:
            return None
        missing = missing_bars(bar.symbol, after=after, before=bar.timestamp, step=self._step)
        if not missing:
            return None
        return MarketGap(symbol=bar.symbol, after=after, before=bar.timestamp, missing=missing)

    def announced(self, bars: Iterable[Bar]) -> Iterator[Bar | MarketGap]:
        """Yield the bars, each gap just before the bar that ends it."""
        for bar in bars:
            gap = self.on_bar(bar)
            if gap is not None:
                yield gap
            yield bar
