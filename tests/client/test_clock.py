"""The server's clock as seen from here."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.client.clock import KEPT, ServerClock, SteadyWall

delays = st.floats(0, 5.0)
# Wall times have a resolution of a quarter of a microsecond as floats.
ROUNDING_MS = 0.002


@given(
    offset=st.floats(-1e6, 1e6),
    there=st.lists(delays, min_size=1, max_size=20),
    back=delays,
    thinking=delays,
)
def test_the_offset_is_wrong_by_no_more_than_it_says(
    offset: float, there: list[float], back: float, thinking: float
) -> None:
    clock, now = ServerClock(), 1.7e9
    for delay in there:
        arrived = now + delay
        clock.add(now, arrived + offset, arrived + thinking + offset, arrived + thinking + back)
        now += 100.0
    assert clock.estimate is not None
    error = abs(clock.estimate.offset_ms - offset * 1000.0)
    assert error <= clock.estimate.uncertainty_ms + ROUNDING_MS


@given(round_trips=st.lists(st.floats(0.001, 10.0), min_size=1, max_size=30))
def test_the_least_round_trip_of_the_last_eight_counts(round_trips: list[float]) -> None:
    clock = ServerClock()
    for trip in round_trips:
        clock.add(0.0, trip / 2, trip / 2, trip)
    assert clock.estimate is not None
    assert clock.estimate.round_trip_ms == pytest.approx(1000.0 * min(round_trips[-KEPT:]))


def test_times_that_cannot_be_are_refused() -> None:
    clock = ServerClock()
    assert clock.add(10.0, 5.0, 5.0, 9.0) is None
    assert clock.add(10.0, 5.0, 4.0, 11.0) is None
    assert clock.add(10.0, math.nan, 5.0, 11.0) is None
    assert clock.estimate is None


def test_starting_anew_forgets() -> None:
    clock = ServerClock()
    clock.add(0.0, 7.0, 7.0, 0.1)
    clock.restart()
    assert clock.estimate is None
    clock.add(0.0, 1.0, 1.0, 0.5)
    assert clock.estimate is not None
    assert clock.estimate.offset_ms == pytest.approx(750.0)


class Hands:
    """A wall clock and a monotonic one that the test moves."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1.7e9, 50.0

    def steady(self) -> SteadyWall:
        return SteadyWall(lambda: self.wall, lambda: self.monotonic)

    def pass_(self, seconds: float, *, wall: float | None = None) -> None:
        self.monotonic += seconds
        self.wall += seconds if wall is None else wall


@given(steps=st.lists(st.floats(0, 1000.0), max_size=20))
def test_time_that_passes_is_no_step(steps: list[float]) -> None:
    hands = Hands()
    steady = hands.steady()
    for seconds in steps:
        hands.pass_(seconds, wall=seconds * (1 + 5e-6))
        assert steady.now() == hands.wall
    assert steady.steps == 0


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 0.05])
def test_a_clock_that_was_set_is_one_step(jump: float) -> None:
    hands = Hands()
    steady = hands.steady()
    hands.pass_(1.0, wall=1.0 + jump)
    steady.now()
    hands.pass_(1.0)
    steady.now()
    assert steady.steps == 1


def test_a_pause_between_two_readings_is_no_step() -> None:
    hands = Hands()
    pauses = iter([0.0, 0.0, 0.5])

    def monotonic() -> float:
        hands.pass_(next(pauses, 0.0))
        return hands.monotonic

    steady = SteadyWall(lambda: hands.wall, monotonic)
    for _ in range(5):
        steady.now()
    assert steady.steps == 0
