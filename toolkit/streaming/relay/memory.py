"""A relay within one process: for tests, and to try the logic of a cluster without Redis."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from toolkit.errors import RelayError
from toolkit.streaming.relay.port import Batch, Packed, join

T = TypeVar("T")
BOX_SIZE = 1_000
PAGE = 100


class MemoryRelay:
    """The log and the boxes as lists; it has the faults of a real relay, on demand.

    `away` breaks every call; `deaf` carries out the next change and then fails it, as a
    connection does that breaks before the answer. The last `size` entries stay readable.
    """

    def __init__(self, *, size: int = 50_000) -> None:
        self._size = size
        self._log: list[Batch] = []
        self._lossless: list[Batch] = []
        self._boxes: dict[str, deque[bytes]] = {}
        self._news = asyncio.Condition()
        self.away = False
        self.deaf = False

    def forget(self, after: int = 0) -> None:
        """Lose what came after an entry: all, as a server that restarts empty, or the newest."""
        self._log = [batch for batch in self._log if batch.end <= after]
        self._lossless = [batch for batch in self._lossless if batch.end <= after]
        self._boxes = {}

    async def append(self, items: Sequence[Packed], *, after: int, keep_from: int) -> int:
        """Add `items` if the log ends at `after`; return the number at which it ends now."""
        self._check()
        if self._end() == after:
            end = items[-1].number
            if after == 0:
                self._lossless = []
            self._log.append(Batch(after=after, end=end, body=join(items)))
            if kept := [item for item in items if item.stream is not None]:
                self._lossless.append(Batch(after=after, end=end, body=join(kept)))
            self._log = [batch for batch in self._log if batch.end > end - self._size]
            self._lossless = [batch for batch in self._lossless if batch.end >= keep_from]
        await self._changed()
        return self._end()

    async def read(self, *, after: int, wait: float) -> list[Batch]:
        """Return batches that end after that number; wait up to `wait` seconds."""
        return await self._until(lambda: _page(self._log, after), wait)

    async def kept(self, *, after: int) -> list[Batch]:
        """Return the next batches that end after that number, with their lossless entries only."""
        self._check()
        return _page(self._lossless, after)

    async def end(self) -> int:
        """Return the number of the log's last entry, 0 when it is empty."""
        self._check()
        return self._end()

    async def send(self, box: str, body: bytes) -> None:
        """Put something into a box; the oldest goes when there is too much."""
        self._check()
        self._boxes.setdefault(box, deque(maxlen=BOX_SIZE)).append(body)
        await self._changed()

    async def receive(self, box: str, *, wait: float) -> list[bytes]:
        """Take what is in a box; wait up to `wait` seconds for something."""
        found = await self._until(lambda: list(self._boxes.get(box, ())), wait)
        self._boxes.pop(box, None)
        return found

    async def clear(self) -> None:
        """Delete the log and all boxes."""
        self._check()
        self.forget()

    async def close(self) -> None:
        """Nothing is held."""

    def _end(self) -> int:
        return self._log[-1].end if self._log else 0

    def _check(self) -> None:
        if self.away:
            raise RelayError("the relay in memory is away")

    async def _changed(self) -> None:
        async with self._news:
            self._news.notify_all()
        if self.deaf:
            self.deaf = False
            raise RelayError("the relay in memory did not answer")

    async def _until(self, look: Callable[[], list[T]], wait: float) -> list[T]:
        self._check()
        try:
            async with asyncio.timeout(wait), self._news:
                await self._news.wait_for(lambda: self.away or look())
        except TimeoutError:
            return []
        self._check()
        return look()


def _page(batches: Sequence[Batch], after: int) -> list[Batch]:
    return [batch for batch in batches if batch.end > after][:PAGE]
