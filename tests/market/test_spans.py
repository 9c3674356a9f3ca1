"""Spans of time against plain sets of minutes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from toolkit.market.spans import Span, merged, pieces, without

START = datetime(2026, 1, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

SPANS = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(
    lambda pair: Span(START + min(pair) * MINUTE, START + max(pair) * MINUTE)
)


def minutes(*spans: Span) -> set[int]:
    return {n for span in spans for n in range(31) if span.start <= START + n * MINUTE < span.end}


@given(st.lists(SPANS, max_size=8))
def test_merged_spans_hold_the_same_time_and_do_not_touch(spans: list[Span]) -> None:
    out = merged(spans)
    assert minutes(*out) == minutes(*spans)
    assert all(one.end < other.start for one, other in pairwise(out))


@given(SPANS, st.lists(SPANS, max_size=8))
def test_what_is_left_is_what_is_not_known(span: Span, known: list[Span]) -> None:
    left = without(span, known)
    assert minutes(*left) == minutes(span) - minutes(*known)
    assert left == merged(left)


@given(SPANS, st.integers(1, 7))
def test_pieces_are_the_whole_in_order(span: Span, length: int) -> None:
    parts = list(pieces(span, length * MINUTE))
    assert [n for part in parts for n in sorted(minutes(part))] == sorted(minutes(span))
    assert all(part.end - part.start <= length * MINUTE for part in parts)
