"""The Panel dashboard: one hub per server process, one pulling view per browser session."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.views.desk import Desk, DeskClient
from toolkit.views.feed import ChartFeed
from toolkit.views.live_view import LiveView

log = logging.getLogger(__name__)

Ready = Callable[[str], None]


class Dashboard:
    """Serves one client's bot to any number of browsers.

    Sessions share its feeds: each symbol is followed once, while somebody looks at it. The
    client stays the caller's; `close` only lets go of it.
    """

    def __init__(self, client: DeskClient) -> None:
        self.client = client
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="dashboard")
        self.desk = Desk(client, run_soon=self.run_soon)
        self._feeds: dict[str, ChartFeed] = {}
        self._viewers: dict[str, int] = {}
        self._troubles: dict[str, str] = {}
        self.run_soon(self._guarded("desk", self.desk.start))

    def run_soon(self, call: Callable[[], None]) -> None:
        """Run a call that may block, outside of the event loop and of the client's thread."""
        self._pool.submit(call).add_done_callback(_report)

    def follow(self, symbol: str) -> ChartFeed:
        """Return the feed of a symbol and count one more viewer; balance it with `release`."""
        self._viewers[symbol] = self._viewers.get(symbol, 0) + 1
        if symbol not in self._feeds:
            feed = ChartFeed(self.client, symbol, run_soon=self.run_soon)
            self._feeds[symbol] = feed
            self.run_soon(self._guarded(symbol, feed.start))
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

    def build(self, *, symbol: str | None = None) -> Any:
        """Return the page of the current browser session; raises ConfigError for the symbol."""
        return LiveView(self, symbol=symbol).template

    def serve(
        self,
        *,
        port: int,
        address: str = "127.0.0.1",
        on_ready: Ready | None = None,
    ) -> None:
        """Serve the page at `/` until the process is asked to stop (SIGINT, SIGTERM).

        Port 0 takes any free one; `on_ready` gets the address once it is open. Requests of any
        origin that carry the address's own Host are taken, as a proxy on this machine sends them.
        """
        from toolkit.views.serving import serve_page

        serve_page(self.build, port=port, address=address, on_ready=on_ready)

    def close(self) -> None:
        """Stop following; the client is left open. Calling it twice is harmless."""
        for feed in self._feeds.values():
            feed.close()
        self._feeds.clear()
        self._viewers.clear()
        self.desk.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _guarded(self, name: str, call: Callable[[], None]) -> Callable[[], None]:
        def attempt() -> None:
            try:
                call()
            except ToolkitError as error:
                self._troubles[name] = error.message

        return attempt


def _report(future: Future[None]) -> None:
    error = None if future.cancelled() else future.exception()
    if error is not None:
        log.error("a background call of the dashboard failed", exc_info=error)
