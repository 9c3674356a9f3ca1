"""What a run is worth: its metrics, and the moments and block sums of its returns.

A return is the change of equity from one timestamp to the next, as a fraction of the equity
before; the first is the change from the start capital. Amounts are whole micro-dollars. Sharpe
ratios take a riskless rate of 0.

The kernel sums up the first four powers of the returns in the order of time within each block of
time; here the blocks are added up in their order. Central moments come from these sums, which is
as exact as a second pass over the returns while their mean is not much larger than their
deviation (docs/research/engine.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.core.kernel import Measures, Outcome
from toolkit.core.layout import Floats, Ints
from toolkit.errors import ConfigError

METRICS = (
    "trades",
    "win_rate_percent",
    "total_return_percent",
    "profit_factor",
    "max_drawdown_percent",
    "sharpe",
    "exposure_percent",
    "net_profit",
    "fees",
)
"""Exposure is the share of timestamps with a holding; an exit's bar and open positions count."""
LOWER_IS_BETTER = ("max_drawdown_percent", "exposure_percent", "fees")

BLOCKS = 48  # of time, in which a run's returns are summed up unless other blocks are asked for
STILL = 1e-10  # a variance below this share of the mean square is rounding
LEAST = 1e-150  # a variance whose square is still a number


class Moments(NamedTuple):
    """Moments of the returns; `deviation` of the sample, `kurtosis` is 3 for a normal law."""

    periods: int
    mean: float
    deviation: float
    skewness: float
    kurtosis: float

    @property
    def sharpe(self) -> float:
        """Sharpe ratio of one period, NaN where nothing moved."""
        return self.mean / self.deviation if self.deviation > 0.0 else math.nan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Score:
    """Metrics by name (see METRICS), moments, and per block of time (sum, sum of squares)."""

    metrics: dict[str, float]
    moments: Moments
    blocks: Floats


def block_edges(steps: int, blocks: int) -> Ints:
    """Cut `steps` timestamps into `blocks` neighbouring parts of equal length, within one."""
    return np.linspace(0, steps, blocks + 1).astype(np.int64)


class Scores(NamedTuple):
    """The figures of several runs, one row each: metrics, moments, and sums of each block.

    Their columns are METRICS, the fields of Moments, and (block, sum and sum of squares).
    """

    metrics: Floats
    moments: Floats
    blocks: Floats


def score(outcome: Outcome, *, capital: float, periods_per_year: float) -> Score:
    """Measure one run. Money in dollars after fees; open positions count at their last close."""
    scored = scores(
        outcome.measures,
        steps=len(outcome.equity),
        capital=capital,
        periods_per_year=periods_per_year,
    )
    metrics = dict(zip(METRICS, scored.metrics[0].tolist(), strict=True))
    metrics["trades"] = len(outcome.trips)
    periods, *others = scored.moments[0].tolist()
    return Score(metrics=metrics, moments=Moments(int(periods), *others), blocks=scored.blocks[0])


def scores(measures: Measures, *, steps: int, capital: float, periods_per_year: float) -> Scores:
    """Measure runs of `steps` timestamps, each as `score` does."""
    books, stats = measures.books, measures.stats
    moments = moments_of(measures.sums, steps)
    trades, wins = books["trips"], stats["wins"]
    won, lost = stats["won"].astype(np.float64), stats["lost"].astype(np.float64)
    mean, deviation = moments[:, 1], moments[:, 2]
    columns = (
        trades,
        100.0 * _ratio(wins, trades),
        100.0 * (stats["equity"] / 1e6 / capital - 1.0),
        np.where((won > 0.0) & (lost == 0.0), np.inf, _ratio(won, lost)),
        100.0 * stats["drawdown"],
        _ratio(mean, deviation) * math.sqrt(periods_per_year),
        100.0 * books["exposed"] / steps,
        books["realised"] / 1e6,
        stats["fees"] / 1e6,
    )
    metrics = np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
    return Scores(metrics, moments, measures.sums[:, :, :2])


def moments_of(sums: Floats, periods: int) -> Floats:
    """Return the fields of Moments, one row per run, of sums of the first four powers.

    `sums` has the shape (runs, blocks, 4).
    """
    total = np.add.accumulate(sums, axis=1)[:, -1]  # one block after the other
    mean, second, third, fourth = (total / periods).T
    square = mean * mean
    spread = second - square
    moved = (spread > np.maximum(STILL * second, LEAST)) & (periods > 1)
    spread = np.where(moved, spread, 1.0)
    skew = third - 3.0 * mean * second + 2.0 * mean * square
    tail = fourth - 4.0 * mean * third + 6.0 * square * second - 3.0 * square * square
    deviation = np.sqrt(spread * periods / max(periods - 1, 1))
    columns = (
        np.full(len(sums), float(periods)),
        mean,
        np.where(moved, deviation, 0.0),
        np.where(moved, skew / (spread * np.sqrt(spread)), 0.0),
        np.where(moved, tail / (spread * spread), 3.0),
    )
    return np.stack(columns, axis=1)


def sharpes_of(moments: Floats) -> Floats:
    """Return Sharpe ratios of one period, NaN where nothing moved; rows as of `moments_of`."""
    return _ratio(moments[:, 1], moments[:, 2])


def goodness_of(metrics: Floats, metric: str) -> Floats:
    """Return how good each row of METRICS is, higher is better; NaN without a trade or a value.

    Raises ConfigError for an unknown metric.
    """
    values = metrics[:, METRICS.index(known_metric(metric))]
    traded = metrics[:, METRICS.index("trades")] > 0
    return np.where(traded, -values if metric in LOWER_IS_BETTER else values, np.nan)


def best_row(metrics: Floats, metric: str) -> int | None:
    """Return the first of the best rows, None where no row has a trade and a value.

    Raises ConfigError for an unknown metric.
    """
    goodness = goodness_of(metrics, metric)
    known = ~np.isnan(goodness)
    return int(np.where(known, goodness, -np.inf).argmax()) if known.any() else None


def known_metric(metric: str) -> str:
    """Return the name of a metric; raises ConfigError for others."""
    if metric not in METRICS:
        raise ConfigError(
            f"metric is {metric!r}; allowed: {', '.join(METRICS)}",
            field="metric",
            value=repr(metric),
            allowed=list(METRICS),
        )
    return metric


def _ratio(above: NDArray[Any], below: NDArray[Any]) -> Floats:
    """Divide; NaN where `below` is 0."""
    result = np.full(len(above), np.nan)
    np.divide(above, below, out=result, where=below != 0)
    return result
