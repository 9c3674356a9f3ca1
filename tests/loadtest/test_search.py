from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from toolkit.loadtest.search import Attempt, search


def follow(held: Callable[[Attempt], bool], *, start: float = 50.0, most: float = 1e6):
    searching = search(start, probe=2.0, confirm=20.0, most=most)
    attempts = [next(searching)]
    while True:
        try:
            attempts.append(searching.send(held(attempts[-1])))
        except StopIteration as end:
            return end.value, attempts


@given(st.floats(1.0, 9e5))
def test_the_highest_rate_is_found_within_a_tenth(capacity: float):
    found, attempts = follow(lambda attempt: attempt.rate <= capacity)
    assert found is not None
    assert capacity / 1.11 <= found <= capacity
    assert attempts[-1] == Attempt(found, 20.0)
    assert len(attempts) < 50


@given(st.floats(20.0, 9e5), st.floats(0.5, 0.99))
def test_a_rate_that_is_not_confirmed_is_lowered_by_a_tenth(capacity: float, lasting: float):
    found, attempts = follow(
        lambda attempt: attempt.rate <= capacity * (1.0 if attempt.seconds < 20 else lasting)
    )
    assert found is not None
    assert found <= capacity * lasting
    assert found >= min(capacity / 1.11, capacity * lasting) * 0.9
    confirmations = dict.fromkeys(attempt for attempt in attempts if attempt.seconds == 20.0)
    assert all(b.rate == a.rate * 0.9 for a, b in pairwise(confirmations))


def test_a_probe_has_failed_when_it_failed_twice():
    noise = iter([True, False])  # the second attempt, at 100, is disturbed once

    found, attempts = follow(lambda attempt: attempt.rate <= 1000 and next(noise, True))
    assert found is not None and found > 900
    assert [attempt.rate for attempt in attempts[:4]] == [50, 100, 100, 200]


def test_no_rate_at_all_is_told():
    found, attempts = follow(lambda attempt: False)
    assert found is None
    assert min(attempt.rate for attempt in attempts) < 1.0


def test_the_search_ends_at_the_most_that_is_asked_for():
    found, attempts = follow(lambda attempt: True, most=300.0)
    assert found == 300.0
    assert max(attempt.rate for attempt in attempts) == 300.0
