"""ASGI middleware around Engine.IO: which connection carries which session, and since when.

It reads that from the packets that pass: the OPEN packet of a session names it, the Socket.IO
CONNECT answer opens it for events, and the UPGRADE packet moves it here from long polling.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

import orjson

from toolkit.streaming.sockets.connection import EXTENSION, Connection

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN, CONNECTED, UPGRADE = "0{", "40", "5"


class Line:
    """One session on a WebSocket; `greeted`: its CONNECT answer has been written."""

    __slots__ = ("connection", "greeted", "sending", "session")

    def __init__(self, connection: Connection, session: str) -> None:
        self.connection = connection
        self.session = session
        self.greeted = False
        self.sending = 0

    @property
    def idle(self) -> bool:
        """Whether all that Engine.IO sent here has been written."""
        return self.sending == 0


class Switchboard:
    """Lines by Engine.IO session. `on_change` is called with a session that may go express."""

    def __init__(self, on_change: Callable[[str], None]) -> None:
        self._on_change = on_change
        self._lines: dict[str, Line] = {}

    def line(self, session: str) -> Line | None:
        """Return the WebSocket that carries the session, None while there is none of ours."""
        return self._lines.get(session)

    def forget(self, session: str) -> None:
        """Offer the session's WebSocket no more."""
        self._lines.pop(session, None)

    def around(self, app: App) -> App:
        """Return `app` with its WebSockets watched."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            connection = scope.get("extensions", {}).get(EXTENSION)
            if scope["type"] != "websocket" or connection is None:
                await app(scope, receive, send)
                return
            line = Line(connection, _asked_session(scope))
            try:
                await app(scope, self._receiving(line, receive), self._sending(line, send))
            finally:
                if self._lines.get(line.session) is line:
                    del self._lines[line.session]

        return watched

    def _receiving(self, line: Line, receive: Receive) -> Receive:
        async def received() -> Message:
            message = await receive()
            if message.get("text") == UPGRADE and line.session not in self._lines:
                self._lines[line.session] = line
                self._on_change(line.session)
            return message

        return received

    def _sending(self, line: Line, send: Send) -> Send:
        async def sent(message: Message) -> None:
            text = message.get("text") or ""
            if text.startswith(OPEN):
                line.session = orjson.loads(text[1:])["sid"]
                self._lines[line.session] = line
            line.sending += 1
            try:
                await send(message)
            finally:
                line.sending -= 1
            if text.startswith(CONNECTED):
                line.greeted = True
                self._on_change(line.session)

        return sent


def _asked_session(scope: Scope) -> str:
    query: bytes = scope.get("query_string", b"")
    return parse_qs(query.decode("latin-1")).get("sid", [""])[0]
