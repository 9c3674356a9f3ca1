"""Run a recording through the bot, without or with a server to watch it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from toolkit.bot.bot import Bot
from toolkit.bot.events import BotState, Event
from toolkit.core.report import trade_dict
from toolkit.core.types import RoundTrip
from toolkit.errors import ToolkitError
from toolkit.record.comparison import PlayReport
from toolkit.session.build import RoundTrips, build_bot
from toolkit.session.options import LaunchOptions
from toolkit.session.recording import PlayedMarket

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayResult:
    """What the bot did on a recording; `seconds` is the wall time of the run.

    `interrupted` says that it was stopped (Ctrl-C) before the recording's end; `play` how the
    recording of a session, not of a market, was repeated.
    """

    options: LaunchOptions
    symbols: tuple[str, ...]
    bars: int
    round_trips: tuple[RoundTrip, ...]
    open_positions: int
    seconds: float
    interrupted: bool
    play: PlayReport | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; `trades` as `toolkit backtest` prints them."""
        return {
            "file": self.options.recording,
            "symbols": list(self.symbols),
            "bars": self.bars,
            "capital": self.options.capital,
            "costs": self.options.costs.to_dict(),
            "sessions": self.options.sessions,
            "flat_before_close": self.options.flat_before_close,
            "parameters": dict(self.options.parameters),
            "trades": [trade_dict(trip) for trip in self.round_trips],
            "open_positions": self.open_positions,
            "interrupted": self.interrupted,
            "seconds": round(self.seconds, 3),
            **(self.play.to_dict() if self.play else {}),
        }


async def replay(options: LaunchOptions, *, progress: Progress | None = None) -> ReplayResult:
    """Run the bot over `options.recording` and return its trades; raises DataError, ConfigError.

    `progress` gets (events done, events in all) about once in a hundred bars.
    """
    collect = RoundTrips()
    began = time.perf_counter()

    def publish(event: Event) -> None:
        collect(event)
        if progress is not None and bot.ledger.bars % 100 == 0:
            report(bot, progress)

    bot = build_bot(options, publish=publish)
    with absorbing_cancellation() as cut:
        await bot.run()
    if progress is not None:
        report(bot, progress)
    seconds = time.perf_counter() - began
    return result_of(bot, options, collect, seconds=seconds, interrupted=cut.is_set())


@contextmanager
def absorbing_cancellation() -> Iterator[asyncio.Event]:
    """Go on after a Ctrl-C that cancelled the block; the event tells that it did."""
    cut = asyncio.Event()
    try:
        yield cut
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
        cut.set()


def report(bot: Bot, progress: Progress) -> None:
    """Tell how far the bot's recording has come."""
    progress(getattr(bot.market, "done", 0), getattr(bot.market, "total", 0))


def result_of(
    bot: Bot, options: LaunchOptions, collected: RoundTrips, *, seconds: float, interrupted: bool
) -> ReplayResult:
    """Sum up a bot whose recording has ended; raises ToolkitError when it failed before."""
    if bot.state is not BotState.FINISHED and not interrupted:
        raise ToolkitError(f"the replay did not end well: {bot.health().reason}")
    return ReplayResult(
        options=options,
        symbols=tuple(bot.symbols),
        bars=bot.ledger.bars,
        round_trips=tuple(collected.items),
        open_positions=len(bot.engine.portfolio.holdings),
        seconds=seconds,
        interrupted=interrupted,
        play=bot.market.report() if isinstance(bot.market, PlayedMarket) else None,
    )
