"""When to try again after the server was lost. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable

from toolkit.errors import ConfigError

LONGEST_SECONDS = 30.0
GROWTH = 3.0


class Backoff:
    """Decorrelated jitter: each pause is drawn between `delay` and three times the one before.

    The first lies between `delay` and one and a half times it, and none is longer than `longest`.
    After `attempts` (None: never) it is given up.
    """

    def __init__(
        self,
        *,
        attempts: int | None,
        delay: float,
        longest: float = LONGEST_SECONDS,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        if attempts is not None and attempts < 0:
            raise ConfigError(
                f"reconnect_attempts is {attempts}; allowed: from 0, or None for no end",
                field="reconnect_attempts",
            )
        if not 0 < delay <= longest:
            raise ConfigError(
                f"reconnect_delay is {delay}; allowed: above 0 to {longest:g} (seconds)",
                field="reconnect_delay",
            )
        self.attempts = attempts
        self.attempt = 0
        self.delay = delay
        self._longest = longest
        self._pause = delay / 2.0
        self._uniform = uniform

    def next(self, *, at_least: float = 0.0) -> float | None:
        """Return how many seconds to wait before the next attempt; None when there is none.

        `at_least` is what the server asked for, in seconds.
        """
        if self.attempts is not None and self.attempt >= self.attempts:
            return None
        self.attempt += 1
        drawn = self._uniform(self.delay, max(self.delay, self._pause * GROWTH))
        self._pause = min(drawn, self._longest)
        return max(self._pause, min(at_least, LONGEST_SECONDS))

    def told(self) -> str:
        """Return which attempt this is, in words."""
        return f"attempt {self.attempt}" + (f" of {self.attempts}" if self.attempts else "")
