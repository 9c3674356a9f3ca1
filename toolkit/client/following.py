"""Keeps live DataFrames filled: history first, then messages, and history again after a loss."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from toolkit.client.frames import LiveFrame
from toolkit.errors import ConfigError
from toolkit.streaming.wire import Stream

log = logging.getLogger(__name__)
# The bot remembers and answers no more than this.
MAX_HISTORY = 1000

Key = tuple[str, str | None, str | None, int]


class Source(Protocol):
    """What frames need of the client that they belong to; see `StreamClient`."""

    @property
    def state(self) -> str:
        """How the connection is."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """What the bot trades."""

    def on(self, event: str, handler: Callable[[Any], None]) -> Callable[[], None]:
        """Call `handler` on each `event`; returns what removes it."""

    async def subscribe(self, streams: Sequence[str], symbols: Sequence[str] | None) -> Any:
        """Ask for streams; no symbols means all."""

    async def command(self, name: str, /, **args: Any) -> Any:
        """Have the bot carry out a command and return its result."""


class Frames:
    """All live frames of one client; the same arguments give the same frame again."""

    def __init__(self, client: Source) -> None:
        self._client = client
        self._frames: dict[Key, asyncio.Task[LiveFrame]] = {}
        self._loading: set[asyncio.Task[None]] = set()

    async def frame(
        self, stream: str, symbol: str | None, *, kind: str | None, limit: int
    ) -> LiveFrame:
        """Return the frame, new or as it is; see `StreamClient.frame`."""
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise ConfigError(f"limit is {limit!r}; allowed: from 1", field="limit")
        if kind is None and stream == Stream.MARKET_DATA:
            kind = "bar"
        key = (stream, symbol, kind, limit)
        task = self._frames.get(key)
        if task is None:
            task = asyncio.create_task(self._follow(*key))
            # Who asked may be gone when it fails; the next who asks hears it.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._frames[key] = task
        try:
            return await asyncio.shield(task)
        except BaseException:
            if task.done():
                self._frames.pop(key, None)
            raise

    async def close(self) -> None:
        """Stop loading; frames keep what they have."""
        tasks: list[asyncio.Task[Any]] = [*self._loading, *self._frames.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(
        self, stream: str, symbol: str | None, kind: str | None, limit: int
    ) -> LiveFrame:
        frame = LiveFrame(stream, symbol, kind=kind, limit=limit)
        symbols = None if symbol is None else [symbol]
        remove = self._client.on("stream_data", frame.push)
        try:
            await self._client.subscribe([stream], symbols)
            if kind == "bar":
                history = _History(self._client, frame, symbol, limit=min(limit, MAX_HISTORY))
                await history.load()
                self._reload_when_needed(history)
        except BaseException:
            remove()
            raise
        return frame

    def _reload_when_needed(self, history: _History) -> None:
        def reload(_: Any) -> None:
            if self._client.state == "connected" and history.outdate():
                task = asyncio.create_task(history.refresh())
                self._loading.add(task)
                task.add_done_callback(self._loaded)

        self._client.on("connected", reload)
        self._client.on("gap", reload)

    def _loaded(self, task: asyncio.Task[None]) -> None:
        self._loading.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("history could not be loaded again: %s", error)


class _History:
    """What one frame of bars asks the bot for; however often it is outdated, one load runs."""

    def __init__(self, client: Source, frame: LiveFrame, symbol: str | None, *, limit: int) -> None:
        self._client = client
        self._frame = frame
        self._symbol = symbol
        self._limit = limit
        self._outdated = False
        self._running = False

    def outdate(self) -> bool:
        """Note that bars may be missing; returns whether `refresh` must be started."""
        self._outdated = True
        return not self._running

    async def refresh(self) -> None:
        """Load as long as bars may be missing."""
        if self._running:
            return
        self._running = True
        try:
            while self._outdated:
                self._outdated = False
                await self.load()
        finally:
            self._running = False

    async def load(self) -> None:
        """Load the last bars once."""
        for symbol in [self._symbol] if self._symbol else self._client.symbols:
            found = await self._client.command("get_history", symbol=symbol, limit=self._limit)
            self._frame.fill(found["bars"])
