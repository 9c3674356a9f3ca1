"""From notices to messages: grouped, never twice, and a flood becomes a count. Pure."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.alerts.rules import Kind, Notice

# Beyond this many subjects the oldest is forgotten: it may be told again a little early.
KEPT_SUBJECTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent to every target; `notices` is how many it stands for."""

    title: str
    body: str
    notices: int
    urgent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """How patient alerts are, in seconds.

    Notices wait `gather` for company. One subject is told once in `repeat`: what changes sooner
    waits, and of several changes the last is told. `urgent_burst` messages go at once in any
    `repeat`; further urgent ones wait like the others. A message has `lines` at most.
    """

    gather: float = 10.0
    repeat: float = 60.0
    urgent_burst: int = 5
    lines: int = 20


@dataclass(slots=True)
class _Told:
    at: float
    text: str
    held: Notice | None = None
    changes: int = 0


class Digest:
    """Holds notices until their message is due. `now` is any clock in seconds that never falls."""

    def __init__(self, throttle: Throttle | None = None, *, name: str = "toolkit") -> None:
        self._throttle = throttle or Throttle()
        self._name = name
        self._lines: list[str] = []
        self._counts: Counter[Kind] = Counter()
        self._shown: Counter[Kind] = Counter()
        self._flush_at = math.inf
        self._urgent = False
        self._waiting: set[str] = set()  # subjects of the message that is not sent yet
        self._told: dict[str, _Told] = {}
        self._bursts: deque[float] = deque()

    def add(self, notice: Notice, *, now: float) -> None:
        """Take a notice; `due` says when something is to be sent."""
        told = self._told.get(notice.subject) if notice.subject else None
        if told is None:
            self._take(notice, now)
            return
        if told.held is not None and now >= told.at + self._throttle.repeat:
            self._release(told, now)
        fresh = now < told.at + self._throttle.repeat
        joins = notice.subject in self._waiting or self._may_hurry(notice, now)
        if fresh and (told.text == notice.text or not joins):
            told.held, told.changes = notice, told.changes + 1
            return
        if told.held is not None:
            self._counts[told.held.kind] += told.changes
        self._take(notice, now)

    def due(self, *, now: float) -> Message | None:
        """Return the message whose time has come, None while there is none."""
        for told in self._told.values():
            if told.held is not None and now >= told.at + self._throttle.repeat:
                self._release(told, now)
        return self._message() if now >= self._flush_at else None

    def next_due(self) -> float:
        """Return when `due` has to be asked again; infinity while nothing waits."""
        held = [told.at for told in self._told.values() if told.held is not None]
        return min(self._flush_at, min(held, default=math.inf) + self._throttle.repeat)

    def rest(self, *, now: float) -> Message | None:
        """Return all that waits: nobody will ask again."""
        for told in self._told.values():
            if told.held is not None:
                self._release(told, now)
        return self._message()

    def _release(self, told: _Told, now: float) -> None:
        notice, changes = told.held, told.changes
        told.held, told.changes = None, 0
        assert notice is not None
        again = f" (again, {changes} times)" if notice.text == told.text else ""
        several = again or (f" (after {changes} changes)" if changes > 1 else "")
        told.at, told.text = now, notice.text
        self._write(notice.kind, f"{notice.text}{several}", count=changes)
        self._flush_at = min(self._flush_at, now)

    def _may_hurry(self, notice: Notice, now: float) -> bool:
        while self._bursts and now >= self._bursts[0] + self._throttle.repeat:
            self._bursts.popleft()
        return notice.urgent and len(self._bursts) < self._throttle.urgent_burst

    def _take(self, notice: Notice, now: float) -> None:
        hurry = self._may_hurry(notice, now)
        if notice.subject:
            self._told.pop(notice.subject, None)
            self._told[notice.subject] = _Told(at=now, text=notice.text)
            self._waiting.add(notice.subject)
            self._forget()
        self._write(notice.kind, notice.text, count=1)
        self._urgent |= notice.urgent
        if hurry:
            self._bursts.append(now)
            self._flush_at = now
        else:
            self._flush_at = min(self._flush_at, now + self._throttle.gather)

    def _forget(self) -> None:
        while len(self._told) > KEPT_SUBJECTS:
            oldest = next(iter(self._told))
            held = self._told.pop(oldest)
            if held.held is not None:
                self._counts[held.held.kind] += held.changes

    def _write(self, kind: Kind, line: str, *, count: int) -> None:
        self._counts[kind] += count
        if len(self._lines) < self._throttle.lines:
            self._lines.append(line)
            self._shown[kind] += count

    def _message(self) -> Message | None:
        counts, lines = self._counts, list(self._lines)
        if not counts:
            return None
        more = counts - self._shown
        if more:
            lines.append(f"and {_listed(more)} more")
        only = lines[0] if len(lines) == 1 else _listed(counts)
        message = Message(
            title=f"{self._name}: {_short(only)}",
            body="\n".join(lines),
            notices=counts.total(),
            urgent=self._urgent,
        )
        self._counts, self._shown, self._lines = Counter(), Counter(), []
        self._flush_at, self._urgent = math.inf, False
        self._waiting.clear()
        return message


def _listed(counts: Counter[Kind]) -> str:
    parts: Sequence[str] = [f"{counts[kind]} {kind.value}" for kind in Kind if counts[kind]]
    return ", ".join(parts)


def _short(line: str, *, most: int = 80) -> str:
    plain = " ".join(line.split())
    return plain if len(plain) <= most else f"{plain[: most - 3]}..."
