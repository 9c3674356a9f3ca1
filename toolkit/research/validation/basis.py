"""What a validation is of: data, grid, capital, costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from toolkit.core.costs import Costs
from toolkit.core.parameters import Parameters, Value
from toolkit.research.store.data import Data
from toolkit.research.store.record import Entry
from toolkit.research.sweeps.sets import Sets
from toolkit.research.validation.segments import Segments

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """`axes` are the values that were tried of each parameter, over `base`; capital in dollars."""

    data: Data
    base: Parameters
    axes: dict[str, tuple[Value, ...]]
    sets: int
    capital: float
    costs: Costs
    periods_per_year: float

    @classmethod
    def of(cls, segments: Segments, sets: Sets) -> Self:
        """Describe the sets that are validated on a tape."""
        return cls(
            data=Data.of(segments.tape),
            base=sets.base,
            axes=sets.axes,
            sets=sets.size,
            capital=segments.capital,
            costs=segments.costs,
            periods_per_year=segments.tape.periods_per_year,
        )

    def entry(
        self,
        kind: str,
        *,
        options: dict[str, Any],
        figures: dict[str, Any],
        frames: dict[str, pd.DataFrame],
    ) -> Entry:
        """Return what the store of runs keeps."""
        axes = {name: list(values) for name, values in self.axes.items()}
        return Entry(
            kind=kind,
            data=self.data,
            parameters=self.base,
            capital=self.capital,
            costs=self.costs,
            options={"axes": axes, "sets": self.sets, **options},
            figures=figures,
            frames=frames,
        )
