from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from toolkit.loadtest.latency import (
    BUCKETS,
    LARGEST,
    bucket_of,
    compiled_bucket_of,
    histogram,
    middle_ms,
    pairs,
)


@given(st.integers(0, LARGEST))
def test_the_middle_of_a_bucket_is_within_one_percent_of_what_is_in_it(micros: int):
    middle = middle_ms(bucket_of(micros)) * 1000
    assert abs(middle - micros) <= max(0.01 * micros, 0.0)
    assert bucket_of(micros) == compiled_bucket_of(micros)


@given(st.integers(0, LARGEST - 1))
def test_buckets_are_in_order(micros: int):
    assert bucket_of(micros) <= bucket_of(micros + 1) <= bucket_of(micros) + 1


def test_extremes_have_a_place():
    assert bucket_of(-5) == 0
    assert bucket_of(1 << 50) == bucket_of(LARGEST) < BUCKETS


def test_counts_become_a_histogram():
    counts = np.zeros(BUCKETS, np.int64)
    counts[bucket_of(1_000)] = 99
    counts[bucket_of(80_000)] = 1
    found = histogram(pairs(counts))
    assert found.count == 100
    assert abs((found.percentile(99) or 0) - 1.0) < 0.03
    assert abs(found.maximum - 80.0) < 0.8
