"""Our JavaScript client: by itself, as a package, against our server and against stock ones."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import socketio
import uvicorn

from tests.client.network import wired
from tests.streaming.fakes import position, quote
from tests.streaming.serving import VIEW, serving
from toolkit import __version__
from toolkit.streaming.http.javascript import SOURCES, page_module, page_script

JS = Path(__file__).parents[2] / "js"
PACKAGE = SOURCES.parent
NEEDED = ("ws", "socket.io", "typescript")

pytestmark = pytest.mark.node


def needs_npm_packages() -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed: the JavaScript client is not tested")
    for name in NEEDED:
        if not (JS / "node_modules" / name).is_dir():
            pytest.skip(f"no {name} in tests/js/node_modules: `make js` installs it")


def run(*command: str | Path, cwd: Path = JS, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_parts_the_pages_parts_and_against_a_stock_socket_io_server_in_node(
    tmp_path: Path,
) -> None:
    needs_npm_packages()
    script = tmp_path / "websocket_client.js"
    script.write_text(page_script())
    files = ("unit.test.mjs", "page.test.mjs", "stock.test.mjs")
    told = run("node", "--test", "--test-reporter=tap", *files, PAGE_SCRIPT=str(script))
    assert re.search(r"^# pass \d{2}", told, re.MULTILINE)
    assert "# skipped 0" in told


def test_its_types_hold_what_the_example_does_and_refuse_what_cannot_be() -> None:
    needs_npm_packages()
    run("node", JS / "node_modules/typescript/bin/tsc", "--project", JS)


def test_the_package_holds_what_it_says_and_nothing_else() -> None:
    needs_npm_packages()
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed: the package is not packed")
    (packed,) = json.loads(run(npm, "pack", "--dry-run", "--json", "--offline", cwd=PACKAGE))
    assert packed["version"] == __version__
    listed = {file["path"] for file in packed["files"]}
    modules = {f"src/{path.name}" for path in SOURCES.iterdir()}
    typed = {"index.d.ts", "react.js", "react.d.ts"}
    assert listed == {"README.md", "package.json"} | typed | modules


def test_the_pages_files_hold_every_module_of_the_client_once() -> None:
    declared = r"^(?:export )?(?:class|function|const) (\w+)"
    modules = [path for path in SOURCES.glob("*.js") if path.name not in ("index.js", "store.js")]
    names = [name for path in modules for name in re.findall(declared, path.read_text(), re.M)]
    for text in (page_script(), page_module()):
        assert text.startswith(f"/* TradingBotWebSocketClient {__version__}")
        assert sorted(re.findall(declared, text, re.M)) == sorted(names)
        assert "import {" not in text


async def test_the_pages_files_are_served_as_javascript_and_not_sent_twice(
    tmp_path: Path,
) -> None:
    needs_npm_packages()
    async with serving() as served, aiohttp.ClientSession() as http:
        for path in ("/websocket_client.js", "/websocket_client.mjs"):
            async with http.get(served.url + path) as answer:
                assert answer.content_type == "text/javascript"
                text, tag = await answer.text(), answer.headers["ETag"]
            async with http.get(served.url + path, headers={"If-None-Match": tag}) as again:
                assert (again.status, await again.text()) == (304, "")
    exports = "export { TradingBotWebSocketClient, TradingBotError };"
    assert text.endswith(f"{exports}\n")
    module = tmp_path / "client.mjs"
    module.write_text(text)
    run("node", "--check", module)


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
    needs_npm_packages()
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


async def test_against_our_server_it_subscribes_resumes_and_measures() -> None:
    async with serving() as served, wired(served.server.port) as wire:
        url = f"http://127.0.0.1:{wire.port}"
        options = {"streams": ["positions"], "symbols": ["AAPL"]}
        async with node_client(url=url, token=VIEW, **options) as client:
            await client.until(lambda: client.all("subscribed"))
            assert client.all("connected")[0]["connectionId"]
            nonsense, role = client.all("rejected")
            assert nonsense["field"] == "stream_types"
            assert (role["code"], role["required"]) == ("auth_error", "trade")
            for symbol in ("AAPL", "MSFT", "AAPL"):
                served.hub.publish(position(symbol))
            await client.until(lambda: len(client.all("stream_data")) == 2)
            wire.cut()
            served.hub.publish(position("AAPL"))
            await client.until(lambda: len(client.all("connected")) == 2)
            # The clock of a new connection is known after four pings.
            pings = len(client.all("latency_update"))
            await client.until(lambda: len(client.all("latency_update")) >= pings + 4)
            served.hub.publish(position("AAPL"))
            await client.until(lambda: len(client.all("symbol_AAPL")) == 4)
            await client.until(lambda: client.all("latency_update")[-1]["count"])
            await client.until(lambda: client.all("performance_stats")[-1]["messagesReceived"] == 4)
        assert [m["seq"] for m in client.all("stream_data")] == [1, 3, 4, 5]
        assert [m["seq"] for m in client.all("symbol_AAPL")] == [1, 3, 4, 5]
        assert {error["code"] for error in client.all("error")} == {"handler_error"}
        assert client.all("disconnected")[0]["reason"]
        latency = client.all("latency_update")[-1]
        assert 0 <= latency["p50"] <= latency["max"]
        # Both clocks are this computer's, so what is measured must be about nothing.
        assert abs(latency["offsetMs"]) <= latency["uncertaintyMs"] + 1
        assert client.all("gap") == []


async def test_against_our_server_many_messages_at_once_arrive_complete() -> None:
    async with serving() as served:
        options = {"streams": ["positions", "market_data"], "symbols": ["AAPL", "MSFT"]}
        async with node_client(url=served.url, token=VIEW, **options) as client:
            await client.until(lambda: client.all("subscribed"))
            for number in range(1, 501):
                served.hub.publish(position("AAPL" if number % 3 else "MSFT"))
                served.hub.publish(quote("AAPL", 100 + number))
            await client.until(lambda: len(client.all("stream_positions")) == 500)
        assert [m["seq"] for m in client.all("stream_positions")] == list(range(1, 501))
        assert client.all("gap") == []


@asynccontextmanager
async def stock_python_server() -> AsyncIterator[tuple[socketio.AsyncServer, str]]:
    """python-socketio as its own documentation starts it, which greets as ours does."""
    sio = socketio.AsyncServer(async_mode="asgi")

    async def connect(sid: str, _environ: Any, auth: dict[str, Any]) -> None:
        hello = {"connectionId": sid, "epoch": "e", "role": "view", "config": {}}
        await sio.emit("connected", {**hello, "token": auth["token"]}, to=sid)

    async def subscribe(sid: str, body: dict[str, Any]) -> dict[str, Any]:
        if body["stream_types"] == ["nonsense"]:
            return {"ok": False, "error": {"code": "wire_error", "message": "no such stream"}}
        return {"ok": True, **body, "seq": {}}

    async def refuse(_event: str, _sid: str, *_body: Any) -> dict[str, Any]:
        return {"ok": False, "error": {"code": "auth_error", "message": "not you"}}

    sio.on("connect", connect)
    sio.on("subscribe", subscribe)
    sio.on("*", refuse)
    config = uvicorn.Config(
        socketio.ASGIApp(sio), port=0, log_config=None, lifespan="off", ws="websockets-sansio"
    )
    server = uvicorn.Server(config)
    serving_task = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0)
    try:
        yield sio, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving_task


async def test_against_a_stock_python_socketio_server() -> None:
    async with stock_python_server() as (sio, url):
        options = {"streams": ["positions"], "symbols": ["AAPL"]}
        async with node_client(url=url, token="abc", **options) as client:
            await client.until(lambda: client.all("subscribed"))
            assert client.all("connected")[0]["token"] == "abc"
            codes = [error["code"] for error in client.all("rejected")]
            assert codes == ["wire_error", "auth_error"]
            base = {"stream_type": "positions", "symbol": "AAPL", "epoch": "e", "data": {}}
            for seq, prev in ((1, 0), (3, 2)):
                message = {**base, "seq": seq, "prev": prev, "published": "2026-01-02T00:00:00Z"}
                await sio.emit("stream_data", message)
            await client.until(lambda: len(client.all("symbol_AAPL")) == 2)
        assert client.all("gap") == [
            {"stream": "positions", "from": 2, "to": 2, "reason": "missing"}
        ]
