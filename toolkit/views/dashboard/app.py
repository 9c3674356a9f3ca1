"""The Panel dashboard: one hub per server process, one pulling view per browser session."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from toolkit.errors import ConfigError, NotConnected, ToolkitError
from toolkit.streaming.wire import dashboard_key
from toolkit.views.dashboard.desk import Desk
from toolkit.views.dashboard.known import BotClient, KnownClient
from toolkit.views.dashboard.live_view import LiveView
from toolkit.views.dashboard.serving import Ready, connected_client, end_with_parent, serve_page
from toolkit.views.feed import ChartFeed

log = logging.getLogger(__name__)


class Dashboard:
    """Serves one client's bot to any number of browsers.

    Sessions share its feeds: each symbol is followed once, while somebody looks at it. The
    client stays the caller's. All methods are for the event loop that serves the pages; only
    `run_soon` may be called from anywhere.
    """

    def __init__(self, client: BotClient) -> None:
        self.client = KnownClient(client)
        self.desk = Desk(self.client, run_soon=self.run_soon)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._feeds: dict[str, ChartFeed] = {}
        self._viewers: dict[str, int] = {}
        self._troubles: dict[str, str] = {}

    def build(self, *, symbol: str | None = None) -> Any:
        """Return the page of the current browser session; raises ConfigError for the symbol."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self.run_soon(lambda: self._attempt("desk", self.desk.start))
        return LiveView(self, symbol=symbol).template

    def run_soon(self, call: Callable[[], None]) -> None:
        """Run a call that may block, outside of the event loop and of the client's thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.run_in_executor, None, _logged(call))

    def follow(self, symbol: str) -> ChartFeed:
        """Return the feed of a symbol and count one more viewer; balance it with `release`."""
        if symbol not in self._feeds:
            feed = ChartFeed(self.client, symbol, run_soon=self.run_soon)
            self._feeds[symbol] = feed
            self.run_soon(lambda: self._attempt(symbol, feed.start))
        self._viewers[symbol] = self._viewers.get(symbol, 0) + 1
        return self._feeds[symbol]

    def release(self, symbol: str) -> None:
        """Count one viewer less; the last one closes the feed."""
        self._viewers[symbol] -= 1
        if not self._viewers[symbol]:
            del self._viewers[symbol]
            self._troubles.pop(symbol, None)
            self.run_soon(self._feeds.pop(symbol).close)

    @property
    def followed(self) -> dict[str, int]:
        """How many viewers each followed symbol has."""
        return dict(self._viewers)

    def trouble(self, symbol: str) -> str:
        """What went wrong with the data of a symbol, in words; empty where nothing did."""
        return self._troubles.get("desk", "") or self._troubles.get(symbol, "")

    def serve(
        self, *, port: int, address: str = "127.0.0.1", on_ready: Ready | None = None
    ) -> None:
        """Serve the page at `/` until the process is asked to stop (SIGINT, SIGTERM).

        Port 0 takes any free one; `on_ready` gets the address. Raises ConfigError for a taken
        port.
        """
        try:
            asyncio.run(serve_page(self.build, port=port, address=address, on_ready=on_ready))
        finally:
            self.close()

    def close(self) -> None:
        """Stop following; the client is left open. Calling it twice is harmless."""
        for feed in self._feeds.values():
            feed.close()
        self._feeds.clear()
        self._viewers.clear()
        self.desk.close()
        self.client.close()

    def _attempt(self, name: str, call: Callable[[], None]) -> None:
        try:
            call()
        except ToolkitError as error:
            self._troubles[name] = error.message


def serve(
    *,
    url: str,
    token: str,
    port: int,
    address: str = "127.0.0.1",
    on_ready: Ready | None = None,
    parent: int | None = None,
) -> None:
    """Connect to the server at `url` and serve its dashboard at `/`; blocks until SIGINT, SIGTERM.

    With a `parent`, the id of the process that started this one, it ends soon after that.
    Raises ConfigError for a taken port, AuthError for a wrong token, NotConnected where nothing
    answers, and later when the server is gone and does not come back.
    """

    async def run() -> None:
        watch = None if parent is None else asyncio.create_task(end_with_parent(parent))
        try:
            await attend()
        finally:
            if watch is not None:
                watch.cancel()

    async def attend() -> None:
        async with connected_client(url, token) as (client, lost):
            dashboard = Dashboard(client)
            try:
                await serve_page(
                    dashboard.build,
                    port=port,
                    address=address,
                    on_ready=on_ready,
                    until=lost,
                    key=dashboard_key(token),
                )
            finally:
                dashboard.close()
            if lost.is_set():
                raise NotConnected(client.reason, url=url)

    asyncio.run(run())


def main() -> int:
    """Serve what TOOLKIT_URL, TOOLKIT_TOKEN and TOOLKIT_DASHBOARD_PORT say; the exit code."""
    try:
        url, token = _setting("TOOLKIT_URL"), _setting("TOOLKIT_TOKEN")
        port = os.environ.get("TOOLKIT_DASHBOARD_PORT", "9766")
        if not port.isdecimal() or int(port) > 65535:
            raise ConfigError(
                f"TOOLKIT_DASHBOARD_PORT is {port!r}; allowed: 0 to 65535 (0 is any free one)",
                field="TOOLKIT_DASHBOARD_PORT",
                allowed="0 to 65535",
            )
        serve(url=url, token=token, port=int(port), on_ready=_announce, parent=_parent())
    except ToolkitError as error:
        sys.stderr.write(f"{error.message}\n")
        return 2
    return 0


def _setting(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ConfigError(f"{name} is not set; it names the server's address and token", field=name)
    return value


def _parent() -> int | None:
    # Elsewhere a process keeps the id of a parent that has ended.
    value = os.environ.get("TOOLKIT_PARENT", "")
    return int(value) if value.isdecimal() and os.name == "posix" else None


def _announce(address: str) -> None:
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()


def _logged(call: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            call()
        except Exception:
            log.exception("a background call of the dashboard failed")
            raise

    return run
