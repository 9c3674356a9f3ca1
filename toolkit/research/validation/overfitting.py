"""How much of the best result is luck, given how many were tried.

All Sharpe ratios here are those of one period, not annualised. A set that never traded counts as
a trial with a ratio of 0.

- Bailey, Lopez de Prado: The Sharpe Ratio Efficient Frontier, Journal of Risk 15 (2012).
- Bailey, Lopez de Prado: The Deflated Sharpe Ratio, Journal of Portfolio Management 40 (2014).
- Bailey, Borwein, Lopez de Prado, Zhu: The Probability of Backtest Overfitting, Journal of
  Computational Finance (2015).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np

from toolkit.core.layout import Floats, Ints
from toolkit.research.scoring import Moments

EULER = 0.5772156649015329
NORMAL = NormalDist()
CELLS = 2_000_000  # of one intermediate array


def probabilistic_sharpe(moments: Moments, benchmark: float) -> float:
    """Return the probability that the true Sharpe ratio is above `benchmark`.

    Phi((SR - SR*) sqrt(T - 1) / sqrt(1 - skew SR + (kurtosis - 1) / 4 SR^2)), equation 11 of
    Bailey and Lopez de Prado (2012). 0 where nothing moved.
    """
    ratio = moments.sharpe
    if math.isnan(ratio) or moments.periods < 2:
        return 0.0
    spread = 1.0 - moments.skewness * ratio + (moments.kurtosis - 1.0) / 4.0 * ratio * ratio
    if spread <= 0.0:
        return 0.0
    return NORMAL.cdf((ratio - benchmark) * math.sqrt(moments.periods - 1) / math.sqrt(spread))


def expected_maximum(ratios: Floats, *, periods: int) -> float:
    """Return the best Sharpe ratio that so many trials without any skill are expected to show.

    sqrt(V) ((1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e))) with g the constant of Euler and Mascheroni
    and V the variance of the trials' ratios, equation 1 of Bailey and Lopez de Prado (2014).
    V is at most 1 / (periods - 1), the sampling variance of a ratio without skill: what trials
    differ by beyond that is no luck. 0 for a single trial.
    """
    trials = len(ratios)
    if trials < 2 or periods < 2:
        return 0.0
    first = NORMAL.inv_cdf(1.0 - 1.0 / trials)
    second = NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    spread = math.sqrt(min(float(np.var(ratios, ddof=1)), 1.0 / (periods - 1)))
    return spread * ((1.0 - EULER) * first + EULER * second)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidation:
    """Result of combinatorially symmetric cross-validation; NaN where there is too little data.

    `pbo`: how often the set that was best in one half of time is below the median in the other.
    `loss_probability`: how often it loses money there. Both are fractions.
    """

    pbo: float
    loss_probability: float
    splits: int


def cross_validate(blocks: Floats, counts: Ints) -> CrossValidation:
    """Choose the best set in every half of the blocks of time and look at it in the other half.

    `blocks` holds for each set and block the sum and the sum of squares of its returns, shape
    (sets, blocks, 2); `counts` the returns in each block. Ties count as the middle of their ranks.
    """
    sets, parts, _ = blocks.shape
    if sets < 2 or parts < 4 or counts.min() < 2:
        return CrossValidation(pbo=math.nan, loss_probability=math.nan, splits=0)
    halves = np.zeros((math.comb(parts, parts // 2), parts))
    for row, chosen in enumerate(combinations(range(parts), parts // 2)):
        halves[row, list(chosen)] = 1.0
    below, lost = 0, 0
    for part in np.array_split(halves, 1 + len(halves) * sets // CELLS):
        best = sharpe_ratios(blocks, counts, part).argmax(axis=1)
        other = sharpe_ratios(blocks, counts, 1.0 - part)
        mine = np.take_along_axis(other, best[:, None], axis=1)
        rank = (other < mine).sum(axis=1) + ((other == mine).sum(axis=1) + 1) / 2.0
        below += int(np.count_nonzero(rank / (sets + 1) <= 0.5))
        lost += int(np.count_nonzero(mine < 0.0))
    splits = len(halves)
    return CrossValidation(pbo=below / splits, loss_probability=lost / splits, splits=splits)


def sharpe_ratios(blocks: Floats, counts: Ints, chosen: Floats) -> Floats:
    """Return the Sharpe ratio of each set over chosen blocks, shape (choices, sets).

    `chosen` is 1 for each block that counts, shape (choices, blocks); 0 where nothing moved.
    """
    number = (chosen @ counts)[:, None]
    total, squares = chosen @ blocks[:, :, 0].T, chosen @ blocks[:, :, 1].T
    variance = np.maximum(squares - total * total / number, 0.0) / (number - 1)
    moved = variance > 0.0
    deviation = np.sqrt(np.where(moved, variance, 1.0))
    return np.where(moved, total / number / deviation, 0.0)
