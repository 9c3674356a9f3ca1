"""Alpaca's streams of market data behind the port `DataStream`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime

from toolkit.alpaca.frames import Channel
from toolkit.alpaca.link import KeptLink
from toolkit.alpaca.market_wire import MarketWire
from toolkit.alpaca.port import LinkNews
from toolkit.alpaca.resilience import Backoff
from toolkit.alpaca.settings import CRYPTO, AlpacaSettings
from toolkit.alpaca.sockets import StreamLost
from toolkit.core.types import Bar, MarketEvent, is_crypto
from toolkit.errors import DataError

CHANNELS = (Channel.TRADES, Channel.QUOTES, Channel.BARS, Channel.UPDATED_BARS)


class AlpacaDataStream:
    """The market data of stocks (the settings' feed) or of crypto (`feed="crypto"`).

    There may be one connection for each feed and account. `on_daily_bar` subscribes to the bar of
    the day so far as well; it is handed over there, since in `news()` it would pass for a
    minute's. Bars come with their feed. Nothing of a gap is sent again: fill it after each UP.
    Raises ConfigError without keys, DataError for another feed than the settings'.
    """

    def __init__(
        self,
        settings: AlpacaSettings,
        *,
        feed: str | None = None,
        channels: Sequence[Channel] = CHANNELS,
        on_daily_bar: Callable[[Bar], None] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        backoff: Backoff | None = None,
    ) -> None:
        settings.require_keys()
        self.feed = feed or settings.feed
        if self.feed not in (settings.feed, CRYPTO):
            raise DataError(
                f"this stream is for {settings.feed} or crypto, not {self.feed}: feeds are not "
                "mixed",
                field="feed",
                value=self.feed,
            )
        self._wire = MarketWire(
            settings, feed=self.feed, channels=channels, on_daily_bar=on_daily_bar, now=now
        )
        self._link = KeptLink(self._wire, settings=settings, now=now, backoff=backoff)
        self._changing = asyncio.Lock()

    @property
    def last_message(self) -> datetime | None:
        """When something (data, not pings) was heard last, by our clock."""
        return self._wire.last_message

    def news(self) -> AsyncIterator[MarketEvent | LinkNews]:
        """Yield link changes and events until `stop()`; it connects once something is wanted."""
        return self._link.news()

    async def subscribe(self, symbols: Sequence[str]) -> None:
        """Ask for symbols, at once when connected; raises FeedRefused where the plan has no room.

        Raises DataError for a symbol that belongs to the other kind of stream.
        """
        wrong = [name for name in symbols if is_crypto(name) != (self.feed == CRYPTO)]
        if wrong:
            raise DataError(
                f"{wrong[0]} is not on the stream of {self.feed}; crypto has a stream of its own",
                field="symbols",
                value=wrong,
            )
        async with self._changing:
            try:
                await self._wire.subscribe(symbols)
            except StreamLost as loss:
                await self._link.reconnect(str(loss))  # where it is asked for again
            await self._try_again()

    async def unsubscribe(self, symbols: Sequence[str]) -> None:
        """Ask for symbols no more; unknown ones are passed over."""
        async with self._changing:
            await self._wire.unsubscribe(symbols)
            await self._try_again()

    async def reconnect(self) -> None:
        """Drop the connection and make a new one: the watchdog has lost patience."""
        await self._link.reconnect("connected, and mute")

    async def stop(self) -> None:
        """Close the connection at once. Twice is harmless."""
        await self._link.stop()

    async def _try_again(self) -> None:
        """Where we were refused for what we asked, something else may be allowed."""
        if not self._wire.up:
            await self._link.reconnect("the subscription has changed")
