"""ASGI: its types, who is at the other end, and refusals as typed JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from toolkit.errors import ToolkitError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# WebSocket close codes (RFC 6455).
UNSUPPORTED, POLICY = 1003, 1008


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
