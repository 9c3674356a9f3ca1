"""Alpaca's stream of order events behind the port `OrderStream`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from toolkit.alpaca.link import KeptLink
from toolkit.alpaca.port import LinkNews, OrderNews
from toolkit.alpaca.resilience import Backoff
from toolkit.alpaca.sdk import TradingStream
from toolkit.alpaca.settings import AlpacaSettings
from toolkit.alpaca.sockets import KEYS, StreamLost, StreamRefused, hang_up, nobody, socket_options
from toolkit.alpaca.words import is_foreign, news_of

UPDATES = "trade_updates"


class AlpacaOrderStream:
    """Order events of one account, on one connection. Raises ConfigError without keys.

    What happened while it was down is not told again: reconcile after each UP.
    """

    def __init__(
        self,
        settings: AlpacaSettings,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        backoff: Backoff | None = None,
    ) -> None:
        settings.require_keys()
        self._wire = _Wire(settings, now=now)
        self._link = KeptLink(self._wire, settings=settings, now=now, backoff=backoff)

    @property
    def last_message(self) -> datetime | None:
        """When an order event was heard last, by our clock; a quiet account has none for days."""
        return self._wire.last_message

    def news(self) -> AsyncIterator[OrderNews | LinkNews]:
        """Yield link changes and order events until `stop()`; reconnects by itself."""
        return self._link.news()

    async def reconnect(self) -> None:
        """Drop the connection and make a new one: events are missing that should have come."""
        await self._link.reconnect("connected, and mute")

    async def stop(self) -> None:
        """Close the connection at once. Twice is harmless."""
        await self._link.stop()


class _Wire:
    """The protocol of the stream: JSON in frames of bytes."""

    def __init__(self, settings: AlpacaSettings, *, now: Callable[[], datetime]) -> None:
        self.last_message: datetime | None = None
        self._settings, self._now = settings, now
        self._sdk: Any = None

    async def ready(self) -> None:
        """There is always something to listen for."""

    async def open(self) -> None:
        """Connect, log in, and wait until Alpaca says that it will tell us."""
        settings = self._settings
        self._sdk = sdk = cast(
            "Any",
            TradingStream(
                api_key=settings.key_id,
                secret_key=settings.secret_key,
                raw_data=True,
                url_override=settings.trading_stream,
                websocket_params=socket_options(settings),
            ),
        )
        sdk.subscribe_trade_updates(nobody)
        await sdk._connect()
        try:
            await sdk._auth()
        except (ValueError, AttributeError, TypeError) as error:
            if "failed to authenticate" in str(error):
                raise StreamRefused(f"{KEYS}; or too many programs listen with them") from None
            raise StreamLost(f"the login's answer cannot be read: {error}") from None
        await sdk._subscribe_trade_updates()
        while True:
            message = await self._receive()
            if message.get("stream") == "listening":
                break
        if UPDATES not in message["data"].get("streams", ()):
            raise StreamRefused("Alpaca does not tell of orders on this stream; check its address")

    async def read(self) -> Sequence[OrderNews]:
        """Return the event of the next frame; of other kinds of message nothing."""
        message = await self._receive()
        if message.get("stream") != UPDATES:
            if message.get("stream") == "error" or message.get("action") == "error":
                raise StreamLost(f"Alpaca reports an error: {message.get('data')}")
            return ()
        self.last_message = self._now()
        try:
            facts = message["data"]
            return () if is_foreign(facts["order"]) else (news_of(facts),)
        except (KeyError, ValueError, TypeError, ArithmeticError) as error:
            raise StreamLost(f"an order event cannot be read: {error!r}") from None

    async def hang_up(self) -> None:
        """Close the connection, if there is one."""
        sdk, self._sdk = self._sdk, None
        if sdk is not None:
            await hang_up(sdk, patience=3 * self._settings.close_timeout)

    async def _receive(self) -> dict[str, Any]:
        frame = await self._sdk._ws.recv()
        try:
            message = json.loads(frame, parse_float=Decimal)
        except ValueError:
            raise StreamLost("a frame cannot be read, and what it told is lost") from None
        return message if isinstance(message, dict) else {}
