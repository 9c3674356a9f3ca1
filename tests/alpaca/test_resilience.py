"""Rate limit, circuit breaker and backoff, by the clock of the test."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from toolkit.alpaca.resilience import (
    BURST,
    EXIT_PAUSE,
    Backoff,
    Breaker,
    BreakerState,
    Priority,
    TokenBucket,
)

PRIORITIES = st.sampled_from(Priority)
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


@given(
    asks=st.lists(st.tuples(st.floats(0, 5), PRIORITIES), max_size=200),
    limit=st.integers(10, 200),
)
@settings(max_examples=40, deadline=None)
def test_never_more_than_the_limit_goes_out_in_any_minute(asks, limit):
    """200 requests a minute."""
    bucket, now, taken = TokenBucket(per_minute=limit, now=0.0), 0.0, []
    for pause, priority in asks:
        now += pause / 10
        if bucket.take(priority, now):
            taken.append(now)
    for first, moment in enumerate(taken):
        assert sum(moment <= other < moment + 60.0 for other in taken[first:]) <= limit


@given(asks=st.lists(st.tuples(st.floats(0, 2), PRIORITIES), max_size=100))
@settings(max_examples=40, deadline=None)
def test_after_the_wait_that_it_names_a_token_is_there_and_not_before(asks):
    bucket, now = TokenBucket(per_minute=190, now=0.0), 0.0
    for pause, priority in asks:
        now += pause / 100
        wait = bucket.wait(priority, now)
        if wait > 0.002:
            assert not bucket.take(priority, now + wait - 0.001)
        now += wait + 1e-6
        assert bucket.take(priority, now)


def test_polling_leaves_tokens_for_entries_and_entries_leave_some_for_exits():
    bucket = TokenBucket(per_minute=190, now=0.0)

    def all_of(priority: Priority) -> int:
        count = 0
        while bucket.take(priority, 0.0):
            count += 1
        return count

    found = [all_of(priority) for priority in reversed(Priority)]
    assert found == [20, 10, 10]
    assert sum(found) == BURST


def test_a_pause_holds_everybody_and_no_limit_is_no_limit():
    bucket = TokenBucket(per_minute=0, now=0.0)
    assert all(bucket.take(Priority.BACKGROUND, 0.0) for _ in range(10_000))
    bucket.pause(3.0, 0.0)
    assert bucket.wait(Priority.ENTRY, 1.0) == 2.0
    assert not bucket.take(Priority.EXIT, 1.0)
    assert bucket.take(Priority.BACKGROUND, 3.0)


def test_exits_try_again_soon_however_long_alpaca_asks_to_wait():
    bucket = TokenBucket(per_minute=0, now=0.0)
    bucket.pause(60.0, 0.0)
    assert bucket.wait(Priority.EXIT, 0.0) == EXIT_PAUSE
    assert bucket.take(Priority.EXIT, EXIT_PAUSE)
    assert bucket.wait(Priority.ENTRY, EXIT_PAUSE) == 60.0 - EXIT_PAUSE


def test_the_breaker_opens_after_failures_in_a_row_and_tells_of_every_change():
    told = []
    breaker = Breaker(
        failures=3, rest=2.0, longest=5.0, on_change=lambda state, why: told.append((state, why))
    )
    for now in (0.0, 0.1):
        breaker.failed("no answer", now)
    breaker.succeeded()
    for now in (1.0, 1.1, 1.2):
        assert breaker.wait(Priority.ENTRY, now) == 0.0
        breaker.failed("no answer", now)
    assert told == [(OPEN, "no answer")]
    assert breaker.wait(Priority.ENTRY, 1.2) == 2.0
    assert breaker.wait(Priority.EXIT, 1.2) == 0.0
    assert breaker.wait(Priority.ENTRY, 3.2) == 0.0  # the trial
    assert breaker.state is HALF_OPEN
    assert breaker.wait(Priority.ENTRY, 3.3) > 0.0  # one trial at a time
    breaker.failed("still none", 3.4)
    assert breaker.wait(Priority.ENTRY, 3.4) == 4.0
    assert breaker.wait(Priority.BACKGROUND, 7.4) == 0.0
    breaker.failed("still none", 7.5)
    assert breaker.wait(Priority.ENTRY, 7.5) == 5.0  # the longest
    assert breaker.wait(Priority.ENTRY, 12.5) == 0.0
    breaker.succeeded()
    assert (breaker.state, breaker.reason) == (CLOSED, "")
    assert [state for state, _ in told] == [
        OPEN,
        HALF_OPEN,
        OPEN,
        HALF_OPEN,
        OPEN,
        HALF_OPEN,
        CLOSED,
    ]


def test_a_trial_that_is_never_heard_of_does_not_close_the_door_for_ever():
    breaker = Breaker(failures=1, rest=2.0)
    breaker.failed("no answer", 0.0)
    assert breaker.wait(Priority.ENTRY, 2.0) == 0.0
    assert breaker.wait(Priority.ENTRY, 3.9) > 0.0
    assert breaker.wait(Priority.ENTRY, 4.0) == 0.0


class BreakerMachine(RuleBasedStateMachine):
    """Whatever happens: exits go, the door opens again in time, and every change is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[BreakerState] = [CLOSED]
        self.breaker = Breaker(
            failures=2, rest=1.0, longest=4.0, on_change=lambda state, _: self.told.append(state)
        )
        self.now = 0.0
        self.open_requests = 0

    @rule(priority=PRIORITIES)
    def ask(self, priority: Priority) -> None:
        if self.breaker.wait(priority, self.now) == 0.0:
            self.open_requests += 1

    @precondition(lambda self: self.open_requests)
    @rule()
    def answer(self) -> None:
        self.open_requests -= 1
        self.breaker.succeeded()
        assert self.breaker.state is CLOSED

    @precondition(lambda self: self.open_requests)
    @rule()
    def fail(self) -> None:
        self.open_requests -= 1
        self.breaker.failed("no answer", self.now)

    @rule(seconds=st.floats(0.01, 3.0))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def what_was_told_is_what_is(self) -> None:
        assert self.told[-1] is self.breaker.state
        assert all(a is not b for a, b in zip(self.told, self.told[1:], strict=False))

    @invariant()
    def nobody_waits_longer_than_the_longest_rest(self) -> None:
        if self.breaker.state is CLOSED:
            assert self.breaker.wait(Priority.BACKGROUND, self.now) == 0.0
        assert self.breaker._until - self.now <= 4.0 + 1e-9
        assert self.breaker.wait(Priority.EXIT, self.now) == 0.0


BreakerMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestBreaker = BreakerMachine.TestCase


@pytest.mark.parametrize("part", [0.0, 1.0])
def test_pauses_double_up_to_the_longest_and_are_drawn_from_the_upper_half(part):
    backoff = Backoff(uniform=lambda low, high: low + part * (high - low))
    found = [backoff.next(shortest=1.0, longest=10.0) for _ in range(6)]
    assert found == [full * (0.5 + part / 2) for full in (1, 2, 4, 8, 10, 10)]
    backoff.reset()
    assert backoff.next(shortest=1.0, longest=10.0) == 0.5 + part / 2
    for _ in range(5000):  # no number grows out of bounds
        backoff.next(shortest=1.0, longest=10.0)
