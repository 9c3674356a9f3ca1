"""`create_app`: the quick way, run by us and by somebody else's ASGI server."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import socketio
import uvicorn

import toolkit as tk
from toolkit.session.app import ToolkitApp
from toolkit.streaming.listener import bind

TOKEN = "a-token-for-the-quick-way"
SCRIPT = """
import toolkit

app = toolkit.create_app(["AAPL"], speed="600x")
app.service.start_streaming(interval=0.5)
app.run(host="127.0.0.1", port={port})
"""


def quick_app(**options: object) -> ToolkitApp:
    return tk.create_app(["AAPL"], **{"speed": "600x", "token": TOKEN, **options})


@asynccontextmanager
async def foreign_server(app: ToolkitApp, *, lifespan: str) -> AsyncIterator[str]:
    """A stock uvicorn, which knows nothing of ours."""
    listener = bind("127.0.0.1", 0)
    config = uvicorn.Config(
        app, lifespan=lifespan, ws="websockets-sansio", log_config=None, log_level="warning"
    )
    server = uvicorn.Server(config)
    server.capture_signals = _leave_signals_alone
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


class _leave_signals_alone:  # noqa: N801 - stands for a method
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize("lifespan", ["on", "off"])
async def test_any_asgi_server_runs_it(lifespan: str, tmp_path: Path) -> None:
    app = quick_app(record=tmp_path / "days")
    app.service.start_streaming(interval=0.01)
    got: list[dict[str, object]] = []
    news = asyncio.Event()

    def note(message: dict[str, object]) -> None:
        got.append(message)
        news.set()

    async with foreign_server(app, lifespan=lifespan) as url:
        client = socketio.AsyncClient(reconnection=False, handle_sigint=False)
        client.on("stream_data", note)
        await client.connect(url, auth={"token": TOKEN}, transports=["websocket"])
        await client.call("subscribe", {"stream_types": ["market_data"]})
        async with asyncio.timeout(10), aiohttp.ClientSession() as http:
            while len(got) < 5:
                news.clear()
                await news.wait()
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            async with http.get(f"{url}/api/websocket/stats", headers=bearer) as answer:
                stats = await answer.json()
        assert stats["connected_clients"] == 1
        assert stats["controls"]["streaming_interval"] == 0.01
        assert app.service.get_streaming_stats()["websocket_stats"]["delivered"] >= 5
        await client.disconnect()
        if lifespan == "off":
            await app.close()
    await app.close()
    assert list((tmp_path / "days").rglob("*.segment"))


async def test_it_runs_once() -> None:
    app = quick_app()
    async with foreign_server(app, lifespan="on") as url, aiohttp.ClientSession() as http:
        async with http.get(f"{url}/healthz") as answer:
            assert answer.status == 200
        with pytest.raises(tk.ConfigError, match="create another"):
            app.run(port=0)


def test_another_address_wants_a_token_of_your_own() -> None:
    app = tk.create_app(["AAPL"])
    with pytest.raises(tk.ConfigError, match="token"):
        app.run(host="0.0.0.0", port=0)


def test_wrong_arguments_are_refused_by_name() -> None:
    with pytest.raises(tk.ConfigError, match="no symbol"):
        tk.create_app(["A$"])
    with pytest.raises(tk.ConfigError, match="1 to 1e9"):
        tk.create_app(capital=-1)


def test_the_token_made_up_stays_the_same_wherever_it_listens() -> None:
    app = tk.create_app(["AAPL"])
    before = app.token
    app._running.server.move(host="::1", port=1)
    assert app.token == before


def test_the_example_runs_until_ctrl_c(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    script = tmp_path / "mine.py"
    script.write_text(SCRIPT.format(port=port))
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    try:
        link = urlsplit(process.stdout.readline().removeprefix("Open ").strip())
        assert link.port == port
        (token,) = parse_qs(link.query)["token"]
        with tk.connect(f"http://127.0.0.1:{port}", token=token) as live:
            stats = live.get_streaming_stats()
            assert stats["controls"]["streaming_interval"] == 0.5
            assert live.set_streaming_interval(0.25)["streaming_interval"] == 0.25
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert err == ""
