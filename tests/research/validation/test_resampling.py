"""The stationary bootstrap: block lengths of theory, scatter of theory."""

from __future__ import annotations

import math

import numpy as np
import pytest

from toolkit.research.validation.resampling import optimal_block, stationary_bootstrap


def autoregressive(seed: int, *, size: int, persistence: float) -> np.ndarray:
    values, level = [], 0.0
    for shock in np.random.default_rng(seed).normal(0.0, 1.0, size).tolist():
        level = persistence * level + shock
        values.append(level)
    return np.array(values)


@pytest.mark.parametrize("persistence", [0.3, 0.7])
def test_the_block_length_is_that_of_theory(persistence: float) -> None:
    """Politis and White (2004): of an AR(1), (2 r / (1 - r^2))^(2/3) n^(1/3)."""
    size = 20_000
    theory = (2.0 * persistence / (1.0 - persistence**2)) ** (2.0 / 3.0) * size ** (1.0 / 3.0)
    found = [
        optimal_block(autoregressive(seed, size=size, persistence=persistence)) for seed in range(5)
    ]
    assert np.median(found) == pytest.approx(theory, rel=0.1)


def test_independent_returns_need_short_blocks() -> None:
    found = [optimal_block(np.random.default_rng(s).normal(0.0, 1.0, 5000)) for s in range(20)]
    assert np.median(found) < 6.0
    assert optimal_block(np.zeros(100)) == 1.0
    assert optimal_block(np.ones(5)) == 1.0


def test_sharpe_ratios_scatter_as_theory_says() -> None:
    returns = np.random.default_rng(1).normal(0.05, 1.0, 2000)
    figures = stationary_bootstrap(returns, draws=4000, block=1.0, seed=1, periods_per_year=1.0)
    ratio = returns.mean() / returns.std(ddof=1)
    assert figures[:, 0].mean() == pytest.approx(ratio, abs=0.002)
    spread = math.sqrt((1.0 + 0.5 * ratio * ratio) / 2000)
    assert figures[:, 0].std() == pytest.approx(spread, rel=0.05)


def test_blocks_keep_the_dependence() -> None:
    """The variance of a mean of an AR(1) is (1 + r) / (1 - r) times that of shuffled values."""
    persistence = 0.6
    returns = autoregressive(2, size=20_000, persistence=persistence) / 1e4
    returns -= returns.mean()
    short, long = (
        stationary_bootstrap(returns, draws=1000, block=b, seed=2, periods_per_year=1.0)[:, 0].var()
        for b in (1.0, 60.0)
    )
    assert long / short == pytest.approx((1.0 + persistence) / (1.0 - persistence), rel=0.2)


def test_a_history_of_one_piece_is_the_run_turned_around() -> None:
    returns = np.random.default_rng(3).normal(0.0, 0.01, 50)
    figures = stationary_bootstrap(returns, draws=200, block=1e12, seed=3, periods_per_year=1.0)
    assert figures[:, 1] == pytest.approx(100.0 * (np.prod(1.0 + returns) - 1.0))
    assert len(np.unique(figures[:, 2].round(9))) > 1


def test_the_seed_decides() -> None:
    returns = np.random.default_rng(4).normal(0.0, 0.01, 300)
    options = {"draws": 100, "block": 5.0, "periods_per_year": 252.0}
    first, again, other = (
        stationary_bootstrap(returns, seed=seed, **options)  # type: ignore[arg-type]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
