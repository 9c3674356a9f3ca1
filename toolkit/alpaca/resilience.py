"""How hard Alpaca may be asked, and when it is left alone. Pure: the time is handed in."""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import IntEnum, StrEnum

BURST = 40  # requests that may go out at once
RESERVE = 10  # of these, kept for exits and cancels
SHARE = 10  # of these, kept from polling in the background
EXIT_PAUSE = 2.0  # seconds; then an exit tries, whatever Alpaca has asked for
MINUTE = 60.0


class Priority(IntEnum):
    """Who goes first when requests are scarce."""

    EXIT = 0  # exits, cancels, protective stops, and looking up what became of an order
    ENTRY = 1  # entries
    BACKGROUND = 2  # polling


class TokenBucket:
    """Requests that may still go out; never more than `per_minute` in any minute.

    A bucket of `BURST` is filled evenly, so that burst and refill make up the limit together.
    `per_minute` is 10 at least; 0 is no limit. All times are seconds of one monotonic clock.
    """

    def __init__(self, *, per_minute: int, now: float) -> None:
        self._burst = float(min(BURST, max(per_minute // 2, 1)))
        self._rate = (per_minute - self._burst) / MINUTE
        self._free = per_minute == 0
        self._tokens = self._burst
        self._at = now
        self._paused_until = self._exits_paused_until = now

    def take(self, priority: Priority, now: float) -> bool:
        """Take a token; False where there is none for this priority."""
        if self.wait(priority, now) > 0:
            return False
        if not self._free:
            self._tokens -= 1.0
        return True

    def wait(self, priority: Priority, now: float) -> float:
        """Return the seconds until there is a token for this priority, if nobody else comes."""
        self._fill(now)
        is_exit = priority is Priority.EXIT
        paused = max(0.0, (self._exits_paused_until if is_exit else self._paused_until) - now)
        if self._free:
            return paused
        missing = 1.0 + self._kept_from(priority) - self._tokens
        return max(paused, missing / self._rate if missing > 1e-9 else 0.0)

    def pause(self, seconds: float, now: float) -> None:
        """Let nothing out for a while: Alpaca has asked for it (429); exits wait 2 s at most."""
        self._paused_until = max(self._paused_until, now + seconds)
        exits = now + min(seconds, EXIT_PAUSE)
        self._exits_paused_until = max(self._exits_paused_until, exits)

    def _kept_from(self, priority: Priority) -> float:
        kept = {Priority.EXIT: 0, Priority.ENTRY: RESERVE, Priority.BACKGROUND: RESERVE + SHARE}
        return kept[priority] * self._burst / BURST

    def _fill(self, now: float) -> None:
        passed, self._at = max(0.0, now - self._at), max(now, self._at)
        self._tokens = min(self._burst, self._tokens + passed * self._rate)


class BreakerState(StrEnum):
    CLOSED = "closed"  # requests go out
    OPEN = "open"  # they do not: Alpaca did not answer several times
    HALF_OPEN = "half_open"  # one goes out to see


Listener = Callable[[BreakerState, str], None]


class Breaker:
    """Spares an API that does not answer; `on_change(state, reason)` hears of every change.

    After `failures` in a row it is open for `rest` seconds, doubled up to `longest` each time the
    trial fails. Exits are let through in every state: each is a trial.
    """

    def __init__(
        self,
        *,
        failures: int = 5,
        rest: float = 2.0,
        longest: float = 30.0,
        on_change: Listener | None = None,
    ) -> None:
        self.state = BreakerState.CLOSED
        self.reason = ""
        self.on_change = on_change
        self._allowed, self._first_rest, self._longest = failures, rest, longest
        self._rest = rest
        self._failures = 0
        self._until = 0.0

    def wait(self, priority: Priority, now: float) -> float:
        """Return the seconds until this may go out; 0: now, and its outcome must be told."""
        if self.state is BreakerState.CLOSED or priority is Priority.EXIT:
            return 0.0
        if now < self._until:
            return self._until - now
        self._until = now + self._rest  # a trial that is never heard of again is over by then
        self._move(BreakerState.HALF_OPEN, self.reason)
        return 0.0

    def succeeded(self) -> None:
        """An answer came, whatever it said."""
        self._failures, self._rest = 0, self._first_rest
        self._move(BreakerState.CLOSED, "")

    def failed(self, reason: str, now: float) -> None:
        """No answer came, or one that says that Alpaca is in trouble."""
        self._failures += 1
        if self.state is BreakerState.HALF_OPEN:
            self._rest = min(self._rest * 2.0, self._longest)
        elif self.state is BreakerState.OPEN or self._failures < self._allowed:
            return
        self._until = now + self._rest
        self._move(BreakerState.OPEN, reason)

    def _move(self, state: BreakerState, reason: str) -> None:
        if state is self.state:
            return
        self.state, self.reason = state, reason
        if self.on_change is not None:
            self.on_change(state, reason)


class Backoff:
    """Pauses between attempts: doubled up to the longest, each drawn from its upper half."""

    def __init__(self, *, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._uniform = uniform
        self._attempt = 0

    def next(self, *, shortest: float, longest: float) -> float:
        """Return the seconds until the next attempt."""
        full = min(longest, shortest * 2.0 ** min(self._attempt, 32))
        self._attempt += 1
        return self._uniform(full / 2.0, full)

    def reset(self) -> None:
        """Begin again: the last connection was a good one."""
        self._attempt = 0
