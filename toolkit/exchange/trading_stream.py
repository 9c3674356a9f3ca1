"""The trading stream /stream: JSON in binary frames."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import WSMsgType, web

from toolkit.exchange.exchange import Exchange
from toolkit.exchange.faults import Kind
from toolkit.exchange.outbox import Outbox
from toolkit.exchange.post import TRADING, Oddity, TradingItem
from toolkit.exchange.sessions import CLEAN, cut
from toolkit.exchange.values import stamp

UPDATES = "trade_updates"
_UNREADABLE = b'{"stream": "trade_upd'


class TradingClient:
    """One client of the trading stream."""

    def __init__(
        self, request: web.Request, socket: web.WebSocketResponse, *, queue_size: int
    ) -> None:
        self.request = request
        self.outbox = Outbox(socket, size=queue_size)
        self.authorized = False
        self.listens = False

    def say(self, stream: str, data: Mapping[str, Any]) -> None:
        """Send one message."""
        frame = json.dumps({"stream": stream, "data": data}).encode()
        if not self.outbox.put(frame):
            self.outbox.finish()


class TradingStreams:
    """All clients of the trading stream; there may be several."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._clients: list[TradingClient] = []
        exchange.post.to_trading = self._on_event

    @property
    def clients(self) -> tuple[TradingClient, ...]:
        """The clients that are connected."""
        return tuple(self._clients)

    def routes(self) -> list[web.RouteDef]:
        """Return the address of the stream."""
        return [web.get("/stream", self.connect)]

    async def drained(self) -> None:
        """Return when everything is handed over to the clients' sockets."""
        for client in self.clients:
            await client.outbox.drained()

    def drop(self) -> None:
        """Break all connections."""
        for client in self.clients:
            cut(client.request)

    async def connect(self, request: web.Request) -> web.StreamResponse:
        exchange = self._exchange
        if exchange.faults.hit(Kind.REFUSE, TRADING, exchange.now):
            return web.Response(status=503)
        socket = web.WebSocketResponse(max_msg_size=1 << 20)
        await socket.prepare(request)
        client = TradingClient(request, socket, queue_size=exchange.settings.queue_size)
        exchange.log.add("stream.opens", exchange.now, feed=TRADING)
        writer = asyncio.create_task(client.outbox.run())
        self._clients.append(client)
        try:
            async for frame in socket:
                if frame.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                    break
                self._on_frame(client, frame.data)
        finally:
            self._clients.remove(client)
            clean = socket.close_code in CLEAN
            exchange.log.add("stream.closes", exchange.now, feed=TRADING, clean=clean)
            client.outbox.finish()
            await asyncio.gather(writer, return_exceptions=True)
        return socket

    def _on_frame(self, client: TradingClient, data: bytes | str) -> None:
        try:
            message = json.loads(data)
            action, facts = message["action"], message.get("data") or message
        except (ValueError, TypeError, KeyError):
            client.say("error", {"error": "invalid message"})
            return
        if action in ("authenticate", "auth"):
            self._login(client, facts)
        elif not client.authorized:
            client.say("authorization", {"status": "unauthorized", "action": action})
        elif action == "listen":
            client.listens = UPDATES in facts.get("streams", ())
            client.say("listening", {"streams": [UPDATES] if client.listens else []})

    def _login(self, client: TradingClient, facts: Mapping[str, Any]) -> None:
        settings, exchange = self._exchange.settings, self._exchange
        key = facts.get("key_id", facts.get("key"))
        secret = facts.get("secret_key", facts.get("secret"))
        right = (key, secret) == (settings.key, settings.secret)
        client.authorized = right and not exchange.faults.hit(
            Kind.CONNECTION_LIMIT, TRADING, exchange.now
        )
        status = "authorized" if client.authorized else "unauthorized"
        client.say("authorization", {"status": status, "action": "authenticate"})

    def _on_event(self, item: TradingItem) -> None:
        for client in self.clients:
            if not client.listens:
                continue
            if item is Oddity.MALFORMED:
                client.outbox.put(_UNREADABLE)
            elif isinstance(item, Oddity):
                client.say(UPDATES, self._unknown())
            else:
                client.say(UPDATES, item.data)

    def _unknown(self) -> dict[str, Any]:
        """Return an event that Alpaca may invent one day, about the latest order."""
        order = next(reversed(self._exchange.book.orders.values()))
        return {
            "event": "phase_of_the_moon",
            "timestamp": stamp(self._exchange.now),
            "order": order.to_dict(),
        }
