"""One-way latency of live messages, per stream, by the server's clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from toolkit.client.clock import Estimate, ServerClock, SteadyWall
from toolkit.core.histogram import Histogram, RecentHistogram

WINDOW_SECONDS = 60.0
# What the server is told about this client's latency.
REPORTED = ("count", "p50", "p95", "p99", "max")


class LatencyMeter:
    """Measures messages as they arrive; all figures are of about the last minute, in ms.

    Only live messages count: no snapshots, and nothing that was published before its stream was
    confirmed on this connection. Nothing is measured while the clock's offset is unknown.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = ServerClock()
        self._wall = SteadyWall(wall, monotonic)
        self._steps = 0
        self._monotonic = monotonic
        self._streams: dict[str, RecentHistogram] = {}
        self._since: dict[str, float] = {}
        self._current: float | None = None

    @property
    def estimate(self) -> Estimate | None:
        """The server's clock, None before the first ping was answered."""
        return self.clock.estimate

    def connected(self) -> None:
        """Start anew: another connection, perhaps another server."""
        self._since.clear()
        self.clock.restart()

    def confirmed(self, stream: str) -> None:
        """Note that what is published from now on is live on `stream`."""
        self._since.setdefault(stream, self._wall.now())

    def steps(self) -> int:
        """Return how often the wall clock was set, or the machine slept; then measure anew."""
        self._look()
        return self._steps

    def arrival(self) -> float | None:
        """Return the wall time at which something arrives; None when it cannot be measured."""
        if self.clock.estimate is None:
            return None
        now, stepped = self._look()
        return None if stepped else now

    def note(self, message: Mapping[str, Any], arrival: float | None) -> None:
        """Measure one live message that came at `arrival`."""
        known = self.clock.estimate
        if arrival is None or known is None or message.get("snapshot"):
            return
        stream = message["stream_type"]
        by_our_clock = _seconds(message.get("published")) - known.offset_ms / 1000.0
        if not by_our_clock >= self._since.get(stream, arrival):
            return
        # Below zero only within the clock's uncertainty.
        self._current = max(0.0, (arrival - by_our_clock) * 1000.0)
        histogram = self._streams.get(stream)
        if histogram is None:
            histogram = RecentHistogram(window=WINDOW_SECONDS, monotonic=self._monotonic)
            self._streams[stream] = histogram
        histogram.add(self._current)

    @property
    def average(self) -> float | None:
        """Average one-way latency in ms; before the first message, half the round trip, or None."""
        merged, known = self._merged(), self.clock.estimate
        if not merged.count:
            return None if known is None else known.uncertainty_ms
        return merged.total / merged.count

    def by_stream(self) -> dict[str, dict[str, Any]]:
        """Return `{stream: {count, average, p50, p95, p99, max}}` of the streams measured."""
        return {name: found.merged().summary() for name, found in self._streams.items()}

    def overall(self) -> dict[str, Any]:
        """Return count, average, p50, p95, p99 and max over all streams."""
        return self._merged().summary()

    def report(self) -> dict[str, Any] | None:
        """Return what `ping` tells the server, None when nothing was measured."""
        summary = self.overall()
        return {name: summary[name] for name in REPORTED} if summary["count"] else None

    def update(self, round_trip_ms: float, *, target: float) -> dict[str, Any]:
        """Return what `latency_update` carries.

        `current` is the latest message's latency; before the first, half the round trip.
        """
        known, summary = self.clock.estimate, self.overall()
        current = round_trip_ms / 2.0 if self._current is None else self._current
        return {
            "current": current,
            **{name: summary[name] for name in ("average", "p50", "p95", "p99", "max", "count")},
            "target": target,
            "ok": (summary["p99"] if summary["count"] else current) <= target,
            "round_trip_ms": round_trip_ms,
            "offset_ms": None if known is None else known.offset_ms,
            "uncertainty_ms": None if known is None else known.uncertainty_ms,
        }

    def _look(self) -> tuple[float, bool]:
        now = self._wall.now()
        if self._wall.steps == self._steps:
            return now, False
        self._steps = self._wall.steps
        self._since = dict.fromkeys(self._since, now)
        self.clock.restart()
        return now, True

    def _merged(self) -> Histogram:
        merged = Histogram()
        for found in self._streams.values():
            merged.merge(found.merged())
        return merged


def _seconds(published: Any) -> float:
    try:
        return datetime.fromisoformat(published).timestamp()
    except (TypeError, ValueError):
        return math.nan
