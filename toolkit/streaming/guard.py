"""Checks every frame a client sends before Engine.IO sees it.

Engine.IO and python-socketio meet malformed frames with tracebacks and half-open sockets; here
the client is told by an `error` event (or a status on long polling), and the connection goes on.
A client that does not take a frame within `ping_timeout` seconds, or floods, is cut off.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

import orjson

from toolkit.errors import ToolkitError, WireError
from toolkit.streaming.frames import event_text
from toolkit.streaming.limits import Allowance, Occupancy, Verdict
from toolkit.streaming.packet_check import ack_number, body_problem, frame_problem
from toolkit.streaming.settings import ServerSettings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Connections that are no clients yet, besides the clients.
SPARE = 100
UNSUPPORTED, POLICY = 1003, 1008
RETRY_SECONDS = 5.0


class Guard:
    """ASGI middleware around the Socket.IO application.

    `cutter` gives for a peer's address what cuts its connection as it is now; `sessions` are
    Engine.IO's sockets, by name; `expel` ends one of them with a reason.
    """

    def __init__(
        self,
        app: App,
        *,
        settings: ServerSettings,
        sessions: Mapping[str, Any],
        cutter: Callable[[Any], Callable[[], None]],
        expel: Callable[[str, ToolkitError], None],
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
        self._lines: dict[str, _Line] = {}
        self._allowances: dict[str, Allowance] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["method"] == "POST":
            await self._post(scope, receive, send)
        elif not _session(scope) and len(self._sessions) >= self._most:
            await refuse_http(send, _full(f"all {self._most} places are taken; try later"), 503)
        else:
            await self._app(scope, receive, send)

    async def close(self, session: str) -> bool:
        """Close the WebSocket that carries an Engine.IO session; False when there is none."""
        line = self._lines.get(session)
        if line is not None:
            await line.close(POLICY)
        return line is not None

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
        line = _Line(
            send,
            cut=self._cutter(scope.get("client")),
            stall_timeout=self._settings.websocket.ping_timeout,
            on_session=lambda session: self._lines.__setitem__(session, line),
            session=_session(scope),
        )
        if line.session:
            self._lines[line.session] = line
        try:
            await self._app(scope, self._checked(line, receive), line.send)
        finally:
            self._places.leave(address)
            if self._lines.get(line.session) is line:
                del self._lines[line.session]
            line.closed()

    def _checked(self, line: _Line, receive: Receive) -> Receive:
        allowance = self._allowance()

        async def checked() -> Message:
            while True:
                event = await receive()
                if event["type"] != "websocket.receive":
                    return event
                if self._is_over(line.session):
                    return await line.close(POLICY)
                text = event.get("text")
                if text is None and not self._settings.websocket.binary:
                    return await line.close(UNSUPPORTED)
                now = self._monotonic()
                verdict = allowance.take(now)
                if verdict is Verdict.CUT:
                    return await line.close(POLICY)
                refused = verdict is Verdict.REFUSED
                problem = allowance.problem(now) if refused else self._problem(text)
                if problem is None:
                    return event
                await line.answer(problem, ack=ack_number(text) if text and refused else None)

        return checked

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
            await refuse_http(send, problem, 413 if len(body) > most else 400)
            return
        flood = self._flood(_session(scope), body.count(b"\x1e") + 1)
        if flood is not None:
            await refuse_http(send, flood, 429)
            return
        events = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def replayed() -> Message:
            return next(events, None) or await receive()

        scope["headers"] = [
            *((name, value) for name, value in scope["headers"] if name != b"content-length"),
            (b"content-length", str(len(body)).encode()),
        ]
        await self._app(scope, replayed, send)

    def _flood(self, session: str, packets: int) -> WireError | None:
        if session not in self._sessions:
            return None
        allowance = self._allowances.setdefault(session, self._allowance())
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


class _Line:
    """One WebSocket of a client: what is sent over it, and how it ends."""

    def __init__(
        self,
        send: Send,
        *,
        cut: Callable[[], None],
        stall_timeout: float,
        on_session: Callable[[str], object],
        session: str,
    ) -> None:
        self._send = send
        self._cut = cut
        self._stall_timeout = stall_timeout
        self._on_session = on_session
        self.session = session

    async def send(self, message: Message) -> None:
        """Send, or cut off a peer that does not take it in time."""
        text = message.get("text") or ""
        if text.startswith("0{"):
            self.session = orjson.loads(text[1:])["sid"]
            self._on_session(self.session)
        try:
            async with asyncio.timeout(self._stall_timeout):
                await self._send(message)
        except TimeoutError:
            self._cut()
            raise ConnectionResetError("the client stopped reading") from None

    async def answer(self, problem: WireError, *, ack: str | None) -> None:
        """Tell the client what is wrong, by event and, where it waits for one, by ack."""
        error = problem.to_dict()
        await self.send({"type": "websocket.send", "text": "4" + event_text("error", error)})
        if ack is not None:
            body = orjson.dumps([{"ok": False, "error": error}]).decode()
            await self.send({"type": "websocket.send", "text": f"43{ack}{body}"})

    async def close(self, code: int) -> Message:
        """Say goodbye with a close code; returns what the application is to be told."""
        with suppress(Exception):  # it may have closed by itself meanwhile
            await self.send({"type": "websocket.close", "code": code})
        return {"type": "websocket.disconnect", "code": code}

    def closed(self) -> None:
        """Cut the connection soon: a peer that does not read would keep it closing for ever."""
        asyncio.get_running_loop().call_later(self._stall_timeout, self._cut)


def address_of(scope: Scope) -> str:
    """Return the peer's address; behind a proxy that is the proxy's, for all of its clients."""
    client = scope.get("client")
    return str(client[0]) if client else ""


async def refuse_websocket(scope: Scope, send: Send, problem: ToolkitError, status: int) -> None:
    """Answer the handshake of a WebSocket with a status and the reason."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": POLICY})
        return
    headers, body = _answer(problem)
    kind = "websocket.http.response"
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


async def refuse_http(send: Send, problem: ToolkitError, status: int) -> None:
    """Answer an HTTP request with a status and the reason."""
    headers, body = _answer(problem)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _answer(problem: ToolkitError) -> tuple[list[tuple[bytes, bytes]], bytes]:
    body = orjson.dumps({"error": problem.to_dict()})
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if "retry_after" in problem.data:
        seconds = max(1, round(problem.data["retry_after"]))
        headers.append((b"retry-after", str(seconds).encode()))
    return headers, body


def _full(reason: str) -> WireError:
    return WireError(reason, field="connections", retry_after=RETRY_SECONDS)


def _session(scope: Scope) -> str:
    query = parse_qs(str(scope.get("query_string", b""), "latin-1"))
    return query.get("sid", [""])[0]
