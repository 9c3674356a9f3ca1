from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from toolkit.core.histogram import Histogram, RecentHistogram

LATENCIES = st.lists(st.floats(0.002, 1e5), min_size=1, max_size=200)


@given(LATENCIES, st.floats(0, 100))
def test_percentiles_are_within_two_percent_of_the_nearest_rank(values: list[float], p: float):
    counted = Histogram()
    for value in values:
        counted.add(value)
    exact = sorted(values)[max(0, math.ceil(p / 100 * len(values)) - 1)]
    found = counted.percentile(p)
    assert found is not None
    assert abs(found - exact) <= 0.0201 * exact
    assert counted.maximum == max(values)


@given(LATENCIES, LATENCIES)
def test_merging_equals_counting_together(one: list[float], other: list[float]):
    together, first, second = Histogram(), Histogram(), Histogram()
    for value in one:
        first.add(value)
        together.add(value)
    for value in other:
        second.add(value, 2)
        together.add(value, 2)
    first.merge(second)
    assert first.count == together.count
    assert [first.percentile(p) for p in (0, 50, 99, 100)] == [
        together.percentile(p) for p in (0, 50, 99, 100)
    ]


def test_nothing_counted_has_no_percentiles():
    assert Histogram().summary() == {
        "count": 0,
        "average": None,
        "p50": None,
        "p95": None,
        "p99": None,
        "max": None,
    }


def test_cumulative_counts_rise_to_the_total():
    counted = Histogram()
    for value in (0.5, 5.0, 50.0, 500.0):
        counted.add(value)
    assert counted.cumulative([1, 10, 100, 1000]) == [1, 2, 3, 4]


def test_what_is_older_than_two_windows_is_forgotten():
    now = 0.0
    recent = RecentHistogram(window=10, monotonic=lambda: now)
    recent.add(1.0)
    now = 11.0
    assert recent.merged().count == 1
    recent.add(2.0)
    now = 22.0
    assert recent.merged().maximum == 2.0
    now = 60.0
    assert recent.merged().count == 0
