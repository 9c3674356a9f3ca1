"""The market-data streams /v2/iex, /v2/sip and /v1beta3/crypto/us."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import msgpack
from aiohttp import WSMsgType, web

from toolkit.core.types import is_crypto
from toolkit.exchange.exchange import Exchange
from toolkit.exchange.faults import Kind
from toolkit.exchange.messages import CHANNELS, SIP_VOLUMES, MarketMessage
from toolkit.exchange.outbox import Outbox
from toolkit.exchange.post import MARKET, MarketItem, Oddity
from toolkit.exchange.sessions import CLEAN, Sessions, cut
from toolkit.exchange.values import stamp

FEEDS = {"/v2/iex": "iex", "/v2/sip": "sip", "/v1beta3/crypto/us": "crypto"}
LOGIN_TIMEOUT = 10.0
ERRORS = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
}
_FATAL = frozenset({402, 404, 406, 407, 409})
_COUNTED = ("trades", "quotes")
_STOCKS_ONLY = frozenset({"statuses", "lulds"})
_SHOWN = (*CHANNELS, "lulds", "corrections", "cancelErrors")
_UNREADABLE = b"\xc1\xc1 no message at all"


class MarketStream:
    """One client of one feed. Speaks msgpack or JSON, as the client's Content-Type says."""

    def __init__(
        self, request: web.Request, socket: web.WebSocketResponse, exchange: Exchange
    ) -> None:
        self.request = request
        self.feed = FEEDS[request.path]
        self.subscribed: dict[str, set[str]] = {channel: set() for channel in _SHOWN}
        self.key: str | None = None
        settings = exchange.settings
        self.outbox = Outbox(socket, size=settings.queue_size)
        self._exchange = exchange
        self._msgpack = request.headers.get("Content-Type") == "application/msgpack"
        self._batch: list[dict[str, Any]] = []

    def takes(self, message: MarketMessage) -> bool:
        """Whether the client subscribed to it."""
        if is_crypto(message.symbol) != (self.feed == "crypto"):
            return False
        wanted = self.subscribed[message.channel]
        return message.symbol in wanted or "*" in wanted

    def queue(self, item: MarketItem) -> None:
        """Add a message to the next frame."""
        if item is Oddity.MALFORMED:
            self.flush()
            self._put(_UNREADABLE)
        elif isinstance(item, Oddity):
            self._batch.append({"T": "zz", "S": "AAPL", "x": 1})
        elif self.takes(item):
            shown = item.volumes(SIP_VOLUMES if self.feed == "sip" else 1)
            kind = {"T": CHANNELS[shown.channel], "S": shown.symbol}
            self._batch.append({**kind, **shown.fields, "t": self._time(shown.at)})

    def flush(self) -> None:
        """Send what was queued as one frame."""
        if self._batch:
            batch, self._batch = self._batch, []
            self._put(self._frame(batch))

    def say(self, *messages: Mapping[str, Any]) -> None:
        """Send control messages, after what was queued before them."""
        self.flush()
        self._put(self._frame(list(messages)))

    def error(self, code: int) -> None:
        """Send an error; some end the connection."""
        frame = self._frame([{"T": "error", "code": code, "msg": ERRORS[code]}])
        self._exchange.log.add(
            "stream.error", self._exchange.now, feed=self.feed, code=code, message=ERRORS[code]
        )
        if code in _FATAL:
            self._batch.clear()
            self.outbox.finish(frame)
        else:
            self.flush()
            self._put(frame)

    def read(self, data: bytes | str) -> Mapping[str, Any] | None:
        """Read a client's message; None when it is not one."""
        try:
            value = msgpack.unpackb(data) if self._msgpack else json.loads(data)
        except (ValueError, TypeError, msgpack.exceptions.UnpackException):
            return None
        return value if isinstance(value, dict) else None

    def subscribe(self, message: Mapping[str, Any]) -> None:
        """Change what the client gets, and tell it what that is now."""
        wanted = {name: message[name] for name in message if name != "action"}
        if message["action"] == "subscribe":
            code = self._refusal(wanted)
            if code is not None:
                self.error(code)
                return
            for channel, symbols in wanted.items():
                self.subscribed[channel].update(symbols)
        else:
            for channel, symbols in wanted.items():
                self.subscribed.get(channel, set()).difference_update(symbols)
        lists = {name: sorted(symbols) for name, symbols in self.subscribed.items()}
        self.say({"T": "subscription", **lists})

    def _refusal(self, wanted: Mapping[str, Any]) -> int | None:
        if not all(isinstance(symbols, list) for symbols in wanted.values()):
            return 400
        unknown = set(wanted) - set(_SHOWN)
        if unknown or (self.feed == "crypto" and _STOCKS_ONLY & set(wanted)):
            return 410
        settings = self._exchange.settings
        counted = sum(len(self.subscribed[name] | set(wanted.get(name, ()))) for name in _COUNTED)
        limited = settings.plan == "basic" and self.feed != "crypto"
        return 405 if limited and counted > settings.stream_symbols else None

    def _put(self, frame: bytes | str) -> None:
        if not self.outbox.put(frame):
            self.error(407)

    def _frame(self, messages: list[Any]) -> bytes | str:
        if self._msgpack:
            return bytes(msgpack.packb(messages))
        return json.dumps(messages)

    def _time(self, at: int) -> Any:
        if self._msgpack:
            return msgpack.Timestamp.from_unix_nano(at * 1000)
        return stamp(at)


class MarketStreams:
    """All clients of market data."""

    def __init__(self, exchange: Exchange, sessions: Sessions) -> None:
        self._exchange = exchange
        self._sessions = sessions
        self._streams: list[MarketStream] = []
        exchange.post.to_market = self._on_message
        exchange.wanted = self._is_wanted

    @property
    def streams(self) -> tuple[MarketStream, ...]:
        """The clients that are connected."""
        return tuple(self._streams)

    @property
    def has_readers(self) -> bool:
        """Whether anybody is subscribed to anything."""
        return any(any(stream.subscribed.values()) for stream in self._streams)

    def routes(self) -> list[web.RouteDef]:
        """Return the addresses of the feeds."""
        return [web.get(path, self.connect) for path in FEEDS]

    def flush(self) -> None:
        """Send everybody what is queued."""
        for stream in self._streams:
            stream.flush()

    async def drained(self) -> None:
        """Return when everything is handed over to the clients' sockets."""
        for stream in self.streams:
            await stream.outbox.drained()

    def drop(self) -> None:
        """Break all connections."""
        for stream in self.streams:
            cut(stream.request)

    async def connect(self, request: web.Request) -> web.StreamResponse:
        exchange = self._exchange
        if exchange.faults.hit(Kind.REFUSE, MARKET, exchange.now):
            return web.Response(status=503)
        socket = web.WebSocketResponse(max_msg_size=1 << 20)
        await socket.prepare(request)
        stream = MarketStream(request, socket, exchange)
        exchange.log.add("stream.opens", exchange.now, feed=stream.feed)
        writer = asyncio.create_task(stream.outbox.run())
        self._streams.append(stream)
        try:
            stream.say({"T": "success", "msg": "connected"})
            await self._serve(stream, socket)
        finally:
            self._streams.remove(stream)
            self._leave(stream, socket)
            stream.outbox.finish()
            await asyncio.gather(writer, return_exceptions=True)
        return socket

    async def _serve(self, stream: MarketStream, socket: web.WebSocketResponse) -> None:
        deadline: float | None = LOGIN_TIMEOUT
        while True:
            try:
                frame = await socket.receive(timeout=deadline)
            except TimeoutError:
                stream.error(404)
                deadline = None
                continue
            if frame.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                return
            message = stream.read(frame.data)
            action = message.get("action") if message else None
            if message is None or action not in ("auth", "subscribe", "unsubscribe"):
                stream.error(400)
            elif action == "auth":
                self._login(stream, message)
            elif stream.key is None:
                stream.error(401)
            else:
                stream.subscribe(message)
            deadline = LOGIN_TIMEOUT if stream.key is None else None

    def _login(self, stream: MarketStream, message: Mapping[str, Any]) -> None:
        settings = self._exchange.settings
        key = message.get("key")
        if stream.key is not None:
            stream.error(403)
        elif (key, message.get("secret")) != (settings.key, settings.secret):
            stream.error(402)
        elif stream.feed == "sip" and settings.plan == "basic":
            stream.error(409)
        elif self._is_taken(stream, settings.key):
            stream.error(406)
        else:
            stream.key = settings.key
            stream.say({"T": "success", "msg": "authenticated"})

    def _is_taken(self, stream: MarketStream, key: str) -> bool:
        hit = self._exchange.faults.hit(Kind.CONNECTION_LIMIT, MARKET, self._exchange.now)
        return hit is not None or not self._sessions.take(key, stream.feed, stream)

    def _leave(self, stream: MarketStream, socket: web.WebSocketResponse) -> None:
        clean = socket.close_code in CLEAN
        if stream.key is not None:
            self._sessions.release(stream.key, stream.feed, stream, clean=clean)
        self._exchange.log.add("stream.closes", self._exchange.now, feed=stream.feed, clean=clean)

    def _is_wanted(self, channel: str, symbol: str) -> bool:
        return any(
            symbol in stream.subscribed[channel] or "*" in stream.subscribed[channel]
            for stream in self._streams
        )

    def _on_message(self, item: MarketItem) -> None:
        for stream in self.streams:
            if stream.key is not None:
                stream.queue(item)
