"""How long a record must be before its Sharpe ratio says anything, and what many looks cost it.

Sharpe ratios are those of one period, not annualised.

- Bailey, Lopez de Prado: The Sharpe Ratio Efficient Frontier, Journal of Risk 15 (2012).
- Harvey, Liu: Backtesting, Journal of Portfolio Management 42 (2015).
"""

from __future__ import annotations

import math
from statistics import NormalDist

from toolkit.research.scoring import Moments

NORMAL = NormalDist()


def minimum_track_record(
    moments: Moments, *, benchmark: float = 0.0, confidence: float = 0.95
) -> float:
    """Return how many periods show with `confidence` that the true ratio is above `benchmark`.

    1 + (1 - skew SR + (kurtosis - 1) / 4 SR^2) (Z / (SR - SR*))^2, equation 12 of Bailey and
    Lopez de Prado (2012). Infinite where the ratio is not above the benchmark.
    """
    ratio = moments.sharpe
    if math.isnan(ratio) or ratio <= benchmark:
        return math.inf
    spread = 1.0 - moments.skewness * ratio + (moments.kurtosis - 1.0) / 4.0 * ratio * ratio
    distance = NORMAL.inv_cdf(confidence) / (ratio - benchmark)
    return 1.0 + max(spread, 0.0) * distance * distance


def haircut_sharpe(ratio: float, *, periods: int, looks: int) -> float:
    """Return the ratio that is left after the same data has been looked at `looks` times.

    The two-sided p-value of `ratio sqrt(periods)` becomes 1 - (1 - p)^looks (Sidak), and the ratio
    is the one with that p-value, as Harvey and Liu (2015) cut theirs. A ratio of 0 or less stays.
    """
    if math.isnan(ratio) or ratio <= 0.0 or periods < 1 or looks < 2:
        return ratio
    tail = math.erfc(ratio * math.sqrt(periods / 2.0))
    adjusted = -math.expm1(looks * math.log1p(-min(tail, 1.0 - 1e-16)))
    if adjusted <= 0.0:
        return ratio
    return min(max(-NORMAL.inv_cdf(adjusted / 2.0), 0.0) / math.sqrt(periods), ratio)
