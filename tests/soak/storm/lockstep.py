"""The parent's side of a child: forked from a process that has all imports, led step by step."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from tests.soak.storm.loop import IdleLoop
from toolkit.exchange.values import Micros

BEHIND_SECONDS = 5.0  # of real time: then the world goes on without the child
STARTING_SECONDS = 10.0
MOST_WAVES = 50


class Child:
    """One life of the bot."""

    def __init__(
        self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.pid = pid
        self.ready = False
        self.behind: list[Micros] = []
        self.ended = ""
        self._reader, self._writer = reader, writer
        self._number = 0

    @property
    def alive(self) -> bool:
        """Whether the connection to it stands."""
        return not self.ended

    async def sync(self, now: Micros, loop: IdleLoop) -> None:
        """Tell the time and wait until neither side has anything left to do, within bounds."""
        limit = BEHIND_SECONDS if self.ready else STARTING_SECONDS
        deadline = asyncio.get_running_loop().time() + limit
        for _ in range(MOST_WAVES):
            readings = loop.readings
            left = deadline - asyncio.get_running_loop().time()
            answer = await self.ask({"do": "sync", "now": now}, patience=left)
            if answer is None:
                if self.alive:
                    self.behind.append(now)
                return
            self.ready = self.ready or bool(answer["ready"])
            await loop.idle()
            if loop.readings == readings:
                return

    async def ask(self, question: Mapping[str, Any], *, patience: float) -> dict[str, Any] | None:
        """Return the answer, None where none comes in time or the child is gone."""
        self._number += 1
        with suppress(ConnectionError):
            self._writer.write(orjson.dumps({"number": self._number, **question}) + b"\n")
        try:
            async with asyncio.timeout(max(patience, 0.01)):
                while True:
                    answer = await self._hear()
                    if answer is None or answer["number"] == self._number:
                        return answer
        except TimeoutError:
            return None

    async def _hear(self) -> dict[str, Any] | None:
        line = b""
        with suppress(ConnectionError):
            line = await self._reader.readline()
        if not line:
            self.ended = self.ended or "its connection ended"
            return None
        answer: dict[str, Any] = orjson.loads(line)
        if answer.get("ended"):
            self.ended = answer["ended"]
            return None
        return answer

    def kill(self) -> None:
        """End it without a word, wherever it is."""
        self.ended = self.ended or "killed"
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    async def gone(self) -> None:
        """Return when the process has ended and its sockets are closed."""
        with suppress(ConnectionError):
            while await self._reader.readline():
                pass
        self._writer.close()


class Nursery:
    """Forks children; each connects to a port of ours and is led from here."""

    def __init__(self, loop: IdleLoop) -> None:
        self._loop = loop
        self._born: asyncio.Queue[Child] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self._mother: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process that has all imports."""
        self._server = await asyncio.start_server(self._on_connection, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self._mother = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.soak.storm.child",
            str(port),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._mother.stdout is not None
        async with asyncio.timeout(60.0):
            if not await self._mother.stdout.readline():
                raise RuntimeError("the process that forks bots has ended; see its error above")

    async def bear(self, settings: Mapping[str, Any]) -> Child:
        """Start one bot with these settings."""
        assert self._mother is not None and self._mother.stdin is not None
        self._mother.stdin.write(orjson.dumps(settings) + b"\n")
        async with asyncio.timeout(30.0):
            return await self._born.get()

    async def stop(self) -> None:
        """End the process that forks."""
        if self._mother is not None and self._mother.returncode is None:
            self._mother.kill()
            await self._mother.wait()
        if self._server is not None:
            self._server.close()

    async def _on_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        hello = orjson.loads(await reader.readline())
        self._loop.ignore(writer.get_extra_info("socket").fileno())
        self._born.put_nowait(Child(hello["pid"], reader, writer))
