"""Things that are due at a moment, in order of time and then of arrival."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

from toolkit.exchange.values import Micros

Action = Callable[[Micros], None]


class Timers:
    """Actions by time; each is called with the moment at which it was due."""

    def __init__(self) -> None:
        self._heap: list[tuple[Micros, int, Action]] = []
        self._number = count()

    @property
    def due(self) -> Micros | None:
        """When the next action is due."""
        return self._heap[0][0] if self._heap else None

    def at(self, moment: Micros, action: Action) -> None:
        """Call `action` at a moment."""
        heapq.heappush(self._heap, (moment, next(self._number), action))

    def run(self, until: Micros) -> None:
        """Call what is due up to and including `until`, also what that makes due."""
        while self._heap and self._heap[0][0] <= until:
            moment, _, action = heapq.heappop(self._heap)
            action(moment)
