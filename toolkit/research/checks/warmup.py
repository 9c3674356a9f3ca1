"""`check warmup`: after how many bars a bot that has just started says what a long history says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.core.batch import IndicatorArrays, decisions, indicators
from toolkit.core.inputs import parameters_from
from toolkit.core.layout import Bools, Floats, Ints
from toolkit.core.parameters import Parameters, Value
from toolkit.errors import ConfigError, DataError
from toolkit.research.checks.result import CheckResult
from toolkit.research.plotting import Plotter
from toolkit.research.progress import Report, progress_of
from toolkit.research.sweeps.grid import grid_of
from toolkit.research.tape import Bars, Tape, tape_of
from toolkit.research.warmup import warm_up_bars

if TYPE_CHECKING:
    import pandas as pd

STARTS = 20
LONGEST = 20_000  # bars after a start that are compared
SETTLED = 0.9  # a difference in the last tenth of them: nothing has settled
TOLERANCE = 1e-9
Given = Parameters | Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """One set of parameters on one symbol; bars since the start, NaN where it never settled.

    `defined` is when all values exist, `signals` and `values` when signals agree for good and
    values to 1e-9: the worst of all starts; `typical` is the median of `signals`.
    """

    swept: dict[str, Value]
    symbol: str
    defined: int
    signals: float
    typical: float
    values: float
    compared: int


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class WarmupCheck(CheckResult):
    """How long each set takes; `loaded` is how many bars the bot takes from history."""

    settled: tuple[Settled, ...]
    loaded: int
    plotter: Plotter | None = field(default=None)

    @property
    def short(self) -> tuple[Settled, ...]:
        """Those for which the bot loads too few bars."""
        return tuple(each for each in self.settled if not each.signals <= self.loaded)

    @property
    def ok(self) -> bool:
        """Whether the bot loads enough bars for every set."""
        return not self.short

    @property
    def sentence(self) -> str:
        """The slowest set in words, and whether what the bot loads is enough."""
        sets = {tuple(each.swept.items()) for each in self.settled}
        worst = max(self.settled, key=lambda each: _endless(each.signals))
        values = max(_endless(each.values) for each in self.settled)
        if self.ok:
            of = f" in all {len(sets)} sets" if len(sets) > 1 else ""
            return (
                f"signals agree after {worst.signals:.0f} bars{of} ({_bars(values, worst)} until"
                f" values agree to 1e-9); the bot loads {self.loaded}: enough"
            )
        short = len({tuple(each.swept.items()) for each in self.short})
        which = ", ".join(f"{name}={value}" for name, value in worst.swept.items())
        what = f"{short} of {len(sets)} sets need" if len(sets) > 1 else "signals need"
        worst_is = f"{which}: " if which else ""
        return (
            f"{what} more than the {self.loaded} bars that the bot loads"
            f" ({worst_is}{_bars(worst.signals, worst)} on {worst.symbol}); after a start it trades"
            " differently from a backtest for so long: take shorter lengths, or start it earlier"
        )

    @property
    def frame(self) -> pd.DataFrame:
        """One row per set and symbol: swept parameters, then bars; `enough` for the bot or not."""
        import pandas as pd

        rows = [
            {
                **each.swept,
                "symbol": each.symbol,
                "defined": each.defined,
                "signals": each.signals,
                "typical": each.typical,
                "values": each.values,
                "compared": each.compared,
                "enough": each.signals <= self.loaded,
            }
            for each in self.settled
        ]
        return pd.DataFrame(rows)


def check_warmup(
    bars: pd.DataFrame | Bars,
    parameters: Given | Sequence[Given] | None = None,
    *,
    grid: Mapping[str, Sequence[Any]] | None = None,
    loaded: int,
    starts: int = STARTS,
    seed: int = 0,
    progress: bool | Report = True,
) -> WarmupCheck:
    """Start the indicators at many bars and count until they say what the whole history says.

    `parameters` is one set or several, `grid` varies them as that of a sweep does.
    `loaded` is the number of bars that the bot loads at its start. A third of the bars is history
    only, a third is compared at least, up to 20,000 bars. Raises ConfigError and DataError.
    """
    if not (isinstance(starts, int) and starts >= 1):
        raise ConfigError(
            f"starts is {starts!r}; allowed: whole numbers from 1", field="starts", allowed="from 1"
        )
    tape, sets = tape_of(bars), _sets(parameters, grid or {})
    work = [(chosen, swept, symbol) for chosen, swept in sets for symbol in tape.symbols]
    rng = np.random.default_rng(seed)
    found = []
    with progress_of(progress, total=len(work), what="warm-up") as report:
        for done, (chosen, swept, symbol) in enumerate(work):
            at = _starts(len(tape.events[symbol]), starts, rng, chosen, symbol)
            found.append(_settled(tape, symbol, chosen, swept, at))
            report(done + 1, len(work))
    return WarmupCheck(settled=tuple(found), loaded=loaded)


def _sets(
    parameters: Given | Sequence[Given] | None, grid: Mapping[str, Sequence[Any]]
) -> list[tuple[Parameters, dict[str, Value]]]:
    """Return each set with the values in which the sets differ."""
    if parameters is None or isinstance(parameters, (Parameters, Mapping)):
        bases = [parameters_from(parameters)]
    else:
        bases = [parameters_from(each) for each in parameters]
    sets = bases
    if grid:
        each_base = [grid_of(grid, base) for base in bases]
        sets = [found.parameters(n) for found in each_base for n in range(found.size)]
    if not sets:
        raise ConfigError(
            "parameters is an empty list; give one set at least",
            field="parameters",
            allowed="Parameters, a mapping, or a list of them",
        )
    differ = {name for each in sets for name in sets[0].difference(each)}
    differ |= {Parameters.info(name).name for name in grid}
    ordered = [info.name for info in Parameters.fields() if info.name in differ]
    return [(each, {name: each[name] for name in ordered}) for each in sets]


def _starts(
    size: int, count: int, rng: np.random.Generator, parameters: Parameters, symbol: str
) -> Ints:
    """Choose starts in the middle third, half of them evenly and half at random."""
    first, last = size // 3, 2 * size // 3
    needed = warm_up_bars(parameters)
    if first < needed:
        raise DataError(
            f"{size:,} bars of {symbol} are too few: these parameters need {needed} bars to speak,"
            f" so bring {3 * needed:,} at least",
            field="bars",
            value=str(size),
            allowed=f"from {3 * needed}",
        )
    even = np.linspace(first, last - 1, -(-count // 2)).astype(np.int64)
    chance = rng.integers(first, last, count // 2)
    return np.unique(np.concatenate([even, chance]))


def _settled(
    tape: Tape, symbol: str, parameters: Parameters, swept: dict[str, Value], starts: Ints
) -> Settled:
    high, low, close = tape.prices(symbol)
    whole = indicators(high, low, close, parameters)
    entry, exit_ = decisions(close, whole, parameters)
    signals, values, compared = [], [], []
    for start in starts.tolist():
        part = slice(start, min(len(close), start + LONGEST))
        fresh = indicators(high[part], low[part], close[part], parameters)
        own_entry, own_exit = decisions(close[part], fresh, parameters)
        unlike = (own_entry != entry[part]) | (own_exit != exit_[part])
        signals.append(_after(unlike))
        values.append(_after(_unlike_values(whole, fresh, part, parameters)))
        compared.append(len(unlike))
    return Settled(
        swept=swept,
        symbol=symbol,
        defined=warm_up_bars(parameters),
        signals=float(np.max(signals)),
        typical=float(np.median(signals)),
        values=float(np.max(values)),
        compared=min(compared),
    )


def _after(unlike: Bools) -> float:
    """Return the bars until the last difference is over; NaN where it may not be the last."""
    if not unlike.any():
        return 0.0
    after = len(unlike) - int(unlike[::-1].argmax())
    return float(after) if after <= SETTLED * len(unlike) else float("nan")


def _unlike_values(
    whole: IndicatorArrays, fresh: IndicatorArrays, part: slice, parameters: Parameters
) -> Bools:
    unlike = np.zeros(len(fresh.ema), np.bool_)
    for name in _used(parameters):
        one: Floats = getattr(whole, name)[part]
        unlike |= ~np.isclose(
            one, getattr(fresh, name), rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True
        )
    return unlike


def _used(parameters: Parameters) -> list[str]:
    p, names = parameters, []
    if p.stoch_rsi.enabled:
        names += ["stoch_rsi_k", "stoch_rsi_d", "lower_band", "upper_band"]
    if p.ema.enabled:
        names.append("ema")
    if p.stochastic.enabled:
        names.append("stoch_k")
    if p.risk.atr_stop or p.risk.atr_sizing:
        names.append("atr")
    return names


def _endless(bars: float) -> float:
    return float("inf") if np.isnan(bars) else bars


def _bars(bars: float, settled: Settled) -> str:
    if not np.isfinite(bars):
        return f"more than {settled.compared:,}"
    return f"{bars:,.0f}"
