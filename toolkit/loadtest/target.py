"""A process with one server: `python -m toolkit.loadtest.target`, started by `bench`.

Which one, and how large, comes in `TOOLKIT_LOADTEST_TARGET`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import time
from typing import Any, Protocol

import orjson

from toolkit.errors import ToolkitError
from toolkit.loadtest.channel import greet
from toolkit.loadtest.joining import allow_descriptors
from toolkit.loadtest.publisher import Publisher
from toolkit.runtime import new_event_loop

SPECIFICATION = "TOOLKIT_LOADTEST_TARGET"
OURS, STOCK = "ours", "stock"
MAX_LINE = 1 << 20


class Target(Protocol):
    """A server with something to publish."""

    async def start(self) -> dict[str, Any]:
        """Listen; returns `port`, `token` and `delivery`."""
        ...

    async def send(self, symbol: int) -> None:
        """Publish one message of the symbol with this index."""
        ...

    async def stop(self) -> None:
        """Stop serving."""
        ...


def make_target(kind: str, *, clients: int, symbols: int) -> Target:
    """Return the server of this kind; only what is asked for is imported."""
    if kind == STOCK:
        from toolkit.loadtest.stock import Stock

        return Stock(clients=clients, symbols=symbols)
    from toolkit.loadtest.ours import Ours

    return Ours(clients=clients, symbols=symbols)


class Desk:
    """Does what the parent asks of one server."""

    def __init__(self, target: Target, *, symbols: int) -> None:
        self._target = target
        self._publisher = Publisher(target.send, symbols=symbols)
        self._running: asyncio.Task[None] | None = None

    async def run(self, line: socket.socket) -> None:
        """Serve until the parent goes away."""
        reader, writer = await asyncio.open_connection(sock=line, limit=MAX_LINE)
        try:
            while request := await reader.readline():
                await self._obey(orjson.loads(request), writer)
        finally:
            if self._running is not None:
                self._running.cancel()
            writer.close()
            await self._target.stop()

    async def _obey(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        name = request.pop("request")
        if name == "start":
            _answer(writer, await self._target.start())
        elif name == "publish":
            work = self._publish(writer, **request)
            self._running = asyncio.get_running_loop().create_task(work)
            self._running.add_done_callback(lambda task: _answer_failure(writer, task))
        elif name == "halt":  # answered by `publish`, which ends
            self._publisher.halt()
        elif name == "settle":
            gc.collect()
            _answer(writer, {})

    async def _publish(
        self, writer: asyncio.StreamWriter, *, rate: float, seconds: float, most_overdue: float
    ) -> None:
        cpu = time.process_time()
        done = await self._publisher.run(rate=rate, seconds=seconds, most_overdue=most_overdue)
        answer = {
            "published": done.counts,
            "seconds": done.seconds,
            "late_p99_ms": done.late.percentile(99) or 0.0,
            "cpu_seconds": time.process_time() - cpu,
        }
        _answer(writer, answer)


def _answer(writer: asyncio.StreamWriter, answer: dict[str, Any]) -> None:
    writer.write(orjson.dumps(answer) + b"\n")


def _answer_failure(writer: asyncio.StreamWriter, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (problem := task.exception()) is not None:
        error = ToolkitError(f"the publisher failed: {problem!r}")
        _answer(writer, {"error": error.to_dict()})


def main() -> int:
    """Serve what the environment describes until the parent goes away."""
    specification = orjson.loads(os.environ.pop(SPECIFICATION))
    clients, symbols = specification["clients"], specification["symbols"]
    allow_descriptors(clients)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:

        async def serve() -> None:
            target = make_target(specification["kind"], clients=clients, symbols=symbols)
            await Desk(target, symbols=symbols).run(greet())

        runner.run(serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
