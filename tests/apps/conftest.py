"""A real headless Chromium, and dashboards served by processes of their own."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

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


class Server:
    """A child process whose lines can be waited for."""

    def __init__(self, command: list[str], *, environment: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip())
        self._lines.put(None)

    def wait_for(self, pattern: str, *, within: float = 60.0) -> str:
        """Return the part of the next line that `pattern` matches."""
        while True:
            line = self._lines.get(timeout=within)
            assert line is not None, f"ended without {pattern!r}:\n" + "\n".join(self.said)
            self.said.append(line)
            if found := re.search(pattern, line):
                return found.group()

    def stop(self) -> int:
        """Ask it to end as Ctrl-C does; returns the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended by itself; returns the exit code."""
        code = self._process.wait(20)
        self._reader.join(5)
        while not self._lines.empty():
            self.said += [line] if (line := self._lines.get()) else []
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def run(*command: str, environment: dict[str, str] | None = None) -> Server:
        servers.append(Server(list(command), environment=environment))
        return servers[-1]

    yield run
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def shared_address() -> Iterator[str]:
    """A dashboard over a lively market that all tests of a module look at."""
    server = Server([str(HERE / "serve_lively.py")])
    yield server.wait_for(r"http://\S+")
    server.stop()


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
        self.page.wait_for_function(f"() => ({LAST_BAR})() != null", timeout=30_000)

    def last_bar(self) -> dict[str, float]:
        """The newest bar in the page's own column source: x, close, and how many there are."""
        bar: dict[str, float] = self.page.evaluate(LAST_BAR)
        return bar

    def wait_until_candles_moved(self, seen: dict[str, float]) -> None:
        """Wait for a later bar than `seen`."""
        self.page.wait_for_function(f"(x) => ({LAST_BAR})().x > x", arg=seen["x"], timeout=20_000)

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
