"""How fast a recording or a simulation runs, and the waiting that this takes."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from toolkit.errors import ConfigError

Sleep = Callable[[float], Awaitable[object]]
Clock = Callable[[], float]

ALLOWED = "max, a multiple of real time such as 60 or 60x, or bars a second such as 60/s"
EVENTS_BETWEEN_YIELDS = 64
LONGEST_WAIT = 2  # timeframes


class PaceKind(StrEnum):
    MAX = "max"
    MULTIPLE = "x"
    BARS = "/s"


@dataclass(frozen=True, slots=True)
class Pace:
    """As fast as possible, a multiple of real time, or bars a second over all symbols."""

    kind: PaceKind
    rate: float = 1.0

    @classmethod
    def parse(cls, text: str | float) -> Pace:
        """Read `max`, `60` or `60x` (times real time) or `60/s` (bars); raises ConfigError."""
        plain = str(text).strip().lower()
        if plain == PaceKind.MAX:
            return cls(PaceKind.MAX)
        kind = PaceKind.BARS if plain.endswith("/s") else PaceKind.MULTIPLE
        try:
            rate = float(plain.removesuffix(kind))
        except ValueError:
            rate = math.nan
        if not (math.isfinite(rate) and rate > 0):
            raise ConfigError(
                f"speed is {text!r}; allowed: {ALLOWED}, above 0",
                field="speed",
                value=str(text),
                allowed=ALLOWED,
            )
        return cls(kind, rate)

    def __str__(self) -> str:
        return "max" if self.kind is PaceKind.MAX else f"{self.rate:g}{self.kind}"

    def for_ticks(self, *, timeframe: float, symbols: int) -> Pace:
        """Return bars a second as the multiple that gives as many, so that ticks flow evenly."""
        if self.kind is not PaceKind.BARS:
            return self
        return Pace(PaceKind.MULTIPLE, self.rate * timeframe / symbols)


class Pacer:
    """Waits for each event's moment on an absolute schedule, so that delays do not add up.

    Steps of market time longer than two timeframes (gaps, nights) count as two. Whoever falls
    behind is not slowed down further, but yields to the loop every 64 events.
    """

    def __init__(
        self,
        pace: Pace,
        *,
        timeframe: float,
        sleep: Sleep = asyncio.sleep,
        clock: Clock = time.monotonic,
    ) -> None:
        self._pace = pace
        self._longest = LONGEST_WAIT * timeframe
        self._sleep = sleep
        self._clock = clock
        self._due: float | None = None
        self._market_time: datetime | None = None
        self._sleeping: asyncio.Future[object] | None = None
        self._since_yield = 0
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether `stop()` was called."""
        return self._stopped

    def stop(self) -> None:
        """End the present wait at once and all later ones before they start."""
        self._stopped = True
        if self._sleeping is not None:
            self._sleeping.cancel()

    async def wait(self, moment: datetime) -> None:
        """Sleep until the market reaches `moment` (or, at bars a second, for the next bar)."""
        if self._pace.kind is PaceKind.MAX or self._stopped:
            return
        if self._due is None:
            self._due = self._clock()
        else:
            self._due += self._step(moment)
        if self._market_time is None or moment > self._market_time:
            self._market_time = moment
        delay = self._due - self._clock()
        if delay > 0:
            await self._nap(delay)

    async def breathe(self) -> None:
        """Count one event, and let other tasks run after every 64."""
        self._since_yield += 1
        if self._since_yield >= EVENTS_BETWEEN_YIELDS:
            self._since_yield = 0
            await asyncio.sleep(0)

    def _step(self, moment: datetime) -> float:
        if self._pace.kind is PaceKind.BARS:
            return 1.0 / self._pace.rate
        assert self._market_time is not None
        ahead = (moment - self._market_time).total_seconds()
        return min(max(ahead, 0.0), self._longest) / self._pace.rate

    async def _nap(self, delay: float) -> None:
        self._since_yield = 0
        self._sleeping = asyncio.ensure_future(self._sleep(delay))
        try:
            await asyncio.wait({self._sleeping})
            if not self._sleeping.cancelled():
                self._sleeping.result()
        finally:
            self._sleeping.cancel()
            self._sleeping = None
