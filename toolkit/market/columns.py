"""From whatever a user hands over to columns of fixed names, types and UTC times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np

from toolkit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["bars", "quotes", "trades"]

COLUMNS: Mapping[Kind, tuple[str, ...]] = {
    "bars": ("open", "high", "low", "close", "volume"),
    "quotes": ("bid", "bid_size", "ask", "ask_size"),
    "trades": ("price", "size"),
}
SPREAD = "spread"
_ALIASES = {"bid_price": "bid", "ask_price": "ask"}  # as alpaca-py names them
_EPOCH_UNITS = (("s", 1e11), ("ms", 1e14), ("us", 1e17), ("ns", 1e20))
_FIRST_EPOCH = 315_532_800  # 1980; smaller numbers are row numbers or dates like 20180404


def fail(
    source: str, field: str, *, allowed: str, advice: str, row: int | None = None, value: Any = None
) -> NoReturn:
    """Raise the DataError that names row (from 0) and column, and says what to do."""
    place = f"{source}: " + ("" if row is None else f"row {row} (from 0), ") + f"column {field!r}"
    problem = "is missing" if value is None else f"is {value}"
    raise DataError(
        f"{place} {problem}; allowed: {allowed}; {advice}",
        field=field,
        row=row,
        value=None if value is None else str(value),
        allowed=allowed,
    )


def first_row(bad: np.ndarray[Any, np.dtype[np.bool_]]) -> int | None:
    """Return the position of the first True."""
    return int(bad.argmax()) if bad.any() else None


def named_columns(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return the frame with lower-case names, and its index as columns where it means something."""
    import pandas as pd

    levels = [n for n in frame.index.names if str(n).lower() in ("timestamp", "symbol")]
    if levels:
        frame = frame.reset_index(level=levels)
    names = [str(name).strip().lower() for name in frame.columns]
    names = [_ALIASES.get(name, name) for name in names]
    for name in ("timestamp", "symbol", *(n for columns in COLUMNS.values() for n in columns)):
        if names.count(name) > 1:
            allowed = "one column of each name"
            fail(source, name, value="there twice", allowed=allowed, advice="drop or rename one")
    frame = frame.set_axis(names, axis="columns")
    if "timestamp" not in names and isinstance(frame.index, pd.DatetimeIndex):
        frame = frame.assign(timestamp=frame.index)
    return frame.reset_index(drop=True)


def recognise(frame: pd.DataFrame, source: str) -> Kind:
    """Tell bars, quotes and trades by their columns; DataError names what is missing."""
    have = set(frame.columns)
    kind = max(COLUMNS, key=lambda k: len(have.intersection(COLUMNS[k])) / len(COLUMNS[k]))
    for name in ("timestamp", *COLUMNS[kind]):
        if name not in have:
            wanted = "; or ".join(f"{k}: timestamp, {', '.join(COLUMNS[k])}" for k in COLUMNS)
            advice = "rename or add it (an unknown volume or size may be 0)"
            fail(source, name, allowed=wanted, advice=advice)
    return kind


def symbols_of(frame: pd.DataFrame, symbol: str | None, source: str) -> pd.Series[str]:
    """Return the column of symbols, from `symbol` where there is none."""
    import pandas as pd

    if "symbol" not in frame.columns:
        if not symbol:
            advice = "pass symbol=... where the table holds one symbol only"
            fail(source, "symbol", allowed="a column of symbols", advice=advice)
        return pd.Series([symbol] * len(frame), index=frame.index, dtype="str")
    column = frame["symbol"]
    empty = column.isna().to_numpy() | (column.astype("str").str.strip() == "").to_numpy(dtype=bool)
    if (row := first_row(empty)) is not None:
        fail(source, "symbol", row=row, value="empty", allowed="a name", advice="fill it in")
    column = column.astype("str").str.strip()
    if symbol and (row := first_row((column != symbol).to_numpy(dtype=bool))) is not None:
        advice = "leave symbol=... out, the table names its symbols"
        fail(source, "symbol", row=row, value=column[row], allowed=repr(symbol), advice=advice)
    return column


def numbers(frame: pd.DataFrame, name: str, source: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return a column as float64: prices finite and above 0, sizes and volumes from 0."""
    import pandas as pd

    column = frame[name]
    if column.dtype == np.float64:
        values = column.to_numpy()
    else:
        values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    is_size = name.endswith("size") or name == "volume"
    bad = ~np.isfinite(values) | (values < 0.0 if is_size else values <= 0.0)
    if (row := first_row(bad)) is not None:
        allowed = "finite numbers from 0" if is_size else "finite numbers above 0"
        advice = "correct the row or drop it"
        fail(source, name, row=row, value=column.iloc[row], allowed=allowed, advice=advice)
    return values


def spreads(frame: pd.DataFrame, source: str) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Return the optional column `spread` of bars, in dollars; NaN where it is not known."""
    import pandas as pd

    if SPREAD not in frame.columns:
        return {}
    column = frame[SPREAD]
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = (np.isnan(values) & column.notna().to_numpy()) | np.isinf(values) | (values < 0.0)
    if (row := first_row(bad)) is not None:
        allowed = "finite numbers from 0, or nothing"
        advice = "correct the row or drop the column"
        fail(source, SPREAD, row=row, value=column.iloc[row], allowed=allowed, advice=advice)
    return {SPREAD: values}


def utc_times(column: pd.Series[Any], source: str) -> pd.Series[pd.Timestamp]:
    """Return times in UTC as datetime64[us], or [ns] where microseconds would lose digits.

    Naive times mean UTC; numbers are the epoch in s, ms, us or ns, told by their size.
    """
    import pandas as pd

    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        times = pd.to_datetime(column, utc=True, errors="coerce", **_format(column))
    else:
        times = _from_epoch(column, source)
    if (row := first_row(times.isna().to_numpy())) is not None:
        advice = "write times like 2026-01-02T15:30:00Z"
        value, allowed = repr(column.iloc[row]), "ISO 8601 times or the epoch"
        fail(source, "timestamp", row=row, value=value, allowed=allowed, advice=advice)
    if times.dt.unit == "ns" and (times.dt.nanosecond != 0).any():
        return times
    return times.dt.as_unit("us")


def _format(column: pd.Series[Any]) -> dict[str, Any]:
    import pandas as pd

    is_time = pd.api.types.is_datetime64_any_dtype(column)
    return {} if is_time else {"format": "ISO8601"}


def _from_epoch(column: pd.Series[Any], source: str) -> pd.Series[pd.Timestamp]:
    import pandas as pd

    size = float(column.max())
    unit = next((unit for unit, limit in _EPOCH_UNITS if size < limit), "ns")
    scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~(values >= _FIRST_EPOCH * scale) | ~(values < 2.0**63)
    if (row := first_row(bad)) is not None:
        allowed = f"the epoch in one unit throughout (here: {unit}), from 1980 on"
        advice = "or write times like 2026-01-02T15:30:00Z"
        fail(source, "timestamp", row=row, value=column.iloc[row], allowed=allowed, advice=advice)
    if pd.api.types.is_integer_dtype(column):
        return pd.Series(column.to_numpy(dtype=f"M8[{unit}]")).dt.tz_localize("UTC")
    microseconds = np.rint(values / scale * 1e6).astype("int64")
    return pd.Series(microseconds.view("M8[us]")).dt.tz_localize("UTC")
