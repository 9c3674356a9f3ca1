"""Latencies of one stream: of the last seconds, and since the start; and rates, likewise."""

from __future__ import annotations

from collections import deque

from toolkit.core.histogram import Histogram

SLICE_SECONDS = 5.0
WINDOW_SECONDS = 60.0


class StreamLatency:
    """Distribution of milliseconds, cut into slices of five seconds.

    `now` is always monotonic time in seconds, and never runs backwards.
    """

    def __init__(self) -> None:
        self.current: float | None = None
        self.noted_at = 0.0
        self._slices: deque[tuple[float, Histogram]] = deque()
        self._newest = Histogram()
        self._until = 0.0
        self._before = Histogram()

    def note(self, milliseconds: float, count: int, *, now: float) -> None:
        """Count one latency for each of `count` receivers."""
        if now >= self._until:
            self._turn(now)
        self._newest.add(milliseconds, count)
        self.current, self.noted_at = milliseconds, now

    def recent(self, seconds: float, *, now: float) -> Histogram:
        """Return the last `seconds` (up to a slice more), at most the window."""
        both = Histogram()
        for began, latencies in self._slices:
            if began + SLICE_SECONDS > now - seconds:
                both.merge(latencies)
        return both

    def total(self) -> Histogram:
        """Return everything since the start; only grows, as Prometheus wants it."""
        both = Histogram()
        both.merge(self._before)
        for _, latencies in self._slices:
            both.merge(latencies)
        return both

    def forget_recent(self) -> None:
        """Begin the window anew; the total stays."""
        self._before = self.total()
        self._slices.clear()
        self._until = 0.0
        self.current, self.noted_at = None, 0.0

    def _turn(self, now: float) -> None:
        while self._slices and self._slices[0][0] + SLICE_SECONDS <= now - WINDOW_SECONDS:
            self._before.merge(self._slices.popleft()[1])
        self._newest = Histogram()
        self._slices.append((now, self._newest))
        self._until = now + SLICE_SECONDS


class Rate:
    """Events a second over the last ten seconds; `now` as above."""

    SECONDS = 10

    def __init__(self, *, now: float) -> None:
        self._since = now
        self._counts: deque[tuple[int, int]] = deque(maxlen=self.SECONDS + 1)

    def note(self, count: int, *, now: float) -> None:
        """Count `count` events."""
        second = int(now)
        if self._counts and self._counts[-1][0] == second:
            count += self._counts.pop()[1]
        self._counts.append((second, count))

    def per_second(self, *, now: float) -> float:
        """Return the rate; over the time since the beginning while that is shorter."""
        began = now - self.SECONDS
        if began <= self._since:
            counted: float = sum(count for _, count in self._counts)
            return counted / max(now - self._since, 1.0)
        inside = ((count, min(second + 1 - began, 1.0)) for second, count in self._counts)
        return sum(count * part for count, part in inside if part > 0) / self.SECONDS
