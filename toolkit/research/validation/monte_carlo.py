"""The same trades in other orders and mixes: where the equity could have gone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from toolkit.core.compiled import compiled
from toolkit.core.layout import Floats, Ints
from toolkit.errors import ConfigError, DataError
from toolkit.research.backtest import BacktestRun
from toolkit.research.validation.pictured import Pictured, counted, percent

if TYPE_CHECKING:
    import pandas as pd

Method = Literal["resample", "shuffle"]
MARKS = 500  # trade numbers at which bands are kept
PERCENTILES = {"p5": 5.0, "p25": 25.0, "p50": 50.0, "p75": 75.0, "p95": 95.0}
MAX_DRAWS = 100_000


def monte_carlo(
    run: BacktestRun,
    *,
    draws: int = 2000,
    method: Method = "resample",
    drawdown_percent: float = 20.0,
    ruin_percent: float = 50.0,
    seed: int = 0,
) -> MonteCarlo:
    """Trade the round trips of a run again, drawn with replacement or only in another order.

    A trade's return is its profit by the realised equity before it; returns are compounded.
    `ruin_percent` is the loss of the start capital that counts as ruin. Raises ConfigError, and
    DataError where there are no trades.
    """
    check_draws(draws)
    for field, value in (("drawdown_percent", drawdown_percent), ("ruin_percent", ruin_percent)):
        if not 0.0 < value <= 100.0:
            raise ConfigError(
                f"{field} is {value!r}; allowed: above 0, up to 100", field=field, value=repr(value)
            )
    if method not in ("resample", "shuffle"):
        raise ConfigError(
            f"method is {method!r}; allowed: resample, shuffle", field="method", value=repr(method)
        )
    changes = trade_returns(run)
    if not len(changes):
        raise DataError("the run has no trades to draw from; take more bars", field="trades")
    marks = np.unique(np.linspace(0, len(changes), MARKS + 1).astype(np.int64))
    generator = np.random.default_rng(seed)
    shuffled = method == "shuffle"
    paths, lowest, drawdowns = _walks(changes, draws, marks, shuffled, generator)
    return MonteCarlo(
        capital=run.capital,
        changes=changes,
        method=method,
        seed=seed,
        marks=marks,
        paths=paths,
        lowest=lowest,
        drawdowns=drawdowns,
        drawdown_percent=drawdown_percent,
        ruin_percent=ruin_percent,
    )


def check_draws(draws: int) -> None:
    """Raise ConfigError unless `draws` is a sensible number."""
    if isinstance(draws, bool) or not isinstance(draws, int) or not 100 <= draws <= MAX_DRAWS:
        raise ConfigError(
            f"draws is {draws!r}; allowed: whole numbers from 100 to {MAX_DRAWS}",
            field="draws",
            value=repr(draws),
            allowed=f"100 to {MAX_DRAWS}",
        )


def trade_returns(run: BacktestRun) -> Floats:
    """Return each round trip's profit by the realised equity before it, in order of the exits."""
    profits = run.outcome.trips["profit"] / 1e6
    before = run.capital + np.concatenate([[0.0], np.cumsum(profits)[:-1]])[: len(profits)]
    changes: Floats = profits / before
    return changes


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MonteCarlo(Pictured):
    """Histories of the equity in multiples of the capital; `paths` at the trade numbers `marks`.

    `lowest` is each history's lowest equity, `drawdowns` its deepest fall as a fraction.
    """

    capital: float
    changes: Floats
    method: Method
    seed: int
    marks: Ints
    paths: Floats
    lowest: Floats
    drawdowns: Floats
    drawdown_percent: float
    ruin_percent: float

    @property
    def draws(self) -> int:
        """How many histories there are."""
        return len(self.paths)

    @property
    def loss_probability(self) -> float:
        """The share of histories that end below the start capital."""
        return float(np.mean(self.paths[:, -1] < 1.0))

    @property
    def ruin_probability(self) -> float:
        """The share of histories that lose `ruin_percent` of the start capital at some time."""
        return float(np.mean(self.lowest <= 1.0 - self.ruin_percent / 100.0))

    @property
    def drawdown_probability(self) -> float:
        """The share of histories that fall `drawdown_percent` from a peak at some time."""
        return float(np.mean(self.drawdowns >= self.drawdown_percent / 100.0))

    @cached_property
    def bands(self) -> pd.DataFrame:
        """Percentiles of the equity in dollars by trade number."""
        import pandas as pd

        values = np.percentile(self.paths, list(PERCENTILES.values()), axis=0).T * self.capital
        index = pd.Index(self.marks, name="trade")
        return pd.DataFrame(values, index=index, columns=list(PERCENTILES))

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Columns metric, value (of the run), low and high: the middle 90 % of the histories."""
        import pandas as pd

        equity = np.concatenate([[1.0], np.cumprod(1.0 + self.changes)])
        drawdown = float(np.max(1.0 - equity / np.maximum.accumulate(equity)))
        ends = self.paths[:, -1]
        rows = [
            _row("end_equity", equity[-1] * self.capital, ends * self.capital),
            _row("total_return_percent", 100.0 * (equity[-1] - 1.0), 100.0 * (ends - 1.0)),
            _row("max_drawdown_percent", 100.0 * drawdown, 100.0 * self.drawdowns),
            _row("lowest_equity", float(equity.min()) * self.capital, self.lowest * self.capital),
        ]
        return pd.DataFrame(rows, columns=["metric", "value", "low", "high"])

    @property
    def sentence(self) -> str:
        """The result in one plain sentence."""
        low, high = np.percentile(self.paths[:, -1], [5.0, 95.0]) * self.capital
        how = "drawn anew" if self.method == "resample" else "in other orders"
        return (
            f"With its {counted(len(self.changes), 'trade')} {how} {self.draws:,} times the equity"
            f" ends between ${low:,.2f} and ${high:,.2f} in 90 % of the histories; the probability"
            f" of a loss is {percent(self.loss_probability)}, of a drawdown of"
            f" {self.drawdown_percent:g} % {percent(self.drawdown_probability)}, of losing"
            f" {self.ruin_percent:g} % of the capital {percent(self.ruin_probability)}."
        )


def _row(metric: str, value: float, drawn: Floats) -> tuple[str, float, float, float]:
    low, high = np.percentile(drawn, [5.0, 95.0])
    return metric, value, float(low), float(high)


@compiled
def _walks(
    changes: Floats, draws: int, marks: Ints, shuffled: bool, generator: Any
) -> tuple[Floats, Floats, Floats]:
    n = len(changes)
    paths = np.ones((draws, len(marks)))
    lowest, drawdowns = np.ones(draws), np.zeros(draws)
    order = np.arange(n)
    for draw in range(draws):
        equity, peak, mark = 1.0, 1.0, 1
        for i in range(n):
            chosen = int(generator.random() * (n - i if shuffled else n))
            if shuffled:
                chosen += i
                order[i], order[chosen] = order[chosen], order[i]
                chosen = order[i]
            equity *= 1.0 + changes[chosen]
            peak = max(peak, equity)
            lowest[draw] = min(lowest[draw], equity)
            drawdowns[draw] = max(drawdowns[draw], 1.0 - equity / peak)
            if i + 1 == marks[mark]:
                paths[draw, mark] = equity
                mark += 1
    return paths, lowest, drawdowns
