"""`check lookahead`: does the strategy, or a function of the user's, know the future?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.core.costs import Costs
from toolkit.core.inputs import checked_capital, costs_from, parameters_from
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError
from toolkit.market.hours import Sessions
from toolkit.market.tables import MarketTable, bars_of, normalise, read_table
from toolkit.research.backtest import BacktestRun, backtest
from toolkit.research.checks.columns import Function, timed
from toolkit.research.checks.prefix import Leak, leaks
from toolkit.research.checks.result import CheckResult
from toolkit.research.plotting import Plotter
from toolkit.research.progress import Report, progress_of
from toolkit.research.tape import Bars

if TYPE_CHECKING:
    import pandas as pd

CUTS = 60
RELATIVE = 1e-9
COLUMNS = tuple(Leak.__dataclass_fields__)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LookaheadCheck(CheckResult):
    """What the prefix test found; `leaks` by their first bar, `what` was tested on `bars` bars.

    `silent` where there was no signal at all that could have been tested.
    """

    leaks: tuple[Leak, ...]
    cuts: int
    bars: int
    what: str
    silent: bool = False
    plotter: Plotter | None = field(default=None)

    @property
    def ok(self) -> bool:
        """Whether nothing changed when the future was cut off."""
        return not self.leaks

    @property
    def sentence(self) -> str:
        """The first leak in words, or that there is none."""
        if not self.leaks:
            nothing = "; but no signal was given, so none was tested" if self.silent else ""
            return (
                f"no look-ahead: {self.what} stayed the same"
                f" at {self.cuts} cuts through {self.bars:,} bars{nothing}"
            )
        first = self.leaks[0]
        where = f"{first.timestamp}" + (f", {first.symbol}" if first.symbol else "")
        others = len(self.leaks) - 1
        more = f"; so do {others} other columns" if others > 1 else ""
        more = "; so does 1 other column" if others == 1 else more
        return (
            f"look-ahead: {first.column} at row {first.row} ({where}) is {_shown(first.known)},"
            f" but {_shown(first.cut)} while nothing after {first.cut_at} is known;"
            f" {self._why}{more}"
        )

    @property
    def _why(self) -> str:
        ahead = self.leaks[0].ahead
        if ahead > self.bars // 2:
            return "it depends on the whole series: look for means, ranges or fits over all bars"
        bars = "bar" if ahead == 1 else "bars"
        return (
            f"it reads at least {ahead} {bars} ahead: look for shift(-{ahead}), center=True,"
            " bfill or resample"
        )

    @property
    def frame(self) -> pd.DataFrame:
        """One row per leaking column; see `Leak`."""
        import pandas as pd

        return pd.DataFrame([asdict(leak) for leak in self.leaks], columns=list(COLUMNS))


def check_lookahead(
    bars: pd.DataFrame | Bars,
    function: Function | None = None,
    *,
    parameters: Parameters | Mapping[str, Any] | None = None,
    capital: float = 10_000.0,
    costs: Costs | Mapping[str, Any] | None = None,
    sessions: Sessions = "all",
    flat_before_close: float = 0.0,
    cuts: int = CUTS,
    seed: int = 0,
    relative: float | None = None,
    progress: bool | Report = True,
) -> LookaheadCheck:
    """Cut the future off at many bars and see whether anything before the cut changes.

    Tests our strategy (indicators, conditions, trades) with `parameters`, to the last bit; or
    `function(bars)`, which gets a part of the bars as they were passed and returns a Series or a
    DataFrame of signals or indicators, a tuple (entries, exits), or a dict: rows as in the bars,
    or on an index of times. Numbers may differ by `relative` (1e-9). `cuts` times the function is
    called, right after signals, evenly and at random. Raises ConfigError and DataError.
    """
    _check(function, cuts)
    frame = _frame(bars, as_passed=function is not None)
    if function is None:
        what = "indicators, signals and trades"
        function = _Strategy(
            parameters=parameters_from(parameters),
            capital=checked_capital(capital),
            costs=costs_from(costs),
            sessions=sessions,
            flat_before_close=flat_before_close,
        )
        default = 0.0
    else:
        what, default = "what the function returns", RELATIVE
    data = timed(frame)
    with progress_of(progress, total=cuts, what="look-ahead") as report:
        found = leaks(
            data,
            function,
            cuts=cuts,
            seed=seed,
            relative=default if relative is None else relative,
            report=report,
        )
    return LookaheadCheck(
        leaks=found.leaks, cuts=len(found.at), bars=len(frame), what=what, silent=found.silent
    )


def _check(function: Function | None, cuts: int) -> None:
    if function is not None and not callable(function):
        raise ConfigError(
            f"function is {type(function).__name__}; allowed: a function of bars, for signals that"
            " are already computed do not show what they are made of",
            field="function",
            value=type(function).__name__,
            allowed="a function of bars",
        )
    if not (isinstance(cuts, int) and cuts >= 1):
        raise ConfigError(
            f"cuts is {cuts!r}; allowed: whole numbers from 1", field="cuts", allowed="from 1"
        )


def _frame(bars: pd.DataFrame | Bars, *, as_passed: bool) -> pd.DataFrame:
    if isinstance(bars, (str, Path)):
        bars = read_table(bars)
    if not isinstance(bars, MarketTable):
        if as_passed:
            return bars
        bars = normalise(bars)
    return bars_of(bars)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Strategy:
    """Everything that a run says at a bar, as columns of the tape's rows."""

    parameters: Parameters
    capital: float
    costs: Costs
    sessions: Sessions
    flat_before_close: float

    def __call__(self, bars: pd.DataFrame) -> dict[str, Any]:
        run = backtest(
            bars,
            self.parameters,
            capital=self.capital,
            costs=self.costs,
            sessions=self.sessions,
            flat_before_close=self.flat_before_close,
        )
        return _said(run)


def _said(run: BacktestRun) -> dict[str, Any]:
    events, size = run.tape.events, len(run.tape.market.time)
    columns: dict[str, Any] = {}
    for symbol, at in events.items():
        values = run.tape.indicators(symbol, run.parameters)
        for name in values.__dataclass_fields__:
            columns.setdefault(name, np.full(size, np.nan))[at] = getattr(values, name)
    columns |= {"entry signal": run.decisions.entry, "exit signal": run.decisions.exit}
    trips, lots = run.outcome.trips, run.outcome.lots
    held = lots[lots["value"] > 0]
    for name, of, where, what in (
        ("entry price", (trips, held), "entry", "entry_price"),
        ("exit price", (trips,), "exit", "exit_price"),
        ("profit", (trips,), "exit", "profit"),
    ):
        columns[name] = np.full(size, np.nan)
        for records in of:
            columns[name][records[where]] = records[what]
    return columns


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, (float, np.floating)) else str(value)
