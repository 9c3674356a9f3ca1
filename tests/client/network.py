"""A wire between client and server that the tests can cut or freeze."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Wire:
    target: int
    port: int = 0
    cut_at: int | None = None
    cut_done: asyncio.Event = field(default_factory=asyncio.Event)
    buffer: int | None = None
    carried: int = 0
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self.squeeze(writer, far_writer)
        self.writers |= {writer, far_writer}
        up = asyncio.create_task(self.pump(reader, far_writer, counted=False))
        down = asyncio.create_task(self.pump(far_reader, writer, counted=True))
        self.tasks |= {up, down}
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (up, down):
                task.cancel()
            for end in (writer, far_writer):
                end.transport.abort()
            self.writers -= {writer, far_writer}
            self.tasks -= {up, down}

    async def pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self.flowing.wait()
                if counted and self.cut_at is not None and self.carried + len(data) > self.cut_at:
                    writer.write(data[: max(0, self.cut_at - self.carried)])
                    await asyncio.sleep(0)
                    self.cut_at = None
                    self.cut_done.set()
                    return
                self.carried += len(data) if counted else 0
                writer.write(data)
                await writer.drain()

    def squeeze(self, *writers: asyncio.StreamWriter) -> None:
        """Hold little on the way, so that a client that does not read is soon noticed."""
        if self.buffer is None:
            return
        for writer in writers:
            end = writer.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.buffer)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.buffer)
            writer.transport.set_write_buffer_limits(self.buffer)

    def cut(self) -> None:
        for writer in tuple(self.writers):
            writer.transport.abort()


@asynccontextmanager
async def wired(target: int, *, buffer: int | None = None) -> AsyncIterator[Wire]:
    wire = Wire(target, buffer=buffer)
    wire.flowing.set()
    handlers: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(wire.connect(reader, writer))
        handlers.add(task)
        task.add_done_callback(handlers.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        wire.flowing.set()
        for task in tuple(handlers):
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        await asyncio.sleep(0)
