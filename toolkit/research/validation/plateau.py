"""How flat the neighbourhood of a chosen set is: a plateau holds out of sample, a peak is luck."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.core.layout import Bools, Floats
from toolkit.errors import ConfigError
from toolkit.research.validation.pictured import Pictured, counted, percent

if TYPE_CHECKING:
    import pandas as pd

FINEST = 20  # an axis with more values than this is measured in twentieths of its range
WIDE = 0.5  # share of the neighbours that makes a plateau


def plateau_of(
    frame: pd.DataFrame,
    names: Sequence[str],
    chosen: Hashable,
    *,
    metric: str,
    lower_is_better: Sequence[str] = (),
    steps: int = 1,
    within: float = 0.2,
) -> Plateau:
    """Compare one row of a sweep's frame with those at most `steps` away on every axis.

    `names` are the swept columns; a step is the next value that was tried, or a twentieth of the
    range where there are many. Switches stay as they are. `within` is the fraction of the chosen
    set's metric that a neighbour may be worse by. Raises ConfigError.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ConfigError(f"steps is {steps!r}; allowed: whole numbers from 1", field="steps")
    if not 0.0 < within < 1.0:
        raise ConfigError(
            f"within is {within!r}; allowed: above 0, below 1", field="within", value=repr(within)
        )
    distances = _distances(frame, names, chosen)
    near = distances <= steps + 1e-9
    rows = frame.loc[near, [*names]].copy()
    values = frame.loc[near, metric].to_numpy(np.float64)
    at: Any = frame.at[chosen, metric]
    best = float(at)
    rows["distance"] = distances[near]
    rows["metric"] = values
    rows["share"] = values / best if best > 0.0 else math.nan
    rows["kept"] = _kept(values, best, within, lower=metric in lower_is_better)
    order = rows.sort_values("distance", kind="stable").index
    return Plateau(
        table=rows.loc[order],
        chosen=chosen,
        metric=metric,
        steps=steps,
        within=within,
    )


def _distances(frame: pd.DataFrame, names: Sequence[str], chosen: Hashable) -> Floats:
    """The steps between each row and the chosen one on the axis where they are furthest apart."""
    furthest = np.zeros(len(frame))
    for name in names:
        column: Any = frame[name]
        at: Any = frame.at[chosen, name]
        if column.dtype == bool or isinstance(at, (bool, np.bool_)):
            furthest = np.maximum(furthest, np.where(column == at, 0.0, np.inf))
            continue
        values = column.to_numpy(np.float64)
        tried = np.unique(values)
        if len(tried) > FINEST:
            off = np.abs(values - float(at)) / ((tried[-1] - tried[0]) / FINEST)
        else:
            places = np.searchsorted(tried, values)
            off = np.abs(places - np.searchsorted(tried, float(at))).astype(np.float64)
        furthest = np.maximum(furthest, off)
    return furthest


def _kept(values: Floats, best: float, within: float, *, lower: bool) -> Bools:
    slack = within * abs(best)
    kept: Bools = values <= best + slack if lower else values >= best - slack
    return kept


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Plateau(Pictured):
    """The neighbourhood of the set `chosen` (its number), itself included."""

    table: pd.DataFrame
    chosen: Hashable
    metric: str
    steps: int
    within: float

    @property
    def frame(self) -> pd.DataFrame:
        """One row per set: parameters, distance in steps, metric, share of the chosen set's, kept.

        `kept` says whether the metric is within the allowed fraction; `share` is NaN where the
        chosen set's metric is not above 0.
        """
        return self.table

    @property
    def neighbours(self) -> int:
        """How many other sets are near."""
        return len(self.table) - 1

    @property
    def width(self) -> float:
        """The share of the neighbours that keep the metric; NaN where there are none."""
        others = self.table.drop(index=self.chosen)
        return float(others["kept"].mean()) if len(others) else math.nan

    @property
    def sentence(self) -> str:
        """The result in one plain sentence."""
        name = "Sharpe ratio" if self.metric == "sharpe" else self.metric.replace("_", " ")
        if not self.neighbours:
            return f"No neighbour of this set was tried, so how flat its {name} is stays open."
        where = "one step" if self.steps == 1 else f"{self.steps} steps"
        judged = "a plateau" if self.width >= WIDE else "a peak, which is more likely luck"
        return (
            f"{percent(self.width)} of its {counted(self.neighbours, 'neighbour')} within {where}"
            f" keep at least {percent(1.0 - self.within)} of its {name}: {judged}."
        )
