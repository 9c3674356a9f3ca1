"""Serves a Panel page from this process until it is asked to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from typing import Any

from toolkit.errors import ConfigError

_UNUSED_SESSION_MS = 5000


def serve_page(
    build: Callable[[], Any],
    *,
    port: int,
    address: str,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve `build()` at `/`, a new page for each browser session; blocks until SIGINT or SIGTERM.

    Port 0 takes any free one; `on_ready` gets the address. Raises ConfigError for a taken port.
    """
    asyncio.run(_serve(build, port=port or _free_port(address), address=address, ready=on_ready))


async def _serve(
    build: Callable[[], Any], *, port: int, address: str, ready: Callable[[str], None] | None
) -> None:
    from panel.io.server import get_server

    try:
        server = get_server(
            {"/": build},
            port=port,
            address=address,
            title="StochRSI toolkit",
            websocket_origin=[f"{name}:{port}" for name in {address, "127.0.0.1", "localhost"}],
            check_unused_sessions_milliseconds=1000,
            unused_session_lifetime_milliseconds=_UNUSED_SESSION_MS,
        )
    except OSError as error:
        raise ConfigError(
            f"port {port} on {address} cannot be used ({error.strerror}); "
            "set TOOLKIT_DASHBOARD_PORT to another one, or to 0 for any",
            field="port",
            value=port,
        ) from error
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_ignore_closed_pages)
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    server.start()
    if ready is not None:
        ready(f"http://{address}:{port}")
    try:
        await stop.wait()
    finally:
        server.stop()


def _ignore_closed_pages(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    from tornado.websocket import WebSocketClosedError

    # Panel does not look at the outcome of a write; a page that was closed meanwhile is no news.
    if not isinstance(context.get("exception"), WebSocketClosedError):
        loop.default_exception_handler(context)


def _free_port(address: str) -> int:
    with socket.create_server((address, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
