"""A recording as a market: the same events as live, at any speed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import cast

from toolkit.core.types import Bar, MarketEvent, Quote, Trade
from toolkit.market.builder import BarBuilder
from toolkit.market.feed import Step, Tick, bar_steps, play, tick_steps
from toolkit.market.gaps import GapDetector
from toolkit.market.origins import refuse_mixed
from toolkit.market.pace import Clock, Pace, Pacer, Sleep
from toolkit.market.port import FeedHealth
from toolkit.market.tables import MarketTable, iter_events


class ReplayMarket:
    """Plays a table back from its first row to its last.

    Raises DataError for unknown symbols, and for bars of several feeds.

    Recorded bars come out as final bars. Quotes and trades come out as themselves, with the
    forming and final bars that they make. There is no history: the recording's own beginning
    warms the strategy up, so that a replay equals a backtest of the same table.
    """

    def __init__(
        self,
        table: MarketTable,
        *,
        pace: Pace,
        symbols: Sequence[str] | None = None,
        sleep: Sleep = asyncio.sleep,
        clock: Clock = time.monotonic,
    ) -> None:
        self._table = table if symbols is None else table.select(symbols)
        refuse_mixed(self._table.frame, self._table.source)
        self._symbols = self._table.symbols
        if self._table.kind != "bars":
            pace = pace.for_ticks(timeframe=table.timeframe, symbols=len(self._symbols))
        self._pacer = Pacer(pace, timeframe=table.timeframe, sleep=sleep, clock=clock)
        self._done = 0

    @property
    def name(self) -> str:
        """Where the data comes from, shown to the user."""
        return "replay"

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols that are played, sorted."""
        return self._symbols

    @property
    def timeframe(self) -> float:
        """Seconds between the opens of two bars."""
        return self._table.timeframe

    @property
    def done(self) -> int:
        """Rows of the recording that have been played."""
        return self._done

    @property
    def total(self) -> int:
        """Rows of the recording."""
        return len(self._table.frame)

    async def history(self, symbol: str, *, limit: int) -> Sequence[Bar]:
        """Return nothing: there are no bars before a recording's first."""
        if symbol not in self._symbols:
            self._table.select([symbol])
        return []

    async def events(self) -> AsyncGenerator[MarketEvent, None]:
        """Yield the recording from its beginning; ends with it, or at once after `stop()`."""
        async with aclosing(play(self._steps(), pacer=self._pacer)) as events:
            async for event in events:
                yield event

    def health(self) -> FeedHealth:
        """It cannot fail."""
        return FeedHealth()

    async def stop(self) -> None:
        """End `events()`, also in the middle of a wait. Calling it twice is harmless."""
        self._pacer.stop()

    def _steps(self) -> Iterator[Step]:
        gaps, builder = GapDetector(self.timeframe), BarBuilder(self.timeframe)
        rows = self._rows()
        if self._table.kind == "bars":
            return bar_steps(cast(Iterator[Bar], rows), gaps=gaps)
        ticks = cast(Iterator[Tick], rows)
        return tick_steps(ticks, builder=builder, build=builder.on_tick, gaps=gaps)

    def _rows(self) -> Iterator[Bar | Quote | Trade]:
        self._done = 0
        for row in iter_events(self._table):
            yield row
            self._done += 1
