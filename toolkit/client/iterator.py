"""A bounded queue between a client and `async for`."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Self

from toolkit.client.messages import Gap, Message


class MessageStream:
    """Messages of one stream (and symbol), oldest first; the oldest go when it is full.

    What went is announced by a Gap (`lagging`) before the next message.
    """

    def __init__(self, stream: str, symbol: str | None, *, size: int) -> None:
        self.stream = stream
        self.symbol = symbol
        self._size = size
        self._items: deque[Message | Gap] = deque()
        self._lost: Gap | None = None
        self._ready = asyncio.Event()
        self._error: Exception | None = None
        self._closed = False

    def push(self, item: Message | Gap) -> None:
        """Add one item if it belongs here; never blocks."""
        if isinstance(item, Message) and self.symbol not in (None, item.symbol):
            return
        if len(self._items) >= self._size:
            self._drop(self._items.popleft())
        self._items.append(item)
        self._ready.set()

    def close(self, error: Exception | None = None) -> None:
        """End the iteration after what is queued, with `error` if there is one."""
        self._closed, self._error = True, error
        self._ready.set()

    async def batch(self, *, within: float) -> list[Message | Gap]:
        """Return all that is queued, waiting `within` seconds for the first; ends as iteration."""
        try:
            async with asyncio.timeout(within):
                found = [await anext(self)]
        except TimeoutError:
            return []
        found.extend(self._items)
        self._items.clear()
        return found

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message | Gap:
        while not (self._lost or self._items):
            if self._error is not None:
                raise self._error
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        if self._lost is not None:
            lost, self._lost = self._lost, None
            return lost
        return self._items.popleft()

    def _drop(self, item: Message | Gap) -> None:
        first = item.first if isinstance(item, Gap) else item.seq
        last = item.last if isinstance(item, Gap) else item.seq
        if self._lost is not None:
            first = self._lost.first
            last = max(self._lost.last or 0, last or 0)
        self._lost = Gap.of(self.stream, first, last, "lagging")
