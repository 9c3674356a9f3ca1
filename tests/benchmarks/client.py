"""What one message costs a Python client: `python -m tests.benchmarks.client [--json]`.

A process of its own sends frames as fast as they are taken; the client subscribes,
parses, checks numbers, measures latency and calls one handler per message. Stock python-socketio
gets the same bytes and does less: it parses and calls the handler.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from multiprocessing.connection import Connection as Pipe
from typing import Any

import orjson
import socketio
from rich.console import Console
from rich.table import Table
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from toolkit.client.async_client import StreamClient
from toolkit.runtime import new_event_loop

BATCH = 64
CHUNK = 32


def message(seq: int) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    symbol = f"S{seq % 10}"
    return {
        "stream_type": "market_data",
        "symbol": symbol,
        "seq": seq,
        "prev": max(0, seq - 10),
        "epoch": "e",
        "timestamp": now,
        "published": now,
        "data": {
            "symbol": symbol,
            "timestamp": now,
            "price": 100.0 + seq % 100 / 100.0,
            "size": 10.0,
            "kind": "trade",
        },
    }


def texts(count: int, *, batched: bool) -> Iterator[bytes]:
    step = BATCH if batched else 1
    for start in range(1, count + 1, step):
        made = [message(seq) for seq in range(start, min(start + step, count + 1))]
        event = ["stream_batch", made] if batched else ["stream_data", made[0]]
        yield b"42" + orjson.dumps(event)


def frame(text: bytes) -> bytes:
    return Frame(Opcode.TEXT, text).serialize(mask=False)


class Source(asyncio.Protocol):
    """Enough of a server to let one client in; then all frames, as fast as they are taken."""

    def __init__(self, count: int, *, batched: bool) -> None:
        self._protocol = ServerProtocol()
        self._texts = texts(count, batched=batched)
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._answer(bytes(event.data).decode())
            elif not isinstance(event, Frame):
                self._protocol.send_response(self._protocol.accept(event))
                opened = {"sid": "x", "upgrades": [], "pingInterval": 10_000, "pingTimeout": 30_000}
                self._protocol.send_text(b"0" + orjson.dumps(opened))
        for out in self._protocol.data_to_send():
            self._transport.write(out)

    def connection_lost(self, _: Exception | None) -> None:
        self._may_write.set()

    def _answer(self, text: str) -> None:
        if text.startswith("40"):
            self._protocol.send_text(b'40{"sid":"x"}')
            self._protocol.send_text(b'42["connected",{"epoch":"e","config":{}}]')
        elif text.startswith("42") and "subscribe" in text:
            number = text[2 : text.index("[")]
            confirmed = orjson.dumps({"ok": True, "seq": {"market_data": 0}})
            self._protocol.send_text(b"43" + number.encode() + b"[" + confirmed + b"]")
            self._protocol.send_text(b'42["subscription_confirmed",' + confirmed + b"]")
            task = asyncio.get_running_loop().create_task(self._send_all())
            self._tasks.add(task)
        elif text.startswith("42") and '"ping"' in text:
            number, now = text[2 : text.index("[")], time.time() * 1000.0
            body = {"ok": True, "server_received_ms": now, "server_sent_ms": now}
            self._protocol.send_text(b"43" + number.encode() + orjson.dumps([body]))

    async def _send_all(self) -> None:
        while chunk := b"".join(map(frame, itertools.islice(self._texts, CHUNK))):
            await self._may_write.wait()
            self._transport.write(chunk)
            await asyncio.sleep(0)


def serve(pipe: Pipe, count: int, batched: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        source = Source(count, batched=batched)
        server = await loop.create_server(lambda: source, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await loop.run_in_executor(None, pipe.recv)
        server.close()

    asyncio.run(main())


async def ours(url: str, count: int) -> float:
    done = asyncio.Event()
    handled = 0

    def handle(_: Any) -> None:
        nonlocal handled
        handled += 1
        if handled == count:
            done.set()

    async with StreamClient(url) as client:
        client.on("stream_market_data", handle)
        began = time.process_time()
        await client.subscribe(["market_data"])
        await done.wait()
        return time.process_time() - began


async def stock(url: str, count: int) -> float:
    done = asyncio.Event()
    handled = 0
    sio = socketio.AsyncClient(reconnection=False, handle_sigint=False)

    def handle(_: Any) -> None:
        nonlocal handled
        handled += 1
        if handled == count:
            done.set()

    sio.on("stream_data", handle)
    await sio.connect(url, transports=["websocket"])
    began = time.process_time()
    await sio.call("subscribe", {"stream_types": ["market_data"]})
    await done.wait()
    spent = time.process_time() - began
    await sio.disconnect()
    return spent


def measure(client: Callable[[str, int], Any], count: int, *, batched: bool) -> float:
    """Return messages a second of processor time."""
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    process = context.Process(target=serve, args=(far, count, batched))
    process.start()
    try:
        port = near.recv()
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            spent: float = runner.run(client(f"http://127.0.0.1:{port}", count))
    finally:
        near.send("stop")
        process.join()
    return count / spent


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    count = options.messages
    rates = {
        "stock python-socketio, stream_data": measure(stock, count // 5, batched=False),
        "StreamClient, stream_data": measure(ours, count, batched=False),
        "StreamClient, stream_batch": measure(ours, count, batched=True),
    }
    if options.json:
        sys.stdout.write(json.dumps(rates) + "\n")
        return 0
    table = Table("client", "messages/s", "us a message", title=f"{count:,} messages of ~300 bytes")
    for name, rate in rates.items():
        table.add_row(name, f"{rate:,.0f}", f"{1e6 / rate:.1f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
