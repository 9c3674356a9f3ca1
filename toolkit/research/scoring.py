"""What a run is worth: its metrics, and the moments and block sums of its returns.

A return is the change of equity from one timestamp to the next, as a fraction; the first is the
change from the start capital. Sharpe ratios take a riskless rate of 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from toolkit.core.compiled import compiled
from toolkit.core.kernel import Outcome
from toolkit.core.layout import Floats, Ints

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


def score(
    outcome: Outcome, *, capital: float, periods_per_year: float, edges: Ints | None = None
) -> Score:
    """Measure one run. Money in dollars after fees; open positions count at their last close."""
    equity = outcome.equity
    if edges is None:
        edges = block_edges(len(equity), 1)
    moments = Moments(*_moments(equity, capital))
    profits = outcome.trips["profit"]
    won, lost = profits[profits > 0].sum(), -profits[profits < 0].sum()
    trades = len(profits)
    values = (
        trades,
        100.0 * np.count_nonzero(profits > 0) / trades if trades else math.nan,
        100.0 * (equity[-1] / capital - 1.0),
        _ratio(float(won), float(lost)),
        100.0 * _max_drawdown(equity, capital),
        moments.sharpe * math.sqrt(periods_per_year),
        100.0 * outcome.books["exposed"] / len(equity),
        profits.sum() / 1e6,
        _fees(outcome) / 1e6,
    )
    metrics = {name: float(value) for name, value in zip(METRICS, values, strict=True)}
    metrics["trades"] = trades
    return Score(metrics=metrics, moments=moments, blocks=_blocks(equity, capital, edges))


def _fees(outcome: Outcome) -> int:
    closed = outcome.trips["entry_fee"].sum() + outcome.trips["exit_fee"].sum()
    held = outcome.lots["value"] > 0
    return int(closed + outcome.lots["entry_fee"][held].sum())


def _ratio(won: float, lost: float) -> float:
    if lost == 0.0:
        return math.inf if won > 0.0 else math.nan
    return won / lost


@compiled
def _moments(equity: Floats, capital: float) -> tuple[int, float, float, float, float]:
    count, total, before = len(equity), 0.0, capital
    for value in equity:
        total += value / before - 1.0
        before = value
    mean = total / count
    second, third, fourth, before = 0.0, 0.0, 0.0, capital
    for value in equity:
        off = value / before - 1.0 - mean
        second += off * off
        third += off * off * off
        fourth += off * off * off * off
        before = value
    if second <= 0.0 or count < 2:
        return count, mean, 0.0, 0.0, 3.0
    spread = second / count
    deviation = np.sqrt(second / (count - 1))
    return count, mean, deviation, third / count / spread**1.5, fourth / count / spread**2


@compiled
def _max_drawdown(equity: Floats, capital: float) -> float:
    peak, worst = capital, 0.0
    for value in equity:
        peak = max(peak, value)
        worst = max(worst, 1.0 - value / peak)
    return worst


@compiled
def _blocks(equity: Floats, capital: float, edges: Ints) -> Floats:
    sums = np.zeros((len(edges) - 1, 2))
    before = capital
    for block in range(len(edges) - 1):
        for i in range(edges[block], edges[block + 1]):
            change = equity[i] / before - 1.0
            sums[block, 0] += change
            sums[block, 1] += change * change
            before = equity[i]
    return sums
