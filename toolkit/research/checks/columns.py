"""What a user's function of bars returns, as named columns that can be compared bar by bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.core.layout import Bools, Ints
from toolkit.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

Function = Callable[["pd.DataFrame"], Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timed:
    """Bars and the order of their times: `step[row]` is the number of the row's time.

    `first_row[step]` is the first row of each time, `symbols` the name in each row where known.
    """

    bars: pd.DataFrame
    times: Any
    step: Ints
    first_row: Ints
    symbols: Any

    @property
    def steps(self) -> int:
        """How many distinct times there are."""
        return len(self.times)

    def until(self, step: int) -> Bools:
        """Return which rows are there once the bars of `step` are final."""
        return self.step <= step


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Column:
    """Values of one column: one for each row of the bars, or one for each of `labels` (times)."""

    values: Any
    labels: Any = None

    def signals(self, data: Timed) -> Ints:
        """Return the steps at which a yes-or-no column says yes."""
        if self.values.dtype != np.bool_:
            return np.empty(0, np.int64)
        yes = np.flatnonzero(self.values)
        return data.step[yes] if self.labels is None else steps_of(data, self.labels[yes])


def timed(bars: pd.DataFrame) -> Timed:
    """Find the times of bars: the column or index `timestamp`, a DatetimeIndex, or the rows."""
    import pandas as pd

    names = {str(name).strip().lower(): name for name in bars.columns}
    levels = [str(name).strip().lower() for name in bars.index.names]
    if "timestamp" in names:
        times = pd.Index(bars[names["timestamp"]])
    elif "timestamp" in levels:
        times = bars.index.get_level_values(levels.index("timestamp"))
    else:
        is_time = isinstance(bars.index, pd.DatetimeIndex)
        times = bars.index if is_time else pd.RangeIndex(len(bars))
    step, distinct = pd.factorize(times, sort=True)
    if (step < 0).any():
        raise DataError(
            f"row {int((step < 0).argmax())} (from 0) has no time; fill it in or drop the row",
            field="timestamp",
            allowed="a time in every row",
        )
    return Timed(
        bars=bars,
        times=distinct,
        step=step.astype(np.int64),
        first_row=np.unique(step, return_index=True)[1],
        symbols=bars[names["symbol"]].astype(str).to_numpy() if "symbol" in names else None,
    )


def steps_of(data: Timed, labels: Any) -> Ints:
    """Return the step of each time; one between two bars belongs to the later."""
    return np.asarray(np.minimum(data.times.searchsorted(labels), data.steps - 1), np.int64)


def called(function: Function, data: Timed, step: int) -> dict[str, Column]:
    """Call the function with the bars up to `step` and return its columns; raises DataError."""
    shown = data.bars[data.until(step)].copy()
    try:
        result = function(shown)
    except Exception as error:
        raise DataError(
            f"the function failed on the first {len(shown):,} of {len(data.bars):,} bars:"
            f" {type(error).__name__}: {error}; it must work on any number of bars",
            field="function",
            rows=len(shown),
        ) from error
    return dict(_columns(result, shown, ""))


def different(one: Any, other: Any, relative: float) -> Bools:
    """Return where values differ; missing ones are equal, numbers may differ by `relative`."""
    import pandas as pd

    if len(one) != len(other):
        return np.ones(1, np.bool_)
    try:
        x, y = np.asarray(one, np.float64), np.asarray(other, np.float64)
    except (TypeError, ValueError):
        missing = pd.isna(one) & pd.isna(other)
        return np.asarray((one != other) & ~missing, np.bool_)
    scale = float(np.abs(x[np.isfinite(x)]).max(initial=0.0))
    same = np.isclose(x, y, rtol=relative, atol=relative * 1e-3 * scale, equal_nan=True)
    return ~same


def _columns(result: Any, shown: pd.DataFrame, name: str) -> Iterator[tuple[str, Column]]:
    import pandas as pd

    if isinstance(result, (pd.DataFrame, Mapping)):
        for label, value in result.items():
            yield from _columns(value, shown, _joined(name, label))
    elif isinstance(result, tuple):
        names = ("entries", "exits") if len(result) <= 2 else map(str, range(len(result)))
        for label, value in zip(names, result, strict=False):
            if value is not None:
                yield from _columns(value, shown, _joined(name, label))
    elif isinstance(result, (pd.Series, np.ndarray)):
        known = name or str(getattr(result, "name", None) or "result")
        yield known, _column(result, shown, known)
    else:
        raise ConfigError(
            f"the function returned {type(result).__name__}; allowed: a Series or DataFrame with"
            " a value for each bar, a tuple (entries, exits), or a dict of them",
            field="function",
            value=type(result).__name__,
            allowed="Series, DataFrame, tuple, dict",
        )


def _joined(name: str, label: Any) -> str:
    own = ", ".join(map(str, label)) if isinstance(label, tuple) else str(label)
    return f"{name} {own}" if name else own


def _column(values: Any, shown: pd.DataFrame, name: str) -> Column:
    import pandas as pd

    if isinstance(values, np.ndarray):
        if values.shape != (len(shown),):
            raise _misfit(name, len(values) if values.ndim else 0, len(shown))
        return Column(values=values)
    index = values.index
    if len(index) == len(shown) and index.equals(shown.index):
        return Column(values=values.to_numpy())
    if not (isinstance(index, pd.DatetimeIndex) and index.is_unique):
        raise _misfit(name, len(index), len(shown))
    times = timed(shown).times
    if isinstance(times, pd.DatetimeIndex) and (index.tz is None) != (times.tz is None):
        index = index.tz_localize("UTC") if index.tz is None else index.tz_convert(None)
    if isinstance(times, pd.DatetimeIndex) and (index > times[-1]).sum() > 1:
        raise _misfit(name, len(index), len(times))
    return Column(values=values.to_numpy(), labels=index)


def _misfit(name: str, has: int, shown: int) -> DataError:
    why = "compute from the bars that it is given, not from others"
    if has < shown:
        why = "return one value for each bar, on the index of the bars"
    return DataError(
        f"{name} has {has:,} values where {shown:,} bars were shown; the function must {why}",
        field=name,
        value=str(has),
        allowed=str(shown),
    )
