from __future__ import annotations

from typing import Any

import pytest

from toolkit.core.histogram import Histogram
from toolkit.loadtest.trial import WRONG, Sample, Trial, sum_up, together


def spread(milliseconds: float, count: int = 100) -> Histogram:
    found = Histogram()
    found.add(milliseconds, count)
    return found


def trial(**values: Any) -> Trial:
    usual = {
        "rate": 10.0,
        "seconds": 10.0,
        "elapsed": 10.0,
        "due": 100,
        "published": 100,
        "expected": 1000,
        "on_time": 1000,
        "received": 1000,
        "latency": spread(2.0),
        "cpu_seconds": 0.5,
    }
    return Trial(**{**usual, **values})


def test_a_clean_trial_is_held():
    clean = trial()
    assert clean.held
    assert clean.problem is None
    assert clean.deliveries_per_s == 100.0
    assert clean.cpu_us_per_delivery == 500.0


@pytest.mark.parametrize("name", WRONG)
def test_one_wrong_message_is_too_many(name: str):
    assert trial(**{name: 1}).problem == f"1 {name}"


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"faults": {"closed by the server": 2}}, "2 × closed by the server"),
        ({"published": 99}, "published 99 of 100"),
        ({"late_p99_ms": 50.0}, "publisher 50 ms late"),
        ({"latency": spread(60.0)}, "p99 60 ms"),
        ({"latency": Histogram()}, "nothing arrived"),
    ],
)
def test_the_reason_is_said(values: dict[str, Any], problem: str):
    assert trial(**values).problem == problem
    assert trial(**values).to_dict()["held"] is False


def test_processes_are_summed_up():
    first = {"received": 5, "lost": 1, "faults": {"x": 1}, "latencies": [[1.0, 5]], "quiet": True}
    other = {"received": 7, "faults": {"x": 2}, "latencies": [[1.0, 3], [2.0, 4]], "quiet": False}
    found = sum_up([first, other])
    assert (found["received"], found["lost"], found["faults"]) == (12, 1, {"x": 3})
    assert found["latencies"] == {1.0: 8, 2.0: 4}
    assert not found["quiet"]


def test_parts_become_one_trial():
    sample = Sample(seconds=1.0, deliveries_per_s=5.0, p99_ms=2.0, rss=7)
    whole = together(
        [trial(samples=(sample,)), trial(lost=2, latency=spread(60.0, 2), samples=(sample,))]
    )
    assert (whole.seconds, whole.received, whole.lost) == (20.0, 2000, 2)
    assert whole.latency.count == 102
    assert [s.seconds for s in whole.samples] == [1.0, 2.0]
    with pytest.raises(ValueError, match="no trials"):
        together([])
