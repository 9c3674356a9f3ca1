"""python-socketio as we use it, and which paths are its own."""

from __future__ import annotations

import logging
from typing import Any

import socketio

from toolkit.streaming.access.auth import Authenticator
from toolkit.streaming.asgi import App, Receive, Scope, Send
from toolkit.streaming.settings import ServerSettings

SOCKET_PATH = "/socket.io"


def socketio_server(settings: ServerSettings, auth: Authenticator) -> Any:
    """Return a Socket.IO server that takes connections from allowed origins only."""

    def origin_allowed(origin: str | None, environ: dict[str, Any]) -> bool:
        headers = {"host": environ.get("HTTP_HOST", "")}
        return auth.origin_allowed({**headers, "origin": origin} if origin else headers)

    return socketio.AsyncServer(
        async_mode="asgi",
        async_handlers=False,
        cors_allowed_origins=origin_allowed,
        ping_interval=settings.websocket.ping_interval,
        ping_timeout=settings.websocket.ping_timeout,
        max_http_buffer_size=settings.websocket.max_http_buffer_size,
        logger=_silent("socketio"),
        engineio_logger=_silent("engineio"),
    )


def asgi(sio: Any) -> App:
    """Return a Socket.IO server as an ASGI application."""
    app: App = socketio.ASGIApp(sio, socketio_path=SOCKET_PATH)
    return app


def dispatch(sockets: App, api: App) -> App:
    """Return one application: Socket.IO below its path, the HTTP API everywhere else."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        ours = path == SOCKET_PATH or path.startswith(f"{SOCKET_PATH}/")
        await (sockets if ours else api)(scope, receive, send)

    return app


def _silent(package: str) -> logging.Logger:
    # Their own loggers quote packets, and so tokens, to whoever sets a level.
    logger = logging.getLogger(f"{__name__}.{package}")
    logger.setLevel(logging.ERROR)
    return logger
