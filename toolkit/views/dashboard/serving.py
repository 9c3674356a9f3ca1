"""Serves a Panel page from this process until it is asked to stop."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from toolkit.errors import ConfigError
from toolkit.streaming.wire import DASHBOARD_KEY_HEADER

if TYPE_CHECKING:
    from toolkit.client.sync import Client

T = TypeVar("T")
Ready = Callable[[str], None]

LINK = "/link"
_UNUSED_SESSION_MS = 5000


@asynccontextmanager
async def connected_client(url: str, token: str) -> AsyncIterator[tuple[Client, asyncio.Event]]:
    """Give a synchronous client that lives in the running loop and is used from other threads.

    The event is set when it has lost the server and given up. Raises AuthError for a wrong
    token, NotConnected where nothing answers.
    """
    from toolkit.client.async_client import StreamClient
    from toolkit.client.sync import Client

    lost = asyncio.Event()
    loop = asyncio.get_running_loop()

    def call(coroutine: Coroutine[Any, Any, T], /) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    def on_error(_error: object) -> None:
        if stream_client.state == "disconnected":
            lost.set()

    stream_client = StreamClient(url, token=token, name="dashboard")
    await stream_client.connect()
    stream_client.on("error", on_error)
    try:
        yield Client(stream_client, call=call), lost
    finally:
        await stream_client.close()


async def serve_page(
    build: Callable[[], Any],
    *,
    port: int,
    address: str,
    on_ready: Ready | None = None,
    until: asyncio.Event | None = None,
    key: str | None = None,
) -> None:
    """Serve `build()` at `/`, a new page per session, until SIGINT, SIGTERM or `until` is set.

    Port 0 takes any free one; `on_ready` gets the address. A page is served to any Host, its
    websocket only to pages of this very address, which is what a proxy on this machine claims to
    be. With a `key` only those who show it get in, see `doors`, and the address is the link with
    it. Raises ConfigError for a taken port.
    """
    port = port or _free_port(address)
    server = _page_server(build, port=port, address=address, key=key)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_ignore_closed_pages)
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    server.start()
    if on_ready is not None:
        on_ready(f"http://{address}:{port}" + (f"{LINK}?key={key}" if key else ""))
    try:
        await _first_of(stop, until)
    finally:
        server.stop()


def _page_server(build: Callable[[], Any], *, port: int, address: str, key: str | None) -> Any:
    from panel.io.server import get_server

    try:
        return get_server(
            {"/": build},
            port=port,
            address=address,
            title="StochRSI toolkit",
            websocket_origin=[f"{name}:{port}" for name in {address, "127.0.0.1", "localhost"}],
            check_unused_sessions_milliseconds=1000,
            unused_session_lifetime_milliseconds=_UNUSED_SESSION_MS,
            # Sessions carry request headers, the role among them, through the browser.
            sign_sessions=True,
            secret_key=secrets.token_hex(32).encode(),
            **_guarded(key, port=port),
        )
    except OSError as error:
        raise ConfigError(
            f"port {port} on {address} cannot be used ({error.strerror}); "
            "set TOOLKIT_DASHBOARD_PORT to another one, or to 0 for any",
            field="port",
            value=port,
        ) from error


def _guarded(key: str | None, *, port: int) -> dict[str, Any]:
    if key is None:
        return {}
    from toolkit.views.dashboard.doors import doors

    # Bokeh hands request headers to the browser in its session token: the key must not be there.
    cookie = f"toolkit_dashboard_{port}"
    provider = doors(key, cookie=cookie)
    excluded = {"exclude_headers": [DASHBOARD_KEY_HEADER, "Cookie"], "exclude_cookies": [cookie]}
    return {"auth_provider": provider, **excluded}


async def end_with_parent(
    parent: int,
    *,
    getppid: Callable[[], int] = os.getppid,
    end: Callable[[], None] = lambda: signal.raise_signal(signal.SIGTERM),
    interval: float = 1.0,
) -> None:
    """Wait until the process `parent` is no longer ours, then `end`, by default as SIGTERM does.

    Looks every `interval` seconds.
    """
    while getppid() == parent:  # noqa: ASYNC110  no event tells of it
        await asyncio.sleep(interval)
    end()


async def _first_of(*events: asyncio.Event | None) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events if event is not None]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _ignore_closed_pages(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    from tornado.websocket import WebSocketClosedError

    # Panel does not look at the outcome of a write; a page that was closed meanwhile is no news.
    if not isinstance(context.get("exception"), WebSocketClosedError):
        loop.default_exception_handler(context)


def _free_port(address: str) -> int:
    with socket.create_server((address, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
