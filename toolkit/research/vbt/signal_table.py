"""Many combinations of the user's own signals over the same bars, compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.core.costs import Costs
from toolkit.core.layout import Decisions, Floats, Ints
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError, DataError
from toolkit.research.backtest import BacktestRun, run_of
from toolkit.research.plotting import Plotter
from toolkit.research.progress import Report, progress_of
from toolkit.research.scoring import BLOCKS, METRICS, best_row, block_edges, score, sharpes_of
from toolkit.research.store.data import Data
from toolkit.research.store.record import Entry
from toolkit.research.store.trials import Trials, trial_digest
from toolkit.research.sweeps.sets import Sets
from toolkit.research.tape import Tape
from toolkit.research.validation.evidence import Tried, weigh
from toolkit.research.validation.verdict import Verdict
from toolkit.research.vbt.given import Label, Packed, unpacked

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SignalWork:
    """Everything that a run of one combination needs; `base` has the ATR of the tape."""

    tape: Tape
    base: Decisions
    sets: Mapping[Label, tuple[Packed, Packed]]
    parameters: Parameters
    capital: float
    costs: Costs

    def signals(self, label: Label) -> Decisions:
        """Return entries and exits of one combination."""
        entry, exit_ = (unpacked(bits, len(self.base.entry)) for bits in self.sets[label])
        return self.base._replace(entry=entry, exit=exit_)

    def run(self, label: Label) -> BacktestRun:
        """Trade one combination."""
        return run_of(
            self.tape,
            self.parameters,
            capital=self.capital,
            costs=self.costs,
            signals=self.signals(label),
        )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SignalTable:
    """One row per combination that was run, in the order of `work.sets`.

    `levels` name what the labels hold; the runs that it returns get its `plotter`; `id` finds the
    table in the store, `known` tells all trials ever made on the data.
    """

    work: SignalWork
    levels: tuple[str, ...]
    metrics: Floats
    moments: Floats
    blocks: Floats
    edges: Ints
    id: str = ""
    known: Callable[[], Trials] | None = field(default=None)
    plotter: Plotter | None = field(default=None)

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        """The combinations that were run."""
        return tuple(self.work.sets)[: len(self.metrics)]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Metrics by combination; the index holds the levels of the columns that were passed."""
        import pandas as pd

        if len(self.levels) == 1:
            index = pd.Index([label[0] for label in self.labels], name=self.levels[0])
        else:
            index = pd.MultiIndex.from_tuples(self.labels, names=self.levels)
        frame = pd.DataFrame(self.metrics, index=index, columns=METRICS)
        return frame.astype({"trades": np.int64})

    @property
    def interrupted(self) -> bool:
        """Whether it was stopped before all combinations were run."""
        return len(self.metrics) < len(self.work.sets)

    def best(self, metric: str = "sharpe") -> BacktestRun:
        """Return the run of the best combination with a trade; raises ConfigError, DataError."""
        return self.run(*self._best(metric))

    def run(self, *values: Any, **named: Any) -> BacktestRun:
        """Return the run of one combination, by its values in order or by the names of levels.

        Raises ConfigError where it is not among them.
        """
        return replace(self.work.run(self._label(values, named)), plotter=self.plotter)

    def _label(self, values: tuple[Any, ...], named: Mapping[str, Any]) -> Label:
        label = tuple(values) if values else tuple(named.get(name) for name in self.levels)
        if label not in self.labels or (named and set(named) != set(self.levels)):
            known = [str(each) for each in self.labels[:5]]
            raise ConfigError(
                f"there is no combination {values or named}; allowed: values of"
                f" {', '.join(self.levels)}, such as {', '.join(known)}",
                field="label",
                value=str(values or named),
                allowed=known,
            )
        return label

    def verdict(self, *values: Any, **named: Any) -> Verdict:
        """Say whether all that was tried supports a combination, by default the best.

        The parameters in it are those of risk. Raises ConfigError and DataError.
        """
        chosen = self._label(values, named) if values or named else self._best("sharpe")
        known = self.known() if self.known else None
        return weigh(self._tried, self.labels.index(chosen), known=known)

    @cached_property
    def _tried(self) -> Tried:
        size = len(self.labels)
        return Tried(
            sets=Sets(base=self.work.parameters, axes={}, codes=np.zeros((size, 0), np.int64)),
            blocks=self.blocks,
            counts=np.diff(self.edges),
            moments=self.moments,
            trades=self.metrics[:, METRICS.index("trades")].astype(np.int64),
            periods_per_year=self.work.tape.periods_per_year,
        )

    @property
    def sentence(self) -> str:
        """The best combination, and what it is worth among all that was tried."""
        try:
            label = self._best("sharpe")
        except DataError as error:
            return error.message
        which = ", ".join(f"{n}={v}" for n, v in zip(self.levels, label, strict=True))
        return f"Best of {len(self.metrics)}: {which}. {self.verdict().sentence}"

    def trials(self) -> tuple[list[str], Floats]:
        """Return a digest of each combination with its costs, and Sharpe ratios of one period."""
        work = self.work
        digest = trial_digest(work.parameters, work.costs, **Data.of(work.tape).hours)
        digests = [self.work.signals(label).digest(digest) for label in self.labels]
        return digests, sharpes_of(self.moments)

    def entry(self) -> Entry:
        """Return what the store keeps: the table, and the figures of its best combination."""
        work, figures = self.work, {}
        if (self.frame["trades"] > 0).any():
            best = self._best("sharpe")
            row = self.metrics[self.labels.index(best)].tolist()
            named = {name: str(v) for name, v in zip(self.levels, best, strict=True)}
            figures = {**dict(zip(METRICS, row, strict=True)), "best": named}
        return Entry(
            kind="signals",
            data=Data.of(work.tape),
            parameters=work.parameters,
            capital=work.capital,
            costs=work.costs,
            options={"levels": list(self.levels), "signals": self.trials()[0]},
            figures={"sets": len(self.labels), **figures},
            frames={"results": self.frame.reset_index()},
        )

    def _best(self, metric: str) -> Label:
        best = best_row(self.metrics, metric)
        if best is None:
            raise DataError(
                "no combination closed a trade; take more bars or looser signals",
                field="trades",
                allowed="at least one",
            )
        return self.labels[best]

    def __repr__(self) -> str:
        state = f", interrupted after {len(self.metrics)}" if self.interrupted else ""
        return f"<SignalTable: {len(self.work.sets)} sets of {', '.join(self.levels)}{state}>"

    def _repr_html_(self) -> str:
        top = self.frame.sort_values("sharpe", ascending=False).head(10).to_html()
        return f"<p>{escape(self.sentence)}</p>{top}"


def run_all(work: SignalWork, *, levels: tuple[str, ...], progress: bool | Report) -> SignalTable:
    """Run every combination; an interrupt keeps what is done."""
    edges = block_edges(len(work.tape.steps()), BLOCKS)
    metrics, moments, blocks = [], [], []
    with progress_of(progress, total=len(work.sets), what="signals") as report:
        try:
            for label in work.sets:
                scored = score(
                    work.run(label).outcome,
                    capital=work.capital,
                    periods_per_year=work.tape.periods_per_year,
                )
                metrics.append(list(scored.metrics.values()))
                moments.append(scored.moments)
                blocks.append(scored.blocks)
                report(len(blocks), len(work.sets))
        except KeyboardInterrupt:
            if not blocks:
                raise
    done = len(blocks)
    return SignalTable(
        work=work,
        levels=levels,
        metrics=np.array(metrics[:done]),
        moments=np.array(moments[:done]),
        blocks=np.array(blocks),
        edges=edges,
    )
