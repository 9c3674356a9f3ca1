"""Checks every frame a client sends before Engine.IO sees it.

Engine.IO and python-socketio meet malformed frames with tracebacks and half-open sockets; here
the client is told by an `error` event (or a status on long polling), and the connection goes on.
A client that does not take a frame within `ping_timeout` seconds, or floods, is cut off.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from toolkit.errors import ToolkitError, WireError
from toolkit.streaming.asgi import (
    POLICY,
    UNSUPPORTED,
    App,
    Message,
    Receive,
    Scope,
    Send,
    address_of,
    refuse_http,
    refuse_websocket,
)
from toolkit.streaming.gate.limits import Allowance, Occupancy, Penalties, Verdict
from toolkit.streaming.gate.packet_check import ack_number, body_problem, frame_problem
from toolkit.streaming.gate.peer import Peer
from toolkit.streaming.settings import ServerSettings

# Connections that are no clients yet, besides the clients.
SPARE = 100
RETRY_SECONDS = 5.0
# Close codes of a WebSocket whose peer broke the protocol: its frames, its text, its size.
OFFENSIVE = frozenset({1002, 1007, 1009})


class Guard:
    """ASGI middleware around the Socket.IO application.

    `cutter` gives for a peer's address what cuts its connection as it is now; `sessions` are
    Engine.IO's sockets, by name; `expel` ends one of them with a reason. Addresses that offend
    wait as `penalties` says.
    """

    def __init__(
        self,
        app: App,
        *,
        settings: ServerSettings,
        sessions: Mapping[str, Any],
        cutter: Callable[[Any], Callable[[], None]],
        expel: Callable[[str, ToolkitError], None],
        penalties: Penalties,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._settings = settings
        self._sessions = sessions
        self._cutter = cutter
        self._expel = expel
        self._monotonic = monotonic
        self._most = settings.limits.max_connections + SPARE
        per_address = settings.limits.max_connections_per_address + SPARE
        self._places = Occupancy(total=self._most, per_key=per_address)
        self._penalties = penalties
        self._peers: dict[str, Peer] = {}
        self._allowances: dict[str, Allowance] = {}
        self._slowed: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["method"] == "POST":
            await self._post(scope, receive, send)
        elif not _session(scope) and len(self._sessions) >= self._most:
            await refuse_http(send, _full(f"all {self._most} places are taken; try later"), 503)
        else:
            await self._get(scope, receive, send)

    async def close(self, session: str) -> bool:
        """Close the WebSocket that carries an Engine.IO session; False when there is none."""
        peer = self._peers.get(session)
        if peer is not None:
            await peer.close(POLICY)
        return peer is not None

    def forget(self) -> None:
        """Forget what was counted for long-polling sessions that are over."""
        for session in [s for s in self._allowances if s not in self._sessions]:
            del self._allowances[session]

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = address_of(scope)
        reason = self._places.enter(address)
        if reason is not None:
            await receive()
            await refuse_websocket(scope, send, _full(reason), 503)
            return
        peer = Peer(
            send,
            cut=self._cutter(scope.get("client")),
            stall_timeout=self._settings.websocket.ping_timeout,
            on_session=lambda session: self._peers.__setitem__(session, peer),
            on_loss=self._release,
            session=_session(scope),
        )
        if peer.session:
            self._peers.setdefault(peer.session, peer)
        try:
            await asyncio.sleep(self._penalties.wait(address))
            await self._app(scope, self._checked(peer, receive, address), peer.send)
        finally:
            self._places.leave(address)
            if self._peers.get(peer.session) is peer:
                del self._peers[peer.session]
            peer.closed()

    def _checked(self, peer: Peer, receive: Receive, address: str) -> Receive:
        allowance = self._allowance()

        async def checked() -> Message:
            while True:
                event = await receive()
                if event["type"] != "websocket.receive":
                    if event.get("code") in OFFENSIVE:
                        self._penalties.offend(address)
                    return event
                if pause := allowance.pause(self._monotonic()):
                    await asyncio.sleep(pause)
                if peer.gone or self._is_over(peer.session):
                    return await peer.close(POLICY)
                text = event.get("text")
                if text is None and not self._settings.websocket.binary:
                    return await peer.close(UNSUPPORTED)
                now = self._monotonic()
                verdict = allowance.take(now)
                if verdict is Verdict.CUT:
                    self._penalties.offend(address)
                    return await peer.close(POLICY)
                refused = verdict is Verdict.REFUSED
                problem = allowance.problem(now) if refused else self._problem(text)
                if problem is None:
                    return event
                if not refused:
                    self._penalties.offend(address)
                await peer.answer(problem, ack=ack_number(text) if text and refused else None)

        return checked

    def _release(self, session: str) -> None:
        # Handlers wait until what was sent before is taken; nobody takes this any more.
        socket = self._sessions.get(session)
        if socket is not None and socket.upgraded:
            release(socket)

    def _is_over(self, session: str) -> bool:
        # Engine.IO would go on reading from a WebSocket whose session it has closed.
        if not session:
            return False
        socket = self._sessions.get(session)
        return socket is None or bool(socket.closed)

    def _problem(self, text: str | None) -> WireError | None:
        if text is None:
            return WireError("binary messages are not understood; send text", field="message")
        return frame_problem(text, max_size=self._settings.websocket.max_http_buffer_size)

    async def _get(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _session(scope):
            await asyncio.sleep(self._penalties.wait(address_of(scope)))
        event = await receive()
        # Engine.IO meets a peer that has gone already, and half an upgrade, with a traceback.
        if event["type"] != "http.disconnect":
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"upgrade"]
            await self._app(scope, _again(event, receive), send)

    async def _post(self, scope: Scope, receive: Receive, send: Send) -> None:
        most = self._settings.websocket.max_http_buffer_size
        body, more = b"", True
        while more and len(body) <= most:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            body += event.get("body", b"")
            more = event.get("more_body", False)
        problem = body_problem(body, max_size=most)
        if problem is not None:
            self._penalties.offend(address_of(scope))
            await refuse_http(send, problem, 413 if len(body) > most else 400)
            return
        session = _session(scope)
        flood = await self._flood(session, body.count(b"\x1e") + 1)
        if flood is not None:
            self._penalties.offend(address_of(scope))
            await refuse_http(send, flood, 429)
            return
        if self._is_over(session):
            await refuse_http(send, WireError("this session is over; connect again"), 400)
            return
        scope["headers"] = [
            *((name, value) for name, value in scope["headers"] if name != b"content-length"),
            (b"content-length", str(len(body)).encode()),
        ]
        whole = {"type": "http.request", "body": body, "more_body": False}
        await self._app(scope, _again(whole, receive), send)

    async def _flood(self, session: str, packets: int) -> WireError | None:
        if session not in self._sessions:
            return None
        if session in self._slowed:
            # Engine.IO's clients wait for an answer; others would pile up here.
            return WireError("one request at a time, please", field="messages", retry_after=1.0)
        allowance = self._allowances.setdefault(session, self._allowance())
        if pause := allowance.pause(self._monotonic(), count=packets):
            self._slowed.add(session)
            try:
                await asyncio.sleep(pause)
            finally:
                self._slowed.discard(session)
        now = self._monotonic()
        verdicts = {allowance.take(now) for _ in range(packets)}
        if verdicts == {Verdict.TAKEN}:
            return None
        problem = allowance.problem(now)
        if Verdict.CUT in verdicts:
            self._expel(session, problem)
        return problem

    def _allowance(self) -> Allowance:
        limits = self._settings.limits
        return Allowance(
            rate=limits.messages_per_second, burst=limits.message_burst, now=self._monotonic()
        )


def release(socket: Any) -> None:
    """Count as taken what waits in an Engine.IO socket: nobody will take it."""
    while not socket.queue.empty():
        socket.queue.get_nowait()
        socket.queue.task_done()


def _again(event: Message, receive: Receive) -> Receive:
    events = iter([event])

    async def again() -> Message:
        return next(events, None) or await receive()

    return again


def _full(reason: str) -> WireError:
    return WireError(reason, field="connections", retry_after=RETRY_SECONDS)


def _session(scope: Scope) -> str:
    query = parse_qs(str(scope.get("query_string", b""), "latin-1"))
    return query.get("sid", [""])[0]
