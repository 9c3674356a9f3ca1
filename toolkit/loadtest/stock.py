"""The baseline: a stock python-socketio server, as its documentation shows it.

ASGI under uvicorn with its fastest WebSocket protocol, uvloop and without compression; a room for
each symbol and one `emit` for each message.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import socketio
import uvicorn

from toolkit.loadtest.scenario import symbol_name
from toolkit.streaming.listener import bind
from toolkit.streaming.server import utc_now
from toolkit.streaming.wire import format_time


class Stock:
    """Streams the same messages, byte for byte as long, to clients that subscribed."""

    def __init__(self, *, clients: int, symbols: int) -> None:
        self._names = [symbol_name(index) for index in range(symbols)]
        self._epoch = secrets.token_hex(8)
        self._seq = 0
        self._last = [0] * symbols
        self._sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins=[])
        self._sio.on("subscribe", self._subscribe)
        self._listener = bind("127.0.0.1", 0)
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                socketio.ASGIApp(self._sio),
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="websockets-sansio",
                ws_ping_interval=None,
                ws_per_message_deflate=False,
                backlog=max(clients, 128),
                timeout_graceful_shutdown=1,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> dict[str, Any]:
        """Listen; returns port, token (which it does not look at) and how it delivers."""
        self._serving = asyncio.create_task(self._uvicorn.serve(sockets=[self._listener]))
        while not self._uvicorn.started:
            if self._serving.done():
                self._serving.result()
            await asyncio.sleep(0.001)
        return {"port": self._listener.getsockname()[1], "token": "", "delivery": "emit"}

    async def _subscribe(self, sid: str, body: dict[str, Any]) -> dict[str, Any]:
        for name in body.get("symbols") or self._names:
            await self._sio.enter_room(sid, name)
        return {"ok": True}

    async def send(self, symbol: int) -> None:
        """Emit one trade into its symbol's room."""
        name, now = self._names[symbol], format_time(utc_now())
        self._seq += 1
        message = {
            "stream_type": "market_data",
            "symbol": name,
            "seq": self._seq,
            "prev": self._last[symbol],
            "epoch": self._epoch,
            "timestamp": now,
            "published": now,
            "data": {
                "symbol": name,
                "timestamp": now,
                "price": 100.25,
                "size": 1.0,
                "kind": "trade",
            },
        }
        self._last[symbol] = self._seq
        await self._sio.emit("stream_data", message, room=name)

    async def stop(self) -> None:
        """Stop serving."""
        self._uvicorn.should_exit = True
        if self._serving is not None:
            await self._serving
        await self._sio.shutdown()
