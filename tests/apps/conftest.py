"""A real headless Chromium, and dashboards served by processes of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from tests.apps.processes import Server

CHROMIUM = Path("/usr/bin/chromium")
HAS_CHROMIUM = CHROMIUM.exists()
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
HERE = Path(__file__).parent


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def run(*command: str, environment: dict[str, str] | None = None) -> Server:
        servers.append(Server(list(command), environment=environment))
        return servers[-1]

    yield run
    for server in servers:
        server.stop()


class Lively:
    """A dashboard over a lively market; `start` after `stop` serves the same address."""

    def __init__(self) -> None:
        self.address = ""
        self._server: Server | None = None

    def start(self) -> None:
        port = self.address.rpartition(":")[2] or "0"
        self._server = Server([str(HERE / "serve_lively.py"), "--port", port])
        self.address = self._server.wait_for(r"http://\S+")

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()


@pytest.fixture(scope="module")
def shared() -> Iterator[Lively]:
    """The dashboard that all tests of a module look at."""
    lively = Lively()
    try:
        lively.start()
        yield lively
    finally:
        lively.stop()


@pytest.fixture
def shared_address(shared: Lively) -> str:
    return shared.address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not HAS_CHROMIUM:
        pytest.skip(f"no {CHROMIUM}: the dashboard is not looked at in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield chromium
        chromium.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Any]:
    """A browser for asynchronous tests, which run in their module's loop."""
    if not HAS_CHROMIUM:
        pytest.skip(f"no {CHROMIUM}: the page is not opened in a browser")
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        await browser.close()


class Visit:
    """One page and what its console and its requests said."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._note_host(request.url))
        page.on("websocket", lambda socket: self._note_host(socket.url))

    def _note_host(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob"):
            self.hosts.add(parts.hostname or url)

    def _on_console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def open(self, url: str) -> None:
        """Go there and wait until the chart has bars."""
        self.page.goto(url)
        self.page.wait_for_function(f"() => ({LAST_BAR})() != null", timeout=60_000)

    def last_bar(self) -> dict[str, float]:
        """The newest bar in the page's own column source: x, close, and how many there are."""
        bar: dict[str, float] = self.page.evaluate(LAST_BAR)
        return bar

    def wait_until_candles_moved(self, seen: dict[str, float]) -> None:
        """Wait for a later bar than `seen`."""
        self.page.wait_for_function(f"(x) => ({LAST_BAR})().x > x", arg=seen["x"], timeout=60_000)

    def text(self) -> str:
        """All that is written on the page, shadow roots included."""
        words: str = self.page.evaluate(WORDS)
        return words


LAST_BAR = """() => {
  const source = window.Bokeh?.documents[0]?.get_model_by_name("bars")
  const n = source?.data.x.length ?? 0
  return n == 0 ? null : {x: source.data.x[n - 1], close: source.data.close[n - 1], count: n}
}"""
WORDS = """() => {
  const words = (node) => [...node.childNodes].map((child) =>
    child.nodeType == 3 ? child.data
      : child.nodeName == "STYLE" || child.nodeName == "SCRIPT" ? ""
      : (child.shadowRoot ? words(child.shadowRoot) : "") + " " + words(child)).join("")
  return words(document.body).replace(/\\s+/g, " ")
}"""


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visit]]:
    contexts: list[Any] = []

    def open_page(url: str, **options: Any) -> Visit:
        options.setdefault("viewport", {"width": 1440, "height": 900})
        contexts.append(browser.new_context(**options))
        visit = Visit(contexts[-1].new_page())
        visit.open(url)
        return visit

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="class")
def desk(browser: Any, shared: Lively) -> Iterator[Visit]:
    """One page that the tests of a class look at."""
    page = Visit(browser.new_page(viewport={"width": 1440, "height": 900}))
    page.open(shared.address)
    yield page
    page.page.close()
