"""What the server does with each Socket.IO event of a client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import socketio

from toolkit.errors import RelayError, ToolkitError, WireError
from toolkit.streaming.access.auth import Authenticator, Identity
from toolkit.streaming.asgi import address_of
from toolkit.streaming.control.commands import Commands, Reporter
from toolkit.streaming.control.service import BotPort, Membership
from toolkit.streaming.gate.presence import Presence
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.measures.stats import ClientRecord, ServiceStats
from toolkit.streaming.requests import (
    parse_command,
    parse_last_seen,
    parse_ping,
    parse_selection,
)
from toolkit.streaming.settings import ServerSettings
from toolkit.streaming.sockets.delivery import Delivery
from toolkit.streaming.wire import PROTOCOL, Stream, format_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Handle = Callable[[ClientRecord, Any], Awaitable[Mapping[str, Any]]]
MAX_NAME = 40


class SocketHandlers:
    """Connects clients to hub, bot and commands; `register` hangs it into a Socket.IO server.

    Handlers of one client run one after the other, and not before the client has taken what it
    was sent: whoever does not read is not read from. `offend` is told the address of whoever
    shows a wrong token.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        bot: BotPort,
        auth: Authenticator,
        presence: Presence,
        offend: Callable[[str], None],
        delivery: Delivery,
        commands: Commands,
        stats: ServiceStats,
        reporter: Reporter,
        settings: ServerSettings,
        clock: Callable[[], datetime],
        membership: Membership | None = None,
    ) -> None:
        self._hub = hub
        self._membership = membership
        self._bot = bot
        self._auth = auth
        self._presence = presence
        self._offend = offend
        self._delivery = delivery
        self._commands = commands
        self._stats = stats
        self._reporter = reporter
        self._settings = settings
        self._clock = clock

    def register(self, sio: Any) -> None:
        """Handle all events of the protocol; unknown ones are answered with an error."""

        async def connect(sid: str, environ: dict[str, Any], auth: Any = None) -> None:
            # It is kept as long as the connection, and costs 3 KB: a class made for each request.
            environ.pop("wsgi.input", None)
            await self._caught_up(auth)
            transport_id = sio.manager.eio_sid_from_sid(sid, "/")
            self._connect(sid, transport_id, environ, auth)

        async def unknown(event: str, sid: str, *args: Any) -> Any:
            async def refuse(_client: ClientRecord, _body: Any) -> Mapping[str, Any]:
                raise WireError(
                    f"unknown event {event[:MAX_NAME]!r}; allowed: {', '.join(handlers)}",
                    field="event",
                    allowed=list(handlers),
                )

            return await self._handle(event[:MAX_NAME], refuse, sid, args[:1])

        handlers: dict[str, Handle] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "ping": self._ping,
            "get_performance_stats": self._performance,
            "resume": self._resume,
            "command": self._command,
        }
        sio.on("connect", connect)
        sio.on("disconnect", self._disconnect)
        sio.on("*", unknown)
        for name, handle in handlers.items():
            sio.on(name, self._bound(name, handle))

    async def _caught_up(self, auth: Any) -> None:
        """Let a client that was on another worker wait until this one is as far."""
        if self._membership is None or not isinstance(auth, Mapping):
            return
        try:
            seen = parse_last_seen(auth.get("last_seen"))
        except WireError:
            return  # none given, or refused in a moment
        try:
            await self._membership.caught_up(seen)
        except RelayError as error:
            raise socketio.exceptions.ConnectionRefusedError(
                error.message, error.to_dict()
            ) from None

    def _connect(self, sid: str, transport_id: str, environ: Mapping[str, Any], auth: Any) -> None:
        auth = auth or {}
        address = address_of(environ.get("asgi.scope", {}))
        try:
            identity = self._identify(environ, address, auth.get("token"))
            last_seen = auth.get("last_seen")
            missed = parse_last_seen(last_seen) if last_seen is not None else None
            self._presence.enter(sid, identity=identity, address=address, session=transport_id)
        except ToolkitError as error:
            raise socketio.exceptions.ConnectionRefusedError(
                error.message, error.to_dict()
            ) from None
        record = ClientRecord(
            id=sid,
            name=_signature(identity, auth.get("client")),
            role=identity.role,
            transport_id=transport_id,
            connected_at=self._clock(),
        )
        self._stats.clients[sid] = record
        self._delivery.add(record, batch=auth.get("batch") is True)
        self._hub.send(sid, "connected", self._welcome(record))
        if missed:
            self._hub.resume(sid, missed.epoch, missed.seq)

    def _identify(self, environ: Mapping[str, Any], address: str, token: Any) -> Identity:
        headers = {
            "authorization": environ.get("HTTP_AUTHORIZATION", ""),
            "cookie": environ.get("HTTP_COOKIE", ""),
        }
        try:
            return self._auth.identify(headers, token)
        except ToolkitError:
            self._offend(address)
            raise

    async def _disconnect(self, sid: str, _reason: Any = None) -> None:
        self._presence.leave(sid)
        self._stats.clients.pop(sid, None)
        self._delivery.remove(sid)

    def _welcome(self, record: ClientRecord) -> dict[str, Any]:
        settings = self._settings
        return {
            "client_id": record.id,
            "connectionId": record.id,
            "server_time": format_time(self._clock()),
            "protocol": PROTOCOL,
            "epoch": self._hub.epoch,
            "role": record.role.name.lower(),
            "config": {
                "symbols": list(self._bot.symbols),
                "streams": [stream.value for stream in Stream],
                "heartbeat_interval": settings.websocket.heartbeat_interval,
                "ping_interval": settings.websocket.ping_interval,
                "ping_timeout": settings.websocket.ping_timeout,
                "max_http_buffer_size": settings.websocket.max_http_buffer_size,
                "reconnect_attempts": settings.websocket.reconnect_attempts,
                "reconnect_delay": settings.websocket.reconnect_delay,
                "max_latency_ms": settings.websocket.max_latency_ms,
            },
        }

    def _bound(self, name: str, handle: Handle) -> Callable[..., Awaitable[dict[str, Any]]]:
        async def handler(sid: str, *args: Any) -> dict[str, Any]:
            if client := self._stats.clients.get(sid):
                client.asked_at = self._clock()
            return await self._handle(name, handle, sid, args)

        return handler

    async def _handle(
        self, name: str, handle: Handle, sid: str, args: tuple[Any, ...]
    ) -> dict[str, Any]:
        client = self._stats.clients.get(sid)
        if client is None:
            return {"ok": False, "error": WireError("not connected").to_dict()}
        self._presence.touch(sid)
        try:
            if not await self._delivery.drained(client.transport_id):
                raise WireError("this client sends without reading what it is sent")
            if sid not in self._stats.clients:
                raise WireError("not connected: the client left before it was heard")
            if len(args) > 1:
                raise WireError(f"{name} takes one object, got {len(args)} arguments", field=name)
            return {"ok": True, **await handle(client, args[0] if args else None)}
        except ToolkitError as problem:
            error = problem.to_dict()
        except Exception as problem:  # noqa: BLE001 - reported in full, answered without details
            error = self._reporter.unexpected(name, problem)
        self._hub.send(sid, "error", {**error, "event": name})
        return {"ok": False, "error": error}

    async def _subscribe(self, client: ClientRecord, body: Any) -> Mapping[str, Any]:
        wanted = parse_selection(body, symbols=self._bot.symbols)
        self._check_symbols(client, wanted.symbols)
        return self._hub.subscribe(
            client.id,
            wanted.streams,
            wanted.symbols,
            max_rate=wanted.max_rate,
            snapshot=self._bot.snapshot(),
        )

    def _check_symbols(self, client: ClientRecord, wanted: Sequence[str] | None) -> None:
        known, most = self._bot.symbols, self._settings.limits.max_symbols
        if len(known) <= most:
            return
        chosen = set(known if wanted is None else wanted)
        count = sum(1 for s in known if s in chosen or self._hub.wants(client.id, s))
        if count > most:
            raise WireError(
                f"these would be {count} symbols; allowed: {most} for one client; name fewer, or "
                "unsubscribe from others first",
                field="symbols",
                allowed=most,
            )

    async def _unsubscribe(self, client: ClientRecord, body: Any) -> Mapping[str, Any]:
        wanted = parse_selection(body, symbols=self._bot.symbols)
        return self._hub.unsubscribe(client.id, wanted.streams, wanted.symbols)

    async def _ping(self, client: ClientRecord, body: Any) -> Mapping[str, Any]:
        ping = parse_ping(body)
        if ping.latency is not None:
            client.reported, client.reported_at = ping.latency, self._clock()
        sent = self._clock()
        answer = {
            "timestamp": format_time(sent),
            "client_ping_time": ping.timestamp,
            "server_received_ms": epoch_ms(client.asked_at or sent),
            "server_sent_ms": epoch_ms(sent),
        }
        self._hub.send(client.id, "pong", answer)
        return answer

    async def _performance(self, client: ClientRecord, _body: Any) -> Mapping[str, Any]:
        answer = {
            "client_id": client.id,
            "connected_at": format_time(client.connected_at),
            "connection_uptime": (self._clock() - client.connected_at).total_seconds(),
            "messages_delivered": client.delivered,
            "messages_waiting": self._hub.waiting(client.id),
            "subscriptions": self._hub.subscriptions(client.id),
            "latency": self._stats.latency(),
        }
        self._hub.send(client.id, "performance_stats", answer)
        return answer

    async def _resume(self, client: ClientRecord, body: Any) -> Mapping[str, Any]:
        seen = parse_last_seen(body)
        if self._membership is not None:
            await self._membership.caught_up(seen)
        self._hub.resume(client.id, seen.epoch, seen.seq)
        return {"epoch": self._hub.epoch}

    async def _command(self, client: ClientRecord, body: Any) -> Mapping[str, Any]:
        command = parse_command(body)
        identity = self._presence.identity(client.id)
        return await self._commands.run(command, identity, who=client.who)


def _signature(identity: Identity, chosen: Any) -> str:
    """Return how a client's changes are signed: who holds the token, and what it calls itself."""
    readable = isinstance(chosen, str) and chosen.isprintable() and 0 < len(chosen) <= MAX_NAME
    named = identity.name != identity.role_name
    if not readable:
        return identity.name
    return f"{identity.name}/{chosen}" if named else str(chosen)


def epoch_ms(moment: datetime) -> float:
    """Return milliseconds since the Unix epoch, exact to the microsecond."""
    return (moment - EPOCH) / timedelta(milliseconds=1)
