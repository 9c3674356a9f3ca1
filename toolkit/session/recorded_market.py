"""Recording a market without a bot: nothing is traded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from toolkit.bot.bot import utc_now
from toolkit.config import Settings
from toolkit.core.types import Bar, MarketEvent
from toolkit.market.port import MarketData
from toolkit.record.recording import RecordingMarket
from toolkit.session.build import build_market, trades_alpaca
from toolkit.session.options import LaunchOptions
from toolkit.session.recording import market_recorder
from toolkit.session.replay import absorbing_cancellation

Progress = Callable[[Counter[str]], None]
WARM_UP_BARS = 500
EVENTS_BETWEEN_REPORTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRecord:
    """What was recorded where; `problem` says why it ended early, empty where it did not."""

    path: Path
    market: str
    symbols: tuple[str, ...]
    counts: Mapping[str, int]
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "path": str(self.path),
            "market": self.market,
            "symbols": list(self.symbols),
            "counts": dict(self.counts),
        }


async def record_market(
    options: LaunchOptions,
    settings: Settings,
    *,
    most: int | None = None,
    progress: Progress = lambda _counts: None,
) -> MarketRecord:
    """Record below `options.record` until the market ends, `most` events came, or Ctrl-C.

    The bars before the first live one come first, so that a strategy can be warmed up with them.
    Raises DataError and ConfigError.
    """
    market, clock, release = await _open(options, settings)
    problems: list[str] = []
    recorder, path = market_recorder(market, options, report=problems.append, clock=clock)
    counts: Counter[str] = Counter()
    recording = RecordingMarket(market, recorder)
    try:
        with absorbing_cancellation():
            for symbol in market.symbols:
                await recording.history(symbol, limit=WARM_UP_BARS)
            async with aclosing(recording.events()) as events:
                async for event in events:
                    counts[_kind(event)] += 1
                    total = counts.total()
                    if total % EVENTS_BETWEEN_REPORTS == 1:
                        progress(counts)
                    if not recorder.active or total == most:
                        break
    finally:
        await market.stop()
        await release()
        await recorder.stop()
    return MarketRecord(
        path=path,
        market=market.name,
        symbols=tuple(market.symbols),
        counts=counts,
        problem=" ".join(problems),
    )


async def _open(
    options: LaunchOptions, settings: Settings
) -> tuple[MarketData, Callable[[], datetime], Callable[[], Awaitable[None]]]:
    if trades_alpaca(options, settings):
        from toolkit.session.alpaca import open_alpaca_market

        return await open_alpaca_market(options, settings)

    async def nothing() -> None:
        """A simulated market holds nothing open."""

    return build_market(options), utc_now, nothing


def _kind(event: MarketEvent) -> str:
    if isinstance(event, Bar):
        return "bars" if event.final else "forming bars"
    return {"Quote": "quotes", "Trade": "trades"}.get(type(event).__name__, "gaps")
