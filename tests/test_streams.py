"""A replay at 60 bars a second, watched by stock Socket.IO clients: each gets what it asked for."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import socketio

from toolkit.config import Settings
from toolkit.session.bars import bars
from toolkit.session.options import LaunchOptions
from toolkit.session.service import Service
from toolkit.streaming.wire import LOSSLESS

SYMBOLS = ("AAPL", "BTC/USD", "MSFT")
STREAMS = ["market_data", "signals", "orders", "positions"]
JS = Path(__file__).parent / "js"
EAGER = {"stoch_rsi.enabled": False, "ema.ema_period": 2, "risk.cooldown": 0.0}

Message = dict[str, Any]


@pytest.fixture
def recording(tmp_path: Path) -> str:
    path = tmp_path / "bars.csv"
    bars(SYMBOLS, count=120).to_csv(path, index=False)
    return str(path)


def service_for(recording: str) -> Service:
    from toolkit.core.parameters import Parameters

    options = LaunchOptions(
        recording=recording,
        speed="60/s",
        dashboard=False,
        parameters=Parameters.from_dict(EAGER).to_dict(),
    )
    return Service(options, Settings.load(port=0))


async def stock_client(service: Service, symbols: list[str], got: list[Message]) -> Any:
    client = socketio.AsyncClient()
    client.on("stream_data", got.append)
    url, token = service.server.url, service.server.token
    await client.connect(url, auth={"token": token}, transports=["websocket"])
    wanted = {"stream_types": STREAMS, "symbols": symbols}
    assert (await client.call("subscribe", wanted))["ok"]
    return client


async def node_client(service: Service, symbols: list[str]) -> asyncio.subprocess.Process:
    """npm's socket.io-client: prints one JSON line for each event, `ready` after its ack."""
    spec = {
        "url": service.server.url,
        "token": service.server.token,
        "subscribe": {"stream_types": STREAMS, "symbols": symbols},
    }
    process = await asyncio.create_subprocess_exec(
        *("node", str(JS / "stock_client.mjs"), json.dumps(spec)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**22,
    )
    while json.loads(await process.stdout.readline())["event"] != "ready":
        pass
    return process


async def heard(process: asyncio.subprocess.Process) -> list[Message]:
    """Ask the client to leave, and return the stream messages that it printed."""
    out, _ = await process.communicate(b"")
    events = [json.loads(line) for line in out.splitlines()]
    return [event["data"] for event in events if event["event"] == "stream_data"]


def live(messages: Iterable[Message]) -> list[Message]:
    return [m for m in messages if not m.get("snapshot")]


def check(messages: list[Message], symbols: set[str]) -> None:
    """Nothing unasked, nothing twice, nothing missing, everything in order."""
    messages = live(messages)
    assert messages
    assert {m["stream_type"] for m in messages} <= set(STREAMS)
    assert {m["symbol"] for m in messages} == symbols
    for stream in STREAMS:
        numbers = [m["seq"] for m in messages if m["stream_type"] == stream]
        assert numbers == sorted(set(numbers))
        for symbol in symbols:
            chain = [m for m in messages if (m["stream_type"], m["symbol"]) == (stream, symbol)]
            assert all(b["prev"] == a["seq"] for a, b in pairwise(chain))


async def finish(service: Service, clients: list[Any]) -> None:
    await service.finished()
    for client in clients:
        await client.call("ping", {"timestamp": 0})  # what was sent before has arrived


@pytest.mark.node
async def test_three_stock_clients_get_exactly_what_they_asked_for(recording: str):
    if shutil.which("node") is None or not (JS / "node_modules/socket.io-client").is_dir():
        pytest.skip("node or tests/js/node_modules is missing: `make js` installs it")
    service = service_for(recording)
    await service.listen()
    one: list[Message] = []
    two: list[Message] = []
    clients = [
        await stock_client(service, ["AAPL"], one),
        await stock_client(service, ["BTC/USD", "MSFT"], two),
    ]
    node = await node_client(service, ["MSFT"])
    await service.start()
    try:
        await finish(service, clients)
        three = await heard(node)
        check(one, {"AAPL"})
        check(two, {"BTC/USD", "MSFT"})
        check(three, {"MSFT"})
        bars_of_msft = [m for m in live(three) if m["data"]["kind"] == "bar"]
        assert len(bars_of_msft) == 120
        assert numbers_of(two, "MSFT") == numbers_of(three, "MSFT")
        for stream in LOSSLESS & set(STREAMS):
            together = {m["seq"] for m in live(one + two) if m["stream_type"] == stream}
            assert together == set(range(1, service.hub.seq(stream) + 1))
    finally:
        for client in clients:
            await client.disconnect()
        await service.stop()


def numbers_of(messages: list[Message], symbol: str) -> list[tuple[str, int]]:
    return [(m["stream_type"], m["seq"]) for m in live(messages) if m["symbol"] == symbol]
