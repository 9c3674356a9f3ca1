"""The stationary bootstrap: how far the figures of a run would scatter over other histories.

- Politis, Romano: The Stationary Bootstrap, JASA 89 (1994).
- Politis, White: Automatic Block-Length Selection for the Dependent Bootstrap, Econometric
  Reviews 23 (2004), with the correction of Patton, Politis, White, ibid. 28 (2009).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from toolkit.core.compiled import compiled
from toolkit.core.layout import Floats

FIGURES = ("sharpe", "total_return_percent", "max_drawdown_percent")


def optimal_block(returns: Floats) -> float:
    """Return the mean length of blocks that suits the dependence of the returns, at least 1.

    (2 G^2 / (2 g(0)^2))^(1/3) n^(1/3) with a flat-top window over the autocovariances, at most
    min(3 sqrt(n), n / 3).
    """
    n = len(returns)
    values = returns - returns.mean()
    if n < 10 or not np.any(values):
        return 1.0
    most = min(n - 1, math.ceil(math.sqrt(n)) + max(5, math.ceil(math.log10(n))))
    covariances = _autocovariances(values, 2 * most)
    window = _window(covariances / covariances[0], n, most)
    lags = np.arange(1, min(window, len(covariances) - 1) + 1)
    weights = np.minimum(1.0, 2.0 * (1.0 - lags / window))
    weighted = weights * covariances[lags]
    slope, level = 2.0 * float((weighted * lags).sum()), covariances[0] + 2.0 * weighted.sum()
    if level <= 0.0:
        return 1.0
    length = (slope * slope / (level * level)) ** (1.0 / 3.0) * n ** (1.0 / 3.0)
    return float(min(max(length, 1.0), math.ceil(min(3.0 * math.sqrt(n), n / 3.0))))


def _autocovariances(values: Floats, most: int) -> Floats:
    n = len(values)
    most = min(most, n - 1)
    return np.array([float(values[: n - lag] @ values[lag:]) / n for lag in range(most + 1)])


def _window(correlations: Floats, n: int, most: int) -> int:
    """Twice the lag behind which nothing is left of the autocorrelation."""
    bound = 2.0 * math.sqrt(math.log10(n) / n)
    quiet = max(5, math.ceil(math.log10(n)))
    small = np.abs(correlations[1:]) < bound
    for lag in range(min(most, len(small) - quiet + 1)):
        if small[lag : lag + quiet].all():
            return 2 * max(lag, 1)
    large = np.flatnonzero(~small[:most])
    return 2 * int(large[-1] + 1 if len(large) else 1)


def stationary_bootstrap(
    returns: Floats, *, draws: int, block: float, seed: int, periods_per_year: float
) -> Floats:
    """Return the FIGURES of `draws` histories made of pieces of `returns`, shape (draws, 3).

    A piece starts anywhere, is `block` periods long on average, and wraps around at the end.
    """
    generator = np.random.default_rng(seed)
    result: Floats = _resampled(returns, draws, 1.0 / max(block, 1.0), generator)
    result[:, 0] *= math.sqrt(periods_per_year)
    return result


@compiled
def _resampled(returns: Floats, draws: int, restart: float, generator: Any) -> Floats:
    n = len(returns)
    figures = np.empty((draws, 3))
    # The length of a piece is geometric; 1e-300 keeps the logarithm finite.
    scale = 0.0 if restart >= 1.0 else 1.0 / math.log(1.0 - restart)
    for draw in range(draws):
        total, squares, equity, peak, worst, done = 0.0, 0.0, 1.0, 1.0, 0.0, 0
        while done < n:
            at = int(generator.random() * n)
            length = 1 + int(math.log(max(generator.random(), 1e-300)) * scale)
            for _ in range(min(length, n - done)):
                change = returns[at]
                total += change
                squares += change * change
                equity *= 1.0 + change
                peak = max(peak, equity)
                worst = max(worst, 1.0 - equity / peak)
                at = at + 1 if at + 1 < n else 0
            done += min(length, n - done)
        spread = (squares - total * total / n) / max(n - 1, 1)
        figures[draw, 0] = total / n / math.sqrt(spread) if spread > 0.0 else 0.0
        figures[draw, 1] = 100.0 * (equity - 1.0)
        figures[draw, 2] = 100.0 * worst
    return figures
