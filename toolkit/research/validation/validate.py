"""Everything at once: is there evidence for the set that a sweep chose?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError, DataError
from toolkit.market.hours import Sessions
from toolkit.research.backtest import BacktestRun
from toolkit.research.progress import Report, progress_of
from toolkit.research.store.data import Data
from toolkit.research.store.record import Entry
from toolkit.research.sweeps.table import SweepTable
from toolkit.research.sweeps.work import Crew
from toolkit.research.tape import Bars, Tape, tape_of
from toolkit.research.validation.basis import Basis
from toolkit.research.validation.bootstrap import Bootstrap, bootstrap
from toolkit.research.validation.choosing import Pieces
from toolkit.research.validation.combinatorial import (
    CombinatorialPurged,
    combinations_for,
    combined_over,
)
from toolkit.research.validation.folds import Combinations, Fold, walk
from toolkit.research.validation.hold_out import Look
from toolkit.research.validation.monte_carlo import MonteCarlo, check_draws, monte_carlo
from toolkit.research.validation.pictured import Pictured, counted, percent
from toolkit.research.validation.plateau import Plateau
from toolkit.research.validation.segments import Segments
from toolkit.research.validation.sums import pieces_of
from toolkit.research.validation.verdict import MAX_LOSS_PROBABILITY, Verdict
from toolkit.research.validation.walk_forward import WalkForward, walked_over

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
COLUMNS = ("part", "figure", "value", "low", "high", "needed", "passed")


def validate(
    bars: pd.DataFrame | Bars | Tape,
    table: SweepTable,
    parameters: Parameters | Mapping[str, Any] | None = None,
    *,
    folds: int | None = None,
    train: int | None = None,
    test: int | None = None,
    anchored: bool = False,
    groups: int = 10,
    draws: int = 1000,
    seed: int = 0,
    sessions: Sessions = "all",
    flat_before_close: float = 0.0,
    crew: Crew | None = None,
    progress: bool | Report = True,
) -> Validation:
    """Try the sets of a sweep in every way that this room knows, on the bars of the sweep.

    Judges `parameters`, by default the best set of the sweep. The walk-forward is cut as
    in `walk_forward`, the cross-validation into `groups` folds of which two judge. What the bars
    are too few for is left out and counts against the set. Hours are those of the sweep, where
    `sessions` does not ask for others, which are refused. Raises ConfigError and DataError.
    """
    check_draws(draws)
    tape = tape_of(bars, sessions=sessions, flat_before_close=flat_before_close)
    if table.data is not None:
        tape = _as_swept(tape, table.data)
    verdict = table.verdict(parameters)
    segments = Segments(tape, capital=table.capital, costs=table.costs)
    sets = table.grid.where(table.results.done)
    steps = len(tape.steps())
    walking = _unless_few(
        lambda: walk(steps, folds=folds, train=train, test=test, anchored=anchored)
    )
    crossing = _unless_few(lambda: combinations_for(segments, sets, folds=groups, test_folds=2))
    with progress_of(progress, total=sets.size, what="validation") as report:
        pieces = pieces_of(
            tape,
            sets,
            edges=_edges(walking, crossing, steps),
            capital=table.capital,
            costs=table.costs,
            crew=crew,
            report=report,
        )
    run = segments.run(verdict.parameters, 0, steps)
    return Validation(
        verdict=verdict,
        basis=Basis.of(segments, sets),
        pieces=pieces,
        table=table,
        run=run,
        walk_forward=walked_over(walking, pieces, segments, metric="sharpe") if walking else None,
        cross_validation=(
            combined_over(crossing, pieces, segments, metric="sharpe") if crossing else None
        ),
        plateau=table.plateau(verdict.parameters),
        bootstrap=_unless_few(lambda: bootstrap(run, draws=draws, seed=seed)),
        monte_carlo=_unless_few(lambda: monte_carlo(run, draws=draws, seed=seed)),
    )


def _unless_few(made: Callable[[], T]) -> T | None:
    try:
        return made()
    except DataError:
        return None


def _edges(walking: list[Fold] | None, crossing: Combinations | None, steps: int) -> Any:
    ends = [0, steps, *(edge for fold in walking or () for edge in fold.edges)]
    return np.unique(np.concatenate([ends, crossing.piece_edges if crossing else []])).astype(
        np.int64
    )


def _as_swept(tape: Tape, data: Data) -> Tape:
    """Return the bars under the hours of the sweep; raises ConfigError for other bars or hours."""
    if data.fingerprint != tape.fingerprint:
        raise ConfigError(
            f"the sweep ran on other bars ({data.fingerprint}) than these"
            f" ({tape.fingerprint}); give validate the bars of the sweep",
            field="bars",
            value=tape.fingerprint,
            allowed=data.fingerprint,
        )
    swept = tape.within(**data.hours)
    if tape.hours.sessions != "all" and tape.hours != swept.hours:
        raise ConfigError(
            f"the sweep ran in other hours ({data.hours}); leave sessions out, or sweep anew",
            field="sessions",
            value=tape.hours.sessions,
            allowed=data.sessions,
        )
    return swept


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Validation(Pictured):
    """All that was found; what the bars were too few for is None.

    `look` is None without a hold-out.
    """

    verdict: Verdict
    table: SweepTable
    basis: Basis
    pieces: Pieces
    run: BacktestRun
    walk_forward: WalkForward | None
    cross_validation: CombinatorialPurged | None
    plateau: Plateau
    bootstrap: Bootstrap | None
    monte_carlo: MonteCarlo | None
    look: Look | None = None

    @property
    def parameters(self) -> Parameters:
        """The set that was judged."""
        return self.verdict.parameters

    @property
    def supported(self) -> bool:
        """Whether nothing speaks against the set."""
        return self.verdict.supported and not self._against

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against the set, or else for it, as plain sentences."""
        against = (*(() if self.verdict.supported else self.verdict.reasons), *self._against)
        return against or (self._support,)

    @property
    def sentence(self) -> str:
        """The verdict in one plain sentence."""
        if self.supported:
            return f"The data supports this set: {self._support}."
        return f"No evidence for this set: {'; '.join(self.reasons)}."

    @cached_property
    def _against(self) -> tuple[str, ...]:
        walked, crossed = self.walk_forward, self.cross_validation
        found = []
        if walked is None:
            found.append("too little data for a walk-forward")
        elif not walked.sharpe > 0.0:
            found.append(
                f"chosen on the past, the sets {_ended(walked.sharpe)} on what came next over"
                f" {counted(len(walked.folds), 'fold')}"
            )
        if crossed is None:
            found.append("too little data for a cross-validation")
        elif crossed.loss_probability > MAX_LOSS_PROBABILITY:
            found.append(
                f"{percent(crossed.loss_probability)} of the cross-validated histories lose"
            )
        if self.look is not None and not self.look.sharpe > 0.0:
            found.append(f"it {_ended(self.look.sharpe)} on the hold-out")
        return tuple(found)

    @property
    def _support(self) -> str:
        o, walked, crossed = self.verdict.overfitting, self.walk_forward, self.cross_validation
        parts = [
            f"its Sharpe ratio is {o.sharpe:.2f}, and luck alone would give about"
            f" {o.sharpe_by_luck:.2f} in {counted(o.trials, 'trial')}"
        ]
        if walked is not None:
            many = counted(len(walked.folds), "fold")
            parts.append(f"chosen on the past it is {walked.sharpe:.2f} over the {many} after")
        if crossed is not None:
            parts.append(
                f"{percent(crossed.loss_probability)} of the cross-validated histories lose"
            )
        if not math.isnan(self.plateau.width):
            kept = percent(self.plateau.width)
            parts.append(f"{kept} of the neighbouring sets are nearly as good")
        if self.look is not None:
            seen = "once" if self.look.looks == 1 else f"{self.look.looks:,} times"
            parts.append(f"on the hold-out, looked at {seen}, it is {self.look.sharpe:.2f}")
        parts.append(f"skill is {percent(o.deflated_sharpe)} probable")
        return "; ".join(parts)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """All figures: part, figure, value, low and high of a band, what is needed, passed."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {"part": "verdict", **{str(name): value for name, value in row.items()}}
            for row in self.verdict.frame.to_dict("records")
        ]
        rows += _walk_rows(self.walk_forward) + _cross_rows(self.cross_validation)
        rows += _look_rows(self.look)
        rows.append(_row("plateau", "width", self.plateau.width))
        rows.append(_row("plateau", "neighbours", self.plateau.neighbours))
        rows += _band_rows("bootstrap", self.bootstrap) + _band_rows("trades", self.monte_carlo)
        if self.monte_carlo is not None:
            for name in ("loss_probability", "drawdown_probability", "ruin_probability"):
                rows.append(_row("trades", name, getattr(self.monte_carlo, name)))
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        return frame.astype(dict.fromkeys(("value", "low", "high"), "float64"))

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values; what is no number is None."""
        from toolkit.research.checks.result import plain

        records = self.frame.to_dict("records")
        return {
            "supported": self.supported,
            "sentence": self.sentence,
            "reasons": list(self.reasons),
            "parameters": self.parameters.to_dict(),
            "figures": [{str(k): plain(v) for k, v in record.items()} for record in records],
        }

    def entry(self) -> Entry:
        """Return what the store of runs keeps."""
        chosen = {name: self.parameters[name] for name in self.basis.axes}
        return self.basis.entry(
            "validation",
            options={"chosen": chosen},
            figures={"supported": self.supported, "sentence": self.sentence},
            frames={"figures": self.frame},
        )


def _ended(sharpe: float) -> str:
    return "lost" if sharpe < 0.0 else "earned nothing"


def _row(part: str, figure: str, value: float, needed: str | None = None) -> dict[str, Any]:
    return {"part": part, "figure": figure, "value": value, "needed": needed}


def _walk_rows(walked: WalkForward | None) -> list[dict[str, Any]]:
    if walked is None:
        return []
    names = ("in_sample_sharpe", "efficiency", "probability")
    first = _row("walk_forward", "sharpe", walked.sharpe, "above 0")
    return [
        {**first, "passed": walked.sharpe > 0.0},
        *(_row("walk_forward", name, getattr(walked, name)) for name in names),
    ]


def _cross_rows(crossed: CombinatorialPurged | None) -> list[dict[str, Any]]:
    if crossed is None:
        return []
    ratios = crossed.frame["sharpe"].fillna(0.0)
    lost = _row(
        "cross_validation",
        "loss_probability",
        crossed.loss_probability,
        f"at most {MAX_LOSS_PROBABILITY:g}",
    )
    median = _row("cross_validation", "sharpe", crossed.sharpe)
    return [
        {**lost, "passed": crossed.loss_probability <= MAX_LOSS_PROBABILITY},
        {**median, "low": float(ratios.min()), "high": float(ratios.max())},
    ]


def _look_rows(look: Look | None) -> list[dict[str, Any]]:
    if look is None:
        return []
    first = _row("hold_out", "sharpe", look.sharpe, "above 0")
    names = ("haircut_sharpe", "looks", "tried", "probability")
    return [
        {**first, "passed": look.sharpe > 0.0},
        *(_row("hold_out", name, getattr(look, name)) for name in names),
    ]


def _band_rows(part: str, result: Bootstrap | MonteCarlo | None) -> list[dict[str, Any]]:
    if result is None:
        return []
    records = result.frame.rename(columns={"metric": "figure"}).to_dict("records")
    return [{"part": part, **{str(k): v for k, v in record.items()}} for record in records]
