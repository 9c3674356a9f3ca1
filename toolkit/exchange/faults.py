"""A bad day on a schedule: which faults there are, when they begin, and whom they meet."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from toolkit.exchange.log import EventLog
from toolkit.exchange.timers import Timers
from toolkit.exchange.values import Micros, micros

ANY = "*"


class Kind(StrEnum):
    """What can go wrong. In brackets: what `target` names, and what `amount` means."""

    MUTE = "mute"  # connected, but nothing is sent (stream)
    DROP = "drop"  # connections break once, at the start (stream)
    REFUSE = "refuse"  # handshakes get 503 (stream)
    CONNECTION_LIMIT = "connection_limit"  # logins get 406 (stream)
    MALFORMED = "malformed"  # a frame that cannot be read (stream)
    UNKNOWN_MESSAGE = "unknown_message"  # a kind that no client knows (stream)
    DUPLICATE_BARS = "duplicate_bars"  # (symbol)
    LATE_BARS = "late_bars"  # (symbol; seconds late)
    UNORDERED_BARS = "unordered_bars"  # a bar comes after the next one (symbol)
    MISSING_BARS = "missing_bars"  # not on the stream, but in the history (symbol)
    REVISED_BARS = "revised_bars"  # every bar is revised (symbol)
    HOLE = "hole"  # nothing trades and nothing is reported (symbol)
    HALT = "halt"  # trading is halted and resumes, with statuses (symbol)
    DUPLICATE_FILLS = "duplicate_fills"  # (symbol)
    LATE_FILLS = "late_fills"  # (symbol; seconds late)
    UNORDERED_FILLS = "unordered_fills"  # an event comes after the next one (symbol)
    PARTIAL_FILLS = "partial_fills"  # at most a third of an order at a time (symbol)
    RATE_LIMITED = "rate_limited"  # 429 (request)
    SERVER_ERROR = "server_error"  # 500 before the request is done (request)
    TIMEOUT_BEFORE = "timeout_before"  # 504, the request was not done (request)
    TIMEOUT_AFTER = "timeout_after"  # 504, the request was done (request)
    RESET_BEFORE = "reset_before"  # connection reset, not done (request)
    RESET_AFTER = "reset_after"  # connection reset, done (request)
    SLOW = "slow"  # the answer takes long (request; seconds of real time)
    CLOCK_SKEW = "clock_skew"  # the exchange's clock is off (none; seconds)


STREAM_KINDS = (
    Kind.MUTE,
    Kind.DROP,
    Kind.REFUSE,
    Kind.CONNECTION_LIMIT,
    Kind.MALFORMED,
    Kind.UNKNOWN_MESSAGE,
)
REQUEST_KINDS = (
    Kind.RATE_LIMITED,
    Kind.SERVER_ERROR,
    Kind.TIMEOUT_BEFORE,
    Kind.TIMEOUT_AFTER,
    Kind.RESET_BEFORE,
    Kind.RESET_AFTER,
    Kind.SLOW,
)
_COUNTLESS = frozenset({Kind.MUTE, Kind.HOLE, Kind.HALT, Kind.CLOCK_SKEW})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. `start` and `length` in seconds of exchange time since the opening.

    It meets what `target` names (`*` is all): `market` or `trading` for streams, a symbol, or a
    request such as `POST /v2/orders`. After `count` hits it is over (0: no limit); without length
    and count it never ends. `rate` is the chance that something is hit. `amount` in seconds.
    """

    kind: Kind
    start: float
    length: float = 0.0
    target: str = ANY
    count: int = 0
    rate: float = 1.0
    amount: float = 1.0

    def meets(self, subject: str) -> bool:
        """Whether the target names it; requests are met by their beginning."""
        is_request = " " in subject
        named = self.target in (ANY, subject)
        return named or (is_request and subject.startswith(self.target))

    def to_dict(self) -> dict[str, Any]:
        """Return the fault as a file of faults holds it."""
        return {**asdict(self), "kind": self.kind.value}


class Active:
    """A fault that has begun, and how often it has hit."""

    def __init__(self, fault: Fault, draw: random.Random) -> None:
        self.fault = fault
        self.hits = 0
        self.over = False
        self._draw = draw

    def hit(self, subject: str) -> bool:
        """Take one hit, if it meets the subject, is not used up and the draw says so."""
        fault = self.fault
        if self.over or not fault.meets(subject):
            return False
        if fault.rate < 1.0 and self._draw.random() >= fault.rate:
            return False
        self.hits += 1
        if fault.count and self.hits >= fault.count:
            self.over = True
        return True


class Faults:
    """The schedule at work: begins and ends faults by the timers, says what is hit, and logs it."""

    def __init__(
        self, faults: Iterable[Fault], *, seed: int, origin: Micros, timers: Timers, log: EventLog
    ) -> None:
        self.schedule = sorted(faults, key=lambda fault: fault.start)
        self._seed = seed
        self._log = log
        self._timers = timers
        self._active: dict[Kind, list[Active]] = {}
        self._on_change: list[Callable[[Fault, bool, Micros], None]] = []
        self._number = 0
        for fault in self.schedule:
            self._plan(fault, origin)

    def on_change(self, listener: Callable[[Fault, bool, Micros], None]) -> None:
        """Call `listener(fault, begins, at)` at the beginning and the end of each fault."""
        self._on_change.append(listener)

    def inject(self, fault: Fault, at: Micros) -> None:
        """Begin one more fault; its start counts from `at`."""
        self.schedule.append(fault)
        self._plan(fault, at)

    def running(self, kind: Kind, subject: str) -> Fault | None:
        """Return a fault that is on, without counting a hit."""
        for active in self._active.get(kind, ()):
            if not active.over and active.fault.meets(subject):
                return active.fault
        return None

    def hit(self, kind: Kind, subject: str, at: Micros, **facts: Any) -> Fault | None:
        """Return the fault that hits now, None when none does; logs `fault.<kind>`."""
        for active in self._active.get(kind, ()):
            if active.hit(subject):
                if kind not in _COUNTLESS:
                    self._log.add(f"fault.{kind}", at, subject=subject, **facts)
                if active.over:
                    self._end(active, at)
                return active.fault
        return None

    def _plan(self, fault: Fault, origin: Micros) -> None:
        self._number += 1
        active = Active(fault, random.Random(f"fault {self._seed} {self._number}"))
        start = origin + micros(fault.start)
        self._timers.at(start, lambda at: self._begin(active, at))
        if fault.length:
            self._timers.at(start + micros(fault.length), lambda at: self._end(active, at))

    def _begin(self, active: Active, at: Micros) -> None:
        self._active.setdefault(active.fault.kind, []).append(active)
        self._log.add("fault.begins", at, **active.fault.to_dict())
        for listener in self._on_change:
            listener(active.fault, True, at)

    def _end(self, active: Active, at: Micros) -> None:
        running = self._active.get(active.fault.kind, [])
        if active not in running:
            return
        active.over = True
        running.remove(active)
        fault = active.fault
        self._log.add(
            "fault.ends", at, kind=fault.kind.value, target=fault.target, hits=active.hits
        )
        for listener in self._on_change:
            listener(fault, False, at)


def fault_from(facts: Mapping[str, Any]) -> Fault:
    """Read one fault of a file; raises TypeError or ValueError."""
    return Fault(**{**facts, "kind": Kind(facts["kind"])})
