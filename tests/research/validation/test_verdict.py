"""The verdict in words: what is not known counts against a set, and the grammar is right."""

from __future__ import annotations

import math

import pytest

from toolkit.core.parameters import Parameters
from toolkit.research.validation.verdict import OutOfSample, Overfitting, Verdict, judge


def evidence(*, last_third: float = 1.0, **changes: float) -> Overfitting:
    values = {
        "trials": 48,
        "sets": 48,
        "sharpe": 3.0,
        "sharpe_by_luck": 1.0,
        "deflated_sharpe": 0.99,
        "snooping": 0.001,
        "pbo": 0.123,
        "loss_probability": 0.1,
        "bars": 3000,
        "minimum_bars": 900.0,
        **changes,
    }
    out = OutOfSample(parameters=None, in_sample_sharpe=2.0, sharpe=last_third)
    return Overfitting(**values, out_of_sample=out)  # type: ignore[arg-type]


def judged(overfitting: Overfitting, *, trades: int = 100) -> Verdict:
    return judge(overfitting, parameters=Parameters(), trades=trades)


def test_good_evidence_supports_a_set_and_says_how_often_the_choice_failed() -> None:
    verdict = judged(evidence())
    assert verdict.supported
    words = (
        "one half of time was among the worse half of all sets in the other in 12 % of the splits"
    )
    assert words in verdict.sentence


@pytest.mark.parametrize(
    "unknown", ["deflated_sharpe", "snooping", "loss_probability", "last_third"]
)
def test_what_cannot_be_told_counts_against_a_set(unknown: str) -> None:
    verdict = judged(evidence(**{unknown: math.nan}))
    assert not verdict.supported
    assert len(verdict.reasons) == 1
    assert verdict.reasons[0].startswith("too little data to tell ")
    assert "nan" not in verdict.sentence


def test_an_unknown_share_of_splits_is_said_in_words() -> None:
    sentence = evidence(pbo=math.nan).sentence
    assert "too little data to try" in sentence
    assert "nan" not in sentence


@pytest.mark.parametrize(("sharpe", "word"), [(-0.5, "lost"), (0.0, "earned nothing")])
def test_a_loss_out_of_sample_is_called_a_loss(sharpe: float, word: str) -> None:
    (reason,) = judged(evidence(last_third=sharpe)).reasons
    assert reason == f"the set that was best in the first two thirds {word} in the last"


def test_shares_are_of_splits() -> None:
    (reason,) = judged(evidence(loss_probability=0.26)).reasons
    assert reason.endswith("loses in the other in 26 % of the splits")


def test_one_is_not_many() -> None:
    verdict = judged(evidence(trials=1, deflated_sharpe=0.5), trades=1)
    assert "only 1 trade, and" in verdict.sentence
    assert "after 1 trial skill" in verdict.sentence
    assert "in 1 trial;" in evidence(trials=1).sentence
    assert "after 1 trial the" in evidence(trials=1, sharpe=math.nan).sentence
