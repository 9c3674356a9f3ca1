"""`tk.bars` from Alpaca: the span that is meant, the store, progress, and Ctrl-C."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from toolkit.alpaca.settings import DATA_URL, AlpacaSettings
from toolkit.bot.bot import utc_now
from toolkit.config import Settings
from toolkit.errors import DataError
from toolkit.market.collect import Collector, Report, Wish
from toolkit.market.lookback import start_for
from toolkit.market.spans import Span
from toolkit.market.store import BarStore
from toolkit.research.progress import progress_of
from toolkit.runtime import LoopThread

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)
QUIET_SECONDS = 1.0
_WIDER = (1, 3, 9, 27)  # times a full session's bars: thin symbols skip minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuestion:
    """What is asked of Alpaca; `timeframe` in seconds.

    Without `start`, the last `count` bars of each symbol before `end`; with it, the first ones,
    or all where `count` is None. Without `end`, up to now.
    """

    symbols: tuple[str, ...]
    timeframe: float
    start: datetime | None
    end: datetime | None
    count: int | None
    feed: str | None = None
    adjustment: str = "raw"


def alpaca_bars(
    question: HistoryQuestion,
    settings: Settings,
    *,
    progress: bool | Report = True,
    clock: Callable[[], datetime] = utc_now,
) -> pd.DataFrame:
    """Return bars through the store of `settings`; raises DataError, FeedRefused.

    Columns timestamp (UTC), symbol, open, high, low, close, volume and feed. Progress is shown
    when it takes more than a second; what was fetched before Ctrl-C is kept.
    """
    from toolkit.alpaca.data import AlpacaData

    streamless = settings.model_copy(update={"alpaca_stock_stream_url": None})
    alpaca = streamless.alpaca(feed=question.feed)  # the stream may be of another feed

    async def collect(store: BarStore) -> pd.DataFrame:
        data = AlpacaData(alpaca)
        try:
            with _late_progress(progress) as report:
                return await _answer(
                    question,
                    Collector(data, store, clock=clock),
                    feed=alpaca.feed,
                    now=clock(),
                    report=report,
                )
        finally:
            await data.close()

    with _store_folder(settings) as folder, LoopThread("bars") as loop:
        frame = loop.call(collect(BarStore(folder, clock=clock)), timeout=None)
    _check_empty(frame, question, alpaca.feed)
    feeds = "+".join(sorted(frame["feed"].unique()))
    frame.attrs |= {
        "source": f"alpaca:{feeds}",
        "feed": feeds,
        "adjustment": question.adjustment,
        "timeframe": question.timeframe,
    }
    return frame


def keeps_bars(settings: Settings, alpaca: AlpacaSettings) -> bool:
    """Whether fetched bars are kept: those of an exchange double never lie among Alpaca's."""
    return settings.bars_dir is not None or alpaca.data == DATA_URL


@contextmanager
def _store_folder(settings: Settings) -> Iterator[Path]:
    if keeps_bars(settings, settings.alpaca()):
        yield settings.bars_folder
        return
    with TemporaryDirectory() as folder:
        yield Path(folder)


async def _answer(
    question: HistoryQuestion, collector: Collector, *, feed: str, now: datetime, report: Report
) -> pd.DataFrame:
    end = min(question.end or now, now)

    async def between(start: datetime) -> pd.DataFrame:
        wish = Wish(
            symbols=question.symbols,
            timeframe=question.timeframe,
            span=Span(start, end),
            feed=feed,
            adjustment=question.adjustment,
        )
        return await collector.collect(wish, report=report)

    if question.start is not None:
        frame = await between(question.start)
        return frame if question.count is None else _of_each(frame, question.count, first=True)
    assert question.count is not None
    step = timedelta(seconds=question.timeframe)
    for factor in _WIDER:
        slots = factor * question.count
        starts = [start_for(s, slots=slots, step=step, end=end) for s in question.symbols]
        frame = await between(min(starts))
        if (frame.groupby("symbol").size().reindex(question.symbols) >= question.count).all():
            break
    return _of_each(frame, question.count, first=False)


def _of_each(frame: pd.DataFrame, count: int, *, first: bool) -> pd.DataFrame:
    groups = frame.groupby("symbol", sort=False)
    cut = groups.head(count) if first else groups.tail(count)
    return cut.reset_index(drop=True)


def _check_empty(frame: pd.DataFrame, question: HistoryQuestion, feed: str) -> None:
    missing = sorted(set(question.symbols) - set(frame["symbol"]))
    what = f"Alpaca has no bars of {', '.join(missing)} in this span (stocks: feed {feed})"
    if len(frame) == 0:
        raise DataError(
            f"{what}; check spelling, start and end",
            field="symbols",
            value=", ".join(missing),
        )
    if missing:
        log.warning("%s; the others are there", what)


@contextmanager
def _late_progress(progress: bool | Report) -> Iterator[Report]:
    """Give the function to report to; a bar appears when a second is over."""
    begun = time.monotonic()
    with ExitStack() as stack:
        shown: list[Report] = []

        def report(done: int, total: int) -> None:
            late = time.monotonic() - begun > QUIET_SECONDS
            if not shown and (late or callable(progress)):
                shown.append(stack.enter_context(progress_of(progress, total=total, what="bars")))
            for show in shown:
                show(done, total)

        yield report
