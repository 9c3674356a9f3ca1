"""The best of many sets that share their luck: a reality check by blocks of time.

- White: A Reality Check for Data Snooping, Econometrica 68 (2000).
- Romano: On the Behavior of Randomization Tests Without a Group Invariance Assumption, Journal of
  the American Statistical Association 85 (1990).
- Romano, Wolf: Exact and Approximate Stepdown Methods for Multiple Hypothesis Testing, ibid. 100
  (2005), for the best studentised statistic of many that depend on each other.
"""

from __future__ import annotations

import math

import numpy as np

from toolkit.core.layout import Floats

DRAWS = 2000
CELLS = 4_000_000  # of one intermediate array
FEWEST = 8


def reality_check(blocks: Floats, *, others: int = 0, draws: int = DRAWS, seed: int = 0) -> float:
    """Return how often luck alone makes a best set as good as the one that is there.

    `blocks` as for `overfitting.cross_validate`. Without skill the sum of a set's returns in a
    block of time is as likely to be +x as -x. Every draw turns the signs of random blocks, the same
    for all sets, so that what they have in common stays, and takes the best t-statistic of all.
    Exact for symmetric sums, in the limit of many blocks for all. `others` trials whose sums are
    not known count as independent ones. NaN where there are fewer than 8 blocks or nothing moved.
    """
    sums = blocks[:, :, 0]
    parts = sums.shape[1]
    length = np.sqrt((sums * sums).sum(axis=1))
    moved = length > 0.0
    if parts < FEWEST or not moved.any():
        return math.nan
    # The t-statistic rises with sum / length, and turning signs leaves the length as it is.
    scaled = sums[moved] / length[moved, None]
    best = float(scaled.sum(axis=1).max())
    signs = np.random.default_rng(seed).integers(0, 2, (draws, parts)) * 2.0 - 1.0
    exceeded = 0
    for piece in np.array_split(signs, 1 + draws * len(scaled) // CELLS):
        drawn = (piece @ scaled.T).max(axis=1)
        exceeded += int(np.count_nonzero(drawn >= best - 1e-12))
    chance = (1 + exceeded) / (1 + draws)
    return 1.0 - (1.0 - chance) * math.exp(others * _log_below(_student(best, parts)))


def _student(best: float, parts: int) -> float:
    """Return the t-statistic of a sum of `parts` values by their length."""
    return best * math.sqrt((parts - 1) / max(parts - best * best, 1e-9))


def _log_below(value: float) -> float:
    """Return the logarithm of the probability that a normal variable is below `value`."""
    return math.log1p(-0.5 * math.erfc(max(value, -5.0) / math.sqrt(2.0)))
