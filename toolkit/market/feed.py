"""From bars, quotes and trades to the events of a market, each at its moment."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from datetime import datetime

from toolkit.core.types import Bar, MarketEvent, Quote, Trade
from toolkit.market.builder import BarBuilder
from toolkit.market.gaps import GapDetector
from toolkit.market.pace import Pacer

Tick = Quote | Trade
Step = tuple[datetime, Sequence[MarketEvent]]


def bar_steps(bars: Iterable[Bar], *, gaps: GapDetector) -> Iterator[Step]:
    """Yield each final bar at its opening time, after the gap that it ends."""
    for bar in bars:
        yield bar.timestamp, tuple(gaps.announced([bar]))


def tick_steps(
    ticks: Iterable[Tick],
    *,
    builder: BarBuilder,
    build: Callable[[Tick], list[Bar]],
    gaps: GapDetector,
) -> Iterator[Step]:
    """Yield final bars at the moment they are over, and each tick followed by its forming bar.

    `build` hands a tick to the builder and returns the bars of that. The last bars come out
    final when the ticks end.
    """
    for tick in ticks:
        due = builder.due
        if due is not None and due <= tick.timestamp:
            yield due, tuple(gaps.announced(builder.close_until(tick.timestamp)))
        yield tick.timestamp, (tick, *gaps.announced(build(tick)))
    due = builder.due
    if due is not None:
        yield due, tuple(gaps.announced(builder.flush()))


async def play(steps: Iterable[Step], *, pacer: Pacer) -> AsyncGenerator[MarketEvent, None]:
    """Yield the events of each step at its moment; ends at once when the pacer is stopped."""
    for moment, events in steps:
        await pacer.wait(moment)
        for event in events:
            if pacer.stopped:
                return
            yield event
            await pacer.breathe()
