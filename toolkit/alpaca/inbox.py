"""What a stream heard, until somebody reads it: bounded, and full is never silent."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from toolkit.alpaca.port import LinkNews

T = TypeVar("T")


class Inbox(Generic[T]):
    """Events in order, `size` of them at most; news of the connection always find room."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[T | LinkNews] = deque()
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._over = False
        self._error: BaseException | None = None

    def put(self, item: T) -> bool:
        """Add an event; False when it is full, and the event is lost."""
        if len(self._items) >= self._size:
            self._drained.clear()
            return False
        self._add(item)
        return True

    def tell(self, news: LinkNews) -> None:
        """Add news of the connection; of the same kind in a row, unread, the last one counts."""
        last = self._items[-1] if self._items else None
        if isinstance(last, LinkNews) and last.link is news.link:
            self._items.pop()
        self._add(news)

    def end(self, error: BaseException | None = None) -> None:
        """Let the reader stop, or raise an error there, when everything is read."""
        self._over, self._error = True, error
        self._filled.set()

    async def get(self) -> T | LinkNews | None:
        """Return the next item, None at the end; raises what `end` was given."""
        while not self._items:
            if self._over:
                if self._error is not None:
                    raise self._error
                return None
            self._filled.clear()
            await self._filled.wait()
        item = self._items.popleft()
        if len(self._items) <= self._size // 2:
            self._drained.set()
        return item

    async def has_room(self) -> None:
        """Return when at most half is full, once it was full."""
        await self._drained.wait()

    def _add(self, item: T | LinkNews) -> None:
        self._items.append(item)
        self._filled.set()
