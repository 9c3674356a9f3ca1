"""Frames on their way to one client: bounded, in order, and never in the exchange's way."""

from __future__ import annotations

import asyncio
from collections import deque

from aiohttp import web


class Outbox:
    """Sends frames one after the other; `size` frames may wait, then the client is too slow."""

    def __init__(self, socket: web.WebSocketResponse, *, size: int) -> None:
        self._socket = socket
        self._size = size
        self._frames: deque[bytes | str] = deque()
        self._filled = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False

    def put(self, frame: bytes | str) -> bool:
        """Send a frame soon; returns False when too many wait already."""
        if self._closing or len(self._frames) >= self._size:
            return False
        self._frames.append(frame)
        self._idle.clear()
        self._filled.set()
        return True

    def finish(self, last: bytes | str | None = None) -> None:
        """Drop what waits, send a last frame and close."""
        self._frames.clear()
        if last is not None:
            self._frames.append(last)
        self._closing = True
        self._filled.set()

    async def drained(self) -> None:
        """Return when nothing waits any more."""
        await self._idle.wait()

    async def run(self) -> None:
        """Send until the connection is gone or `finish` was called."""
        try:
            while True:
                while self._frames:
                    await self._send(self._frames.popleft())
                self._idle.set()
                if self._closing:
                    await self._socket.close()
                    return
                self._filled.clear()
                await self._filled.wait()
        except ConnectionError:
            return
        finally:
            self._closing = True
            self._idle.set()

    async def _send(self, frame: bytes | str) -> None:
        if isinstance(frame, bytes):
            await self._socket.send_bytes(frame)
        else:
            await self._socket.send_str(frame)
