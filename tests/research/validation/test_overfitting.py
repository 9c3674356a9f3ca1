"""The statistics of overfitting: published examples, known cases, and noise against skill."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.research.markets import noise, pulled_back
from toolkit.core.costs import Costs
from toolkit.research.scoring import Moments
from toolkit.research.sweeps.sweep import sweep
from toolkit.research.validation.overfitting import (
    cross_validate,
    expected_maximum,
    probabilistic_sharpe,
    sharpe_ratios,
)

GRID = {
    "ema_period": [3, 5, 9, 14],
    "stoch_rsi.lower_band": [20, 35, 50, 65],
    "stop_loss": [0.1, 0.2, 0.4],
}
BASE = {"lookback": 3}


def test_the_deflated_sharpe_ratio_of_the_papers_example() -> None:
    """Bailey and Lopez de Prado (2014): 100 trials, variance 1/2 a year, 5 years of days."""
    ratios = np.array([-1.0, 1.0] * 50)
    ratios *= math.sqrt(0.5 / 250) / np.std(ratios, ddof=1)
    benchmark = expected_maximum(ratios, periods=2)
    moments = Moments(1250, 2.5 / math.sqrt(250), 1.0, -3.0, 10.0)
    assert benchmark == pytest.approx(0.1132, abs=1e-4)
    assert probabilistic_sharpe(moments, benchmark) == pytest.approx(0.9004, abs=1e-4)


def test_one_trial_is_compared_with_nothing() -> None:
    assert expected_maximum(np.array([0.1]), periods=100) == 0.0


def test_trials_that_differ_by_more_than_chance_do_not_raise_the_bar_further() -> None:
    ratios = np.linspace(-1.0, 1.0, 50)
    assert expected_maximum(ratios, periods=1000) == expected_maximum(2 * ratios, periods=1000)


def test_a_set_without_returns_has_no_skill() -> None:
    assert probabilistic_sharpe(Moments(100, 0.0, 0.0, 0.0, 3.0), 0.0) == 0.0


def blocks_of(returns: np.ndarray, parts: int = 12) -> tuple[np.ndarray, np.ndarray]:
    pieces = np.array_split(returns, parts, axis=1)
    sums = np.stack([np.stack([p.sum(1), (p * p).sum(1)], axis=-1) for p in pieces], axis=1)
    return sums, np.array([p.shape[1] for p in pieces])


def test_block_sums_give_the_sharpe_ratios_of_the_returns() -> None:
    returns = np.random.default_rng(1).normal(0.01, 1.0, (5, 120))
    blocks, counts = blocks_of(returns)
    chosen = np.array([[1.0] * 4 + [0.0] * 8])
    first = returns[:, :40]
    expected = first.mean(1) / first.std(1, ddof=1)
    np.testing.assert_allclose(sharpe_ratios(blocks, counts, chosen)[0], expected)


def test_noise_is_overfitted_half_of_the_time() -> None:
    rng = np.random.default_rng(2)
    results = [cross_validate(*blocks_of(rng.normal(0.0, 1.0, (40, 600)))).pbo for _ in range(20)]
    assert np.mean(results) == pytest.approx(0.5, abs=0.12)


def test_a_set_that_is_always_better_is_not_overfitted() -> None:
    returns = np.random.default_rng(3).normal(0.0, 1.0, (40, 600))
    returns[7] += 0.6
    result = cross_validate(*blocks_of(returns))
    assert (result.pbo, result.loss_probability, result.splits) == (0.0, 0.0, 924)


def test_sets_that_are_all_the_same_prove_nothing() -> None:
    returns = np.tile(np.random.default_rng(4).normal(0.0, 1.0, 600), (5, 1))
    assert cross_validate(*blocks_of(returns)).pbo == 1.0


def test_one_set_or_too_few_bars_leave_it_open() -> None:
    blocks, counts = blocks_of(np.random.default_rng(5).normal(0.0, 1.0, (3, 600)))
    assert math.isnan(cross_validate(blocks[:1], counts).pbo)
    assert math.isnan(cross_validate(blocks, np.ones(12, np.int64)).pbo)


# Costs would make noise lose, and the verdict's task easy.
FREE = Costs(sec_fee_per_million=0.0, taf_per_share=0.0, cat_per_share=0.0)


@pytest.mark.parametrize(("grid", "sweeps"), [(GRID, 40), ({"ema_period": [5, 9]}, 60)])
def test_pure_noise_gets_no_evidence(grid: dict[str, Any], sweeps: int) -> None:
    """More sweeps, larger grids and other noise: tests/soak/overfitting.py."""
    verdicts = [
        sweep(noise(s), grid, base=BASE, costs=FREE, progress=False).verdict()
        for s in range(sweeps)
    ]
    assert sum(v.supported for v in verdicts) <= 0.05 * sweeps
    doubtful = next(v for v in verdicts if not v.supported)
    assert doubtful.sentence.startswith("No evidence for this set: ")
    assert doubtful.reasons


def test_a_planted_edge_is_found() -> None:
    grid = {"rsi_length": [5, 9, 14, 21], **GRID}
    del grid["ema_period"]
    base = {"ema.enabled": False}
    found = [
        sweep(pulled_back(s, bars=20_000), grid, base=base, progress=False).verdict()
        for s in range(10)
    ]
    assert sum(v.supported for v in found) >= 9
    assert found[0].overfitting.out_of_sample.sharpe > 0
    assert found[0].sentence.startswith("The data supports this set: ")


def test_the_result_says_it_in_one_sentence() -> None:
    result = sweep(noise(3), GRID, base=BASE, progress=False).overfitting()
    assert result.trials == 48
    assert result.sentence.endswith("probable.") and "48 trials" in result.sentence
    assert 0.0 <= result.pbo <= 1.0 and 0.0 <= result.deflated_sharpe <= 1.0


def test_too_few_bars_for_a_split_are_said_and_support_nothing() -> None:
    verdict = sweep(noise(3, bars=20), GRID, base=BASE, progress=False).verdict(
        {"ema_period": 3, "stoch_rsi.lower_band": 20, "stop_loss": 0.1}
    )
    assert not verdict.supported
    assert math.isnan(verdict.overfitting.pbo)
    assert "0 trades" in verdict.sentence
