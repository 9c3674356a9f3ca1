"""Confidence bands of a run's figures by the stationary bootstrap of its returns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from toolkit.core.layout import Floats
from toolkit.errors import ConfigError, DataError
from toolkit.research.backtest import BacktestRun
from toolkit.research.validation.monte_carlo import check_draws
from toolkit.research.validation.pictured import Pictured, percent
from toolkit.research.validation.resampling import FIGURES, optimal_block, stationary_bootstrap
from toolkit.research.validation.returns import returns_of
from toolkit.research.validation.segments import longest_trade

if TYPE_CHECKING:
    import pandas as pd

STEPS = 50_000_000  # returns drawn at most


def bootstrap(
    run: BacktestRun,
    *,
    draws: int = 1000,
    block: float | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> Bootstrap:
    """Draw other histories from pieces of a run's returns.

    `block` is the mean length of a piece in bars, by default what the returns' dependence asks
    for, and at least the longest trade. `level` is the share of histories within the bands. Long
    runs are drawn less often. Raises ConfigError, and DataError where nothing moved.
    """
    check_draws(draws)
    if not 0.5 <= level < 1.0:
        raise ConfigError(f"level is {level!r}; allowed: 0.5 to below 1", field="level")
    returns = returns_of(run.outcome.equity, run.capital)
    if not np.any(returns):
        raise DataError("nothing moved in this run; take more bars", field="trades")
    length = block if block is not None else max(optimal_block(returns), float(longest_trade(run)))
    if not 1.0 <= length <= len(returns):
        raise ConfigError(
            f"block is {block!r}; allowed: 1 to {len(returns)} bars", field="block", value=block
        )
    figures = stationary_bootstrap(
        returns,
        draws=max(min(draws, STEPS // len(returns)), 100),
        block=length,
        seed=seed,
        periods_per_year=run.tape.periods_per_year,
    )
    values = tuple(float(run.score.metrics[name]) for name in FIGURES)
    return Bootstrap(figures=figures, values=values, block=length, level=level, seed=seed)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Bootstrap(Pictured):
    """FIGURES of the run (`values`) and of every history, shape (draws, figures)."""

    figures: Floats
    values: tuple[float, ...]
    block: float
    level: float
    seed: int

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Columns metric, value (of the run), low and high: the middle of the histories."""
        import pandas as pd

        tail = 50.0 * (1.0 - self.level)
        low, high = np.percentile(self.figures, [tail, 100.0 - tail], axis=0)
        columns = {"metric": FIGURES, "value": self.values, "low": low, "high": high}
        return pd.DataFrame(columns)

    @property
    def loss_probability(self) -> float:
        """The share of histories that end below the start capital."""
        return float(np.mean(self.figures[:, 1] < 0.0))

    @property
    def sentence(self) -> str:
        """The result in one plain sentence."""
        low, high = self.frame["low"], self.frame["high"]
        return (
            f"Histories made of pieces of {self.block:.0f} bars give a Sharpe ratio of"
            f" {low[0]:.2f} to {high[0]:.2f} and a return of {low[1]:.2f} to {high[1]:.2f} % in"
            f" {percent(self.level)} of {len(self.figures):,} draws;"
            f" {percent(self.loss_probability)} of them lose."
        )
