"""Alpaca's history and streams as plain objects that a test moves by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from toolkit.alpaca.port import Link, LinkNews
from toolkit.core.types import Bar, MarketEvent, Trade
from toolkit.errors import DataError

START = datetime(2026, 1, 5, 15, tzinfo=UTC)  # a Monday, in the session
MINUTE = timedelta(minutes=1)


def at(minute: float) -> datetime:
    return START + minute * MINUTE


def bar(minute: int, symbol: str = "AAPL", *, close: float = 0.0, revision: int = 0) -> Bar:
    price = close or 100.0 + minute % 7
    return Bar(
        symbol=symbol,
        timestamp=at(minute),
        open=price,
        high=price + 1.0,
        low=price - 1.0,
        close=price,
        volume=10.0 + minute,
        feed="crypto" if "/" in symbol else "iex",
        revision=revision,
    )


def trade(minute: float, symbol: str = "AAPL", price: float = 100.0) -> Trade:
    return Trade(symbol=symbol, timestamp=at(minute), price=price, size=1.0)


class FakeTime:
    """Alpaca's time; monotonic and wall clock move together."""

    def __init__(self, minute: float = 0.0) -> None:
        self.now = at(minute)

    def clock(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return (self.now - START).total_seconds()

    def to(self, minute: float) -> None:
        self.now = at(minute)

    def pass_seconds(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class FakeData:
    """History: `bars` it knows, `requests` it got; `error` is raised while it is set."""

    def __init__(self, bars: Sequence[Bar] = ()) -> None:
        self.known = list(bars)
        self.requests: list[tuple[tuple[str, ...], datetime, datetime]] = []
        self.error: Exception | None = None
        self.feeds: list[str | None] = []

    async def bars(
        self,
        symbols: Sequence[str],
        *,
        timeframe: float,
        start: datetime,
        end: datetime,
        feed: str | None = None,
        adjustment: str = "raw",
    ) -> Mapping[str, Sequence[Bar]]:
        self.requests.append((tuple(symbols), start, end))
        self.feeds.append(feed)
        if self.error is not None:
            raise self.error
        chosen = [b for b in self.known if b.symbol in symbols and start <= b.timestamp < end]
        chosen.sort(key=lambda b: b.timestamp)
        return {s: [b for b in chosen if b.symbol == s] for s in symbols}

    async def close(self) -> None:
        return


class FakeStream:
    """A stream that says what it is told to."""

    def __init__(self) -> None:
        self.subscribed: set[str] = set()
        self.reconnects = 0
        self.stopped = self.read = False
        self.refusal: Exception | None = None
        self._queue: asyncio.Queue[MarketEvent | LinkNews | Exception | None] = asyncio.Queue()

    @property
    def last_message(self) -> datetime | None:
        return None

    async def news(self) -> AsyncIterator[MarketEvent | LinkNews]:
        assert not self.read, "a stream is read once"
        self.read = True
        while (item := await self._queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    async def subscribe(self, symbols: Sequence[str]) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.subscribed.update(symbols)

    async def unsubscribe(self, symbols: Sequence[str]) -> None:
        self.subscribed.difference_update(symbols)

    async def reconnect(self) -> None:
        self.reconnects += 1

    async def stop(self) -> None:
        self.stopped = True
        self._queue.put_nowait(None)

    def say(self, *items: MarketEvent | LinkNews | Exception) -> None:
        for item in items:
            self._queue.put_nowait(item)

    def link(self, link: Link, reason: str = "") -> None:
        self.say(LinkNews(link=link, timestamp=START, reason=reason))

    def up(self) -> None:
        self.link(Link.UP)


async def until(condition: Callable[[], object], *, what: str = "") -> None:
    """Let other tasks run until a condition holds."""
    for _ in range(20_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError(what or "it never came to be")


def no_answer() -> DataError:
    return DataError("history does not answer; try again")
