"""All sets of a grid over the same bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.core.costs import Costs
from toolkit.core.inputs import checked_capital, parameters_from
from toolkit.core.kernel import Kernel
from toolkit.core.layout import Ints, Rules
from toolkit.core.parameters import Parameters
from toolkit.research.progress import Report, progress_of
from toolkit.research.scoring import METRICS, Moments, block_edges, score
from toolkit.research.signals import Signals
from toolkit.research.sweeps.grid import grid_of
from toolkit.research.sweeps.sets import Sets
from toolkit.research.sweeps.table import BLOCKS, Results, SweepTable
from toolkit.research.tape import Bars, Tape, tape_of

if TYPE_CHECKING:
    import pandas as pd


def sweep(
    bars: pd.DataFrame | Bars,
    grid: Mapping[str, Sequence[Any]],
    *,
    base: Parameters | Mapping[str, Any] | None = None,
    capital: float = 10_000.0,
    costs: Costs | None = None,
    progress: bool | Report = True,
) -> SweepTable:
    """Run every combination of a grid, `{"ema_period": [5, 9], "stop_loss": [0.1, 0.2]}`.

    `bars` as for `backtest`; `base` holds all other parameters; `progress` is True for a bar,
    False for silence, or a function of (done, total). An interrupt (Ctrl-C, stop button) ends the
    sweep and keeps what is done. Raises ConfigError and DataError.
    """
    sets = grid_of(grid, parameters_from(base))
    capital, costs = checked_capital(capital), costs or Costs()
    tape = tape_of(bars)
    edges = block_edges(len(tape.steps()), BLOCKS)
    results = _empty(sets.size)
    with progress_of(progress, total=sets.size, what="sweep") as report:
        try:
            _fill(results, tape, sets, capital=capital, costs=costs, edges=edges, report=report)
        except KeyboardInterrupt:
            if not results.done.any():
                raise
    return SweepTable(
        grid=sets,
        results=results,
        block_counts=np.diff(edges),
        periods_per_year=tape.periods_per_year,
        capital=capital,
        costs=costs,
        source=tape.source,
    )


def _empty(size: int) -> Results:
    return Results(
        done=np.zeros(size, np.bool_),
        metrics=np.full((size, len(METRICS)), np.nan),
        moments=np.full((size, len(Moments._fields)), np.nan),
        blocks=np.zeros((size, BLOCKS, 2)),
    )


def _fill(
    results: Results,
    tape: Tape,
    grid: Sets,
    *,
    capital: float,
    costs: Costs,
    edges: Ints,
    report: Report,
) -> None:
    kernel = Kernel(tape.market, fee_bps=tape.fee_bps(costs))
    signals, done = Signals(tape), 0
    for parameters, sets in grid.groups():
        decisions = signals.decisions(parameters)
        for number, changes in sets:
            risk = replace(parameters.risk, **changes)
            rules = Rules.of(risk, slippage_bps=costs.slippage_bps)
            outcome = kernel.run(decisions, rules, capital=capital)
            scored = score(
                outcome, capital=capital, periods_per_year=tape.periods_per_year, edges=edges
            )
            results.metrics[number] = list(scored.metrics.values())
            results.moments[number] = scored.moments
            results.blocks[number] = scored.blocks
            results.done[number] = True
            done += 1
            report(done, grid.size)
