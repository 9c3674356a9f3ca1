"""vectorbt's orders, trades and drawdowns without its compiler.

vectorbt compiles a loop for every kind of mean, sum or maximum that `stats()` takes of trades, in
every process anew: six seconds for a few hundred numbers. Here the same functions run as plain
numpy, column by column. Importing this module imports vectorbt.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from vectorbt.generic.drawdowns import Drawdowns
from vectorbt.portfolio.orders import Orders
from vectorbt.portfolio.trades import EntryTrades, ExitTrades, Positions
from vectorbt.records.mapped_array import MappedArray


class QuickMapped(MappedArray):  # type: ignore[misc]  # vectorbt is untyped
    """A column of records that is reduced without compiling."""

    def reduce(self, reduce_func_nb: Any, *args: Any, **options: Any) -> Any:
        """Reduce each column or group to one value, as vectorbt does."""
        if options.get("returns_array") or options.get("returns_idx"):
            return super().reduce(reduce_func_nb, *args, **options)
        group_by, fill = options.get("group_by"), options.get("fill_value", np.nan)
        places, counts = self.col_mapper.get_col_map(group_by=group_by)
        function, reduced = reduce_func_nb.py_func, np.full(len(counts), fill, np.float64)
        parts = np.split(places, np.cumsum(counts)[:-1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # nothing but NaN gives NaN
            for column, rows in enumerate(parts):
                if len(rows):
                    reduced[column] = function(column, self.values[rows], *args)
        naming = {"name_or_index": "reduce", **(options.get("wrap_kwargs") or {})}
        return self.wrapper.wrap_reduced(reduced, group_by=group_by, **naming)


class _Quick:
    """Records whose columns are QuickMapped."""

    def map_array(self, *args: Any, **options: Any) -> Any:
        """Return a column of values, one for each record."""
        return QuickMapped(**super().map_array(*args, **options).config)  # type: ignore[misc]

    def apply(
        self,
        apply_func_nb: Any,
        *args: Any,
        group_by: Any = None,
        apply_per_group: bool = False,
        dtype: Any = None,
        **options: Any,
    ) -> Any:
        """Return a column made of the records of each column or group, such as streaks."""
        records: Any = self
        wanted = group_by if apply_per_group else False
        places, counts = records.col_mapper.get_col_map(group_by=wanted)
        found = np.empty(len(records.values), np.float64)
        for rows in np.split(places, np.cumsum(counts)[:-1]):
            found[rows] = apply_func_nb.py_func(records.values[rows], *args)
        return self.map_array(np.asarray(found, dtype=dtype), group_by=group_by, **options)


class QuickOrders(_Quick, Orders):  # type: ignore[misc]
    """Orders without compiling."""


class QuickEntryTrades(_Quick, EntryTrades):  # type: ignore[misc]
    """EntryTrades without compiling."""


class QuickExitTrades(_Quick, ExitTrades):  # type: ignore[misc]
    """ExitTrades without compiling."""


class QuickPositions(_Quick, Positions):  # type: ignore[misc]
    """Positions without compiling."""


class QuickDrawdowns(_Quick, Drawdowns):  # type: ignore[misc]
    """Drawdowns without compiling."""
