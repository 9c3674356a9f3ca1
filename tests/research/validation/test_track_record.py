"""How long a record must be, and what looks cost: the examples of the papers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.research.scoring import Moments
from toolkit.research.validation.overfitting import probabilistic_sharpe
from toolkit.research.validation.track_record import haircut_sharpe, minimum_track_record


def of_a_year(sharpe: float, periods: int, *, skew: float = 0.0, kurtosis: float = 3.0) -> Moments:
    return Moments(periods, sharpe / math.sqrt(periods), 1.0, skew, kurtosis)


@pytest.mark.parametrize(
    ("a_year", "skew", "kurtosis", "years"),
    [(250, 0.0, 3.0, 2.73), (52, 0.0, 3.0, 2.83), (12, 0.0, 3.0, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_the_track_records_of_the_papers_example(
    a_year: int, skew: float, kurtosis: float, years: float
) -> None:
    """Bailey and Lopez de Prado (2012): a ratio of 2 a year that must be above 1, at 95 %."""
    moments = of_a_year(2.0, a_year, skew=skew, kurtosis=kurtosis)
    periods = minimum_track_record(moments, benchmark=1.0 / math.sqrt(a_year))
    assert periods / a_year == pytest.approx(years, abs=0.01)


@given(
    ratio=st.floats(0.005, 0.3),
    above=st.floats(0.01, 0.9),
    skew=st.floats(-2.0, 2.0),
    excess=st.floats(4.0, 12.0),
    confidence=st.floats(0.6, 0.99),
)
def test_a_record_of_that_length_is_just_as_sure(
    ratio: float, above: float, skew: float, excess: float, confidence: float
) -> None:
    moments = Moments(10, ratio, 1.0, skew, excess)
    benchmark = ratio * (1.0 - above)
    needed = minimum_track_record(moments, benchmark=benchmark, confidence=confidence)
    if needed > 1e9:
        return
    enough = moments._replace(periods=math.ceil(needed))
    assert probabilistic_sharpe(enough, benchmark) >= confidence - 1e-9
    if needed > 4.0:
        short = moments._replace(periods=math.floor(needed) - 1)
        assert probabilistic_sharpe(short, benchmark) < confidence


def test_a_ratio_below_its_benchmark_is_never_enough() -> None:
    assert minimum_track_record(Moments(100, 0.1, 1.0, 0.0, 3.0), benchmark=0.1) == math.inf
    assert minimum_track_record(Moments(100, 0.0, 0.0, 0.0, 3.0)) == math.inf


def test_the_haircut_of_the_papers_example() -> None:
    """Harvey and Liu (2015): 0.75 a year over 20 years of months, 200 tests: 0.32 is left."""
    left = haircut_sharpe(0.75 / math.sqrt(12), periods=240, looks=200)
    assert left * math.sqrt(12) == pytest.approx(0.32, abs=0.005)


@given(ratio=st.floats(-1.0, 1.0), periods=st.integers(1, 5000), looks=st.integers(1, 10_000))
def test_looks_only_take_away(ratio: float, periods: int, looks: int) -> None:
    left = haircut_sharpe(ratio, periods=periods, looks=looks)
    assert left <= ratio + 1e-12
    assert left >= min(ratio, 0.0)
    assert haircut_sharpe(ratio, periods=periods, looks=looks + 1) <= left + 1e-12


def test_one_look_is_free() -> None:
    assert haircut_sharpe(0.1, periods=500, looks=1) == 0.1
