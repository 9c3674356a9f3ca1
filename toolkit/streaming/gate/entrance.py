"""The outermost ASGI layer: under which name we are asked, and how long a request's body takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from toolkit.errors import ToolkitError, WireError
from toolkit.streaming.access.auth import Authenticator
from toolkit.streaming.asgi import (
    App,
    Message,
    Receive,
    Scope,
    Send,
    refuse_http,
    refuse_websocket,
)

# Bytes a second: a body that comes faster may take as long as its size needs.
SLOWEST = 8_192


class Entrance:
    """ASGI middleware around everything.

    A body has to come within `body_timeout` seconds, plus the time that its size justifies. A
    peer that does not take its answer within `stall_timeout` seconds is given up.
    """

    def __init__(
        self,
        app: App,
        auth: Authenticator,
        *,
        body_timeout: float,
        stall_timeout: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._auth = auth
        self._body_timeout = body_timeout
        self._stall_timeout = stall_timeout
        self._monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        problem = self._auth.host_problem({"host": host.decode("latin-1")})
        if problem is not None:
            await _refuse(scope, receive, send, problem)
        elif scope["type"] == "http":
            answer = _Answer(send, stall_timeout=self._stall_timeout)
            await self._app(scope, self._timed(receive, answer), answer.send)
        else:
            await self._app(scope, receive, send)

    def _timed(self, receive: Receive, answer: _Answer) -> Receive:
        started = self._monotonic()
        taken, more = 0, True

        async def timed() -> Message:
            nonlocal taken, more
            if not more:
                return await receive()
            due = started + self._body_timeout + taken / SLOWEST
            try:
                async with asyncio.timeout(max(0.0, due - self._monotonic())):
                    event = await receive()
            except TimeoutError:
                more = False
                await answer.give_up()
                return {"type": "http.disconnect"}
            taken += len(event.get("body", b""))
            more = event.get("more_body", False)
            return event

        return timed


class _Answer:
    """The answer to one request; after `give_up` nothing more of it is sent."""

    def __init__(self, send: Send, *, stall_timeout: float) -> None:
        self._send = send
        self._stall_timeout = stall_timeout
        self._started = self._over = False

    async def send(self, message: Message) -> None:
        """Send a part; raises ConnectionResetError when the peer does not take it."""
        if self._over:
            return
        self._started = True
        try:
            async with asyncio.timeout(self._stall_timeout):
                await self._send(message)
        except TimeoutError:
            raise ConnectionResetError("the client stopped reading") from None

    async def give_up(self) -> None:
        """Say that the request took too long to come."""
        if not self._started:
            problem = WireError("the body came too slowly; send it at once", field="body")
            await refuse_http(self.send, problem, 408)
        self._over = True


async def _refuse(scope: Scope, receive: Receive, send: Send, problem: ToolkitError) -> None:
    if scope["type"] == "websocket":
        await receive()
        await refuse_websocket(scope, send, problem, 403)
    else:
        await refuse_http(send, problem, 403)
