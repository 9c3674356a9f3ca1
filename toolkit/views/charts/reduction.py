"""Reduces a run of any length to as many points as a screen can show, keeping its extremes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Columns = dict[str, list[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Candles (x 0, 1, ..; time in ms; prices; equity; drawdown in percent) and trades on them.

    A trade's `entry_x` and `exit_x` are fractions between candles where bars share one.
    """

    candles: Columns
    trades: Columns
    bars: int
    bars_per_candle: int


def overview(
    *,
    bars: pd.DataFrame,
    trades: pd.DataFrame,
    equity: pd.Series[float],
    indicators: pd.DataFrame | None,
    max_candles: int,
) -> Overview:
    """Return the run with `max_candles` at most: opens first, closes last, highs and lows kept.

    Equity is that at each candle's last bar; drawdown is the deepest within the candle, measured
    on the whole equity curve. Indicators are there only while every bar has a candle of its own.
    """
    import numpy as np

    size = max(1, math.ceil(len(bars) / max_candles))
    starts = np.arange(0, len(bars), size)
    lasts = np.append(starts[1:], len(bars)) - 1
    times = _milliseconds(bars["timestamp"])
    columns = _candles(bars, times, starts, lasts)
    for name in ("ema", "stoch_rsi_k", "stoch_rsi_d"):
        if indicators is not None and size == 1 and name in indicators:
            columns[name] = indicators[name].to_numpy()
    columns |= _equity(equity, times[starts], times[lasts])
    return Overview(
        candles={name: column.tolist() for name, column in columns.items()},
        trades=_trades(trades, times, size),
        bars=len(bars),
        bars_per_candle=size,
    )


def _candles(
    bars: pd.DataFrame,
    times: np.ndarray[Any, Any],
    starts: np.ndarray[Any, Any],
    lasts: np.ndarray[Any, Any],
) -> dict[str, np.ndarray[Any, Any]]:
    import numpy as np

    opens = bars["open"].to_numpy()[starts]
    closes = bars["close"].to_numpy()[lasts]
    return {
        "x": np.arange(len(starts)),
        "time": times[starts],
        "open": opens,
        "high": np.maximum.reduceat(bars["high"].to_numpy(), starts),
        "low": np.minimum.reduceat(bars["low"].to_numpy(), starts),
        "close": closes,
        "side": np.where(closes >= opens, "up", "down"),
    }


def _equity(
    equity: pd.Series[float], first: np.ndarray[Any, Any], last: np.ndarray[Any, Any]
) -> dict[str, np.ndarray[Any, Any]]:
    import numpy as np

    if equity.empty:
        nothing = np.full(len(first), math.nan)
        return {"equity": nothing, "drawdown": nothing}
    values = equity.to_numpy(dtype=float)
    times = _milliseconds(equity.index.to_series())
    drawdown = (values / np.maximum.accumulate(values) - 1.0) * 100.0
    until = np.searchsorted(times, last, side="right") - 1
    since = np.searchsorted(times, first, side="left")
    known = until >= 0
    level = np.where(known, values[np.maximum(until, 0)], math.nan)
    deepest = np.array(
        [
            drawdown[a : b + 1].min() if b >= a else (drawdown[b] if b >= 0 else math.nan)
            for a, b in zip(since, until, strict=True)
        ]
    )
    return {"equity": level, "drawdown": deepest}


def _trades(trades: pd.DataFrame, times: np.ndarray[Any, Any], size: int) -> Columns:
    import numpy as np

    columns: Columns = {
        "pnl": trades["pnl"].astype(float).tolist(),
        "return_percent": trades["return_percent"].astype(float).tolist(),
        "exit_reason": [str(reason).replace("_", " ") for reason in trades["exit_reason"]],
    }
    for kind in ("entry", "exit"):
        moments = _milliseconds(trades[f"{kind}_time"])
        bar = np.searchsorted(times, moments, side="right") - 1
        columns[f"{kind}_x"] = ((bar + 0.5) / size - 0.5).tolist()
        columns[f"{kind}_time"] = moments.tolist()
        columns[f"{kind}_price"] = trades[f"{kind}_price"].astype(float).tolist()
    return columns


def _milliseconds(times: pd.Series[Any]) -> np.ndarray[Any, Any]:
    import pandas as pd

    moments = pd.to_datetime(times, utc=True)
    return moments.dt.as_unit("ns").astype("int64").to_numpy() / 1e6
