"""Beneath python-socketio: the protocol without a socket, and in servers with stock clients."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import Mock

import aiohttp
import orjson
import pytest
import uvicorn
from aiohttp import ClientWebSocketResponse
from uvicorn.server import ServerState
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame
from websockets.uri import parse_uri

from tests.streaming.fakes import FakeBot, evaluation, position, quote
from tests.streaming.serving import Served, serving, stock
from toolkit.streaming.sockets import express
from toolkit.streaming.sockets.connection import EXTENSION
from toolkit.streaming.sockets.delivery import express_protocol
from toolkit.streaming.sockets.express import DeflatingProtocol, ExpressProtocol, checked_protocol
from toolkit.streaming.sockets.packing import deflated, text_message
from toolkit.streaming.wire import Stream


class Wire(asyncio.Transport):
    """A transport that keeps what is written, and can be closing."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closing = False

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def get_write_buffer_size(self) -> int:
        return len(self.written)

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Peer:
    """A protocol with its application, and websockets' own client at the other end."""

    def __init__(self, kind: type[ExpressProtocol], **offer: Any) -> None:
        config = uvicorn.Config(
            self._app, ws=kind, interface="asgi3", lifespan="off", log_config=None
        )
        config.load()
        offered = [ClientPerMessageDeflateFactory(**offer)]
        self.client = ClientProtocol(parse_uri("ws://localhost/"), extensions=offered)
        self.wire = Wire()
        self.protocol = kind(config=config, server_state=ServerState(), app_state={})
        self.told: list[str] = []
        self.requests: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.accepted = asyncio.Event()
        self.answered = asyncio.Event()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        self.connection = scope["extensions"][EXTENSION]
        await send({"type": "websocket.accept"})
        self.accepted.set()
        while True:
            message = await self.requests.get()
            try:
                await send(message)
            finally:
                self.answered.set()
            if message["type"] == "websocket.close":
                return

    async def send(self, **message: Any) -> None:
        self.answered.clear()
        self.requests.put_nowait(message)
        await self.answered.wait()

    def received(self) -> list[str]:
        self.client.receive_data(bytes(self.wire.written))
        self.wire.written.clear()
        frames = [e for e in self.client.events_received() if isinstance(e, Frame)]
        return [bytes(frame.data).decode() for frame in frames if frame.opcode is frame.opcode.TEXT]

    def filled(self) -> None:
        self.told.append("filled")

    def emptied(self) -> None:
        self.told.append("emptied")

    def lost(self) -> None:
        self.told.append("lost")


@asynccontextmanager
async def peer(kind: type[ExpressProtocol] = ExpressProtocol, **offer: Any) -> AsyncIterator[Peer]:
    made = Peer(kind, **offer)
    made.protocol.connection_made(made.wire)
    made.client.send_request(made.client.connect())
    made.protocol.data_received(b"".join(made.client.data_to_send()))
    await made.accepted.wait()
    made.connection.watcher = made
    try:
        yield made
    finally:
        if not made.protocol.close_sent:
            await made.send(type="websocket.close")
        if not made.protocol.disconnected:
            made.protocol.connection_lost(None)
        await asyncio.gather(*made.protocol.tasks)


async def test_what_is_written_stands_in_order_with_what_the_application_sends() -> None:
    async with peer() as there:
        assert there.connection.write(text_message(b"4first"))
        await there.send(type="websocket.send", text="4second")
        assert there.connection.write(text_message(b"4third") + text_message(b"4fourth"))
        assert there.received() == ["4first", "4second", "4third", "4fourth"]


async def test_nothing_is_written_after_the_close_frame() -> None:
    async with peer() as there:
        await there.send(type="websocket.close")
        before = bytes(there.wire.written)
        assert not there.connection.write(text_message(b"4late"))
        assert bytes(there.wire.written) == before


async def test_the_server_stops_over_a_connection_that_closes_already() -> None:
    async with peer() as found:
        found.protocol.conn.send_close(1002)
        found.protocol.shutdown()
        assert found.wire.is_closing()


async def test_nothing_is_written_to_a_client_that_closes() -> None:
    async with peer() as there:
        assert there.received() == []
        there.client.send_close()
        there.protocol.data_received(b"".join(there.client.data_to_send()))
        assert not there.connection.write(text_message(b"4late"))


async def test_nothing_is_written_to_a_transport_that_closes() -> None:
    async with peer() as there:
        there.connection.cut()
        assert not there.connection.write(text_message(b"4late"))


async def test_the_watcher_is_told_how_the_connection_fares() -> None:
    async with peer() as there:
        there.protocol.pause_writing()
        assert there.connection.full
        there.protocol.resume_writing()
        assert not there.connection.full
        there.protocol.connection_lost(None)
        assert there.told == ["filled", "emptied", "lost"]


async def test_compression_is_agreed_without_context_and_spares_small_messages() -> None:
    async with peer(DeflatingProtocol) as there:
        large = "4" + "bars " * 1000
        await there.send(type="websocket.send", text="4small")
        small = len(there.wire.written)
        await there.send(type="websocket.send", text=large)
        assert len(there.wire.written) - small < len(large) / 10
        assert b"4small" in there.wire.written
        there.connection.write(deflated(large.encode()))
        assert there.received() == ["4small", large, large]
        assert b"no_context_takeover" in repr(there.client.extensions[0]).encode()
        assert there.connection.deflates


async def test_a_client_with_a_small_window_gets_shared_messages_uncompressed() -> None:
    async with peer(DeflatingProtocol, server_max_window_bits=10) as there:
        assert not there.connection.deflates
        large = "4" + "bars " * 1000
        await there.send(type="websocket.send", text=large)
        assert len(there.wire.written) < len(large)
        assert there.received() == [large]


@pytest.mark.parametrize("compression", [True, False])
async def test_the_trial_passes_with_what_is_installed(compression: bool) -> None:
    protocol = await checked_protocol(compression=compression)
    assert protocol is (DeflatingProtocol if compression else ExpressProtocol)


BREAKS = {
    "the scope has no extensions": (ExpressProtocol, "handle_connect", lambda *_: None),
    "writes are lost": (express.ExpressConnection, "write", lambda *_: True),
    "writes go on after the close": (
        express.ExpressConnection,
        "write",
        lambda self, data: self._protocol.transport.write(data) or True,
    ),
    "messages are garbled": (express, "text_message", lambda data, **_: b"\x81\x01" + data),
    "compression is garbled": (express, "deflated", lambda data: b"\xc1\x02ab"),
    "compression is not agreed": (express, "_reads_deflated", lambda _: False),
    "a full transport goes unnoticed": (ExpressProtocol, "pause_writing", lambda _: None),
    "a lost connection goes unnoticed": (ExpressProtocol, "connection_lost", lambda *_: None),
}


@pytest.mark.parametrize("broken", BREAKS)
async def test_the_trial_finds_what_an_upgrade_could_break(
    broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    where, name, replacement = BREAKS[broken]
    monkeypatch.setattr(where, name, replacement)
    with caplog.at_level(logging.WARNING):
        assert await express_protocol(compression=True) is None
    warnings = [record for record in caplog.records if "plain" in record.getMessage()]
    assert len(warnings) == 1


@asynccontextmanager
async def watched(served: Served) -> AsyncIterator[list[str]]:
    """What goes through Engine.IO's queues: the plain way."""
    sent: list[str] = []
    engine = served.server._sio.eio
    send = engine.send

    async def noted(session: str, text: str) -> None:
        sent.append(text)
        await send(session, text)

    engine.send = noted
    yield sent


async def subscribe_and_publish(served: Served, *, transports: tuple[str, ...]) -> list[int]:
    async with stock(served, transports=transports) as client:
        await client.call("subscribe", {"stream_types": ["positions"]})
        for _ in range(50):
            served.hub.publish(position())
        await client.until(lambda: len(client.messages) == 50)
        assert await client.call("ping", {"timestamp": 1}) is not None
        return [message["seq"] for message in client.messages]


async def test_a_stock_client_is_served_the_express_way() -> None:
    async with serving() as served, watched(served) as plain:
        assert served.server.delivery_mode == "express"
        seqs = await subscribe_and_publish(served, transports=("websocket",))
        assert seqs == list(range(1, 51))
        assert not any("stream_data" in text for text in plain)


async def test_a_client_on_long_polling_is_served_the_plain_way() -> None:
    async with serving() as served, watched(served) as plain:
        seqs = await subscribe_and_publish(served, transports=("polling",))
        assert seqs == list(range(1, 51))
        assert sum("stream_data" in text for text in plain) == 50


async def test_a_client_that_upgrades_changes_its_way_and_misses_nothing() -> None:
    both = ("polling", "websocket")
    async with serving() as served, stock(served, transports=both) as client:
        await client.call("subscribe", {"stream_types": ["positions"]})
        (record,) = served.server._stats.clients.values()
        while served.server._delivery.way(record.id) == "plain":
            served.hub.publish(position())
            await client.until(lambda: len(client.messages) == served.hub.seq(Stream.POSITIONS))
        for _ in range(20):
            served.hub.publish(position())
        last = served.hub.seq(Stream.POSITIONS)
        await client.until(lambda: len(client.messages) == last)
        assert [m["seq"] for m in client.messages] == list(range(1, last + 1))


def without_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    beneath = "uvicorn.protocols.websockets.websockets_sansio_impl"
    monkeypatch.delitem(sys.modules, "toolkit.streaming.sockets.express")
    monkeypatch.setitem(sys.modules, beneath, None)
    other = "uvicorn.protocols.websockets.wsproto_impl:WSProtocol"
    monkeypatch.setitem(uvicorn.config.WS_PROTOCOLS, "auto", other)


def with_other_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExpressProtocol, "handle_connect", Mock(side_effect=AttributeError("conn")))


@pytest.mark.parametrize("upgrade", [without_its_module, with_other_names])
async def test_an_upgrade_beneath_slows_the_server_but_does_not_break_it(
    upgrade: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade(monkeypatch)
    async with serving() as served, watched(served) as plain:
        assert served.server.delivery_mode == "plain"
        for transports in (("websocket",), ("polling",), ("polling", "websocket")):
            seqs = await subscribe_and_publish(served, transports=transports)
            assert len(seqs) == 50
        assert sum("stream_data" in text for text in plain) == 150


@asynccontextmanager
async def raw(served: Served, *, compress: int, **auth: Any) -> AsyncIterator[Any]:
    """aiohttp's WebSocket, connected by hand."""
    url = f"{served.url}/socket.io/?EIO=4&transport=websocket"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, compress=compress) as socket,
    ):
        await socket.receive_str()
        await socket.send_str("40" + orjson.dumps({"token": served.token, **auth}).decode())
        await socket.receive_str()
        yield socket


async def event(socket: ClientWebSocketResponse, name: str) -> Any:
    async with asyncio.timeout(5):
        while True:
            text = await socket.receive_str()
            if text.startswith(f'42["{name}"'):
                return orjson.loads(text[2:])[1]
            if name == "ack" and text.startswith("43"):
                return orjson.loads(text[text.index("[") :])[0]


@pytest.mark.parametrize("compress", [0, 15])
async def test_snapshots_and_history_reach_clients_with_and_without_compression(
    compress: int,
) -> None:
    bot = FakeBot()
    bot.events = [evaluation(minute=minute) for minute in range(30)]
    bot.bars = [evaluation(minute=minute) for minute in range(500)]
    async with serving(bot=bot) as served, raw(served, compress=compress, batch=True) as socket:
        await socket.send_str('420["subscribe",{"stream_types":["market_data"]}]')
        assert len(await event(socket, "stream_batch")) == 30
        await socket.send_str(
            '421["command",{"name":"get_history","args":{"symbol":"AAPL","limit":500}}]'
        )
        answer = await event(socket, "ack")
        while "result" not in answer:
            answer = await event(socket, "ack")
        assert len(answer["result"]["bars"]) == 500
        served.hub.publish(quote())
        assert (await event(socket, "stream_data"))["data"]["kind"] == "quote"


async def read_all(socket: ClientWebSocketResponse, *, last: int) -> tuple[list[int], set[int]]:
    """Read positions up to number `last`; return their numbers and those announced as lost."""
    got: list[int] = []
    lost: set[int] = set()
    async with asyncio.timeout(20):
        while not got or got[-1] < last:
            name, body = orjson.loads((await socket.receive_str())[2:])
            if name == "gap":
                lost.update(range(body["from"], body["to"] + 1))
            messages = {"stream_data": [body], "stream_batch": body}.get(name, [])
            got += [message["seq"] for message in messages]
    return got, lost


@pytest.mark.parametrize("batch", [False, True])
async def test_a_client_that_stops_reading_and_reads_again_gets_everything_or_a_gap(
    batch: bool,
) -> None:
    async with serving(queue_size=800) as served, raw(served, compress=0, batch=batch) as socket:
        await socket.send_str('420["subscribe",{"stream_types":["positions"]}]')
        await event(socket, "ack")
        (client,) = served.server._stats.clients
        while served.hub.waiting(client) < 500:
            served.hub.publish(position())
            if served.hub.seq(Stream.POSITIONS) % 50 == 0:
                await asyncio.sleep(0)
        for _ in range(1000):
            served.hub.publish(position())
        last = served.hub.seq(Stream.POSITIONS)
        got, lost = await read_all(socket, last=last)
        assert got == sorted(set(got))
        assert lost
        assert set(got).isdisjoint(lost)
        assert set(got) | lost == set(range(1, last + 1))
