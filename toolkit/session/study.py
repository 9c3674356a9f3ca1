"""`tk.backtest`, `tk.sweep`, `tk.runs`: research with its pictures, its store and its threads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.core.costs import Costs
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError
from toolkit.market.hours import Sessions
from toolkit.session.kept import keep, run_store, source_of
from toolkit.session.pictures import picture

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.core.layout import Floats
    from toolkit.research.backtest import BacktestRun
    from toolkit.research.progress import Report
    from toolkit.research.store.run_store import RunStore
    from toolkit.research.store.runs import Runs
    from toolkit.research.sweeps.search import Method
    from toolkit.research.sweeps.table import SweepTable
    from toolkit.research.sweeps.work import Crew
    from toolkit.research.tape import Bars


def backtest(
    bars: pd.DataFrame | Bars,
    parameters: Parameters | Mapping[str, Any] | None = None,
    *,
    capital: float = 10_000.0,
    costs: Costs | Mapping[str, Any] | None = None,
    sessions: Sessions = "all",
    flat_before_close: float = 0.0,
    store: bool | RunStore = True,
) -> BacktestRun:
    """Trade recorded bars by the rules of docs/execution.md; the run's `plot()` draws it.

    It is kept for `tk.runs()` and counts as a trial, unless `store` is False. See
    `research.backtest.backtest`. Raises DataError and ConfigError.
    """
    from toolkit.research.backtest import backtest as run

    began = time.perf_counter()
    result = run(
        bars,
        parameters,
        capital=capital,
        costs=costs,
        sessions=sessions,
        flat_before_close=flat_before_close,
    )
    seconds = time.perf_counter() - began
    result = keep(
        result, store=store, seconds=seconds, bars=bars, trials=trial_of, source="backtest"
    )
    return replace(result, plotter=picture)


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
    workers: int | None = None,
    client: Any = None,
    progress: bool | Report = True,
    store: bool | RunStore = True,
) -> SweepTable:
    """Run many sets of parameters; `table.best()` is the best, `heatmap()` draws them.

    `workers` threads do it, by default one for each processor; or the workers of a Dask `client`
    (or the address of its scheduler), with equal results. The table is kept for `tk.runs()` and
    its sets count as trials, unless `store` is False. See `research.sweeps.sweep.sweep`. Raises
    ConfigError and DataError.
    """
    from toolkit.research.sweeps.sweep import sweep as run

    began = time.perf_counter()
    with _crew(workers, client) as crew:
        table = run(
            bars,
            grid,
            method=method,
            trials=trials,
            seed=seed,
            metric=metric,
            base=base,
            capital=capital,
            costs=costs,
            sessions=sessions,
            flat_before_close=flat_before_close,
            crew=crew,
            progress=progress,
        )
    seconds = time.perf_counter() - began
    if table.data and (source := source_of(bars)):
        table = replace(table, data=replace(table.data, source=source), source=source)
    place = run_store() if store is True else store
    table = keep(table, store=place, seconds=seconds, bars=bars, trials=trials_of, source="sweep")
    if place and table.id and table.data:
        table = replace(table, known=partial(place.trials.known, table.data.key))
    return replace(table, plotter=picture)


def runs(path: Path | str | None = None) -> Runs:
    """Return all runs that were kept, the latest first; filter, compare, load, run one again.

    `path` is another folder than the user's own. Raises StoreError.
    """
    return run_store(path).runs()


def trial_of(run: BacktestRun) -> tuple[list[str], Floats]:
    """Return the digest of a run, and its Sharpe ratio of one period."""
    import numpy as np

    from toolkit.research.store.data import Data
    from toolkit.research.store.trials import trial_digest

    digest = trial_digest(run.parameters, run.costs, **Data.of(run.tape).hours)
    if run.signals is not None:  # what is tried there is the signals
        digest = run.signals.digest(digest)
    return [digest], np.array([run.score.moments.sharpe])


def trials_of(table: SweepTable) -> tuple[list[str], Floats]:
    """Return the digests of all sets that a sweep ran, and their Sharpe ratios of one period."""
    from toolkit.research.scoring import sharpes_of
    from toolkit.research.store.trials import trial_digests

    done = table.results.done
    sharpes = sharpes_of(table.results.moments[done])
    hours: Any = table.data.hours if table.data else {}
    return trial_digests(table.grid.vectors()[done], table.costs, **hours), sharpes


@contextmanager
def _crew(workers: int | None, client: Any) -> Iterator[Crew]:
    """Give threads, or the workers of a Dask client; one that was opened here is closed."""
    from toolkit.runtime import thread_crew

    if client is None:
        yield thread_crew(workers)
        return
    if workers is not None:
        raise ConfigError(
            "workers are threads here, client is a cluster; give one of them",
            field="workers",
            allowed="workers or client",
        )
    from toolkit.research.sweeps.cluster import DaskCrew, connect

    if not isinstance(client, str):
        yield DaskCrew(client)
        return
    with connect(client) as opened:
        yield DaskCrew(opened)
