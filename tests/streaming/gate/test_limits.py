"""Limits as rules: for any schedule, no more than allowed passes and nothing is kept for ever."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.effort import tries
from toolkit.streaming.gate.limits import (
    PACE,
    PROMPT,
    Allowance,
    Occupancy,
    Penalties,
    TokenBucket,
    Verdict,
)

pauses = st.lists(st.floats(0, 0.5), min_size=1, max_size=200)


@given(pauses, st.floats(0.5, 100), st.integers(1, 50))
def test_no_window_lets_more_through_than_burst_and_rate(
    gaps: list[float], rate: float, burst: int
) -> None:
    bucket, now = TokenBucket(rate=rate, burst=burst, now=0.0), 0.0
    taken: list[float] = []
    for gap in gaps:
        now += gap
        if bucket.take(now):
            taken.append(now)
    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + rate * (taken[last] - start) + 1e-6


@given(pauses, st.floats(0.5, 100), st.integers(1, 50))
def test_who_waits_as_told_gets_through(gaps: list[float], rate: float, burst: int) -> None:
    bucket, now = TokenBucket(rate=rate, burst=burst, now=0.0), 0.0
    for gap in gaps:
        now += gap
        if not bucket.take(now):
            now += bucket.wait(now) + 1e-9
            assert bucket.take(now)


@given(st.floats(0.5, 100), st.integers(1, 50), st.integers(1, 100))
def test_who_keeps_to_the_rate_is_never_refused(rate: float, burst: int, count: int) -> None:
    allowance = Allowance(rate=rate, burst=burst, now=0.0)
    times = [number * (1.0 / rate + 1e-9) for number in range(count)]
    assert {allowance.take(now) for now in times} == {Verdict.TAKEN}


@given(pauses)
def test_a_clock_that_steps_back_gives_nothing(gaps: list[float]) -> None:
    bucket = TokenBucket(rate=1.0, burst=5, now=1000.0)
    assert sum(bucket.take(1000.0 - gap) for gap in gaps) <= 5


def test_a_flood_is_told_then_cut_off() -> None:
    allowance = Allowance(rate=50, burst=200, now=0.0)
    verdicts = Counter(allowance.take(0.0) for _ in range(500))
    assert verdicts == {Verdict.TAKEN: 200, Verdict.REFUSED: 200, Verdict.CUT: 100}
    problem = allowance.problem(0.0)
    assert problem.data["retry_after"] == pytest.approx(0.02)
    assert "50 a second" in problem.message


def test_a_burst_begins_at_once_and_then_takes_its_time() -> None:
    allowance, now = Allowance(rate=50, burst=200, now=0.0), 0.0
    for _ in range(500):
        now += allowance.pause(now)
    assert now == pytest.approx((500 - PROMPT) / (50 * PACE))
    assert [allowance.pause(now + 10.0) for _ in range(PROMPT)] == [0.0] * PROMPT


@given(st.lists(st.integers(1, 16), min_size=1, max_size=40), st.floats(1, 100))
def test_many_messages_at_once_wait_as_long_as_one_by_one(counts: list[int], rate: float) -> None:
    together = Allowance(rate=rate, burst=30, now=0.0)
    apart = Allowance(rate=rate, burst=30, now=0.0)
    for count in counts:
        last = [apart.pause(0.0) for _ in range(count)][-1]
        assert together.pause(0.0, count=count) == last


def test_who_keeps_to_the_rate_never_waits() -> None:
    allowance = Allowance(rate=50, burst=200, now=0.0)
    assert not any(allowance.pause(number / 50) for number in range(1000))


def test_up_to_twice_the_rate_a_client_stays() -> None:
    allowance = Allowance(rate=50, burst=20, now=0.0)
    assert Verdict.CUT not in {allowance.take(number / 99) for number in range(5000)}
    assert Verdict.CUT in {allowance.take(100 + number / 200) for number in range(5000)}


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_address_that_offends_waits_and_no_other_does() -> None:
    time = Time()
    penalties = Penalties(free=3, longest=2.0, monotonic=time)
    for _ in range(3):
        assert penalties.wait("a") == 0.0
        penalties.offend("a")
    assert penalties.wait("a") == pytest.approx(1.0)
    for _ in range(1000):
        penalties.offend("a")
    assert penalties.wait("a") == 2.0
    assert penalties.wait("b") == 0.0


def test_offences_are_forgiven_one_a_second_however_many_there_were() -> None:
    time = Time()
    penalties = Penalties(free=3, longest=2.0, monotonic=time)
    for _ in range(1000):
        penalties.offend("a")
    time.now = 3.0
    assert penalties.wait("a") == 0.0
    penalties.forget()
    assert len(penalties) == 1
    time.now = 6.0
    penalties.forget()
    assert len(penalties) == 0


@given(st.lists(st.integers(0, 30), max_size=200))
def test_only_so_many_addresses_are_remembered(addresses: list[int]) -> None:
    penalties = Penalties(free=1, longest=2.0, monotonic=Time(), most=5)
    for address in addresses:
        penalties.offend(str(address))
        assert penalties.wait(str(address)) > 0.0
        assert len(penalties) <= 5


class Places(RuleBasedStateMachine):
    """Clients come and go; the count is theirs at every moment."""

    def __init__(self) -> None:
        super().__init__()
        self.places = Occupancy(total=6, per_key=3)
        self.inside: Counter[str] = Counter()

    @rule(key=st.sampled_from("abc"))
    def come(self, key: str) -> None:
        full = self.inside.total() >= 6 or self.inside[key] >= 3
        assert (self.places.enter(key) is not None) == full
        self.inside[key] += not full

    @rule(key=st.sampled_from("abc"))
    def go(self, key: str) -> None:
        if self.inside[key]:
            self.places.leave(key)
            self.inside[key] -= 1

    @rule(key=st.sampled_from("abcd"))
    def go_without_having_come(self, key: str) -> None:
        if not self.inside[key]:
            self.places.leave(key)

    @invariant()
    def the_count_is_right(self) -> None:
        assert len(self.places) == self.inside.total()


Places.TestCase.settings = settings(max_examples=tries(30), deadline=None)
TestPlaces = Places.TestCase


def test_the_reason_names_the_limit() -> None:
    places = Occupancy(total=2, per_key=1)
    assert places.enter("a") is None
    assert "your address has all its 1 places taken" in str(places.enter("a"))
    assert places.enter("b") is None
    assert "all 2 places are taken" in str(places.enter("c"))
