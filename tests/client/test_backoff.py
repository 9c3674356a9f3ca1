"""Pauses between attempts."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.client.backoff import GROWTH, LONGEST_SECONDS, Backoff
from toolkit.errors import ConfigError


@given(delay=st.floats(0.001, LONGEST_SECONDS), seed=st.integers(), count=st.integers(1, 50))
def test_each_pause_lies_between_the_delay_and_three_times_the_one_before(
    delay: float, seed: int, count: int
) -> None:
    backoff = Backoff(attempts=None, delay=delay, uniform=random.Random(seed).uniform)
    before = delay / 2
    for _ in range(count):
        pause = backoff.next()
        assert pause is not None
        assert (
            min(delay, LONGEST_SECONDS)
            <= pause
            <= min(LONGEST_SECONDS, max(delay, GROWTH * before))
        )
        before = pause


def test_it_ends_after_its_attempts() -> None:
    backoff = Backoff(attempts=3, delay=1.0)
    assert [backoff.next() is None for _ in range(5)] == [False, False, False, True, True]
    assert backoff.told() == "attempt 3 of 3"
    assert Backoff(attempts=0, delay=1.0).next() is None


def test_it_grows_to_the_longest() -> None:
    backoff = Backoff(attempts=None, delay=0.5, uniform=lambda low, high: high)
    assert [backoff.next() for _ in range(6)] == [0.75, 2.25, 6.75, 20.25, 30.0, 30.0]
    short = Backoff(attempts=None, delay=0.5, longest=1.0, uniform=lambda low, high: high)
    assert [short.next() for _ in range(3)] == [0.75, 1.0, 1.0]


def test_what_the_server_asks_for_is_granted_within_reason() -> None:
    backoff = Backoff(attempts=None, delay=0.5, uniform=lambda low, high: low)
    assert backoff.next(at_least=5.0) == 5.0
    assert backoff.next(at_least=1e9) == LONGEST_SECONDS
    assert backoff.next() == 0.5


@pytest.mark.parametrize(("attempts", "delay"), [(-1, 1.0), (1, 0.0), (1, -1.0), (1, 31.0)])
def test_nonsense_is_refused(attempts: int, delay: float) -> None:
    with pytest.raises(ConfigError, match="allowed"):
        Backoff(attempts=attempts, delay=delay)
