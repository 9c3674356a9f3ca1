"""How the rows of one table must fit together, and what their spacing says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.market.columns import Kind, fail, first_row

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_TIMEFRAME = 60.0
Integers = np.ndarray[Any, np.dtype[np.int64]]


def check_relations(kind: Kind, columns: dict[str, Any], source: str) -> None:
    """Raise DataError where the prices of one row contradict each other."""
    advice = "correct the row or drop it"
    if kind == "bars":
        top = np.maximum(np.maximum(columns["open"], columns["close"]), columns["low"])
        bottom = np.minimum(columns["open"], columns["close"])
        rules = [
            ("high", columns["high"] < top, "at least open, close and low"),
            ("low", columns["low"] > bottom, "at most open and close"),
        ]
    elif kind == "quotes":
        rules = [("ask", columns["ask"] < columns["bid"], "at least the bid")]
    else:
        rules = []
    for name, bad, allowed in rules:
        if (row := first_row(bad)) is not None:
            value = columns[name][row]
            fail(source, name, row=row, value=value, allowed=allowed, advice=advice)


def codes_of(symbols: pd.Series[str]) -> Integers:
    """Return each row's symbol as its place in sorted order."""
    import pandas as pd

    codes, _ = pd.factorize(symbols, sort=True)
    return np.asarray(codes, dtype=np.int64)


def steps_within_symbols(codes: Integers, ticks: Integers) -> tuple[Integers, Integers]:
    """Return the distances from row to row within symbols, and the rows that they lead to."""
    order = np.argsort(codes, kind="stable")
    same = np.diff(codes[order]) == 0
    return np.diff(ticks[order])[same], order[1:][same]


def check_order(
    kind: Kind,
    times: pd.Series[pd.Timestamp],
    steps: Integers,
    rows: Integers,
    source: str,
) -> None:
    """Raise DataError where time goes back within a symbol, or a bar is there twice."""
    rules = [(steps < 0, "times that rise within a symbol", "sort the rows by timestamp first")]
    if kind == "bars":
        rules.append((steps == 0, "one bar for each time and symbol", "drop one of the two"))
    for bad, allowed, advice in rules:
        if bad.any():
            row = int(rows[bad].min())
            value = times.iloc[row].isoformat()
            fail(source, "timestamp", row=row, value=value, allowed=allowed, advice=advice)


def spacing(steps: Integers, per_second: float) -> float:
    """Return the most frequent step in seconds, the smallest where several are."""
    if not len(steps):
        return DEFAULT_TIMEFRAME
    values, counts = np.unique(steps, return_counts=True)
    return float(values[counts.argmax()] / per_second)
