"""Checks every frame a client sends before Engine.IO sees it.

Engine.IO and python-socketio meet malformed frames with tracebacks and half-open sockets; here
the client is told by an `error` event (or a status on long polling), and the connection goes on.
A client that does not take a frame within `stall_timeout` seconds is cut off.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from toolkit.errors import WireError
from toolkit.streaming.frames import event_text

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# python-engineio refuses more packets in one long-polling body.
MAX_PACKETS = 16
_MESSAGE = re.compile(r"4([0-3])(?:(/[^,]*),)?(\d{0,15})(.*)", re.DOTALL)
_CONTROL = re.compile(r"[1356]|[23](probe)?")
# python-socketio would take these for its own.
RESERVED = frozenset({"connect", "disconnect", "*"})
CONNECT, DISCONNECT, EVENT, ACK = "0", "1", "2", "3"


class Guard:
    """ASGI middleware around the Socket.IO application.

    `cutter` gives for a peer's address what cuts its connection as it is now.
    """

    def __init__(
        self,
        app: App,
        *,
        max_size: int,
        stall_timeout: float,
        cutter: Callable[[Any], Callable[[], None]],
    ) -> None:
        self._app = app
        self._max_size = max_size
        self._stall_timeout = stall_timeout
        self._cutter = cutter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["method"] == "POST":
            await self._post(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        cut = self._cutter(scope.get("client"))

        async def guarded_send(message: MutableMapping[str, Any]) -> None:
            try:
                async with asyncio.timeout(self._stall_timeout):
                    await send(message)
            except TimeoutError:
                cut()
                raise ConnectionResetError("the client stopped reading") from None

        async def guarded_receive() -> MutableMapping[str, Any]:
            while True:
                event = await receive()
                if event["type"] != "websocket.receive":
                    return event
                problem = self._problem(event)
                if problem is None:
                    return event
                text = "4" + event_text("error", problem.to_dict())
                await guarded_send({"type": "websocket.send", "text": text})

        try:
            await self._app(scope, guarded_receive, guarded_send)
        finally:
            # A peer that does not read would keep the closing connection open for ever.
            asyncio.get_running_loop().call_later(self._stall_timeout, cut)

    def _problem(self, event: MutableMapping[str, Any]) -> WireError | None:
        text = event.get("text")
        if text is None:
            return WireError("binary messages are not understood; send text", field="message")
        return frame_problem(text, max_size=self._max_size)

    async def _post(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more and len(body) <= self._max_size:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            body += event.get("body", b"")
            more = event.get("more_body", False)
        problem = self._body_problem(body)
        if problem is not None:
            await _refuse(send, problem, 413 if len(body) > self._max_size else 400)
            return
        events = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def replayed() -> MutableMapping[str, Any]:
            return next(events, None) or await receive()

        scope["headers"] = [
            *((name, value) for name, value in scope["headers"] if name != b"content-length"),
            (b"content-length", str(len(body)).encode()),
        ]
        await self._app(scope, replayed, send)

    def _body_problem(self, body: bytes) -> WireError | None:
        if len(body) > self._max_size:
            return _too_large(self._max_size)
        try:
            packets = body.decode().split("\x1e")
        except UnicodeDecodeError:
            return WireError("the body is not UTF-8 text", field="message")
        if len(packets) > MAX_PACKETS:
            return WireError(f"more than {MAX_PACKETS} packets in one body", field="message")
        problems = (frame_problem(packet, max_size=self._max_size) for packet in packets)
        return next((problem for problem in problems if problem), None)


def frame_problem(text: str, *, max_size: int) -> WireError | None:
    """Return what is wrong with one Engine.IO packet, None when nothing is."""
    if len(text) > max_size or len(text.encode("utf-8", "replace")) > max_size:
        return _too_large(max_size)
    if _CONTROL.fullmatch(text):
        return None
    match = _MESSAGE.fullmatch(text)
    if match is None:
        return WireError("this is no Engine.IO packet with a Socket.IO message", field="message")
    kind, namespace, number, body = match.groups()
    if namespace not in (None, "/") and kind != CONNECT:
        return WireError(f"namespace is {namespace[:100]!r}; allowed: /", field="namespace")
    try:
        data = json.loads(body, parse_constant=_refused, parse_int=_integer) if body else None
    except (ValueError, RecursionError):
        return WireError("the message's data is not valid JSON", field="message")
    return _data_problem(kind, number, data)


def _data_problem(kind: str, number: str, data: Any) -> WireError | None:
    if kind == CONNECT and not (data is None or isinstance(data, dict)):
        return WireError("auth must be an object: {token, last_seen?}", field="auth")
    if kind == EVENT and not (isinstance(data, list) and data and isinstance(data[0], str)):
        return WireError("an event must be a list that begins with its name", field="event")
    if kind == EVENT and data[0] in RESERVED:
        return WireError(f"no client may send the event {data[0]!r}", field="event")
    if kind == ACK and not (isinstance(data, list) and number):
        return WireError("an ack needs a number and a list", field="ack")
    return None


def _refused(name: str) -> None:
    raise ValueError(name)


def _integer(digits: str) -> int:
    # Engine.IO refuses longer ones with a traceback.
    if len(digits) > 100:
        raise ValueError("integer is too large")
    return int(digits)


def _too_large(limit: int) -> WireError:
    return WireError(
        f"the message is too large; allowed: {limit} bytes", field="message", allowed=limit
    )


async def _refuse(send: Send, problem: WireError, status: int) -> None:
    body = orjson.dumps({"error": problem.to_dict()})
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
