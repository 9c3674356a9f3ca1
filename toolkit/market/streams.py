"""The streams of one market: read, watched, and connected again when they are mute."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from toolkit.alpaca.port import DataStream, LinkNews
from toolkit.core.types import MarketEvent, is_crypto
from toolkit.errors import ConfigError
from toolkit.market.links import LinkWatch
from toolkit.market.port import FeedHealth
from toolkit.market.sessions import is_open

STOCKS, CRYPTO = "stocks", "crypto"


@dataclass(frozen=True, slots=True)
class News:
    """What one stream brought."""

    kind: str
    item: MarketEvent | LinkNews


def kind_of(symbol: str) -> str:
    """Return the stream that a symbol belongs to."""
    return CRYPTO if is_crypto(symbol) else STOCKS


class Streams:
    """Streams by kind (`stocks`, `crypto`). `mute_after` in seconds; `feed` is that of stocks."""

    def __init__(
        self,
        streams: Mapping[str, DataStream],
        *,
        feed: str,
        mute_after: float,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._streams = dict(streams)
        self._feeds = {STOCKS: feed, CRYPTO: CRYPTO}
        self._links = {k: LinkWatch(self._feeds[k], mute_after=mute_after) for k in streams}
        self._read: set[str] = set()
        self._clock, self._monotonic = clock, monotonic

    def checked(self, symbols: Sequence[str]) -> tuple[str, ...]:
        """Return the symbols sorted; raises ConfigError for none, or one without a stream."""
        homeless = sorted({kind_of(s) for s in symbols} - set(self._streams))
        if not symbols or homeless:
            what = f"there is no stream for {homeless[0]}" if homeless else "there are no symbols"
            raise ConfigError(
                f"{what}; allowed: at least one symbol, of {', '.join(self._streams)}",
                field="symbols",
                value=", ".join(symbols),
                allowed=list(self._streams),
            )
        return tuple(sorted(set(symbols)))

    def by_kind(self, symbols: Sequence[str]) -> dict[str, list[str]]:
        """Return the symbols of each kind that has any."""
        groups = {kind: [s for s in symbols if kind_of(s) == kind] for kind in self._streams}
        return {kind: group for kind, group in groups.items() if group}

    def feed(self, symbol: str) -> str:
        """Return the feed of a symbol."""
        return self._feeds[kind_of(symbol)]

    def is_read(self, kind: str) -> bool:
        """Whether `read` has begun."""
        return kind in self._read

    def is_up(self, symbol: str) -> bool:
        """Whether a symbol's stream is connected."""
        return self._links[kind_of(symbol)].is_up

    def note(self, kind: str, news: LinkNews) -> None:
        """Take what became of a connection."""
        self._links[kind].on_news(news)

    async def read(
        self, kind: str, symbols: Sequence[str], put: Callable[[News], Awaitable[None]]
    ) -> None:
        """Subscribe, and hand on everything until `stop()`."""
        self._read.add(kind)
        stream = self._streams[kind]
        await stream.subscribe(symbols)
        async for item in stream.news():
            if not isinstance(item, LinkNews):
                self._links[kind].on_message(now=self._monotonic(), wall=self._clock())
            await put(News(kind, item))

    async def watch(self, symbols: Sequence[str]) -> None:
        """Connect again what is mute while its market is open."""
        for kind, group in self.by_kind(symbols).items():
            opened = any(is_open(symbol, self._clock()) for symbol in group)
            if self._links[kind].check(now=self._monotonic(), market_open=opened):
                await self._streams[kind].reconnect()

    async def subscribe(self, kind: str, symbols: Sequence[str]) -> None:
        """Ask for more; raises FeedRefused where the plan has no room."""
        await self._streams[kind].subscribe(symbols)

    async def unsubscribe(self, symbols: Sequence[str]) -> None:
        """Ask for less."""
        for kind, group in self.by_kind(symbols).items():
            await self._streams[kind].unsubscribe(group)

    def health(self, symbols: Sequence[str]) -> FeedHealth:
        """Return whether all streams that these symbols need can be trusted."""
        links = [self._links[kind].health() for kind in self.by_kind(symbols)]
        heard = [health.last_message for health in links if health.last_message is not None]
        reasons = [health.reason for health in links if not health.ok]
        return FeedHealth(
            ok=not reasons, reason="; ".join(reasons), last_message=max(heard, default=None)
        )

    async def stop(self) -> None:
        """End all streams."""
        for stream in self._streams.values():
            await stream.stop()
