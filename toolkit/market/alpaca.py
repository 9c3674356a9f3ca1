"""Alpaca as a market: live streams that are joined with history, without hole or overlap."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count

from toolkit.alpaca.port import Data, DataStream, Link, LinkNews
from toolkit.core.types import Bar, MarketEvent, Quote, Trade
from toolkit.errors import DataError, ToolkitError
from toolkit.market.arrivals import Counts, Hole
from toolkit.market.backfill import Answer, Backfill
from toolkit.market.collect import Collector, Wish
from toolkit.market.inbox import Inbox
from toolkit.market.intake import Intake
from toolkit.market.lookback import built, last_minutes
from toolkit.market.port import FeedHealth
from toolkit.market.spans import Span
from toolkit.market.store import BarStore
from toolkit.market.streams import CRYPTO, News, Streams, kind_of

log = logging.getLogger(__name__)
INBOX_SIZE = 10_000
ITEMS_BETWEEN_YIELDS = 64  # the inbox itself lets nobody else run while it is full


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long is waited, in seconds.

    `mute`: for anything at all while the market is open; `bar`: for a bar after its minute is
    seen to be over; `hole`: for history, while newer bars wait; `settle`: until history knows a
    minute; `tick`: between two looks at all of this.
    """

    mute: float = 45.0
    bar: float = 3.0
    hole: float = 15.0
    settle: float = 2.0
    tick: float = 0.5


@dataclass(frozen=True, slots=True)
class _Tick:
    """Time to look around."""


class AlpacaMarketData:
    """Stocks of one feed and crypto, through Alpaca's streams and its history.

    `streams` has the keys `stocks` and `crypto`, as far as `symbols` need them; they end with
    `stop()`, `data` belongs to the caller. History comes by way of `store`, if there is one;
    holes never do. `timeframe` in seconds: whole minutes that divide an
    hour. Order is strict within a symbol; others go on while one waits for a hole. `clock` is
    Alpaca's time as well as it is known. Raises ConfigError.
    """

    def __init__(
        self,
        *,
        data: Data,
        streams: Mapping[str, DataStream],
        symbols: Sequence[str],
        timeframe: float = 60.0,
        feed: str = "iex",
        store: BarStore | None = None,
        patience: Patience | None = None,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._patience = patience or Patience()
        self._streams = Streams(
            streams,
            feed=feed,
            mute_after=self._patience.mute,
            clock=clock,
            monotonic=monotonic,
        )
        self._symbols = self._streams.checked(symbols)
        self._timeframe, self._feed = timeframe, feed
        self._clock, self._monotonic, self._sleep = clock, monotonic, sleep
        self._intake = Intake(
            timeframe=timeframe,
            feeds={False: feed, True: CRYPTO},
            bar_patience=self._patience.bar,
        )
        self._backfill = Backfill(
            data,
            feed=feed,
            patience=self._patience.hole,
            settle=self._patience.settle,
            monotonic=monotonic,
        )
        self._collector = None if store is None else Collector(data, store, clock=clock)
        self._inbox: Inbox[_Tick | News | Answer] = Inbox(INBOX_SIZE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._fetching: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Where the data comes from, shown to the user: `alpaca:iex`, `alpaca:crypto+iex`."""
        return "alpaca:" + "+".join(sorted({self._streams.feed(s) for s in self._symbols}))

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols that are followed, sorted."""
        return self._symbols

    @property
    def timeframe(self) -> float:
        """Seconds between the opens of two bars."""
        return self._timeframe

    @property
    def counts(self) -> Counts:
        """What was late, double, revised or missing so far, in minutes."""
        return self._intake.counts

    async def history(self, symbol: str, *, limit: int) -> Sequence[Bar]:
        """Return up to `limit` final bars before the first live one, oldest first.

        Live bars go on from here where none has come yet. Raises DataError.
        """
        if symbol not in self._symbols:
            raise _unknown(symbol, self._symbols)
        if limit <= 0:
            return []
        live = self._intake.first_live(symbol)
        settled = live or self._backfill.settled(self._now())

        async def fetch(start: datetime, end: datetime) -> Sequence[Bar]:
            if self._collector is None:
                return await self._backfill.minutes(symbol, start, end)
            span = Span(start, end)
            return await self._collector.bars(
                Wish(symbols=(symbol,), timeframe=60.0, span=span, feed=self._feed)
            )

        minutes = await last_minutes(
            fetch, symbol, limit=limit, timeframe=self._timeframe, end=settled
        )
        bars = built(minutes, timeframe=self._timeframe, settled=settled)[-limit:]
        if live is None:
            self._intake.join(symbol, minutes=minutes, bars=bars)
        return bars

    async def events(self) -> AsyncGenerator[MarketEvent, None]:
        """Yield live events until `stop()`; raises DataError for mixed feeds."""
        if self._inbox.is_closed():
            return
        try:
            for kind, group in self._streams.by_kind(self._symbols).items():
                self._start(partial(self._streams.read, kind, group, self._inbox.put))
            self._start(self._tick)
            for taken in count(1):
                item = await self._inbox.get()
                if item is None:
                    return
                if taken % ITEMS_BETWEEN_YIELDS == 0:
                    await asyncio.sleep(0)
                for event in self._take(item):
                    yield event
                    if self._inbox.is_closed():
                        return
                if not (isinstance(item, News) and isinstance(item.item, (Quote, Trade))):
                    self._fetch_holes()
        finally:
            await self._end_tasks()

    def health(self) -> FeedHealth:
        """Return whether the data can be acted on now."""
        return self._streams.health(self._symbols)

    async def add_symbols(self, symbols: Sequence[str]) -> None:
        """Follow more symbols from now on; ask for their `history` next.

        Raises ConfigError, or FeedRefused where the plan has no room; then nothing has changed.
        """
        before, new = self._symbols, [s for s in symbols if s not in self._symbols]
        self._symbols = self._streams.checked([*before, *new])
        try:
            for kind, group in self._streams.by_kind(new).items():
                await self._follow(kind, group)
        except ToolkitError:
            self._symbols = before
            raise

    async def remove_symbols(self, symbols: Sequence[str]) -> None:
        """Follow some symbols no longer; one at least must stay. Raises ConfigError."""
        gone = [s for s in self._symbols if s in symbols]
        self._symbols = self._streams.checked([s for s in self._symbols if s not in gone])
        await self._streams.unsubscribe(gone)
        for symbol in gone:
            self._intake.forget(symbol)

    async def stop(self) -> None:
        """End `events()` and the streams at once. Calling it twice is harmless."""
        if not self._inbox.is_closed():
            await self._inbox.close()
            await self._streams.stop()

    async def _follow(self, kind: str, group: Sequence[str]) -> None:
        if self._streams.is_read(kind):
            await self._streams.subscribe(kind, group)
            self._intake.connected([s for s in group if self._streams.is_up(s)], self._now())
        elif self._tasks:
            self._start(partial(self._streams.read, kind, group, self._inbox.put))

    async def _tick(self) -> None:
        while True:
            await self._sleep(self._patience.tick)
            await self._inbox.put(_Tick())
            await self._streams.watch(self._symbols)

    def _take(self, item: _Tick | News | Answer) -> Iterable[MarketEvent]:
        if isinstance(item, _Tick):
            return self._on_tick()
        if isinstance(item, Answer):
            return self._intake.on_answer(item)
        if isinstance(item.item, LinkNews):
            self._on_link(item.kind, item.item)
            return []
        return self._intake.on_event(item.item) if item.item.symbol in self._symbols else []

    def _on_link(self, kind: str, news: LinkNews) -> None:
        self._streams.note(kind, news)
        if news.link is Link.UP:
            self._intake.connected([s for s in self._symbols if kind_of(s) == kind], self._now())

    def _on_tick(self) -> Iterable[MarketEvent]:
        holes = self._intake.holes(now=self._monotonic())
        for symbol in self._backfill.expired(holes, self._now()):
            yield from self._intake.give_up(symbol)
        up = [s for s in self._symbols if self._streams.is_up(s)]
        yield from self._intake.closed_by_time(up)

    def _fetch_holes(self) -> None:
        if self._fetching is not None and not self._fetching.done():
            return
        now = self._now()
        holes = self._backfill.askable(self._intake.holes(now=self._monotonic()), now)
        if holes:
            self._fetching = self._start(partial(self._fetch, holes, now))

    async def _fetch(self, holes: Sequence[Hole], now: datetime) -> None:
        answer = await self._backfill.fetch(holes, now)
        await self._inbox.put(answer)
        await self._sleep(self._patience.tick)

    def _now(self) -> datetime:
        """Return the later one of our clock and what the streams show."""
        shown, now = self._intake.market_time, self._clock()
        return now if shown is None else max(now, shown)

    def _start(self, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:
            log.exception("market data ends")
            await self._inbox.fail(error)  # `events()` raises it

    async def _end_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _unknown(symbol: str, known: Sequence[str]) -> DataError:
    return DataError(
        f"{symbol!r} is not followed; known symbols: {', '.join(known)}; add it first",
        field="symbol",
        value=symbol,
        allowed=list(known),
    )
