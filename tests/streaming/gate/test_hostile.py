"""Garbage, floods and clients that stop reading: an answer to them, nothing to the others."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from tests.streaming.fakes import position
from tests.streaming.serving import Served, Stock, serving, stock
from toolkit.errors import WireError
from toolkit.streaming.gate.packet_check import frame_problem
from toolkit.streaming.requests import parse_command
from toolkit.streaming.wire import Payload, Stream, payload

pytestmark = pytest.mark.usefixtures("watchful")
MALFORMED = [
    "",
    "x",
    "9",
    "4",
    "42",
    "42{}",
    "42[]",
    "42[1]",
    '42["connect",{}]',
    '42["disconnect"]',
    '42["ping",{"timestamp":' + "9" * 400 + "}]",
    '42["subscribe"',
    '42["ping",NaN]',
    "42[" * 5000,
    '451-["x",{"_placeholder":true,"num":0}]',
    "43[1]",
    "49[]",
    "40[1]",
    '42/admin,["x"]',
    "b4AAAA",
    "42" + "9" * 50 + '["ping"]',
    '42["\\ud800",{}]',
    "411-1e5",
    "41٣",
    '42²["ping"]',
    '42["command",{"name":"x","args":{"\\udc00":1}}]',
    '40{"client":"\\uDFFF"}',
    '42["ping",' + "[" * 2000 + "]" * 2000 + "]",
    '42["ping","' + "x" * 40_000 + '"]',
]
WRONG_BODIES = [
    ("subscribe", []),
    ("subscribe", [None]),
    ("subscribe", ["text"]),
    ("subscribe", [{"stream_types": "market_data"}]),
    ("subscribe", [{"stream_types": []}]),
    ("subscribe", [{"stream_types": ["nope"]}]),
    ("subscribe", [{"stream_types": [["market_data"]]}]),
    ("subscribe", [{"stream_types": ["market_data"], "symbols": ["XXX"]}]),
    ("subscribe", [{"stream_types": ["market_data"], "symbols": "AAPL"}]),
    ("subscribe", [{"stream_types": ["market_data"], "max_rate": 0}]),
    ("subscribe", [{"stream_types": ["market_data"], "max_rate": 1e999}]),
    ("subscribe", [{"stream_types": ["market_data"], "max_rate": True}]),
    ("subscribe", [{"stream_types": ["market_data"], "extra": 1}]),
    ("subscribe", [{"stream_types": ["market_data"]}, 2]),
    ("unsubscribe", [{"stream_types": [7]}]),
    ("resume", [{"epoch": 1, "seq": {}}]),
    ("resume", [{"epoch": "e1", "seq": []}]),
    ("resume", [{"epoch": "e1", "seq": {"orders": -1}}]),
    ("resume", [{"epoch": "e1", "seq": {"nope": 1}}]),
    ("ping", [{"timestamp": {}}]),
    ("ping", [{"timestamp": 10**40}]),
    ("command", [{"name": "sing"}]),
    ("command", [{"name": ["stop"]}]),
    ("command", [{"name": "stop", "args": []}]),
    ("command", [{"name": "stop", "id": 5}]),
    ("command", [{"name": "stop", "id": "x" * 101}]),
    ("no_such_event", [{}]),
]


@asynccontextmanager
async def raw(
    served: Served, *, connect: bool = True
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    url = served.url + "/socket.io/?EIO=4&transport=websocket"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as ws:
        await ws.receive()
        if connect:
            await ws.send_str("40" + json.dumps({"token": served.token}))
            await until(ws, '42["connected"')
        yield ws


async def until(ws: aiohttp.ClientWebSocketResponse, start: str) -> str:
    async with asyncio.timeout(5):
        while True:
            message = await ws.receive()
            assert message.type is aiohttp.WSMsgType.TEXT, message
            if message.data.startswith(start):
                return str(message.data)


async def test_malformed_frames_are_answered_and_the_connection_goes_on() -> None:
    async with serving() as served, raw(served) as ws:
        for text in MALFORMED:
            await ws.send_str(text)
            error = json.loads((await until(ws, '42["error"'))[2:])[1]
            assert error["code"] == "wire_error", text[:50]
            await ws.send_str('421["ping",{"timestamp":1}]')
            assert '"ok":true' in await until(ws, "431"), text[:50]


async def test_binary_frames_are_refused_politely() -> None:
    async with serving() as served, raw(served) as ws:
        await ws.send_bytes(b"\x00\x01\x02")
        assert "binary" in await until(ws, '42["error"')


async def test_wrong_bodies_are_answered_in_the_ack(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as served, raw(served) as ws:
        for event, args in WRONG_BODIES:
            await ws.send_str("427" + json.dumps([event, *args]).replace("Infinity", "1e999"))
            answer = json.loads((await until(ws, "437"))[3:])[0]
            assert answer["ok"] is False, args
            assert answer["error"]["code"] == "wire_error"
            assert answer["error"]["message"]
        await ws.send_str('421["ping",{}]')
        assert '"ok":true' in await until(ws, "431")
        assert served.bot.calls == []
    assert "Traceback" not in caplog.text


async def test_frames_before_the_handshake_do_no_harm() -> None:
    async with serving() as served, raw(served, connect=False) as ws:
        for text in (
            '42["subscribe",{}]',
            '420["command",{"name":"stop"}]',
            "41",
            "3",
            "5",
            "nope",
        ):
            await ws.send_str(text)
        await ws.send_str("40" + json.dumps({"token": served.token}))
        await until(ws, '42["connected"')
        assert served.bot.calls == []


async def test_connecting_twice_over_one_connection_does_no_harm() -> None:
    async with serving() as served, raw(served) as ws:
        await ws.send_str("40" + json.dumps({"token": served.token}))
        await ws.send_str('421["ping",{}]')
        assert '"ok":true' in await until(ws, "431")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"garbage", 400),
        (b"6", 400),
        (b"2", 400),
        (b"2probe", 400),
        (b"4" * 40_000, 413),
        (b"\xff\xfe", 400),
        (b"\x1e" * 20, 400),
    ],
)
async def test_garbage_over_long_polling(body: bytes, status: int) -> None:
    async with serving() as served, aiohttp.ClientSession() as http:
        url = served.url + "/socket.io/?EIO=4&transport=polling"
        async with http.get(url) as opened:
            sid = json.loads((await opened.text())[1:])["sid"]
        async with http.post(f"{url}&sid={sid}", data=body) as answer:
            assert answer.status == status
            assert (await answer.json())["error"]["code"] == "wire_error"
        async with http.get(served.url + "/healthz") as alive:
            assert alive.status == 200


async def test_a_client_that_stops_reading_fills_our_queue_and_nothing_else() -> None:
    async with serving(queue_size=200) as served, stock(served) as other:
        await other.call("subscribe", {"stream_types": ["positions"]})
        async with sleeping(served) as reader:
            async with asyncio.timeout(30):
                while served.hub.counters.dropped < 1000:
                    for _ in range(50):
                        served.hub.publish(large_position())
                    await other.until(lambda: has_all(other, served))
            engine = served.server._sio.eio
            assert all(peer.queue.qsize() <= 80 for peer in engine.sockets.values())
            received = await read_frames(reader, last=served.hub.seq(Stream.POSITIONS))
        assert [m["seq"] for m in other.messages] == list(range(1, len(other.messages) + 1))
        assert not other.all("gap")
    assert_nothing_lost_unannounced(received)


async def test_a_client_that_never_reads_again_is_cut_off() -> None:
    impatient = {"ping_interval": 0.1, "ping_timeout": 0.3}
    async with serving(queue_size=50, **impatient) as served, sleeping(served):
        connections = served.server._web.connections
        assert len(connections) == 1
        async with asyncio.timeout(10):
            while connections:
                for _ in range(200):
                    served.hub.publish(position())
                await asyncio.sleep(0)
        assert served.server._stats.clients == {}
        assert served.server._sio.eio.sockets == {}


def large_position() -> Payload:
    """So large that the system's own buffers, megabytes, are soon full."""
    item = payload(position())
    return replace(item, data={**item.data, "note": "x" * 8_000})


def has_all(client: Stock, served: Served) -> bool:
    return bool(client.messages) and client.messages[-1]["seq"] == served.hub.seq(Stream.POSITIONS)


@asynccontextmanager
async def sleeping(served: Served) -> AsyncIterator[asyncio.StreamReader]:
    """A WebSocket client, by hand, that subscribes and then reads nothing."""
    clients = served.server._stats.clients
    known = set(clients)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", served.server.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1024)
    writer.write(
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    hello = "40" + json.dumps({"token": served.token})
    for text in (hello, '42["subscribe",{"stream_types":["positions"]}]'):
        payload = text.encode()
        writer.write(bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload)
    async with asyncio.timeout(5):
        while not [c for c in set(clients) - known if served.hub.subscriptions(c)]:  # noqa: ASYNC110
            await asyncio.sleep(0)
    try:
        yield reader
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def read_frames(
    reader: asyncio.StreamReader, *, last: int
) -> list[tuple[str, dict[str, object]]]:
    """Read server frames until the message numbered `last`."""
    found: list[tuple[str, dict[str, object]]] = []
    async with asyncio.timeout(20):
        while not found or found[-1][1].get("seq") != last:
            _, length = await reader.readexactly(2)
            if length == 126:
                length = int.from_bytes(await reader.readexactly(2), "big")
            text = (await reader.readexactly(length)).decode()
            if text.startswith("42"):
                event, body = json.loads(text[2:])
                if event in ("stream_data", "gap"):
                    found.append((event, body))
    return found


def assert_nothing_lost_unannounced(received: list[tuple[str, dict[str, object]]]) -> None:
    expected = 1
    gaps = 0
    for event, body in received:
        if event == "gap":
            gaps += 1
            assert body["from"] == expected
            expected = body["to"] + 1  # type: ignore[operator]
        else:
            assert body["seq"] == expected
            expected += 1
    assert gaps > 0


def test_half_characters_in_arguments_are_refused_before_anybody_repeats_them() -> None:
    for args in ({"values": {"\ud800": 1}}, {"symbol": "\udfff"}, {"a": [["\ud800"]]}):
        with pytest.raises(WireError, match="surrogate"):
            parse_command({"name": "get_history", "args": args})
    assert parse_command({"name": "get_history", "args": {"symbol": "\U0001f4c8"}}).args


def test_data_may_be_nested_but_not_deep() -> None:
    for depth, fine in ((30, True), (31, False), (900, False)):
        text = '42["ping",' + "[" * depth + "[]" + "]" * depth + "]"
        problem = frame_problem(text, max_size=10_000)
        assert (problem is None) is fine, depth
        assert problem is None or "32 levels" in problem.message
    assert frame_problem('42["ping",' + "[]," * 500 + "{}]", max_size=10_000) is None


@pytest.mark.parametrize(
    "text",
    [
        "40",
        '40{"token":"x"}',
        '42["ping"]',
        '420["ping",{}]',
        "430[1]",
        "3",
        "2probe",
        "5",
        "1",
        "41",
    ],
)
def test_good_frames_pass(text: str) -> None:
    assert frame_problem(text, max_size=100) is None
