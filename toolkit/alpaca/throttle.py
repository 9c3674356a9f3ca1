"""Requests wait here for their turn: exits first, then entries, then polling."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable

from toolkit.alpaca.resilience import Priority, TokenBucket
from toolkit.errors import NotConnected


class Throttle:
    """A queue before a token bucket; `patience` is the longest wait in seconds."""

    def __init__(
        self,
        bucket: TokenBucket,
        *,
        patience: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bucket = bucket
        self._patience = patience
        self._monotonic = monotonic
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._number = 0
        self._alarm: asyncio.TimerHandle | None = None

    async def enter(self, priority: Priority) -> None:
        """Return when one may go out; raises TimeoutError after `patience`, or NotConnected."""
        if not self._waiting and self._bucket.take(priority, self._monotonic()):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._number += 1
        heapq.heappush(self._waiting, (priority, self._number, turn))
        self._admit()
        async with asyncio.timeout(self._patience):
            await turn

    def pause(self, seconds: float) -> None:
        """Let nothing out for a while."""
        self._bucket.pause(seconds, self._monotonic())

    def close(self) -> None:
        """Send everybody home; each `enter` raises NotConnected."""
        for _, _, turn in self._waiting:
            if not turn.done():
                turn.set_exception(NotConnected("not sent: closed", reason="closed"))
        self._waiting.clear()
        if self._alarm is not None:
            self._alarm.cancel()

    def _admit(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        while self._waiting:
            priority, _, turn = self._waiting[0]
            now = self._monotonic()
            if not turn.done() and not self._bucket.take(priority, now):
                delay = self._bucket.wait(priority, now)
                self._alarm = asyncio.get_running_loop().call_later(delay, self._admit)
                return
            heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
