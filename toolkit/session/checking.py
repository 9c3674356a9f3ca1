"""`tk.check_*` and `tk.backtest_signals`: the checks of research with what the session knows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from toolkit.core.costs import Costs
from toolkit.core.parameters import Parameters
from toolkit.market.hours import Sessions
from toolkit.session.kept import keep, run_store
from toolkit.session.pictures import picture
from toolkit.session.recorded_market import WARM_UP_BARS
from toolkit.session.study import trial_of

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.research.backtest import BacktestRun
    from toolkit.research.checks.columns import Function
    from toolkit.research.checks.costs import CostsCheck
    from toolkit.research.checks.data import DataCheck
    from toolkit.research.checks.lookahead import LookaheadCheck
    from toolkit.research.checks.warmup import Given, WarmupCheck
    from toolkit.research.progress import Report
    from toolkit.research.store.run_store import RunStore
    from toolkit.research.tape import Bars
    from toolkit.research.vbt.agreement import CrossCheck
    from toolkit.research.vbt.signal_table import SignalTable


def check_lookahead(
    bars: pd.DataFrame | Bars,
    function: Function | None = None,
    *,
    parameters: Parameters | Mapping[str, Any] | None = None,
    capital: float = 10_000.0,
    costs: Costs | Mapping[str, Any] | None = None,
    sessions: Sessions = "all",
    flat_before_close: float = 0.0,
    cuts: int = 60,
    seed: int = 0,
    relative: float | None = None,
    progress: bool | Report = True,
) -> LookaheadCheck:
    """Cut the future off and see whether signals, indicators or trades before it change.

    Of the strategy, or of `function(bars)`. See `research.checks.lookahead`. Raises ConfigError
    and DataError.
    """
    from toolkit.research.checks.lookahead import check_lookahead as check

    found = check(
        bars,
        function,
        parameters=parameters,
        capital=capital,
        costs=costs,
        sessions=sessions,
        flat_before_close=flat_before_close,
        cuts=cuts,
        seed=seed,
        relative=relative,
        progress=progress,
    )
    return replace(found, plotter=picture)


def check_warmup(
    bars: pd.DataFrame | Bars,
    parameters: Given | Sequence[Given] | None = None,
    *,
    grid: Mapping[str, Sequence[Any]] | None = None,
    loaded: int = WARM_UP_BARS,
    starts: int = 20,
    seed: int = 0,
    progress: bool | Report = True,
) -> WarmupCheck:
    """Count the bars until signals agree with those of a long history, against what the bot loads.

    See `research.checks.warmup`. Raises ConfigError and DataError.
    """
    from toolkit.research.checks.warmup import check_warmup as check

    found = check(
        bars,
        parameters,
        grid=grid,
        loaded=loaded,
        starts=starts,
        seed=seed,
        progress=progress,
    )
    return replace(found, plotter=picture)


def check_costs(
    bars: BacktestRun | pd.DataFrame | Bars,
    parameters: Parameters | Mapping[str, Any] | None = None,
    *,
    capital: float = 10_000.0,
    costs: Costs | Mapping[str, Any] | None = None,
    sessions: Sessions = "all",
    flat_before_close: float = 0.0,
    margin_bps: float = 1.0,
    progress: bool | Report = True,
) -> CostsCheck:
    """Find the fee and the slippage at which the edge dies, of bars or of a finished run.

    See `research.checks.costs`. Raises ConfigError and DataError.
    """
    from toolkit.research.checks.costs import check_costs as check

    found = check(
        bars,
        parameters,
        capital=capital,
        costs=costs,
        sessions=sessions,
        flat_before_close=flat_before_close,
        margin_bps=margin_bps,
        progress=progress,
    )
    return replace(found, plotter=picture)


def check_data(
    bars: pd.DataFrame | Bars,
    *,
    symbol: str | None = None,
    timeframe: float | None = None,
    progress: bool | Report = True,
) -> DataCheck:
    """Find gaps, spikes, splits, doubles, bad values, mixed feeds and wrong time zones.

    See `research.checks.data`. Raises DataError for a file that cannot be read.
    """
    from toolkit.research.checks.data import check_data as check

    found = check(bars, symbol=symbol, timeframe=timeframe, progress=progress)
    return replace(found, plotter=picture)


def check_vectorbt(
    bars: BacktestRun | pd.DataFrame | Bars,
    parameters: Parameters | Mapping[str, Any] | None = None,
    *,
    capital: float = 10_000.0,
    costs: Costs | Mapping[str, Any] | None = None,
    sessions: Sessions = "all",
    flat_before_close: float = 0.0,
) -> CrossCheck:
    """Trade once more in vectorbt's simulator and compare trade by trade; takes ten seconds.

    Of bars, or of a finished run. Needs the extra `backtest`. Raises ConfigError and DataError.
    """
    from toolkit.research.backtest import BacktestRun, backtest

    if not isinstance(bars, BacktestRun):
        bars = backtest(
            bars,
            parameters,
            capital=capital,
            costs=costs,
            sessions=sessions,
            flat_before_close=flat_before_close,
        )
    from toolkit.research.vbt.crosscheck import crosscheck

    return replace(crosscheck(bars), plotter=picture)


def backtest_signals(
    bars: pd.DataFrame | Bars,
    entries: Any,
    exits: Any = None,
    *,
    parameters: Parameters | Mapping[str, Any] | None = None,
    capital: float = 10_000.0,
    costs: Costs | Mapping[str, Any] | None = None,
    sessions: Sessions = "all",
    flat_before_close: float = 0.0,
    lookahead: bool = False,
    progress: bool | Report = True,
    store: bool | RunStore = True,
) -> BacktestRun | SignalTable:
    """Trade the user's own entries and exits, such as vectorbt's, by our rules; one call.

    The result is kept for `tk.runs()` and counts as trials, unless `store` is False. See
    `research.vbt.signals` and docs/research/vectorbt.md. Raises ConfigError and DataError.
    """
    from toolkit.research.backtest import BacktestRun
    from toolkit.research.store.trials import DataKey
    from toolkit.research.vbt.signals import backtest_signals as run

    began = time.perf_counter()
    result = run(
        bars,
        entries,
        exits,
        parameters=parameters,
        capital=capital,
        costs=costs,
        sessions=sessions,
        flat_before_close=flat_before_close,
        lookahead=lookahead,
        progress=progress,
    )
    seconds = time.perf_counter() - began
    place = run_store() if store is True else store
    if isinstance(result, BacktestRun):
        run_kept = keep(
            result, store=place, seconds=seconds, bars=bars, trials=trial_of, source="signals"
        )
        return replace(run_kept, plotter=picture)
    table = keep(
        result,
        store=place,
        seconds=seconds,
        bars=bars,
        trials=lambda each: each.trials(),
        source="signals",
    )
    if place and table.id:
        key = DataKey.of(table.work.tape)
        table = replace(table, known=partial(place.trials.known, key))
    return replace(table, plotter=picture)
