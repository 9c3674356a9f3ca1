"""Latencies as the compiled client counts them: whole microseconds in an array of buckets."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from toolkit.core.compiled import part
from toolkit.core.histogram import Histogram

# A bucket is at most 1/64 of its values wide; what took longer than 17 minutes counts as 17.
LARGEST = (1 << 30) - 1
BUCKETS = 24 * 64 + 64

Pairs = list[tuple[float, int]]


def bucket_of(microseconds: int) -> int:
    """Return the index of the bucket; below 128 it is the value itself."""
    value, halvings = min(max(microseconds, 0), LARGEST), 0
    while value >= 128:
        value >>= 1
        halvings += 1
    return halvings * 64 + value


compiled_bucket_of = part(bucket_of)


def middle_ms(bucket: int) -> float:
    """Return the middle of a bucket in milliseconds."""
    if bucket < 128:
        return bucket / 1000.0
    halvings = bucket // 64 - 1
    return ((bucket - halvings * 64) + 0.5) * (1 << halvings) / 1000.0


def pairs(counts: NDArray[np.int64]) -> Pairs:
    """Return `(milliseconds, count)` of all buckets that hold something."""
    return [(middle_ms(int(bucket)), int(counts[bucket])) for bucket in np.flatnonzero(counts)]


def histogram(latencies: Iterable[tuple[float, int]]) -> Histogram:
    """Return the distribution of `(milliseconds, count)` pairs."""
    found = Histogram()
    for milliseconds, count in latencies:
        found.add(milliseconds, count)
    return found
