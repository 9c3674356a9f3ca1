"""Many tasks bring, one takes: bounded, ended at once, and no task's error is lost."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """A queue of at most `size` items; whoever brings more waits."""

    def __init__(self, size: int) -> None:
        self._items: deque[T] = deque()
        self._size = size
        self._error: BaseException | None = None
        self._closed = False
        self._changed = asyncio.Condition()

    def is_closed(self) -> bool:
        """Whether `close()` was called."""
        return self._closed

    async def put(self, item: T) -> None:
        """Add an item when there is room; after `close()` it is dropped."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed or len(self._items) < self._size)
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()

    async def get(self) -> T | None:
        """Return the next item, None when it is closed; raises what a task failed with."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed or self._error or self._items)
            if self._closed:
                return None
            if self._error is not None:
                raise self._error
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    async def fail(self, error: BaseException) -> None:
        """End with an error, before what is queued."""
        async with self._changed:
            self._error = error
            self._changed.notify_all()

    async def close(self) -> None:
        """End: what is queued is dropped, nobody waits any longer."""
        async with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
