"""Combinatorial purged cross-validation: many out-of-sample histories instead of one.

- Lopez de Prado: Advances in Financial Machine Learning, Wiley (2018), chapter 12.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.core.costs import Costs
from toolkit.core.inputs import checked_capital, costs_from, parameters_from
from toolkit.core.layout import Floats, Ints
from toolkit.core.parameters import Parameters
from toolkit.market.hours import Sessions
from toolkit.research.progress import Report, progress_of
from toolkit.research.store.record import Entry
from toolkit.research.sweeps.grid import grid_of
from toolkit.research.sweeps.sets import Sets
from toolkit.research.sweeps.work import Crew
from toolkit.research.tape import Bars, Tape, tape_of
from toolkit.research.validation.basis import Basis
from toolkit.research.validation.choosing import Pieces, check_chooser
from toolkit.research.validation.folds import Combinations, check_folds, combinations_of
from toolkit.research.validation.pictured import Pictured, counted, percent
from toolkit.research.validation.returns import chained, equity_figures
from toolkit.research.validation.segments import Segments, longest_trade
from toolkit.research.validation.sums import pieces_of
from toolkit.research.warmup import warm_up_bars

if TYPE_CHECKING:
    import pandas as pd

SAMPLES = 16
Curves = Mapping[tuple[int, int], Floats]  # equity of (set, fold)


def cross_validate(
    bars: pd.DataFrame | Bars | Tape,
    grid: Mapping[str, Sequence[Any]],
    *,
    folds: int = 10,
    test_folds: int = 2,
    purge: int | None = None,
    embargo: int | None = None,
    metric: str = "sharpe",
    base: Parameters | Mapping[str, Any] | None = None,
    capital: float = 10_000.0,
    costs: Costs | Mapping[str, Any] | None = None,
    sessions: Sessions = "all",
    flat_before_close: float = 0.0,
    crew: Crew | None = None,
    progress: bool | Report = True,
) -> CombinatorialPurged:
    """Choose on all but `test_folds` of the folds and trade those, in every combination.

    Around every test, `purge` timestamps choose nothing, and `embargo` more behind it: by default
    the longest trade of sixteen sets from all over the grid, and the longest warm-up of their
    indicators, at most a tenth of a fold each. Tests start flat, as in `walk_forward`. Raises
    ConfigError and DataError.
    """
    check_chooser(metric)
    costs = costs_from(costs)
    tape = tape_of(bars, sessions=sessions, flat_before_close=flat_before_close)
    capital = checked_capital(capital)
    sets = grid_of(grid, parameters_from(base))
    segments = Segments(tape, capital=capital, costs=costs)
    plan = combinations_for(
        segments, sets, folds=folds, test_folds=test_folds, purge=purge, embargo=embargo
    )
    with progress_of(progress, total=sets.size + 1, what="cross-validation") as report:
        pieces = pieces_of(
            tape,
            sets,
            edges=plan.piece_edges,
            capital=capital,
            costs=costs,
            crew=crew,
            report=lambda done, _of: report(done, sets.size + 1),
        )
        result = combined_over(plan, pieces, segments, metric=metric)
        report(sets.size + 1, sets.size + 1)
    return result


def combinations_for(
    segments: Segments,
    sets: Sets,
    *,
    folds: int,
    test_folds: int,
    purge: int | None = None,
    embargo: int | None = None,
) -> Combinations:
    """Cut a tape into folds, with the purge and the embargo that a grid asks for."""
    check_folds(folds, test_folds)
    steps = len(segments.tape.steps())
    most = steps // folds // 10
    return combinations_of(
        steps,
        folds=folds,
        test_folds=test_folds,
        purge=min(_longest(segments, sets, steps), most) if purge is None else purge,
        embargo=min(_memory(sets), most) if embargo is None else embargo,
    )


def combined_over(
    plan: Combinations, pieces: Pieces, segments: Segments, *, metric: str
) -> CombinatorialPurged:
    """Choose and judge in every split, over pieces that have the plan's edges."""
    splits = range(len(plan.tests))
    found = [pieces.best(plan.training(split), metric=metric) for split in splits]
    chosen = np.array([number for number, _ in found])
    curves: dict[tuple[int, int], Floats] = {}
    for split in splits:
        _trade(plan, split, int(chosen[split]), pieces, segments, curves)
    tape = segments.tape
    return CombinatorialPurged(
        plan=plan,
        basis=Basis.of(segments, pieces.sets),
        pieces=pieces,
        chosen=chosen,
        in_sample=np.array([ratio for _, ratio in found]),
        curves=curves,
        metric=metric,
        times=tape.market.time[tape.steps()],
    )


def _samples(sets: Sets) -> list[Parameters]:
    numbers = np.unique(np.linspace(0, sets.size - 1, SAMPLES).astype(np.int64))
    return [sets.parameters(number) for number in numbers.tolist()]


def _longest(segments: Segments, sets: Sets, steps: int) -> int:
    return max(longest_trade(segments.run(p, 0, steps)) for p in _samples(sets))


def _memory(sets: Sets) -> int:
    return max(warm_up_bars(p) for p in _samples(sets))


def _trade(
    plan: Combinations,
    split: int,
    number: int,
    pieces: Pieces,
    segments: Segments,
    curves: dict[tuple[int, int], Floats],
) -> None:
    """Add the equity of the split's set in its tests, unless another split has it already."""
    for fold in plan.tests[split].tolist():
        if number >= 0 and (number, fold) not in curves:
            first, last = plan.edges[fold : fold + 2].tolist()
            run = segments.run(pieces.sets.parameters(number), first, last)
            curves[number, fold] = run.outcome.equity.copy()


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CombinatorialPurged(Pictured):
    """All splits and the histories put together from their tests.

    `chosen` is the set of each split, -1 where none traded; `in_sample` its Sharpe ratio of one
    period; `times` of all timestamps in microseconds.
    """

    plan: Combinations
    basis: Basis
    pieces: Pieces
    chosen: Ints
    in_sample: Floats
    curves: Curves
    metric: str
    times: Ints

    @cached_property
    def paths(self) -> pd.DataFrame:
        """The equity in dollars by timestamp, one column per path."""
        import pandas as pd

        index = pd.to_datetime(self.times, unit="us", utc=True).as_unit("us")
        count = int(self.plan.paths.max()) + 1
        columns = {path + 1: self._path(path) for path in range(count)}
        return pd.DataFrame(columns, index=index.rename("timestamp")).rename_axis(columns="path")

    def _path(self, path: int) -> Floats:
        splits, places = np.nonzero(self.plan.paths == path)
        folds = self.plan.tests[splits, places]
        order = np.argsort(folds)
        curves = [
            self._curve(int(s), int(f)) for s, f in zip(splits[order], folds[order], strict=True)
        ]
        return chained(curves, self.basis.capital)

    def _curve(self, split: int, fold: int) -> Floats:
        number = int(self.chosen[split])
        if number >= 0:
            return self.curves[number, fold]
        return np.full(int(self.plan.edges[fold + 1] - self.plan.edges[fold]), self.basis.capital)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per path: annualised Sharpe ratio, return, drawdown."""
        import pandas as pd

        rows = []
        for path in self.paths.columns:
            equity = self.paths[path].to_numpy()
            figures = equity_figures(equity, self.basis.capital, self.basis.periods_per_year)
            rows.append({"path": path, **figures._asdict()})
        return pd.DataFrame(rows)

    @cached_property
    def splits(self) -> pd.DataFrame:
        """One row per split: the folds that judge, the chosen values, the Sharpe ratio before."""
        import pandas as pd

        year = math.sqrt(self.basis.periods_per_year)
        rows = []
        for split, number in enumerate(self.chosen.tolist()):
            none = dict.fromkeys(self.basis.axes)
            values = self.pieces.sets.values(number) if number >= 0 else none
            tests = ", ".join(str(fold + 1) for fold in self.plan.tests[split])
            ratio = self.in_sample[split] * year
            rows.append({"split": split + 1, "tests": tests, **values, "in_sample_sharpe": ratio})
        return pd.DataFrame(rows)

    @property
    def loss_probability(self) -> float:
        """The share of paths that lose."""
        return float((self.frame["total_return_percent"] < 0.0).mean())

    @property
    def sharpe(self) -> float:
        """The median annualised Sharpe ratio of the paths; paths without a trade count as 0."""
        return float(self.frame["sharpe"].fillna(0.0).median())

    @property
    def sentence(self) -> str:
        """The result in one plain sentence."""
        ratios = self.frame["sharpe"].fillna(0.0)
        return (
            f"In {counted(len(ratios), 'history', 'histories')} put together from the tests of"
            f" {counted(len(self.chosen), 'split')} the Sharpe ratio is {self.sharpe:.2f} in the"
            f" median, {ratios.min():.2f} to {ratios.max():.2f} in all;"
            f" {percent(self.loss_probability)} of the histories lose."
        )

    def entry(self) -> Entry:
        """Return what the store of runs keeps."""
        plan = self.plan
        return self.basis.entry(
            "cross_validation",
            options={
                "folds": plan.folds,
                "test_folds": plan.tests.shape[1],
                "purge": plan.purge,
                "embargo": plan.embargo,
                "metric": self.metric,
            },
            figures={"sharpe": self.sharpe, "loss_probability": self.loss_probability},
            frames={"paths": self.frame, "splits": self.splits},
        )
