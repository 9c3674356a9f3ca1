"""The prefix test: what is known at a bar may not change when the bars after it are cut off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from toolkit.core.layout import Ints
from toolkit.errors import DataError
from toolkit.research.checks.columns import Column, Function, Timed, called, different, steps_of
from toolkit.research.progress import Report

FIRST_CUT = 0.05  # share of the times; a prefix shorter than this says little


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """One column that knows the future.

    `row` is the first bar (position in the bars) at which it was seen: `known` is its value with
    all bars, `cut` the one while nothing after `cut_at` is there. `ahead` says how many bars of
    the future it reads at least, `changes` how many values changed over all cuts.
    """

    column: str
    row: int
    timestamp: Any
    symbol: str
    known: Any
    cut: Any
    cut_at: Any
    ahead: int
    changes: int


class Found(NamedTuple):
    """The leaking columns by their first bar, and the steps at which was cut.

    `silent` says that there are yes-or-no columns, and none of them ever says yes.
    """

    leaks: tuple[Leak, ...]
    at: Ints
    silent: bool


def leaks(
    data: Timed,
    function: Function,
    *,
    cuts: int,
    seed: int,
    relative: float,
    report: Report | None = None,
) -> Found:
    """Call the function on prefixes of the bars and compare with what it says of all.

    Raises DataError where nothing can be said: the function fails, is not repeatable, or gives
    values for bars that it was not shown.
    """
    whole = called(function, data, data.steps - 1)
    _check_repeatable(whole, called(function, data, data.steps - 1), relative)
    at = cut_points(data, whole, cuts=cuts, seed=seed)
    found: dict[str, _Tally] = {}
    for done, step in enumerate(at.tolist()):
        part = called(function, data, step)
        for name in {**whole, **part}:
            change = _change(data, whole.get(name), part.get(name), step, relative)
            if len(change.rows):
                found.setdefault(name, _Tally()).add(change)
        if report:
            report(done + 1, len(at))
    every = [tally.leak(data, name) for name, tally in found.items()]
    ordered = tuple(sorted(every, key=lambda leak: (leak.timestamp, leak.column)))
    signals = [column.values for column in whole.values() if column.values.dtype == np.bool_]
    silent = bool(signals) and not any(values.any() for values in signals)
    return Found(leaks=ordered, at=at, silent=silent)


def cut_points(data: Timed, whole: Mapping[str, Column], *, cuts: int, seed: int) -> Ints:
    """Choose the last steps to show: where signals are, evenly, and at random; a third each.

    Raises DataError where there are too few bars.
    """
    first, last = max(1, int(data.steps * FIRST_CUT)), data.steps - 1
    if last - first < 5:
        raise DataError(
            f"{data.steps} bars are too few to cut; bring at least 10",
            field="bars",
            value=str(data.steps),
            allowed="at least 10",
        )
    possible = np.arange(first, last)
    if len(possible) <= cuts:
        return possible
    rng = np.random.default_rng(seed)
    third = -(-cuts // 3)
    spoken = [column.signals(data) for column in whole.values()]
    signals = np.intersect1d(np.concatenate([*spoken, np.empty(0, np.int64)]), possible)
    near = rng.choice(signals, min(third, len(signals)), replace=False)
    even = np.linspace(first, last - 1, third).astype(np.int64)
    picked = np.union1d(near, even)
    others = np.setdiff1d(possible, picked)
    rest = rng.choice(others, max(0, min(cuts - len(picked), len(others))), replace=False)
    return np.union1d(picked, rest).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Change:
    """Where one column changed at one cut; the arrays belong together."""

    step: int
    rows: Ints
    steps: Ints
    known: Any
    cut: Any


class _Tally:
    """Collects what one column does over all cuts."""

    def __init__(self) -> None:
        self._changes, self._ahead = 0, 0
        self._first: _Change | None = None

    def add(self, change: _Change) -> None:
        """Take the changes of one cut."""
        self._changes += len(change.rows)
        earliest = int(change.steps.min())
        self._ahead = max(self._ahead, change.step - earliest + 1)
        if self._first is None or earliest < int(self._first.steps.min()):
            self._first = change

    def leak(self, data: Timed, name: str) -> Leak:
        """Return the result; there must have been a change."""
        assert self._first is not None
        first, place = self._first, int(self._first.steps.argmin())
        row = int(first.rows[place])
        return Leak(
            column=name,
            row=row,
            timestamp=data.times[int(first.steps[place])],
            symbol="" if data.symbols is None else str(data.symbols[row]),
            known=first.known[place],
            cut=first.cut[place],
            cut_at=data.times[first.step],
            ahead=self._ahead,
            changes=self._changes,
        )


def _check_repeatable(one: dict[str, Column], two: dict[str, Column], relative: float) -> None:
    for name in {**one, **two}:
        if name in one and name in two:
            same = not different(one[name].values, two[name].values, relative).any()
            if same:
                continue
        raise DataError(
            f"{name} differs between two calls with the same bars, so cuts say nothing;"
            " draw random numbers from a fixed seed",
            field=name,
            allowed="the same result for the same bars",
        )


def _change(
    data: Timed, before: Column | None, now: Column | None, step: int, relative: float
) -> _Change:
    sample = before if before is not None else now
    if sample is None or sample.labels is None:
        rows = np.flatnonzero(data.until(step))
        steps = data.step[rows]
        missing = np.full(len(rows), np.nan)
        known = missing if before is None else before.values[rows]
        cut = missing if now is None or len(now.values) != len(rows) else now.values
    else:
        labels = _labels((before, now), data.times[step])
        steps = np.minimum(steps_of(data, labels), step)
        rows = data.first_row[steps]
        known, cut = _at(before, labels), _at(now, labels)
    off = different(known, cut, relative)
    return _Change(step=step, rows=rows[off], steps=steps[off], known=known[off], cut=cut[off])


def _labels(columns: tuple[Column | None, ...], limit: Any) -> Any:
    """Return all times up to the last bar shown at which one of the columns has a value."""
    import pandas as pd

    parts = [c.labels[c.labels <= limit] for c in columns if c is not None and c.labels is not None]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.union(part)
    return pd.DatetimeIndex(joined)


def _at(column: Column | None, labels: Any) -> Any:
    import pandas as pd

    if column is None or column.labels is None:
        return np.full(len(labels), np.nan)
    return pd.Series(column.values, index=column.labels).reindex(labels).to_numpy()
