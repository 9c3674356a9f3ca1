"""Our JavaScript client in Node, and the pages in a browser."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.client.network import wired
from tests.streaming.fakes import position, quote
from tests.streaming.serving import Served, serving
from toolkit.streaming.pages import SOCKET_IO

JS = Path(__file__).parents[1] / "js"
CHROMIUM = Path("/usr/bin/chromium")
HAS_CHROMIUM = CHROMIUM.exists()


class NodeClient:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[tuple[str, Any]] = []

    def all(self, event: str) -> list[Any]:
        return [data for name, data in self.events if name == event]

    async def until(self, true: Callable[[], Any]) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            while not true():
                line = await self.process.stdout.readline()
                assert line, f"node ended: {self.events[-3:]} {await self.errors()}"
                told = json.loads(line)
                self.events.append((told["event"], told.get("data")))

    async def errors(self) -> str:
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()


@asynccontextmanager
async def node_client(**options: Any) -> AsyncIterator[NodeClient]:
    if shutil.which("node") is None or not (JS / "node_modules" / "socket.io-client").is_dir():
        pytest.skip("no node, or no socket.io-client in tests/js (make installs it)")
    process = await asyncio.create_subprocess_exec(
        "node",
        str(JS / "toolkit_client.mjs"),
        json.dumps(options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    try:
        yield NodeClient(process)
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 10)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.node
async def test_our_javascript_client_subscribes_resumes_and_measures() -> None:
    async with serving() as served, wired(served.server.port) as wire:
        url = f"http://127.0.0.1:{wire.port}"
        options = {"streams": ["positions"], "symbols": ["AAPL"]}
        async with node_client(url=url, token=served.token, **options) as client:
            await client.until(lambda: client.all("subscribed"))
            assert client.all("connected")[0]["connectionId"]
            assert client.all("rejected")[0]["field"] == "stream_types"
            for symbol in ("AAPL", "MSFT", "AAPL"):
                served.hub.publish(position(symbol))
            await client.until(lambda: len(client.all("stream_data")) == 2)
            wire.cut()
            served.hub.publish(position("AAPL"))
            await client.until(lambda: len(client.all("connected")) == 2)
            served.hub.publish(position("AAPL"))
            await client.until(lambda: len(client.all("symbol_AAPL")) == 4)
            await client.until(lambda: client.all("performance_stats"))
        assert [m["seq"] for m in client.all("stream_data")] == [1, 3, 4, 5]
        assert [m["seq"] for m in client.all("symbol_AAPL")] == [1, 3, 4, 5]
        assert "handler that raises" in client.all("error")[0]["message"]
        assert client.all("disconnected")[0]["reason"]
        assert client.all("latency_update")[0]["current"] > 0
        assert client.all("gap") == []


@pytest.fixture
async def page() -> AsyncIterator[Any]:
    if not HAS_CHROMIUM:
        pytest.skip("no /usr/bin/chromium: the test page is not opened in a browser")
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(15_000)
        yield page
        await browser.close()


def subscribed(served: Served) -> bool:
    return any(served.hub.subscriptions(client) for client in served.server._stats.clients)


@pytest.mark.browser
async def test_the_test_page_shows_live_messages(page: Any) -> None:
    if not SOCKET_IO.exists():
        pytest.skip("socket.io.min.js was not built (make builds it where there is npm)")
    problems: list[str] = []
    foreign: list[str] = []
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    async with serving() as served:
        page.on("request", lambda r: None if served.url in r.url else foreign.append(r.url))
        await page.goto(f"{served.url}/?token={served.token}")
        await page.goto(f"{served.url}/websocket_test_client.html")
        await page.get_by_text("connected", exact=True).wait_for()
        await page.get_by_role("button", name="Subscribe", exact=True).click()
        async with asyncio.timeout(15):
            while not subscribed(served):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        served.hub.publish(quote("AAPL", 123.45))
        await page.get_by_text("bid 123.44").wait_for()
        await page.get_by_role("button", name="Unsubscribe").click()
        await page.get_by_label("Symbols").fill("NOPE")
        await page.get_by_role("button", name="Subscribe", exact=True).click()
        await page.get_by_text("symbols is 'NOPE'; allowed: AAPL, MSFT").wait_for()
        await page.goto(f"{served.url}/docs")
        await page.get_by_text("/api/command").wait_for()
        await page.goto("about:blank")
    assert problems == []
    assert [url for url in foreign if not url.startswith(("data:", "about:"))] == []


@pytest.mark.browser
async def test_the_test_page_says_when_its_script_was_not_built(
    page: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("toolkit.streaming.pages.SOCKET_IO", tmp_path / "missing.js")
    async with serving() as served:
        await page.goto(f"{served.url}/websocket_test_client.html")
        await page.get_by_text("it is built with Node.js").wait_for()
        await page.goto("about:blank")
