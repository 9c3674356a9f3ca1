"""Walk-forward: choose on the past, trade the future, move on.

- Pardo: The Evaluation and Optimization of Trading Strategies, Wiley (2008).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.core.costs import Costs
from toolkit.core.inputs import checked_capital, costs_from, parameters_from
from toolkit.core.layout import Floats, Ints
from toolkit.core.parameters import Parameters
from toolkit.market.hours import Sessions
from toolkit.research.progress import Report, progress_of
from toolkit.research.scoring import Moments
from toolkit.research.store.record import Entry
from toolkit.research.sweeps.grid import grid_of
from toolkit.research.sweeps.work import Crew
from toolkit.research.tape import Bars, Tape, tape_of
from toolkit.research.validation.basis import Basis
from toolkit.research.validation.choosing import Pieces, check_chooser
from toolkit.research.validation.folds import Fold, walk
from toolkit.research.validation.overfitting import probabilistic_sharpe
from toolkit.research.validation.pictured import Pictured, counted, percent
from toolkit.research.validation.returns import chained, equity_figures, moments_of
from toolkit.research.validation.segments import Segments
from toolkit.research.validation.sums import pieces_of

if TYPE_CHECKING:
    import pandas as pd


def walk_forward(
    bars: pd.DataFrame | Bars | Tape,
    grid: Mapping[str, Sequence[Any]],
    *,
    folds: int | None = None,
    train: int | None = None,
    test: int | None = None,
    anchored: bool = False,
    metric: str = "sharpe",
    base: Parameters | Mapping[str, Any] | None = None,
    capital: float = 10_000.0,
    costs: Costs | Mapping[str, Any] | None = None,
    sessions: Sessions = "all",
    flat_before_close: float = 0.0,
    crew: Crew | None = None,
    progress: bool | Report = True,
) -> WalkForward:
    """Choose the best set of a grid on each training and trade it on the test behind it.

    `train` and `test` in timestamps, `folds` tests where `test` is not given (see `folds.walk`);
    an anchored training begins with the data. Indicators are computed once on the whole of time,
    for they look back only. Every test starts flat with the capital, and what is open at its end
    counts at its last close. `metric` is sharpe or total_return_percent. Raises ConfigError and
    DataError.
    """
    check_chooser(metric)
    costs = costs_from(costs)
    tape = tape_of(bars, sessions=sessions, flat_before_close=flat_before_close)
    capital = checked_capital(capital)
    sets = grid_of(grid, parameters_from(base))
    plan = walk(len(tape.steps()), folds=folds, train=train, test=test, anchored=anchored)
    with progress_of(progress, total=sets.size + 1, what="walk-forward") as report:
        pieces = pieces_of(
            tape,
            sets,
            edges=np.unique([fold.edges for fold in plan]),
            capital=capital,
            costs=costs,
            crew=crew,
            report=lambda done, _of: report(done, sets.size + 1),
        )
        segments = Segments(tape, capital=capital, costs=costs)
        walked = walked_over(plan, pieces, segments, metric=metric)
        report(sets.size + 1, sets.size + 1)
    return replace(walked, anchored=anchored)


def walked_over(
    plan: Sequence[Fold], pieces: Pieces, segments: Segments, *, metric: str
) -> WalkForward:
    """Walk over pieces that have the edges of all folds."""
    tape = segments.tape
    return WalkForward(
        folds=tuple(_walked(fold, pieces, segments, metric) for fold in plan),
        basis=Basis.of(segments, pieces.sets),
        pieces=pieces,
        metric=metric,
        times=tape.market.time[tape.steps()],
    )


def _walked(fold: Fold, pieces: Pieces, segments: Segments, metric: str) -> Walked:
    number, ratio = pieces.best([(fold.train_start, fold.train_end)], metric=metric)
    if number < 0:
        return Walked(fold=fold, parameters=None, in_sample=math.nan, equity=None, trades=0)
    parameters = pieces.sets.parameters(number)
    run = segments.run(parameters, fold.test_start, fold.test_end)
    return Walked(
        fold=fold,
        parameters=parameters,
        in_sample=ratio,
        equity=run.outcome.equity.copy(),
        trades=len(run.outcome.trips),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walked:
    """One fold: the set that was chosen (None where none traded) and its equity in the test.

    `in_sample` is its Sharpe ratio of one period in the training.
    """

    fold: Fold
    parameters: Parameters | None
    in_sample: float
    equity: Floats | None
    trades: int


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class WalkForward(Pictured):
    """A finished walk; `times` are those of all timestamps in microseconds."""

    folds: tuple[Walked, ...]
    basis: Basis
    pieces: Pieces
    metric: str
    times: Ints
    anchored: bool = False

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per fold: spans (ends included), chosen values, Sharpe ratios, return, trades."""
        import pandas as pd

        rows = [self._row(number, walked) for number, walked in enumerate(self.folds, 1)]
        frame = pd.DataFrame(rows)
        for name in ("train_start", "train_end", "test_start", "test_end"):
            frame[name] = pd.to_datetime(frame[name], unit="us", utc=True).dt.as_unit("us")
        return frame

    def _row(self, number: int, walked: Walked) -> dict[str, Any]:
        fold, year = walked.fold, math.sqrt(self.basis.periods_per_year)
        figures = equity_figures(
            self._equity(walked), self.basis.capital, self.basis.periods_per_year
        )
        chosen = walked.parameters
        return {
            "fold": number,
            "train_start": self.times[fold.train_start],
            "train_end": self.times[fold.train_end - 1],
            "test_start": self.times[fold.test_start],
            "test_end": self.times[fold.test_end - 1],
            **{name: chosen[name] if chosen is not None else None for name in self.basis.axes},
            "in_sample_sharpe": walked.in_sample * year,
            "sharpe": figures.sharpe,
            "total_return_percent": figures.total_return_percent,
            "trades": walked.trades,
        }

    def _equity(self, walked: Walked) -> Floats:
        if walked.equity is not None:
            return walked.equity
        return np.full(walked.fold.test_end - walked.fold.test_start, self.basis.capital)

    @cached_property
    def equity(self) -> pd.Series[float]:
        """Dollars over all tests, one behind the other, the profit of each carried on."""
        import pandas as pd

        first, last = self.folds[0].fold.test_start, self.folds[-1].fold.test_end
        index = pd.to_datetime(self.times[first:last], unit="us", utc=True).as_unit("us")
        values = chained([self._equity(walked) for walked in self.folds], self.basis.capital)
        return pd.Series(values, index=index.rename("timestamp"), name="equity")

    @cached_property
    def moments(self) -> Moments:
        """Moments of the returns over all tests."""
        return moments_of(np.asarray(self.equity, np.float64), self.basis.capital)

    @property
    def sharpe(self) -> float:
        """The annualised Sharpe ratio over all tests, NaN where nothing moved."""
        return self.moments.sharpe * math.sqrt(self.basis.periods_per_year)

    @property
    def in_sample_sharpe(self) -> float:
        """The mean annualised Sharpe ratio of the chosen sets in their trainings."""
        values = self.frame["in_sample_sharpe"].to_numpy(np.float64)
        return float(np.nanmean(values)) if not np.isnan(values).all() else math.nan

    @property
    def efficiency(self) -> float:
        """Out-of-sample by in-sample Sharpe ratio; NaN where in sample is not above 0."""
        before = self.in_sample_sharpe
        return self.sharpe / before if before > 0.0 else math.nan

    @property
    def probability(self) -> float:
        """The probability that the true Sharpe ratio out of sample is above 0."""
        return probabilistic_sharpe(self.moments, 0.0)

    @property
    def sentence(self) -> str:
        """The result in one plain sentence."""
        frame, many = self.frame, counted(len(self.folds), "fold")
        if math.isnan(self.sharpe):
            return f"Over {many} no chosen set traded out of sample."
        won = int((frame["total_return_percent"] > 0.0).sum())
        efficiency = "" if math.isnan(self.efficiency) else f" ({percent(self.efficiency)} of it)"
        profit = 100.0 * (self.equity.iloc[-1] / self.basis.capital - 1.0)
        return (
            f"Chosen on the past and traded on what came next, over {many}, the Sharpe ratio is"
            f" {self.sharpe:.2f} after {self.in_sample_sharpe:.2f} in sample{efficiency}; {won} of"
            f" {many} earned, {profit:+.2f} % in all; skill is {percent(self.probability)}"
            " probable."
        )

    def entry(self) -> Entry:
        """Return what the store of runs keeps."""
        lengths = [f.fold.train_end - f.fold.train_start for f in self.folds]
        test = self.folds[0].fold.test_end - self.folds[0].fold.test_start
        figures = {
            "sharpe": self.sharpe,
            "in_sample_sharpe": self.in_sample_sharpe,
            "efficiency": self.efficiency,
            "probability": self.probability,
        }
        return self.basis.entry(
            "walk_forward",
            options={
                "train": lengths[0],
                "test": test,
                "anchored": self.anchored,
                "metric": self.metric,
            },
            figures=figures,
            frames={"folds": self.frame, "equity": self.equity.reset_index()},
        )
