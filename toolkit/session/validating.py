"""`tk.validate` and its parts: validation with its pictures, its store and its ledger."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from toolkit.core.costs import Costs
from toolkit.core.parameters import Parameters
from toolkit.market.hours import Sessions
from toolkit.runtime import thread_crew
from toolkit.session.pictures import picture

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.research.backtest import BacktestRun
    from toolkit.research.progress import Report
    from toolkit.research.store.run_store import RunStore
    from toolkit.research.sweeps.table import SweepTable
    from toolkit.research.tape import Bars
    from toolkit.research.validation.bootstrap import Bootstrap
    from toolkit.research.validation.combinatorial import CombinatorialPurged
    from toolkit.research.validation.hold_out import Sealed
    from toolkit.research.validation.monte_carlo import Method, MonteCarlo
    from toolkit.research.validation.validate import Validation
    from toolkit.research.validation.walk_forward import WalkForward

K = TypeVar("K", "WalkForward", "CombinatorialPurged", "Validation")


def walk_forward(
    bars: pd.DataFrame | Bars,
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
    workers: int | None = None,
    store: bool | RunStore = True,
    progress: bool | Report = True,
) -> WalkForward:
    """Choose the best set on the past, trade what came next, and move on.

    `folds` tests (5 by default), or trainings and tests of `train` and `test` timestamps; an
    anchored training begins with the data. `workers` threads, by default one for each processor.
    See `research.validation.walk_forward`. Raises ConfigError and DataError.
    """
    from toolkit.research.validation.walk_forward import walk_forward as run

    began = time.perf_counter()
    result = run(
        bars,
        grid,
        folds=folds,
        train=train,
        test=test,
        anchored=anchored,
        metric=metric,
        base=base,
        capital=capital,
        costs=costs,
        sessions=sessions,
        flat_before_close=flat_before_close,
        crew=thread_crew(workers),
        progress=progress,
    )
    result = _kept(result, store=store, began=began, bars=bars, source="walk_forward")
    return replace(result, plotter=picture)


def cross_validate(
    bars: pd.DataFrame | Bars,
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
    workers: int | None = None,
    store: bool | RunStore = True,
    progress: bool | Report = True,
) -> CombinatorialPurged:
    """Combinatorial purged cross-validation: many out-of-sample histories of one choice.

    See `research.validation.combinatorial`. Raises ConfigError and DataError.
    """
    from toolkit.research.validation.combinatorial import cross_validate as run

    began = time.perf_counter()
    result = run(
        bars,
        grid,
        folds=folds,
        test_folds=test_folds,
        purge=purge,
        embargo=embargo,
        metric=metric,
        base=base,
        capital=capital,
        costs=costs,
        sessions=sessions,
        flat_before_close=flat_before_close,
        crew=thread_crew(workers),
        progress=progress,
    )
    result = _kept(result, store=store, began=began, bars=bars, source="cross_validation")
    return replace(result, plotter=picture)


def hold_out(
    bars: pd.DataFrame | Bars,
    *,
    share: float = 0.2,
    sessions: Sessions = "all",
    flat_before_close: float = 0.0,
    store: RunStore | None = None,
) -> tuple[pd.DataFrame, Sealed]:
    """Return the bars to work on, and the last `share` of the timestamps sealed.

    `sealed.look(parameters)` trades them, and every look is counted for all times, in the ledger
    of `store` (the user's own unless given). See `research.validation.hold_out`. Raises ConfigError
    and DataError.
    """
    from toolkit.research.validation.hold_out import hold_out as run
    from toolkit.session.kept import run_store

    place = store or run_store()
    return run(
        bars,
        share=share,
        sessions=sessions,
        flat_before_close=flat_before_close,
        ledger=place.trials,
        plotter=picture,
    )


def bootstrap(
    run: BacktestRun,
    *,
    draws: int = 1000,
    block: float | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> Bootstrap:
    """Draw other histories from pieces of a run's returns: bands for its figures.

    See `research.validation.bootstrap`. Raises ConfigError and DataError.
    """
    from toolkit.research.validation.bootstrap import bootstrap as draw

    found = draw(run, draws=draws, block=block, level=level, seed=seed)
    return replace(found, plotter=picture)


def monte_carlo(
    run: BacktestRun,
    *,
    draws: int = 2000,
    method: Method = "resample",
    drawdown_percent: float = 20.0,
    ruin_percent: float = 50.0,
    seed: int = 0,
) -> MonteCarlo:
    """Trade the round trips of a run in other mixes or orders: bands, probability of ruin.

    See `research.validation.monte_carlo`. Raises ConfigError and DataError.
    """
    from toolkit.research.validation.monte_carlo import monte_carlo as draw

    found = draw(
        run,
        draws=draws,
        method=method,
        drawdown_percent=drawdown_percent,
        ruin_percent=ruin_percent,
        seed=seed,
    )
    return replace(found, plotter=picture)


def validate(
    bars: pd.DataFrame | Bars,
    grid: Mapping[str, Sequence[Any]] | SweepTable,
    parameters: Parameters | Mapping[str, Any] | None = None,
    *,
    folds: int | None = None,
    train: int | None = None,
    test: int | None = None,
    anchored: bool = False,
    groups: int = 10,
    share: float = 0.0,
    draws: int = 1000,
    seed: int = 0,
    base: Parameters | Mapping[str, Any] | None = None,
    capital: float = 10_000.0,
    costs: Costs | Mapping[str, Any] | None = None,
    sessions: Sessions = "all",
    flat_before_close: float = 0.0,
    workers: int | None = None,
    store: bool | RunStore = True,
    progress: bool | Report = True,
) -> Validation:
    """Say in one sentence whether the data supports a set: all tests at once.

    `grid` is swept first, or is the table of a sweep of these bars (`base`, `capital`, `costs` and
    hours are then the table's). The last `share` of the timestamps is sealed first and looked at
    once at the end (see `hold_out`); 0 seals nothing. An interrupt ends it, and what was swept is
    kept. See `research.validation.validate`. Raises ConfigError and DataError.
    """
    from toolkit.research.sweeps.table import SweepTable
    from toolkit.research.validation.validate import validate as run
    from toolkit.session.study import sweep

    hours: Any = {"sessions": sessions, "flat_before_close": flat_before_close}
    sealed = None
    if isinstance(grid, SweepTable) and grid.data is not None and sessions == "all":
        hours = grid.data.hours
    if share:
        bars, sealed = hold_out(bars, share=share, **hours)
    table = grid
    if not isinstance(table, SweepTable):
        money: Any = {"base": base, "capital": capital, "costs": costs}
        table = sweep(
            bars, table, workers=workers, store=store, progress=progress, **money, **hours
        )
        if table.interrupted:
            raise KeyboardInterrupt
    began = time.perf_counter()
    found = run(
        bars,
        table,
        parameters,
        folds=folds,
        train=train,
        test=test,
        anchored=anchored,
        groups=groups,
        draws=draws,
        seed=seed,
        crew=thread_crew(workers),
        progress=progress,
        **hours,
    )
    if sealed is not None:
        look = sealed.look(found.parameters, capital=table.capital, costs=table.costs)
        found = replace(found, look=look)
    found = _kept(found, store=store, began=began, bars=bars, source="validation")
    return with_pictures(found)


def with_pictures(found: Validation) -> Validation:
    """Give a validation and all its parts their plotter."""
    parts = {
        name: replace(part, plotter=picture)
        for name in ("walk_forward", "cross_validation", "plateau", "bootstrap", "monte_carlo")
        if (part := getattr(found, name)) is not None
    }
    return replace(found, plotter=picture, **parts)


def _kept(result: K, *, store: bool | RunStore, began: float, bars: Any, source: str) -> K:
    """Count the sets as trials and put the result into the store."""
    from toolkit.session.kept import keep

    return keep(
        result,
        store=store,
        seconds=time.perf_counter() - began,
        bars=bars,
        trials=lambda found: found.pieces.trials(found.basis.costs, found.basis.data.hours),
        source=source,
    )
