"""One WebSocket connection to Alpaca that is kept up: connect, log in, read, and again.

The SDK's `_run_forever` is not used, only its pieces: it has no hook for a lost connection, waits
for ever in its handshakes, retries refusals with log lines only, and swallows what goes wrong.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

from toolkit.alpaca.inbox import Inbox
from toolkit.alpaca.port import Link, LinkNews
from toolkit.alpaca.resilience import Backoff
from toolkit.alpaca.sdk import WebSocketException
from toolkit.alpaca.settings import AlpacaSettings
from toolkit.alpaca.sockets import StreamLost, StreamRefused, meaning

ItemT = TypeVar("ItemT")
T_co = TypeVar("T_co", covariant=True)


class Wire(Protocol[T_co]):
    """What differs between the streams."""

    async def ready(self) -> None:
        """Return when there is something to connect for."""
        ...

    async def open(self) -> None:
        """Connect, log in and subscribe; raises StreamLost or StreamRefused."""
        ...

    async def read(self) -> Sequence[T_co]:
        """Return what came with the next frame; raises StreamLost or StreamRefused."""
        ...

    async def hang_up(self) -> None:
        """Close the connection, if there is one."""
        ...


class KeptLink(Generic[ItemT]):
    """Keeps one connection up while its news are read; the reader decides when it begins."""

    def __init__(
        self,
        wire: Wire[ItemT],
        *,
        settings: AlpacaSettings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        backoff: Backoff | None = None,
    ) -> None:
        self._wire, self._settings = wire, settings
        self._now, self._monotonic = now, monotonic
        self._backoff = backoff or Backoff()
        self._task: asyncio.Task[None] | None = None
        self._again = asyncio.Event()
        self._why = ""

    async def news(self) -> AsyncIterator[ItemT | LinkNews]:
        """Connect, and yield what comes until `stop()`; raises what went wrong in our own code."""
        if self._task is not None:
            raise RuntimeError("this stream is read already")
        inbox: Inbox[ItemT] = Inbox(self._settings.queue_size)
        self._task = task = asyncio.create_task(self._run(inbox))
        task.add_done_callback(lambda task: _tell_end(task, inbox))
        try:
            while (item := await inbox.get()) is not None:
                yield item
        finally:
            await _end(task)
            if self._task is task:
                self._task = None

    async def reconnect(self, reason: str) -> None:
        """Drop the connection, or the wait for the next one, and connect at once."""
        self._why = reason
        self._again.set()

    async def stop(self) -> None:
        """Close the connection now; `news()` ends when the rest is read. Twice is harmless."""
        task, self._task = self._task, None
        if task is not None:
            await _end(task)

    async def _run(self, inbox: Inbox[ItemT]) -> None:
        while True:
            await self._wire.ready()
            self._again.clear()
            link, reason = await self._session(inbox)
            inbox.tell(LinkNews(link=link, timestamp=self._now(), reason=reason))
            await self._pause(link)
            await inbox.has_room()

    async def _session(self, inbox: Inbox[ItemT]) -> tuple[Link, str]:
        """Live through one connection; returns why it ended."""
        settings, opened = self._settings, None
        try:
            try:
                async with asyncio.timeout(settings.handshake_timeout):
                    await self._wire.open()
            except TimeoutError:
                return Link.DOWN, f"no answer within {settings.handshake_timeout:g} s"
            opened = self._monotonic()
            self._again.clear()
            inbox.tell(LinkNews(link=Link.UP, timestamp=self._now()))
            return Link.DOWN, await self._read(inbox)
        except StreamRefused as refusal:
            return Link.REFUSED, str(refusal)
        except (StreamLost, WebSocketException, OSError, EOFError) as loss:
            return meaning(loss)
        finally:
            await self._wire.hang_up()
            if opened is not None and self._monotonic() - opened >= settings.good_after:
                self._backoff.reset()

    async def _read(self, inbox: Inbox[ItemT]) -> str:
        """Hand on what comes; returns why no more does."""
        wanted = asyncio.create_task(self._again.wait())
        reading = asyncio.create_task(self._read_all(inbox))
        try:
            await asyncio.wait((wanted, reading), return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else self._why
        finally:
            for task in (wanted, reading):
                task.cancel()
            await asyncio.gather(wanted, reading, return_exceptions=True)

    async def _read_all(self, inbox: Inbox[ItemT]) -> str:
        while True:
            for item in await self._wire.read():
                if not inbox.put(item):
                    return (
                        f"{self._settings.queue_size} messages waited to be read, and some are "
                        "lost: the reader is too slow"
                    )

    async def _pause(self, link: Link) -> None:
        settings = self._settings
        shortest, longest = settings.reconnect_delay, settings.reconnect_longest
        if link is Link.REFUSED:
            shortest, longest = settings.refused_delay, settings.refused_longest
        delay = self._backoff.next(shortest=shortest, longest=longest)
        if not self._again.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._again.wait()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait((task,))


def _tell_end(task: asyncio.Task[None], inbox: Inbox[Any]) -> None:
    inbox.end(None if task.cancelled() else task.exception())
