"""How much one client, and all of one address, may use. Pure: the time is given, in seconds."""

from __future__ import annotations

from collections import Counter
from enum import Enum

from toolkit.errors import WireError


class Verdict(Enum):
    """What becomes of a message: taken, refused with a word, or the last one."""

    TAKEN = "taken"
    REFUSED = "refused"
    CUT = "cut"


class TokenBucket:
    """Lets `rate` through a second in the long run, `burst` at once; full at the beginning."""

    def __init__(self, *, rate: float, burst: int, now: float) -> None:
        self._rate, self._burst = rate, float(burst)
        self._level, self._at = float(burst), now

    def take(self, now: float) -> bool:
        """Take one, if there is one."""
        self._fill(now)
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True

    def wait(self, now: float) -> float:
        """Return after how many seconds there will be one."""
        self._fill(now)
        return max(0.0, (1.0 - self._level) / self._rate)

    def _fill(self, now: float) -> None:
        # A clock that steps back gives nothing and takes nothing.
        passed = max(0.0, now - self._at)
        self._level = min(self._burst, self._level + passed * self._rate)
        self._at = max(self._at, now)


class Allowance:
    """The messages of one client: over the rate they are refused, and who goes on is cut off.

    Refusals have a bucket of their own of the same size: up to twice the rate a client is told
    and stays, beyond that it goes.
    """

    def __init__(self, *, rate: float, burst: int, now: float) -> None:
        self._rate, self._burst_size = rate, burst
        self._messages = TokenBucket(rate=rate, burst=burst, now=now)
        self._refusals = TokenBucket(rate=rate, burst=burst, now=now)

    def take(self, now: float) -> Verdict:
        """Say what becomes of a message that comes now."""
        if self._messages.take(now):
            return Verdict.TAKEN
        return Verdict.REFUSED if self._refusals.take(now) else Verdict.CUT

    def problem(self, now: float) -> WireError:
        """Return what a refused client is told: the limit, and when to try again."""
        seconds = round(self._messages.wait(now), 3)
        return WireError(
            f"too many messages; try again in {seconds:g} s; allowed: {self._rate:g} a second, "
            f"{self._burst_size} at once",
            field="messages",
            allowed=self._rate,
            retry_after=seconds,
        )


class Occupancy:
    """How many places are taken, in all and by each key (an address)."""

    def __init__(self, *, total: int, per_key: int) -> None:
        self._limit, self._per_key = total, per_key
        self._taken: Counter[str] = Counter()
        self._total = 0

    def __len__(self) -> int:
        return self._total

    def enter(self, key: str) -> str | None:
        """Take a place; returns why not when there is none."""
        if self._total >= self._limit:
            return f"all {self._limit} places are taken; try later"
        if self._taken[key] >= self._per_key:
            return f"your address has all its {self._per_key} places taken; try later"
        self._taken[key] += 1
        self._total += 1
        return None

    def leave(self, key: str) -> None:
        """Give a place back."""
        if self._taken[key] < 2:
            self._total -= self._taken.pop(key, 0)
        else:
            self._taken[key] -= 1
            self._total -= 1
