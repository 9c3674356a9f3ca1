"""Refuses long polling where the next request of a client may reach another process."""

from __future__ import annotations

import orjson

from toolkit.errors import ConfigError
from toolkit.streaming.asgi import App, Receive, Scope, Send


def websocket_only(app: App) -> App:
    """Return `app` for WebSockets; requests are answered with what to do instead."""
    problem = ConfigError(
        "this server runs several workers and takes WebSockets only; connect with "
        'transports=["websocket"], or start it with --sticky behind a load balancer that keeps '
        "each client on one worker",
        field="transport",
        allowed=["websocket"],
    )
    body = orjson.dumps({"error": problem.to_dict()})

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 400, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return guarded
