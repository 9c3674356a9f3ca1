"""The protocol of the market data streams: login, subscriptions, and messages in msgpack."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgpack

from toolkit.alpaca.frames import DAILY_BAR, ERROR, SUBSCRIPTION, Channel, event_of
from toolkit.alpaca.sdk import (
    CryptoDataStream,
    DataFeed,
    StockDataStream,
    WebSocketException,
)
from toolkit.alpaca.settings import CRYPTO, AlpacaSettings
from toolkit.alpaca.sockets import KEYS, StreamLost, StreamRefused, hang_up, nobody, socket_options
from toolkit.core.types import Bar, Quote, Trade
from toolkit.errors import FeedRefused

Tick = Bar | Quote | Trade
_REFUSALS = {
    400: "Alpaca did not understand the subscription",
    402: KEYS,
    405: "the data plan allows fewer symbols (the basic plan 30 channels of trades and quotes): "
    "subscribe to fewer, to bars only, or upgrade",
    406: "the account's one connection to this feed is taken: stop the other program. One that "
    "broke is held for up to 90 s",
    409: "the data plan does not have this feed: use feed iex, or upgrade",
    410: "this feed does not have such a channel",
}
_ABOUT_SUBSCRIPTION = (400, 405, 410)
_LOSSES = {404: "the login took too long", 407: "we read too slowly, and messages are lost"}
_UNREADABLE = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    msgpack.exceptions.UnpackException,
)
# The SDK hands on the words of a refused login, not its number.
_NUMBERS = {
    "auth failed": 402,
    "connection limit exceeded": 406,
    "insufficient subscription": 409,
    "auth timeout": 404,
}


class MarketWire:
    """One connection at a time; `wanted` are its symbols, `up` says that they are confirmed."""

    def __init__(
        self,
        settings: AlpacaSettings,
        *,
        feed: str,
        channels: Sequence[Channel],
        on_daily_bar: Callable[[Bar], None] | None,
        now: Callable[[], datetime],
    ) -> None:
        self.wanted: set[str] = set()
        self.last_message: datetime | None = None
        self._settings, self._feed, self._now = settings, feed, now
        daily = () if on_daily_bar is None else (Channel.DAILY_BARS,)
        self._channels = tuple(dict.fromkeys((*channels, *daily)))
        self._on_daily_bar = on_daily_bar
        self._sdk: Any = None
        self.up = False
        self._answer: asyncio.Future[None] | None = None
        self._asked: set[str] = set()
        self._awaited = 0
        self._early: list[Tick] = []
        self._something = asyncio.Event()

    async def ready(self) -> None:
        """Return when a symbol is wanted: without one, the SDK's loop would burn a whole core."""
        await self._something.wait()

    async def open(self) -> None:
        """Connect, log in, subscribe, and wait until the subscription is confirmed."""
        self._sdk = sdk = self._make()
        self._early = []
        try:
            await sdk._connect()
            await sdk._auth()
        except (*_UNREADABLE, IndexError) as error:
            raise _login_error(str(error)) from None
        self._asked = set()
        while self._asked != self.wanted:  # it may change while we wait
            await self._send_change(self._asked - self.wanted)
            self._answer = asyncio.get_running_loop().create_future()
            while not self._answer.done():
                self._early += await self._receive()
        self.up = True

    async def read(self) -> Sequence[Tick]:
        """Return the events of the next frame."""
        if self._early:
            early, self._early = self._early, []
            return early
        return await self._receive()

    async def hang_up(self) -> None:
        """Close the connection, if there is one; who waits for an answer gets none."""
        self.up = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(StreamLost("the connection is lost"))
            self._answer.exception()  # nobody may be waiting
        sdk, self._sdk = self._sdk, None
        if sdk is not None:
            await hang_up(sdk, patience=3 * self._settings.close_timeout)

    async def subscribe(self, symbols: Sequence[str]) -> None:
        """Add symbols, confirmed when connected; raises FeedRefused or StreamLost."""
        new = set(symbols) - self.wanted
        self.wanted |= new
        if self.wanted:
            self._something.set()
        if not new or not self.up:
            return
        try:
            await self._change(set())
        except FeedRefused:
            self.wanted -= new
            raise

    async def unsubscribe(self, symbols: Sequence[str]) -> None:
        """Remove symbols."""
        gone = set(symbols) & self.wanted
        self.wanted -= gone
        if not self.wanted:
            self._something.clear()
        if gone and self.up:
            try:
                await self._change(gone)
            except StreamLost:
                return  # the next connection does not ask for them

    async def _change(self, gone: set[str]) -> None:
        """Tell a running connection what is wanted, and wait for the answer."""
        self._answer = answer = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._settings.handshake_timeout):
                await self._send_change(gone)
                await answer
        except (TimeoutError, WebSocketException, OSError) as error:
            raise StreamLost(f"the subscription was not confirmed: {error!r}") from None
        finally:
            self._answer = None

    async def _send_change(self, gone: set[str]) -> None:
        sdk, wanted = self._sdk, sorted(self.wanted)
        self._asked, self._awaited = set(wanted), bool(gone) + bool(wanted)
        if gone:
            lists = {channel.value: sorted(gone) for channel in self._channels}
            await sdk._ws.send(msgpack.packb({"action": "unsubscribe", **lists}))
        if wanted:
            for channel in self._channels:
                sdk._handlers[channel.value] = dict.fromkeys(wanted, nobody)
            await sdk._send_subscribe_msg()

    async def _receive(self) -> list[Tick]:
        frame = await self._sdk._ws.recv()
        try:
            messages = msgpack.unpackb(frame)
        except _UNREADABLE:
            raise StreamLost("a frame cannot be read, and what it told is lost") from None
        found: list[Tick] = []
        for message in messages if isinstance(messages, list) else ():
            self._take(message, found)
        return found

    def _take(self, message: Mapping[str, Any], found: list[Tick]) -> None:
        try:
            kind = message["T"]
            event = event_of(message, feed=self._feed)
        except _UNREADABLE as error:
            raise StreamLost(f"a message cannot be read: {error!r}") from None
        if event is None:
            self._take_control(kind, message)
            return
        self.last_message = self._now()
        if kind != DAILY_BAR:
            found.append(event)
        elif self._on_daily_bar is not None and isinstance(event, Bar):
            self._on_daily_bar(event)

    def _take_control(self, kind: Any, message: Mapping[str, Any]) -> None:
        answer = self._answer
        waits = answer is not None and not answer.done()
        if kind == SUBSCRIPTION and answer is not None and waits:
            self._awaited -= 1
            if self._awaited <= 0:
                self._confirm(answer, message)
        elif kind == ERROR:
            number = message.get("code")
            if self.up and answer is not None and waits and number in _ABOUT_SUBSCRIPTION:
                answer.set_exception(FeedRefused(_REFUSALS[number], status=number))
            else:
                raise _error(number, message.get("msg"))

    def _confirm(self, answer: asyncio.Future[None], message: Mapping[str, Any]) -> None:
        """Compare what is asked for with what we get: Alpaca always tells the whole list."""
        got = [set(message.get(channel.value) or ()) for channel in self._channels]
        missing = sorted(self._asked - set.union(set(), *got))
        if not missing:
            answer.set_result(None)
            return
        text = f"Alpaca does not stream {', '.join(missing)}: check the spelling"
        if not self.up:
            raise StreamRefused(text)
        answer.set_exception(FeedRefused(text, symbols=missing))

    def _make(self) -> Any:
        settings = self._settings
        common: dict[str, Any] = {
            "api_key": settings.key_id,
            "secret_key": settings.secret_key,
            "raw_data": True,
            "websocket_params": socket_options(settings),
        }
        if self._feed == CRYPTO:
            return CryptoDataStream(**common, url_override=settings.crypto_stream)
        feed = DataFeed(self._feed)
        return StockDataStream(**common, feed=feed, url_override=settings.stock_stream)


def _login_error(words: str) -> Exception:
    number = next((number for text, number in _NUMBERS.items() if text in words), None)
    return _error(number, f"the login failed: {words}")


def _error(number: Any, words: Any) -> Exception:
    if number in _REFUSALS:
        return StreamRefused(_REFUSALS[number])
    return StreamLost(_LOSSES.get(number, f"Alpaca reports an error: {words} ({number})"))
