"""Figures of an equity curve that no single run has made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from toolkit.core.layout import Floats
from toolkit.research.scoring import Moments


class EquityFigures(NamedTuple):
    """`sharpe` annualised, NaN where nothing moved."""

    sharpe: float
    total_return_percent: float
    max_drawdown_percent: float


def returns_of(equity: Floats, capital: float) -> Floats:
    """Return the changes of the equity from one timestamp to the next, as fractions."""
    changes: Floats = equity / np.concatenate([[capital], equity[:-1]]) - 1.0
    return changes


def moments_of(equity: Floats, capital: float) -> Moments:
    """Return the moments of the returns, as `scoring` defines them."""
    returns = returns_of(equity, capital)
    count, mean = len(returns), float(returns.mean())
    off = returns - mean
    second = float(off @ off)
    if second <= 0.0 or count < 2:
        return Moments(count, mean, 0.0, 0.0, 3.0)
    spread = second / count
    third, fourth = float(np.mean(off**3)), float(np.mean(off**4))
    deviation = math.sqrt(second / (count - 1))
    return Moments(count, mean, deviation, third / spread**1.5, fourth / spread**2)


def equity_figures(equity: Floats, capital: float, periods_per_year: float) -> EquityFigures:
    """Return the figures of an equity curve in dollars that began at `capital`."""
    curve = np.concatenate([[capital], equity])
    drawdown = float(np.max(1.0 - curve / np.maximum.accumulate(curve)))
    return EquityFigures(
        sharpe=moments_of(equity, capital).sharpe * math.sqrt(periods_per_year),
        total_return_percent=100.0 * (float(curve[-1]) / capital - 1.0),
        max_drawdown_percent=100.0 * drawdown,
    )


def chained(curves: Sequence[Floats], capital: float) -> Floats:
    """Return equity curves that each began at `capital` as one that carries the profit on."""
    joined, level = [], 1.0
    for curve in curves:
        joined.append(curve * level)
        level *= float(curve[-1]) / capital
    return np.concatenate(joined)
