"""The user's own signals, such as vectorbt's indicators give, under our execution rules.

They are decided at a bar's close and filled at the symbol's next open; stops, targets and sizes
are those of the risk parameters. Nothing here imports vectorbt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.core.costs import Costs
from toolkit.core.inputs import checked_capital, costs_from, parameters_from
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError, DataError
from toolkit.market.hours import Sessions
from toolkit.market.tables import MarketTable
from toolkit.research.backtest import BacktestRun
from toolkit.research.checks.lookahead import check_lookahead
from toolkit.research.progress import Report
from toolkit.research.signals import Signals
from toolkit.research.tape import Bars, tape_of
from toolkit.research.vbt.given import Given, given, paired
from toolkit.research.vbt.signal_table import SignalTable, SignalWork, run_all

if TYPE_CHECKING:
    import pandas as pd

    Values = pd.Series[Any] | pd.DataFrame
    Function = Callable[[pd.DataFrame], Any]


def backtest_signals(
    bars: pd.DataFrame | Bars,
    entries: Values | Function,
    exits: Values | None = None,
    *,
    parameters: Parameters | Mapping[str, Any] | None = None,
    capital: float = 10_000.0,
    costs: Costs | Mapping[str, Any] | None = None,
    sessions: Sessions = "all",
    flat_before_close: float = 0.0,
    lookahead: bool = False,
    progress: bool | Report = True,
) -> BacktestRun | SignalTable:
    """Trade the user's entries and exits by the rules of docs/execution.md.

    Both are True and False at each bar: a Series for one symbol, a DataFrame with a column for
    each symbol, or with vectorbt's MultiIndex of parameters and symbols, on the times or the rows
    of `bars`. Several combinations give a SignalTable, one gives a BacktestRun. `entries` may be a
    function of bars that returns entries or (entries, exits); with `lookahead` it is first tested
    for knowing the future. Of `parameters` the group risk counts, and `atr_period`; without exits
    positions end by these alone. Raises DataError and ConfigError.
    """
    chosen, capital = parameters_from(parameters), checked_capital(capital)
    if lookahead:
        _refuse_lookahead(bars, entries, progress)
    tape = tape_of(bars, sessions=sessions, flat_before_close=flat_before_close)
    frame = tape.frame if isinstance(bars, (MarketTable, str, Path)) else bars
    buying, selling = _computed(frame, entries, exits)
    one = given(buying, tape, name="entries", bars=frame)
    two = None if selling is None else given(selling, tape, name="exits", bars=frame)
    work = SignalWork(
        tape=tape,
        base=Signals(tape).decisions(chosen),
        sets=paired(one, two),
        parameters=chosen,
        capital=capital,
        costs=costs_from(costs),
    )
    if set(work.sets) == {()}:
        return work.run(())
    return run_all(work, levels=_levels(one, two), progress=progress)


def _levels(entries: Given, exits: Given | None) -> tuple[str, ...]:
    if exits is not None and len(exits.signals) > len(entries.signals):
        return exits.levels
    return entries.levels


def _computed(bars: pd.DataFrame, entries: Any, exits: Any) -> tuple[Any, Any]:
    if not callable(entries):
        return entries, exits
    if exits is not None:
        raise ConfigError(
            "entries is a function, so exits must come from it too: return (entries, exits)",
            field="exits",
            allowed="None",
        )
    result = entries(bars.copy())
    if isinstance(result, tuple):
        if len(result) != 2:
            raise ConfigError(
                f"the function returned {len(result)} values; allowed: entries, or"
                " (entries, exits)",
                field="entries",
                value=str(len(result)),
                allowed="1 or 2",
            )
        return result
    return result, None


def _refuse_lookahead(bars: Any, entries: Any, progress: bool | Report) -> None:
    if not callable(entries):
        raise ConfigError(
            "lookahead=True needs a function of bars: signals that are already computed do not"
            " show what they are made of",
            field="lookahead",
            allowed="entries as a function",
        )
    found = check_lookahead(bars, entries, progress=progress)
    if not found.ok:
        raise DataError(found.sentence, field="entries", leaks=len(found.leaks))
