"""uvicorn on one listening socket, inside a loop that belongs to somebody else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakSet

import uvicorn

from toolkit.streaming.asgi import App

GOODBYE_SECONDS = 0.3
LOOK_SECONDS = 0.005
# uvicorn counts on ten ticks a second.
TICK_SECONDS = 0.1

log = logging.getLogger(__name__)


class _Uvicorn(uvicorn.Server):
    """uvicorn that leaves the process's signals to their owner, and ends when told to, at once."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Stop serving."""
        self.should_exit = True
        self._ending.set()

    async def main_loop(self) -> None:
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._ending.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, which sleeps tenths of a second, also when nobody is there."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while state.connections or state.tasks:  # noqa: ASYNC110 - they tell nobody
                    await asyncio.sleep(LOOK_SECONDS)
                for server in self.servers:
                    await server.wait_closed()
        except TimeoutError:
            for task in state.tasks:
                task.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class WebServer:
    """Serves an ASGI application between `start` and `stop`."""

    def __init__(self) -> None:
        self._uvicorn: _Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def connections(self) -> set[Any]:
        """The open ones, HTTP and WebSocket, as uvicorn keeps them."""
        found: set[Any] = self._uvicorn.server_state.connections if self._uvicorn else set()
        return found

    async def start(
        self,
        app: App,
        listener: socket.socket,
        *,
        http: type[asyncio.Protocol],
        ws: type[asyncio.Protocol] | None,
        max_message: int,
    ) -> None:
        """Serve `listener`, which is closed in the end; messages above `max_message` bytes end
        their connection. `ws` None is uvicorn's own.
        """
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            lifespan="off",
            server_header=False,
            http=http,
            ws=ws or "auto",
            ws_max_size=max_message,
            ws_ping_interval=None,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
            proxy_headers=False,
        )
        self._uvicorn = _Uvicorn(config)
        serving = self._uvicorn.serve(sockets=[listener])
        self._serving = asyncio.create_task(serving, name="http server")
        while not self._uvicorn.started:
            if self._serving.done():
                self._serving.result()
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """End within a moment; connections that do not close are cut."""
        if self._uvicorn is None or self._serving is None:
            return
        self._uvicorn.end()
        impatience = asyncio.get_running_loop().call_later(
            GOODBYE_SECONDS, _cut_off, self._uvicorn.server_state.connections
        )
        try:
            await self._serving
        except Exception:
            log.exception("uvicorn did not stop cleanly; its connections are cut")
        impatience.cancel()
        _cut_off(self._uvicorn.server_state.connections)
        self._uvicorn = self._serving = None

    def cutter(self, peer: Any) -> Callable[[], None]:
        """Return what cuts the connection that `peer` has now."""
        # A weak one: this outlives the connection by far where many come and go.
        found = WeakSet(c for c in self.connections if getattr(c, "client", None) == peer)
        return lambda: _cut_off(found)


def _cut_off(connections: Any) -> None:
    for connection in list(connections):
        if connection.transport is not None:
            connection.transport.abort()
