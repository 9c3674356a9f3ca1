"""A market that needs no keys and no network, and repeats itself exactly for a seed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from toolkit.core.types import Bar, MarketEvent, Quote, Trade
from toolkit.errors import ConfigError
from toolkit.market.builder import BarBuilder
from toolkit.market.feed import play, tick_steps
from toolkit.market.gaps import GapDetector
from toolkit.market.pace import Clock, Pace, Pacer, Sleep
from toolkit.market.port import FeedHealth
from toolkit.market.prints import BarArrays, bars_from
from toolkit.market.simulation import FEED, TICKS_PER_BAR, Simulation

if TYPE_CHECKING:
    import pandas as pd


class SimulatedMarket:
    """Quotes, trades and bars of stocks and crypto that look like real ones, without end.

    Stocks trade in the regular sessions of New York only; nights and weekends are skipped, not
    waited for. The events depend on symbols, seed, start (UTC, by default a Monday morning),
    timeframe (seconds) and ticks_per_bar, never on the pace. Raises ConfigError.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        seed: int = 7,
        pace: Pace,
        timeframe: float = 60.0,
        start: datetime | None = None,
        ticks_per_bar: int = TICKS_PER_BAR,
        sleep: Sleep = asyncio.sleep,
        clock: Clock = time.monotonic,
    ) -> None:
        self._simulation = Simulation(
            symbols, seed=seed, start=start, timeframe=timeframe, ticks_per_bar=ticks_per_bar
        )
        pace = pace.for_ticks(timeframe=timeframe, symbols=len(self.symbols))
        self._pacer = Pacer(pace, timeframe=timeframe, sleep=sleep, clock=clock)

    @property
    def name(self) -> str:
        """Where the data comes from, shown to the user."""
        return "simulated"

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols of this market, sorted."""
        return self._simulation.symbols

    @property
    def timeframe(self) -> float:
        """Seconds between the opens of two bars."""
        return self._simulation.timeframe

    async def history(self, symbol: str, *, limit: int) -> Sequence[Bar]:
        """Return up to `limit` bars (at most some 1,000) that lead up to the first live one."""
        return self._simulation.history(symbol, limit=limit)

    async def events(self) -> AsyncGenerator[MarketEvent, None]:
        """Yield each quote, its trade, and the bars that the trades make, until `stop()`."""
        builder = BarBuilder(self.timeframe, feed=FEED)

        def build(tick: Quote | Trade) -> list[Bar]:
            return builder.on_trade(tick) if isinstance(tick, Trade) else []

        steps = tick_steps(
            self._simulation.ticks(),
            builder=builder,
            build=build,
            gaps=GapDetector(self.timeframe),
        )
        async with aclosing(play(steps, pacer=self._pacer)) as events:
            async for event in events:
                yield event

    def health(self) -> FeedHealth:
        """It cannot fail."""
        return FeedHealth()

    async def stop(self) -> None:
        """End `events()`, also in the middle of a wait. Calling it twice is harmless."""
        self._pacer.stop()


def simulate_bars(
    symbols: Sequence[str],
    count: int,
    seed: int = 7,
    *,
    start: datetime | None = None,
    timeframe: float = 60.0,
    ticks_per_bar: int = TICKS_PER_BAR,
) -> pd.DataFrame:
    """Return the first `count` bars of each symbol: those that SimulatedMarket would send.

    Columns timestamp (UTC), symbol, open, high, low, close, volume, in order of (timestamp,
    symbol). Raises ConfigError.
    """
    if count < 1:
        raise ConfigError(
            f"count is {count}; allowed: whole numbers from 1",
            field="count",
            value=str(count),
            allowed="whole numbers from 1",
        )
    import pandas as pd

    simulation = Simulation(
        symbols, seed=seed, start=start, timeframe=timeframe, ticks_per_bar=ticks_per_bar
    )
    frames = []
    for symbol in simulation.symbols:
        columns = _first_bars(simulation, symbol, count)
        moments = (columns.pop("slots") * timeframe * 1e6).astype("M8[us]")
        times = pd.Series(moments).dt.tz_localize("UTC")
        names = pd.Series([symbol] * count, dtype="str")
        frames.append(pd.DataFrame({"timestamp": times, "symbol": names, **columns}))
    joined = pd.concat(frames, ignore_index=True)
    joined = joined.sort_values(["timestamp", "symbol"], ignore_index=True)
    joined.attrs["feed"] = FEED
    return joined


def _first_bars(simulation: Simulation, symbol: str, count: int) -> dict[str, np.ndarray]:
    parts: list[BarArrays] = []
    found = 0
    for prints in simulation.live_prints(symbol):
        if len(prints.slots):
            parts.append(bars_from(prints))
            found += len(parts[-1].slots)
        if found >= count:
            break
    names = BarArrays.__slots__
    return {name: np.concatenate([getattr(p, name) for p in parts])[:count] for name in names}
