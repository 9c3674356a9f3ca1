"""Reads bars, quotes or trades without refusing what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.core.layout import Floats
from toolkit.errors import DataError
from toolkit.market.columns import COLUMNS, named_columns, recognise, utc_times
from toolkit.market.files import read_file
from toolkit.market.tables import MarketTable
from toolkit.research.checks.findings import Raw
from toolkit.research.tape import Bars

if TYPE_CHECKING:
    import pandas as pd


def read_raw(bars: pd.DataFrame | Bars, *, symbol: str | None = None) -> Raw:
    """Return the rows as they are; raises DataError where there are no such columns, or no rows.

    `symbol` names that of a table without a column for it.
    """
    frame, source = _frame(bars)
    if frame.empty:
        raise DataError(
            f"{source} holds no rows; bring at least one below the column names",
            field="rows",
            value="0",
            allowed="at least one row",
        )
    named = named_columns(frame, source)
    kind = recognise(named, source)
    return Raw(
        frame=named,
        kind=kind,
        times=_times(named["timestamp"], source),
        symbols=_symbols(named, symbol),
        values={name: _numbers(named[name]) for name in COLUMNS[kind]},
        source=source,
    )


def _frame(bars: pd.DataFrame | Bars) -> tuple[pd.DataFrame, str]:
    if isinstance(bars, MarketTable):
        return bars.frame, bars.source
    if isinstance(bars, (str, Path)):
        return read_file(Path(bars)), Path(bars).name
    return bars, "DataFrame"


def _times(column: pd.Series[Any], source: str) -> pd.DatetimeIndex:
    """Return UTC times, NaT where there is none."""
    import pandas as pd

    known = column.notna()
    if not known.any():
        return pd.DatetimeIndex([pd.NaT] * len(column)).tz_localize("UTC")
    try:
        times = utc_times(column[known].reset_index(drop=True), source)
    except DataError:
        if pd.api.types.is_numeric_dtype(column):
            raise
        times = pd.to_datetime(column[known], utc=True, errors="coerce", format="ISO8601")
    every = pd.Series(pd.NaT, index=range(len(column)), dtype="datetime64[us, UTC]")
    every[known.to_numpy()] = times.dt.as_unit("us").to_numpy()
    return pd.DatetimeIndex(every)


def _symbols(frame: pd.DataFrame, symbol: str | None) -> Any:
    """Return the symbols as text, empty where there is none."""
    if "symbol" not in frame.columns:
        return np.full(len(frame), symbol or "", dtype=object)
    column = frame["symbol"]
    text = column.astype("str").str.strip().where(column.notna(), "")
    return text.to_numpy(dtype=object)


def _numbers(column: pd.Series[Any]) -> Floats:
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce")
    return np.asarray(numbers.to_numpy(dtype=np.float64, na_value=np.nan))
