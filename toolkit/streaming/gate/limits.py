"""How much one client, and all of one address, may use. Pure: the time is given, in seconds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from enum import Enum

from toolkit.errors import WireError

# Messages of a client that are read at once, and how many times its rate the others are.
PROMPT, PACE = 20, 3.0


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

    def owe(self, now: float, *, most: float = math.inf) -> None:
        """Take one, also where there is none yet; the debt stays below `most`."""
        self._fill(now)
        self._level = max(self._level - 1.0, -most)

    def is_full(self, now: float) -> bool:
        """Whether nothing was taken that has not come back."""
        self._fill(now)
        return self._level >= self._burst

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
    and stays, beyond that it goes. All but the first few of a burst are read at PACE times the
    rate at most, so that a flood takes its time, and not that of the others.
    """

    def __init__(self, *, rate: float, burst: int, now: float) -> None:
        self._rate, self._burst_size = rate, burst
        self._prompt = TokenBucket(rate=PACE * rate, burst=min(PROMPT, burst), now=now)
        self._messages = TokenBucket(rate=rate, burst=burst, now=now)
        self._refusals = TokenBucket(rate=rate, burst=burst, now=now)

    def take(self, now: float) -> Verdict:
        """Say what becomes of a message that comes now."""
        if self._messages.take(now):
            return Verdict.TAKEN
        return Verdict.REFUSED if self._refusals.take(now) else Verdict.CUT

    def pause(self, now: float, *, count: int = 1) -> float:
        """Return for how many seconds to leave `count` messages alone before looking at them."""
        pause = 0.0
        for _ in range(count):
            pause = self._prompt.wait(now)
            self._prompt.owe(now)
        return pause

    def problem(self, now: float) -> WireError:
        """Return what a refused client is told: the limit, and when to try again."""
        seconds = max(math.ceil(self._messages.wait(now) * 1000), 1) / 1000
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


class Penalties:
    """Addresses that offend: malformed messages, floods, wrong tokens. They wait to come in.

    `free` offences at once cost nothing, and one is forgiven every second. Beyond that each new
    connection from the address waits, `longest` seconds at most. At most `most` are remembered.
    """

    def __init__(
        self, *, free: int, longest: float, monotonic: Callable[[], float], most: int = 10_000
    ) -> None:
        self._free, self._longest, self._most = free, longest, most
        self._monotonic = monotonic
        self._buckets: dict[str, TokenBucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def offend(self, address: str) -> None:
        """Count one offence."""
        now = self._monotonic()
        bucket = self._buckets.pop(address, None)
        if bucket is None:
            bucket = TokenBucket(rate=1.0, burst=self._free, now=now)
        bucket.owe(now, most=self._longest)
        self._buckets[address] = bucket
        if len(self._buckets) > self._most:
            del self._buckets[next(iter(self._buckets))]

    def wait(self, address: str) -> float:
        """Return for how many seconds a new connection of the address has to wait."""
        bucket = self._buckets.get(address)
        return min(bucket.wait(self._monotonic()), self._longest) if bucket else 0.0

    def forget(self) -> None:
        """Forget the addresses whose offences are all forgiven."""
        now = self._monotonic()
        for address in [a for a, bucket in self._buckets.items() if bucket.is_full(now)]:
            del self._buckets[address]
