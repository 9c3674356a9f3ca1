"""Faults of single rows and of their order: what a backtest would refuse."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from toolkit.core.layout import Bools
from toolkit.market.columns import Kind
from toolkit.research.checks.findings import Finding, Raw, Series, Severity, runs

DROP = "correct the row or drop it"
SORT = "sort the rows by symbol and time"


def nameless(raw: Raw) -> Iterator[Finding]:
    """Yield rows without a time or a symbol."""
    for kind, bad, what in (
        ("no_time", np.asarray(raw.times.isna()), "no time that can be read"),
        ("no_symbol", raw.symbols == "", "no symbol"),
    ):
        for start, stop in runs(np.asarray(bad, np.bool_)):
            yield Finding(
                kind=kind,
                severity=Severity.ERROR,
                row=start,
                timestamp=raw.times[start],
                symbol=str(raw.symbols[start]),
                count=stop - start,
                message=f"{what} in {stop - start} rows" if stop - start > 1 else what,
                advice=DROP if kind == "no_time" else "name the symbol, or pass symbol=",
            )


def unsound(part: Series, kind: Kind) -> tuple[list[Finding], Bools]:
    """Return what is wrong with the values, and the rows that are sound."""
    found: list[Finding] = []
    sound = np.ones(len(part), np.bool_)
    for name, bad, message in _rules(part, kind):
        found += part.each_run(bad & sound, name, Severity.ERROR, message, DROP)
        sound &= ~bad
    return found, sound


def disordered(part: Series) -> tuple[list[Finding], Series]:
    """Return where time goes back in rows as they lie in the file, and the rows in order."""
    at = part.at
    before = np.maximum.accumulate(at)
    back = np.concatenate([[False], at[1:] < before[:-1]])
    found = list(
        part.each_run(back, "out_of_order", Severity.ERROR, "time goes back in this symbol", SORT)
    )
    order = np.argsort(at, kind="stable")
    return found, Series(
        symbol=part.symbol,
        rows=part.rows[order],
        times=part.times[order],
        values={name: values[order] for name, values in part.values.items()},
        seconds=part.seconds,
    )


def doubled(part: Series) -> tuple[list[Finding], Series]:
    """Return bars that are there twice, and one of each; rows are in order of time."""
    if not len(part):
        return [], part
    again = np.concatenate([[False], np.diff(part.at) == 0])
    same = again.copy()
    for values in part.values.values():
        same[1:] &= values[1:] == values[:-1]
    found = [
        *part.each_run(same, "duplicate", Severity.ERROR, "the same bar again", "drop the copy"),
        *part.each_run(
            again & ~same,
            "duplicate",
            Severity.ERROR,
            "another bar of the same time",
            "find out which one is right, and drop the other",
        ),
    ]
    return found, part.keep(~again)


def _rules(part: Series, kind: Kind) -> Iterator[tuple[str, Bools, str]]:
    v = part.values
    sizes = [name for name in v if name.endswith("size") or name == "volume"]
    for name, values in v.items():
        yield "not_a_number", ~np.isfinite(values), f"{name} is no finite number"
    for name, values in v.items():
        if name in sizes:
            yield "negative", values < 0.0, f"{name} is negative"
        else:
            yield "not_positive", values <= 0.0, f"{name} is zero or negative"
    if kind == "bars":
        yield "high_below_low", v["high"] < v["low"], "high is below low"
        for name in ("open", "close"):
            outside = (v[name] > v["high"]) | (v[name] < v["low"])
            yield "out_of_range", outside, f"{name} lies outside of low and high"
    elif kind == "quotes":
        yield "crossed", v["ask"] < v["bid"], "ask is below bid"
