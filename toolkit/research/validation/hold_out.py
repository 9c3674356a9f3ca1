"""A stretch of time that nobody tunes on: every look at it is counted, and costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.core.costs import Costs
from toolkit.core.inputs import checked_capital, costs_from, parameters_from
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError, DataError
from toolkit.market.hours import Sessions
from toolkit.research.backtest import BacktestRun
from toolkit.research.plotting import Plotter
from toolkit.research.store.trials import DataKey, TrialLedger
from toolkit.research.tape import Bars, Tape, tape_of
from toolkit.research.validation.overfitting import probabilistic_sharpe
from toolkit.research.validation.pictured import Pictured, counted, percent
from toolkit.research.validation.segments import Segments, cut
from toolkit.research.validation.track_record import haircut_sharpe

if TYPE_CHECKING:
    import pandas as pd

SHORTEST = 20


def hold_out(
    bars: pd.DataFrame | Bars | Tape,
    *,
    share: float = 0.2,
    sessions: Sessions = "all",
    flat_before_close: float = 0.0,
    ledger: TrialLedger,
    plotter: Plotter | None = None,
) -> tuple[pd.DataFrame, Sealed]:
    """Return the bars to work on, and the last `share` of the timestamps sealed.

    `ledger` counts the looks. Raises ConfigError, and DataError where there are too few bars.
    """
    if not 0.0 < share < 1.0:
        raise ConfigError(
            f"share is {share!r}; allowed: above 0, below 1", field="share", value=repr(share)
        )
    tape = tape_of(bars, sessions=sessions, flat_before_close=flat_before_close)
    steps = len(tape.steps())
    first = steps - round(steps * share)
    if min(first, steps - first) < SHORTEST:
        raise DataError(
            f"{steps} timestamps are too few to seal a share of {share:g}; allowed: at least"
            f" {SHORTEST} on either side",
            field="bars",
            value=steps,
        )
    research = cut(tape, 0, first).frame.copy()
    research.attrs = {
        **tape.frame.attrs,
        "source": _source(bars, tape),
        "timeframe": tape.timeframe,
        "feed": tape.feed,
        "adjustment": tape.adjustment,
    }
    sealed = Sealed(first=first, steps=steps, tape=tape, ledger=ledger, plotter=plotter)
    return research, sealed


def _source(bars: Any, tape: Tape) -> str:
    """Return where bars come from, so that a part of them is found again."""
    if isinstance(bars, (str, Path)):
        return str(bars)
    return str(getattr(bars, "attrs", {}).get("source", tape.source))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Sealed:
    """The timestamps from number `first` on; `look` is the only way to see anything of them."""

    first: int
    steps: int
    tape: Tape
    ledger: TrialLedger
    plotter: Plotter | None = None

    def look(
        self,
        parameters: Parameters | Mapping[str, Any] | None = None,
        *,
        capital: float = 10_000.0,
        costs: Costs | Mapping[str, Any] | None = None,
    ) -> Look:
        """Trade one set on the sealed bars; counted for all times.

        The run starts flat, with indicators that know the bars before. Sets that were tried on
        these bars by other ways count as looks. Raises ConfigError and StoreError.
        """
        chosen, capital = parameters_from(parameters), checked_capital(capital)
        segments = Segments(self.tape, capital=capital, costs=costs_from(costs))
        key = DataKey.of(cut(self.tape, self.first, self.steps))
        tried = self.ledger.known(key).count
        looks = self.ledger.look(key, "hold-out")
        run = replace(segments.run(chosen, self.first, self.steps), plotter=self.plotter)
        return Look(run=run, looks=looks, tried=tried)

    def __repr__(self) -> str:
        times = self.tape.frame["timestamp"].iloc[self.tape.steps()]
        since = times.iloc[self.first]
        many = counted(self.steps - self.first, "timestamp")
        return f"<Sealed: {many} from {since:%Y-%m-%d %H:%M} UTC on; look(parameters) is counted>"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Look(Pictured):
    """One look at a hold-out: the run there, the looks up to now, and sets tried there before."""

    run: BacktestRun
    looks: int
    tried: int

    def plot(self, kind: str | None = None, **options: Any) -> Any:
        """Draw the run on the sealed bars; raises ConfigError where there is no plotter."""
        return self.run.plot(kind, **options)

    @property
    def sharpe(self) -> float:
        """The annualised Sharpe ratio, NaN where nothing moved."""
        return float(self.run.score.metrics["sharpe"])

    @property
    def haircut_sharpe(self) -> float:
        """What is left of it after so many looks, annualised."""
        moments, year = self.run.score.moments, math.sqrt(self.run.tape.periods_per_year)
        return year * haircut_sharpe(
            moments.sharpe, periods=moments.periods, looks=self.looks + self.tried
        )

    @property
    def haircut(self) -> float:
        """The fraction of the Sharpe ratio that the looks cost; NaN where it is not above 0."""
        return 1.0 - self.haircut_sharpe / self.sharpe if self.sharpe > 0.0 else math.nan

    @property
    def probability(self) -> float:
        """The probability of skill: that of one look, to the power of all looks (Sidak)."""
        single = probabilistic_sharpe(self.run.score.moments, 0.0)
        return float(single ** (self.looks + self.tried))

    @property
    def frame(self) -> pd.DataFrame:
        """Columns figure and value."""
        import pandas as pd

        metrics = self.run.score.metrics
        values = {
            "looks": self.looks,
            "tried": self.tried,
            "haircut_sharpe": self.haircut_sharpe,
            "haircut": self.haircut,
            "probability": self.probability,
            **metrics,
        }
        return pd.DataFrame({"figure": list(values), "value": list(values.values())})

    @property
    def sentence(self) -> str:
        """The result in one plain sentence."""
        looked = f"This hold-out was looked at {_times(self.looks)}"
        if self.tried:
            before = counted(self.tried, "set was", "sets were")
            looked += f", and {before} tried on its bars by other ways"
        if math.isnan(self.sharpe):
            return f"{looked}; this set did not trade there."
        made = f"this set's Sharpe ratio there is {self.sharpe:.2f}"
        if self.sharpe <= 0.0:
            return f"{looked}; {made}: it lost."
        cost = f", worth {self.haircut_sharpe:.2f} after the looks" if self.haircut > 0.0 else ""
        return f"{looked}; {made}{cost}; skill is {percent(self.probability)} probable."


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"
