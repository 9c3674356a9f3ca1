"""Everything that the exchange did on purpose, in order: for tests, and for the person."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from toolkit.exchange.values import Micros, stamp

KEPT = 100_000
Listener = Callable[[dict[str, Any]], None]


class EventLog:
    """Entries `{number, time, what, ...facts}`; the latest 100,000 are kept."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._listeners: list[Listener] = []
        self._number = 0

    def listen(self, listener: Listener) -> None:
        """Hand every later entry to `listener`."""
        self._listeners.append(listener)

    def add(self, what: str, at: Micros, **facts: Any) -> None:
        """Write one entry."""
        self._number += 1
        entry = {"number": self._number, "time": stamp(at), "what": what, **facts}
        self._entries.append(entry)
        for listener in self._listeners:
            listener(entry)

    def entries(self, prefix: str = "") -> list[dict[str, Any]]:
        """Return the entries whose `what` begins so, oldest first."""
        return [entry for entry in self._entries if entry["what"].startswith(prefix)]
