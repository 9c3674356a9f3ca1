"""Distributions of latencies in bounded memory: percentiles within 2 %, mergeable."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

# Ratio of two neighbouring bucket bounds; the middle of a bucket is within 2 % of what is in it.
GROWTH = 1.04
SMALLEST = 1e-3
LARGEST = 1e6
_LOG = math.log(GROWTH)
_LAST = math.ceil(math.log(LARGEST / SMALLEST) / _LOG)


class Histogram:
    """Counts of values (any unit; here milliseconds) in buckets that grow by 4 %.

    Values below 0.001 are counted as 0.001, above 1e6 as 1e6; `maximum` and `total` are exact.
    """

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.maximum = 0.0
        self._buckets: dict[int, int] = {}

    def add(self, value: float, count: int = 1) -> None:
        """Count `value`, `count` times."""
        bucket = 0 if value <= SMALLEST else min(int(math.log(value / SMALLEST) / _LOG) + 1, _LAST)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + count
        self.count += count
        self.total += value * count
        self.maximum = max(self.maximum, value)

    def merge(self, other: Histogram) -> None:
        """Count everything that `other` has counted."""
        for bucket, count in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count
        self.count += other.count
        self.total += other.total
        self.maximum = max(self.maximum, other.maximum)

    def percentile(self, percent: float) -> float | None:
        """Return the nearest-rank percentile, None when nothing was counted."""
        if not self.count:
            return None
        wanted, seen = max(1, math.ceil(percent / 100.0 * self.count)), 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return min(_middle(bucket), self.maximum)
        return self.maximum

    def cumulative(self, bounds: Iterable[float]) -> list[int]:
        """Return for each bound how many values are at most that large (Prometheus' `le`)."""
        return [sum(n for b, n in self._buckets.items() if _middle(b) <= bound) for bound in bounds]

    def summary(self) -> dict[str, Any]:
        """Return count, average, p50, p95, p99 and max; None where nothing was counted."""
        return {
            "count": self.count,
            "average": self.total / self.count if self.count else None,
            "p50": self.percentile(50),
            "p95": self.percentile(95),
            "p99": self.percentile(99),
            "max": self.maximum if self.count else None,
        }


class RecentHistogram:
    """A distribution of about the last `window` to twice `window` seconds."""

    def __init__(self, *, window: float, monotonic: Callable[[], float]) -> None:
        self._window = window
        self._monotonic = monotonic
        self._since = monotonic()
        self._now = Histogram()
        self._before = Histogram()

    def add(self, value: float, count: int = 1) -> None:
        """Count `value`, `count` times."""
        self._turn()
        self._now.add(value, count)

    def merged(self) -> Histogram:
        """Return the distribution as it is now."""
        self._turn()
        both = Histogram()
        both.merge(self._before)
        both.merge(self._now)
        return both

    def _turn(self) -> None:
        passed = self._monotonic() - self._since
        if passed < self._window:
            return
        self._before = self._now if passed < 2 * self._window else Histogram()
        self._now = Histogram()
        self._since = self._monotonic()


def _middle(bucket: int) -> float:
    return SMALLEST if bucket == 0 else SMALLEST * GROWTH ** (bucket - 0.5)
