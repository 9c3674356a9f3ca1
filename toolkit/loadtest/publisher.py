"""Publishes at a steady rate; when it is behind it catches up, and says how late it was."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from toolkit.core.histogram import Histogram
from toolkit.loadtest.scenario import LIMIT_MS

# What became due within a tick goes out together; loops wake up no finer than that.
TICK = 0.001
# The delay of every eighth message stands for the next seven, which were less late.
STEP = 8
OVERDUE = LIMIT_MS / 1000.0
# All that is due goes out in one turn of the loop, but no turn is longer than this.
TURN = OVERDUE


@dataclass(slots=True, kw_only=True)
class Published:
    """`counts` of each symbol; `late` is the distribution of delays of publishing, in ms."""

    counts: list[int]
    late: Histogram = field(default_factory=Histogram)
    seconds: float = 0.0


class Publisher:
    """Sends to `symbols` symbols in turn; `send` publishes one message of a symbol's index."""

    def __init__(
        self,
        send: Callable[[int], Awaitable[None]],
        *,
        symbols: int,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._send = send
        self._symbols = symbols
        self._monotonic = monotonic
        self._sleep = sleep
        self._halted = False

    def halt(self) -> None:
        """End the run that is on."""
        self._halted = True

    async def run(self, *, rate: float, seconds: float, most_overdue: float = 1.0) -> Published:
        """Publish `rate` messages a second.

        Ends early once more than the fraction `most_overdue` of all messages was late by
        OVERDUE seconds.
        """
        self._halted = False
        published = Published(counts=[0] * self._symbols)
        total, sent, overdue = max(1, round(rate * seconds)), 0, 0
        begun = self._monotonic()
        while sent < total and not self._halted:
            now = self._monotonic()
            due = min(total, int((now - begun) * rate) + 1)
            if sent < due:
                before, sent = sent, await self._turn(published, sent, due, now + TURN)
                for number in range(before, sent, STEP):
                    delay = max(now - begun - number / rate, 0.0)
                    count = min(STEP, sent - number)
                    published.late.add(delay * 1000, count)
                    overdue += count * (delay >= OVERDUE)
            if overdue > most_overdue * total:
                break
            wait = begun + sent / rate - self._monotonic()
            await self._sleep(max(wait, TICK) if sent >= due else 0)
        published.seconds = self._monotonic() - begun
        return published

    async def _turn(self, published: Published, sent: int, due: int, until: float) -> int:
        while sent < due:
            symbol = sent % self._symbols
            await self._send(symbol)
            published.counts[symbol] += 1
            sent += 1
            if self._monotonic() >= until:
                break
        return sent
