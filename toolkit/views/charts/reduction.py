"""Reduces columns of any length to as many points as a screen shows, keeping their extremes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

Columns = dict[str, list[Any]]
How = Literal["first", "last", "min", "max", "exact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A column with a value per bar, and what stands for several bars that share a point.

    `exact` has no such value: it is there only while every bar has a point of its own.
    """

    values: Array
    how: How = "last"


def bars_per_point(bars: int, most: int) -> int:
    """Return how many bars have to share a point for `most` points at most."""
    return max(1, math.ceil(bars / most))


def reduced(tracks: Mapping[str, Track], size: int) -> Columns:
    """Return the tracks with `size` bars to a point, beside `x`, `left`, `right` in bar numbers.

    `views/charts/page_scripts.py` does the same in the browser when somebody zooms in.
    """
    import numpy as np

    bars = len(next(iter(tracks.values())).values)
    starts = np.arange(0, bars, size)
    lasts = np.append(starts[1:], bars) - 1
    middle = (starts + lasts) / 2
    half = 0.35 * (lasts - starts + 1)
    columns: dict[str, Array] = {"x": middle, "left": middle - half, "right": middle + half}
    for name, track in tracks.items():
        columns[name] = _reduce(track, starts, lasts, size)
    return {name: column.tolist() for name, column in columns.items()}


def _reduce(track: Track, starts: Array, lasts: Array, size: int) -> Array:
    import numpy as np

    if track.how == "exact" and size > 1:
        return np.full(len(starts), math.nan)
    if track.how in {"last", "exact"}:
        return track.values[lasts]
    if track.how == "first":
        return track.values[starts]
    chosen = np.fmin if track.how == "min" else np.fmax
    result: Array = chosen.reduceat(track.values, starts)
    return result


def candle_tracks(bars: pd.DataFrame) -> dict[str, Track]:
    """Return time (ms), open, high, low and close of bars as tracks."""
    hows: dict[str, How] = {"open": "first", "high": "max", "low": "min", "close": "last"}
    prices = {name: Track(values=_floats(bars[name]), how=how) for name, how in hows.items()}
    return {"time": Track(values=milliseconds(bars["timestamp"]), how="first"), **prices}


def equity_tracks(equity: pd.Series[float], times: Array) -> dict[str, Track]:
    """Return equity at each of `times` (ms) and the deepest drawdown since the one before, percent.

    The drawdown is that of the whole curve, which may have values at other times as well.
    """
    import numpy as np

    if equity.empty:
        nothing = np.full(len(times), math.nan)
        return {"equity": Track(values=nothing), "drawdown": Track(values=nothing, how="min")}
    values = equity.to_numpy(dtype=float)
    fell = (values / np.maximum.accumulate(values) - 1.0) * 100.0
    until = np.searchsorted(milliseconds(equity.index.to_series()), times, side="right") - 1
    since = np.append(max(until[0], 0), until[:-1] + 1)
    known, fresh = until >= 0, since <= until
    deepest = np.minimum.reduceat(fell, np.minimum(since, len(fell) - 1))
    deepest = np.where(fresh, deepest, fell[np.maximum(until, 0)])
    return {
        "equity": Track(values=np.where(known, values[np.maximum(until, 0)], math.nan)),
        "drawdown": Track(values=np.where(known, deepest, math.nan), how="min"),
    }


def at_times(series: pd.Series[float], times: Array) -> Array:
    """Return the newest value at or before each of `times` (ms), NaN before the first."""
    import numpy as np

    values = series.to_numpy(dtype=float)
    until = np.searchsorted(milliseconds(series.index.to_series()), times, side="right") - 1
    found: Array = np.where(until >= 0, values[np.maximum(until, 0)], math.nan)
    return found


def trade_columns(trades: pd.DataFrame, times: Array) -> Columns:
    """Return a run's trades with `entry_x` and `exit_x`, the numbers of their bars."""
    import numpy as np

    columns: Columns = {
        "pnl": trades["pnl"].astype(float).tolist(),
        "return_percent": trades["return_percent"].astype(float).tolist(),
        "exit_reason": [str(reason).replace("_", " ") for reason in trades["exit_reason"]],
        "result": ["won" if pnl > 0 else "lost" for pnl in trades["pnl"]],
    }
    for kind in ("entry", "exit"):
        moments = milliseconds(trades[f"{kind}_time"])
        columns[f"{kind}_x"] = (np.searchsorted(times, moments, side="right") - 1).tolist()
        columns[f"{kind}_time"] = moments.tolist()
        columns[f"{kind}_price"] = trades[f"{kind}_price"].astype(float).tolist()
    return columns


def milliseconds(times: pd.Series[Any]) -> Array:
    """Return times as milliseconds since 1970 UTC."""
    import pandas as pd

    moments = pd.to_datetime(times, utc=True)
    return moments.dt.as_unit("ns").astype("int64").to_numpy() / 1e6


def _floats(column: Any) -> Array:
    import numpy as np

    return np.array(column.to_numpy(dtype=float))  # a copy: Bokeh wants to write
