"""The results of a sweep: what was tried, which was best, and whether that means anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toolkit.core.costs import Costs
from toolkit.core.layout import Bools, Floats, Ints
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError, DataError
from toolkit.research.plotting import Plotter, draw
from toolkit.research.scoring import LOWER_IS_BETTER, METRICS, best_row, known_metric
from toolkit.research.store.data import Data
from toolkit.research.store.trials import Trials
from toolkit.research.sweeps.sets import Sets
from toolkit.research.validation.evidence import Tried, weigh
from toolkit.research.validation.plateau import Plateau, plateau_of
from toolkit.research.validation.verdict import Chosen, Overfitting, Verdict

if TYPE_CHECKING:
    import pandas as pd


class Results(NamedTuple):
    """One row per set of the grid; rows that are not `done` hold nothing yet."""

    done: Bools
    metrics: Floats
    moments: Floats
    blocks: Floats


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SweepTable:
    """The sets that were run, of `data`. `plotter` draws it; `tk.sweep` brings one along.

    `how` says by which method, seed and so on the sets were chosen; `id` finds it in the store.
    `known` tells all trials ever made on the data, these among them; the verdict counts them.
    """

    grid: Sets
    results: Results
    block_counts: Ints
    periods_per_year: float
    capital: float
    costs: Costs
    source: str
    data: Data | None = field(default=None)
    how: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    plotter: Plotter | None = field(default=None)
    known: Callable[[], Trials] | None = field(default=None)

    @property
    def interrupted(self) -> bool:
        """Whether the sweep was stopped before all sets were run."""
        return "interrupted" in self.how or not bool(self.results.done.all())

    @property
    def metric(self) -> str:
        """The metric by which the sweep was asked to look for the best set."""
        return str(self.how.get("metric", "sharpe"))

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per set, by its number: parameters under full names, then the metrics."""
        import pandas as pd

        numbers = np.flatnonzero(self.results.done)
        columns = {name: values[numbers] for name, values in self.grid.columns().items()}
        values = pd.DataFrame(columns, index=numbers)
        metrics = pd.DataFrame(self.results.metrics[numbers], index=numbers, columns=METRICS)
        frame = values.join(metrics.astype({"trades": np.int64}))
        frame.index.name = "set"
        return frame

    def ranked(self, metric: str | None = None) -> pd.DataFrame:
        """Return the frame with the best set first, by default by the metric of the sweep.

        Sets without a trade or without a value come last. Raises ConfigError.
        """
        name = known_metric(metric or self.metric)
        traded = self.frame["trades"] > 0
        order = (
            self.frame[name]
            .where(traded)
            .sort_values(ascending=name in LOWER_IS_BETTER, kind="stable")
        )
        return self.frame.loc[order.index]

    def best(self, metric: str | None = None) -> Chosen:
        """Return the best set by a metric, by default the sweep's, with its `verdict`.

        Raises ConfigError for an unknown metric, DataError where no set has a value.
        """
        verdict = self.verdict(self.grid.parameters(self._best(metric)))
        return Chosen.of(verdict, swept=tuple(self.grid.axes))

    def best_number(self, metric: str | None = None) -> int | None:
        """Return the number of the best set, None where none closed a trade or has a value."""
        return best_row(self.results.metrics, metric or self.metric)

    def _best(self, metric: str | None = None) -> int:
        number = self.best_number(metric)
        if number is None:
            raise DataError(
                "no set of the sweep closed a trade; take more bars or looser conditions",
                field="trades",
                allowed="at least one",
            )
        return number

    def pivot(self, x: str, y: str, value: str = "sharpe") -> pd.DataFrame:
        """Return a metric by two parameters, the mean over all others; raises ConfigError."""
        columns, index = self._axis(x), self._axis(y)
        if columns == index:
            raise ConfigError(
                f"x and y are both {columns}; allowed: two different parameters",
                field="y",
                value=y,
                allowed=[name for name in self.grid.axes if name != columns],
            )
        return self.frame.pivot_table(
            index=index, columns=columns, values=known_metric(value), aggfunc="mean", dropna=False
        )

    def heatmap(self, x: str | None = None, y: str | None = None, value: str = "sharpe") -> Any:
        """Draw a metric over two parameters, by default the first two; raises ConfigError."""
        names = list(self.grid.axes)
        if len(names) < 2:
            raise ConfigError(
                f"a heatmap needs a sweep over at least two parameters, not {', '.join(names)}",
                field="grid",
                value=names,
                allowed="two parameters or more",
            )
        across = self._axis(x) if x else next(n for n in names if n != (y and self._axis(y)))
        up = self._axis(y) if y else next(n for n in names if n != across)
        return self.plot("heatmap", x=across, y=up, value=known_metric(value))

    def plot(self, kind: str | None = None, **options: Any) -> Any:
        """Draw the table, by default its heatmap; docs/research/pictures.md has all kinds.

        Raises ConfigError.
        """
        return draw(self.plotter, self, kind, **options)

    def overfitting(self) -> Overfitting:
        """Return what the best set's Sharpe ratio is worth, given all that was tried."""
        return self.verdict().overfitting

    def verdict(self, parameters: Parameters | Mapping[str, Any] | None = None) -> Verdict:
        """Say whether the sweep supports a set, by default its best; raises ConfigError."""
        number = self._best() if parameters is None else self._number(parameters)
        done, known = self.results.done, self.known() if self.known else None
        row = int(np.count_nonzero(done[:number]))
        return weigh(self._tried, row, known=known)

    @cached_property
    def _tried(self) -> Tried:
        done, results = self.results.done, self.results
        return Tried(
            sets=self.grid.where(done),
            blocks=results.blocks[done],
            counts=self.block_counts,
            moments=results.moments[done],
            trades=results.metrics[done, METRICS.index("trades")].astype(np.int64),
            periods_per_year=self.periods_per_year,
        )

    def plateau(
        self,
        parameters: Parameters | Mapping[str, Any] | None = None,
        *,
        metric: str | None = None,
        steps: int = 1,
        within: float = 0.2,
    ) -> Plateau:
        """Say how flat the neighbourhood of a set is, by default of the best; raises ConfigError.

        `metric` is by default the sweep's. See `research.validation.plateau.plateau_of`.
        """
        found = plateau_of(
            self.frame,
            tuple(self.grid.axes),
            self._best(metric) if parameters is None else self._number(parameters),
            metric=known_metric(metric or self.metric),
            lower_is_better=LOWER_IS_BETTER,
            steps=steps,
            within=within,
        )
        return replace(found, plotter=self.plotter)

    def _number(self, parameters: Parameters | Mapping[str, Any]) -> int:
        number = self.grid.find(parameters)
        if number is not None and self.results.done[number]:
            return number
        base, axes = self.grid.base, self.grid.axes
        chosen = parameters if isinstance(parameters, Parameters) else base.replace(parameters)
        strange = [name for name in base.difference(chosen) if name not in axes]
        strange += [name for name, values in axes.items() if chosen[name] not in values]
        raise ConfigError(
            f"this sweep did not run that set; it differs in {', '.join(strange) or 'none'}",
            field=strange[0] if strange else "parameters",
            allowed={name: list(values) for name, values in axes.items()},
        )

    def _axis(self, name: str) -> str:
        full = Parameters.info(name).name
        if full not in self.grid.axes:
            raise ConfigError(
                f"{full} was not swept; allowed: {', '.join(self.grid.axes)}",
                field=full,
                allowed=list(self.grid.axes),
            )
        return full

    def __repr__(self) -> str:
        done, size = int(self.results.done.sum()), self.grid.size
        state = f", interrupted after {done}" if self.interrupted else ""
        return f"<SweepTable of {self.source}: {size} sets of {', '.join(self.grid.axes)}{state}>"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>{self.ranked().head(10).to_html()}"
