"""What the original promised its users, row by row (O1 to O20), on a server that was launched.

Held elsewhere: O2's figures (docs/performance.md), O6's and O18's workers (the cluster's tests),
O14 and O15 in a browser (tests/apps), O18's Docker (tests/test_docker.py). Not yet there: O21
(mail on every trade, trade log as CSV), which come with the work on operations and the journal.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import socketio
from typer.testing import CliRunner
from websockets.asyncio.client import connect as connect_websocket
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
)
from websockets.frames import Frame

import toolkit as tk
from tests.session.test_app import foreign_server
from toolkit.bot.bot import Bot
from toolkit.bot.events import Event
from toolkit.broker.simulated import SimulatedBroker
from toolkit.cli.main import app as command_line
from toolkit.client import TradingBotWebSocketClient
from toolkit.config import Settings
from toolkit.core.engine import Engine
from toolkit.market.pace import Pace
from toolkit.market.simulated import SimulatedMarket
from toolkit.runtime import wait_until
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.server import ServerSettings, StreamingServer, utc_now
from toolkit.streaming.wire import DEFAULT_PORT

STREAMS = ["market_data", "positions", "signals", "orders", "account", "system_health"]
SYMBOLS = ["AAPL", "BTC/USD", "MSFT"]
# Trades often, so that every stream has something to say within a moment.
EAGER = {"stoch_rsi.enabled": False, "ema.ema_period": 2, "risk.cooldown": 0.0}
NODE_PACKAGES = Path(__file__).parent / "js" / "node_modules"

pytestmark = pytest.mark.xdist_group("original")


@dataclass(frozen=True)
class Original:
    live: tk.Session
    state_dir: Path

    @property
    def url(self) -> str:
        return self.live.url

    @property
    def token(self) -> str:
        return self.live._host.record.token


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Original]:
    state_dir = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOOLKIT_STATE_DIR", str(state_dir))
        live = tk.launch(
            SYMBOLS,
            parameters=EAGER,
            speed="1200x",
            isolation="process",
            port=0,
            websocket=tk.WebSocketConfig(heartbeat_interval=0.2),
            announce=lambda _text: None,
        )
    yield Original(live, state_dir)
    live.stop()


@pytest.fixture
async def http(original: Original) -> AsyncIterator[aiohttp.ClientSession]:
    bearer = {"Authorization": f"Bearer {original.token}"}
    async with aiohttp.ClientSession(original.url, headers=bearer) as session:
        yield session


@asynccontextmanager
async def client(original: Original) -> AsyncIterator[TradingBotWebSocketClient]:
    options = {"reconnectAttempts": 10, "reconnectDelay": 500, "latencyTarget": 50}
    made = TradingBotWebSocketClient(original.url, {**options, "token": original.token})
    await made.connect()
    try:
        yield made
    finally:
        await made.disconnect()


class Heard(list[Any]):
    """What a handler was given; `until` waits for more."""

    def __init__(self) -> None:
        super().__init__()
        self._news = asyncio.Event()

    def __call__(self, item: Any) -> None:
        self.append(item)
        self._news.set()

    def __bool__(self) -> bool:
        return True  # python-socketio does not call a handler that is false

    async def until(self, count: int = 1) -> None:
        async with asyncio.timeout(10):
            while len(self) < count:
                self._news.clear()
                await self._news.wait()


async def test_o1_every_stream_of_the_original_flows(original: Original) -> None:
    async with client(original) as watching:
        heard = {name: Heard() for name in STREAMS}
        for name, handler in heard.items():
            watching.on(f"stream_{name}", handler)
        await watching.subscribe(STREAMS)
        for handler in heard.values():
            await handler.until(2)


async def test_o2_what_was_promised_is_measured_and_memory_is_within(
    http: aiohttp.ClientSession,
) -> None:
    async with http.get("/api/performance/system") as answer:
        system = await answer.json()
    assert 0 < system["memory_mb"] < 500
    assert system["cpu_percent"] >= 0
    assert system["uptime"] > 0
    async with http.get("/api/websocket/performance") as answer:
        performance = await answer.json()
    assert {"p50", "p95", "p99", "max"} <= performance["latency"].keys()
    assert performance["messages_per_second"] >= 0


async def test_o3_the_connections_values_are_the_originals_and_clients_are_told(
    original: Original,
) -> None:
    usual = tk.WebSocketConfig()
    assert (usual.ping_timeout, usual.ping_interval, usual.heartbeat_interval) == (30, 10, 5)
    assert (usual.reconnect_attempts, usual.reconnect_delay, usual.max_latency_ms) == (10, 0.5, 50)
    assert (usual.compression, usual.binary, usual.max_http_buffer_size) == (True, True, 32768)
    async with client(original) as watching:
        told = watching.config
        for name in ("ping_timeout", "ping_interval", "reconnect_attempts", "reconnect_delay"):
            assert told[name] == getattr(usual, name)
        beats = Heard()
        watching.on("heartbeat", beats)
        await beats.until(2)
        assert beats[0]["timestamp"]


async def test_o4_payloads_over_1_kb_are_compressed_and_ticks_are_not(original: Original) -> None:
    sizes: dict[bool, list[int]] = {True: [], False: []}

    class Noting(PerMessageDeflate):
        def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
            found = super().decode(frame, max_size=max_size)
            sizes[bool(frame.rsv1)].append(len(found.data))
            return found

    class Factory(ClientPerMessageDeflateFactory):
        def process_response_params(self, *args: Any) -> PerMessageDeflate:
            made = super().process_response_params(*args)
            made.__class__ = Noting
            return made

    address = original.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
    offer = [Factory(client_max_window_bits=True)]
    async with connect_websocket(address, compression=None, extensions=offer) as wire:
        await wire.recv()
        await wire.send("40" + json.dumps({"token": original.token}))
        await wire.send('420["subscribe",{"stream_types":["market_data"]}]')
        ask = {"name": "get_history", "args": {"symbol": "AAPL", "limit": 100}}
        await wire.send("421" + json.dumps(["command", ask]))
        async with asyncio.timeout(10):
            while not str(await wire.recv()).startswith("431"):
                pass
    assert max(sizes[True]) > 10_000
    assert min(sizes[True]) > 1024
    assert sizes[False]
    assert max(sizes[False]) <= 1024


async def test_o5_streams_are_asked_for_by_name_and_symbol(original: Original) -> None:
    async with client(original) as watching:
        prices, signals = Heard(), Heard()
        watching.on("stream_market_data", prices)
        watching.on("stream_signals", signals)
        await watching.subscribe(["market_data"], ["AAPL", "MSFT"])
        await watching.subscribe(["signals"])
        await signals.until(3)
        await prices.until(20)
    assert {message["symbol"] for message in prices} == {"AAPL", "MSFT"}


async def test_o6_every_client_has_a_session_and_gets_each_message_once(
    original: Original,
) -> None:
    async with client(original) as one, client(original) as two:
        heard = Heard(), Heard()
        for watching, handler in zip((one, two), heard, strict=True):
            watching.on("stream_orders", handler)
            await watching.subscribe(["orders"])
        with pytest.raises(tk.WireError):  # an error of one client is its own
            await one.subscribe(["nonsense"])
        for handler in heard:
            await handler.until(20)
    live = [[m["seq"] for m in handler if not m.get("snapshot")] for handler in heard]
    assert all(numbers == list(range(numbers[0], numbers[-1] + 1)) for numbers in live)


async def test_o7_signed_tokens_an_authenticated_endpoint_and_an_allow_list(
    original: Original, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_STATE_DIR", str(original.state_dir))
    made = CliRunner().invoke(
        command_line, ["token", "new", "--role", "view", "--name", "anna", "--json"]
    )
    token = json.loads(made.stdout)["token"]
    async with aiohttp.ClientSession(original.url) as stranger:
        async with stranger.get("/api/websocket/secure") as refused:
            assert refused.status == 401
        bearer = {"Authorization": f"Bearer {token}"}
        async with stranger.get("/api/websocket/secure", headers=bearer) as answer:
            secure = await answer.json()
        assert (secure["authenticated"], secure["role"], secure["name"]) == (True, "view", "anna")
        async with stranger.post("/api/websocket/stop", headers=bearer) as refused:
            assert refused.status == 403
        handshake = "/socket.io/?EIO=4&transport=polling"
        async with stranger.get(handshake, headers={"Origin": original.url}) as ours:
            assert ours.status == 200
        async with stranger.get(handshake, headers={"Origin": "https://evil.example"}) as foreign:
            assert foreign.status in (400, 403)


async def test_o8_dashboard_test_page_and_socket_share_one_port(
    original: Original, http: aiohttp.ClientSession
) -> None:
    assert DEFAULT_PORT == 9765
    for path in ("/", "/websocket_test_client.html", "/docs"):
        async with http.get(path) as answer:
            assert answer.status == 200
            assert answer.content_type == "text/html"
    async with client(original) as watching:
        assert watching.state == "connected"


async def test_o9_an_application_in_three_lines() -> None:
    app = tk.create_app(["AAPL"], speed="1200x", token="a-token-for-three-lines")
    app.service.start_streaming(interval=0.5)
    async with foreign_server(app, lifespan="on") as url:
        watching = TradingBotWebSocketClient(url, token=app.token)
        await watching.connect()
        stats = await watching.command("get_streaming_stats")
        assert stats["controls"]["streaming_interval"] == 0.5
        await watching.disconnect()


async def test_o10_the_javascript_client_has_the_originals_names(original: Original) -> None:
    if shutil.which("node") is None or not (NODE_PACKAGES / "ws").is_dir():
        pytest.skip("node or tests/js/node_modules is missing: `make js` installs it")
    script = """
    import { createRequire } from "node:module";
    const [url, token, packages] = process.argv.slice(2);
    const WebSocket = createRequire(packages + "/")("ws");
    const code = await (await fetch(url + "/websocket_client.js")).text();
    (0, eval)(code);
    const missing = new Set(["connected", "disconnected", "stream_market_data", "symbol_AAPL",
      "latency_update", "heartbeat", "performance_stats"]);
    const options = { reconnectAttempts: 10, reconnectDelay: 500, latencyTarget: 50 };
    const client = new TradingBotWebSocketClient(url, { ...options, token, WebSocket });
    const seen = {};
    for (const name of [...missing]) {
      client.on(name, (data) => {
        seen[name] = data;
        missing.delete(name);
        if (missing.size === 1 && missing.has("disconnected")) client.disconnect();
        if (missing.size === 0 && name === "disconnected") console.log(JSON.stringify(seen));
      });
    }
    client.subscribe(["market_data"], ["AAPL"]);
    """
    process = await asyncio.create_subprocess_exec(
        *("node", "--input-type=module", "-", original.url, original.token, str(NODE_PACKAGES)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        out, _ = await process.communicate(script.encode())
    seen = json.loads(out)
    assert seen["connected"]["connectionId"]
    assert "reason" in seen["disconnected"]
    assert seen["stream_market_data"]["data"]["symbol"] == "AAPL"
    assert seen["symbol_AAPL"]["data"]["price"] > 0
    assert seen["latency_update"]["current"] >= 0
    assert seen["heartbeat"]["timestamp"]
    stats = seen["performance_stats"]
    assert {"avgLatency", "messagesReceived", "connectionUptime"} <= stats.keys()


async def test_o11_the_python_client_has_the_same_name_and_calls(original: Original) -> None:
    async with client(original) as watching:
        seen: dict[str, Any] = {}
        news = Heard()
        names = ("stream_market_data", "symbol_AAPL", "latency_update", "performance_stats")
        for name in names:
            watching.on(name, lambda data, name=name: (seen.setdefault(name, data), news(name)))
        await watching.subscribe(["market_data"], ["AAPL"])
        async with asyncio.timeout(10):
            while set(seen) < set(names):
                await news.until(len(news) + 1)
    assert seen["stream_market_data"].data["symbol"] == "AAPL"
    assert {"current", "average", "p99"} <= seen["latency_update"].keys()
    assert {"avgLatency", "messagesReceived"} <= seen["performance_stats"].keys()


async def test_o11_many_clients_at_once(original: Original) -> None:
    many = [TradingBotWebSocketClient(original.url, {"token": original.token}) for _ in range(20)]
    heard = [Heard() for _ in many]
    for watching, handler in zip(many, heard, strict=True):
        await watching.connect()
        watching.on("stream_market_data", handler)
        await watching.subscribe(["market_data"])
    for handler in heard:
        await handler.until(5)
    await asyncio.gather(*(watching.disconnect() for watching in many))


def test_o12_streaming_is_controlled_while_it_runs(original: Original) -> None:
    live = original.live
    assert live.set_streaming_interval(0.5)["streaming_interval"] == 0.5
    assert live.set_notification_throttle(0.1)["notification_throttle"] == 0.1
    assert live.enable_websocket_notifications(False)["notifications"] is False
    assert live.enable_websocket_notifications(True)["notifications"] is True
    assert live.stop_streaming()["streaming"] is False
    assert live.start_streaming(interval=0)["streaming"] is True
    live.set_notification_throttle(0)
    live.subscribe(["orders"])
    assert wait_until(
        lambda: live.get_streaming_stats()["websocket_stats"]["messages_per_second"] > 0, timeout=10
    )
    stats = live.get_streaming_stats()
    assert stats["connected_clients"] >= 1
    assert stats["websocket_stats"]["average_latency"] > 0


async def test_o13_every_address_answers(http: aiohttp.ClientSession) -> None:
    for name in ("stats", "performance", "latency", "clients", "config", "secure"):
        async with http.get(f"/api/websocket/{name}") as answer:
            assert answer.status == 200, name
            assert await answer.json()
    async with http.get("/api/test/realtime/AAPL") as answer:
        assert (await answer.json())["price"] > 0
    for path in ("/api/websocket/stop", "/api/websocket/start", "/api/performance/clear-cache"):
        async with http.post(path) as answer:
            assert answer.status == 200, path
    change = {"streaming_interval": 0.25}
    async with http.post("/api/websocket/config", json=change) as answer:
        assert (await answer.json())["streaming_interval"] == 0.25
    async with http.post("/api/websocket/config", json={"streaming_interval": 0}) as answer:
        assert (await answer.json())["streaming_interval"] == 0


async def test_o14_the_test_page_comes_whole(http: aiohttp.ClientSession) -> None:
    async with http.get("/websocket_test_client.html") as answer:
        page = await answer.text()
    parts = re.findall(r'(?:src|href)="(/[^"]+)"', page)
    assert parts
    for part in parts:
        async with http.get(part) as answer:
            assert answer.status == 200, part


def test_o15_react_has_a_hook() -> None:
    package = Path(tk.__file__).parent / "streaming" / "js"
    exported = json.loads((package / "package.json").read_text())["exports"]
    assert "./react" in exported
    assert "export function useTradingBot" in (package / "react.js").read_text()


async def test_o16_a_bot_is_composed_by_hand_and_notifies() -> None:
    hub = Hub(epoch="by hand", clock=utc_now)
    market = SimulatedMarket(["AAPL"], seed=7, pace=Pace.parse("1200x"))
    engine = Engine(symbols=market.symbols, parameters=tk.Parameters(), capital=10_000.0)
    broker = SimulatedBroker(cash=10_000.0)

    def publish(event: Event) -> None:
        server.publish(event)

    bot = Bot(market=market, broker=broker, engine=engine, publish=publish)
    server = StreamingServer(bot=bot, hub=hub, settings=ServerSettings(port=0))
    await server.start()
    running = asyncio.create_task(bot.run())
    watching = TradingBotWebSocketClient(server.url, token=server.token)
    heard = Heard()
    watching.on("stream_market_data", heard)
    await watching.connect()
    await watching.subscribe(["market_data"])
    await heard.until(5)
    await watching.disconnect()
    await bot.stop()
    running.cancel()
    await asyncio.wait({running})
    await server.stop()


async def test_o17_requests_are_checked_and_a_flood_is_refused(original: Original) -> None:
    async with client(original) as watching:
        with pytest.raises(tk.WireError, match="market_data"):
            await watching.subscribe(["prices"])
    flooding = socketio.AsyncClient(reconnection=False, handle_sigint=False)
    refusals = Heard()
    flooding.on("error", refusals)
    await flooding.connect(original.url, auth={"token": original.token}, transports=["websocket"])
    for _ in range(300):
        await flooding.emit("ping", {})
    await refusals.until()
    assert "too many messages" in refusals[0]["message"]
    await flooding.disconnect()


def test_o18_the_environment_has_the_originals_names(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {
        "WEBSOCKET_PING_TIMEOUT": lambda s: s.websocket.ping_timeout,
        "WEBSOCKET_PING_INTERVAL": lambda s: s.websocket.ping_interval,
        "WEBSOCKET_MAX_LATENCY": lambda s: s.websocket.max_latency_ms,
        "STREAMING_INTERVAL": lambda s: s.streaming_interval,
        "NOTIFICATION_THROTTLE": lambda s: s.notification_throttle,
        "MAX_CONNECTIONS": lambda s: s.limits.max_connections,
    }
    for number, name in enumerate(names, start=3):
        monkeypatch.setenv(name, str(number))
    settings = Settings.load().server()
    assert [read(settings) for read in names.values()] == list(range(3, 3 + len(names)))


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"]])
def test_o19_one_switch_turns_on_debug_logs(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "toolkit", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NO_COLOR": "1", "TERM": "dumb"},
    )
    assert "--debug" in done.stdout


def test_o20_the_strategys_defaults_are_the_originals(original: Original) -> None:
    assert original.live.parameters.to_dict() == {**tk.Parameters().to_dict(), **EAGER}
    p = tk.Parameters()
    rsi, stochastic, risk = p.stoch_rsi, p.stochastic, p.risk
    assert (rsi.rsi_length, rsi.stoch_length, rsi.k, rsi.d) == (14, 14, 3, 3)
    assert (rsi.lower_band, rsi.upper_band) == (35, 100)
    assert (stochastic.k_length, stochastic.smooth_k, stochastic.smooth_d) == (14, 3, 3)
    assert (stochastic.lower_band, stochastic.upper_band) == (35, 80)
    assert (p.ema.ema_period, p.ema.smoothing, p.rules.lookback) == (9, 2, 2)
    assert (risk.max_positions, risk.trade_capital_percent, risk.cooldown) == (10, 5, 60)
    assert (risk.stop_loss, risk.trailing_stop, risk.trailing_activation) == (0.2, 0.2, 0.1)
    assert (risk.take_profit, p.rules.atr_period, risk.atr_multiplier) == (0.5, 14, 2)
