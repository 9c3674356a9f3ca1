"""Many sets over the same bars: which ones, by whom, and what came of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.core.costs import Costs
from toolkit.core.inputs import checked_capital, costs_from, parameters_from
from toolkit.core.parameters import Parameters
from toolkit.market.hours import Sessions
from toolkit.research.progress import Report, progress_of
from toolkit.research.scoring import (
    BLOCKS,
    METRICS,
    Moments,
    block_edges,
    goodness_of,
    known_metric,
)
from toolkit.research.store.data import Data
from toolkit.research.sweeps.cluster import WorkersLost
from toolkit.research.sweeps.search import Method, Search, search_of
from toolkit.research.sweeps.sets import Sets
from toolkit.research.sweeps.table import Results, SweepTable
from toolkit.research.sweeps.work import Alone, Crew, Hand, Rows, Study
from toolkit.research.tape import Bars, Tape, tape_of

if TYPE_CHECKING:
    import pandas as pd


class Unfinished(UserWarning):
    """A sweep ended before all its sets were run; those that were are in the table."""


def sweep(
    bars: pd.DataFrame | Bars,
    grid: Mapping[str, Sequence[Any]],
    *,
    method: Method = "grid",
    trials: int | None = None,
    seed: int = 0,
    metric: str = "sharpe",
    base: Parameters | Mapping[str, Any] | None = None,
    capital: float = 10_000.0,
    costs: Costs | Mapping[str, Any] | None = None,
    sessions: Sessions = "all",
    flat_before_close: float = 0.0,
    crew: Crew | None = None,
    progress: bool | Report = True,
) -> SweepTable:
    """Run sets of a grid, `{"ema_period": [5, 9, 20], "stop_loss": (0.1, 0.5)}`.

    A list is values, a tuple `(low, high)` a range in steps of the parameter. `method` runs all
    combinations (grid), `trials` random ones, or `trials` that Optuna asks for, which looks for
    the best `metric`; both are repeatable by `seed`. `base` holds all other parameters; `bars`,
    `capital`, `costs` and hours are as for `backtest`. `crew` does the work, by default the
    calling thread. `progress` is True for a bar, False for silence, or a function of (done, total).
    An interrupt (Ctrl-C, stop button) ends the sweep and keeps what is done. Raises ConfigError and
    DataError.
    """
    search = search_of(grid, parameters_from(base), method=method, trials=trials, seed=seed)
    how: dict[str, Any] = {"method": method, "metric": known_metric(metric)}
    if method != "grid":
        how |= {"trials": search.total if trials is None else trials, "seed": seed}
    capital, costs = checked_capital(capital), costs_from(costs)
    with progress_of(progress, total=search.total, what="sweep") as report:
        return sweep_of(
            tape_of(bars, sessions=sessions, flat_before_close=flat_before_close),
            search,
            capital=capital,
            costs=costs,
            crew=crew or Alone(),
            report=report,
            how=how,
        )


def sweep_of(
    tape: Tape,
    search: Search,
    *,
    capital: float,
    costs: Costs,
    crew: Crew,
    report: Report,
    how: Mapping[str, Any],
) -> SweepTable:
    """Run what a search asks for on a tape; see `sweep`."""
    edges = block_edges(len(tape.steps()), BLOCKS)
    hand = Hand(Study(tape=tape, capital=capital, costs=costs, edges=edges))
    progress = _Progress(search.first(), search.total, report)
    try:
        _run(progress, search, hand, crew, metric=how["metric"])
    except (KeyboardInterrupt, WorkersLost) as stopped:
        if not progress.results.done.any():
            raise
        how = {**how, "interrupted": True}
        if isinstance(stopped, WorkersLost):
            warnings.warn(f"{stopped.message}; what is done is kept", Unfinished, stacklevel=3)
    return SweepTable(
        grid=progress.sets,
        results=progress.results,
        block_counts=np.diff(edges),
        periods_per_year=tape.periods_per_year,
        capital=capital,
        costs=costs,
        source=tape.source,
        data=Data.of(tape),
        how=how,
    )


class _Progress:
    """The sets so far and what is known of them."""

    def __init__(self, sets: Sets, total: int, report: Report) -> None:
        self.sets, self.results = sets, _empty(sets.size)
        self._total, self._report = total, report
        self._done = 0

    def put(self, rows: Rows) -> None:
        """Take the figures of some sets."""
        self.results.metrics[rows.number] = rows.metrics
        self.results.moments[rows.number] = rows.moments
        self.results.blocks[rows.number] = rows.blocks
        self.results.done[rows.number] = True
        self._done += len(rows.number)
        self._report(self._done, max(self._total, self._done))

    def grow(self, sets: Sets) -> None:
        """Make room for the sets that came after."""
        more = _empty(sets.size - self.sets.size)
        pairs = zip(self.results, more, strict=True)
        self.results = Results(*(np.concatenate(pair) for pair in pairs))
        self.sets = sets


def _run(progress: _Progress, search: Search, hand: Hand, crew: Crew, *, metric: str) -> None:
    start, sets = 0, progress.sets
    while True:
        for rows in crew.map(hand, sets.groups(start=start, most=hand.most)):
            progress.put(rows)
        more = search.more(sets, goodness_of(progress.results.metrics, metric))
        if more is None:
            return
        start, sets = sets.size, more
        progress.grow(sets)


def _empty(size: int) -> Results:
    return Results(
        done=np.zeros(size, np.bool_),
        metrics=np.full((size, len(METRICS)), np.nan),
        moments=np.full((size, len(Moments._fields)), np.nan),
        blocks=np.zeros((size, BLOCKS, 2)),
    )
