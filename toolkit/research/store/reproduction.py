"""A kept run, run again: is the outcome equal to the bit?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.errors import DataError, StoreError
from toolkit.research.backtest import run_of
from toolkit.research.progress import progress_of
from toolkit.research.store.code import code_version
from toolkit.research.store.entries import SavedRun, costs_of, entry_of, signals_of
from toolkit.research.store.record import Record
from toolkit.research.sweeps.search import search_of
from toolkit.research.sweeps.sweep import sweep_of
from toolkit.research.sweeps.work import Alone
from toolkit.research.tape import Bars, Tape, tape_of

if TYPE_CHECKING:
    import pandas as pd

Loader = Callable[[Record], Any]  # the bars of a run
Runner = Callable[[SavedRun, Tape], Any]  # the result of asking it again
FILES = (".parquet", ".csv", ".feather")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Reproduction:
    """`result` is the new outcome; `differences` name what is not equal to the bit."""

    record: Record
    result: Any
    differences: tuple[str, ...]
    code: str

    @property
    def equal(self) -> bool:
        """Whether every figure and table is equal to the bit."""
        return not self.differences

    @property
    def sentence(self) -> str:
        """The finding in plain words."""
        run, then = f"Run {self.record.id}", self.record.code
        since = (
            "" if self.code == then else f" (the code has changed: {then} then, {self.code} now)"
        )
        if self.equal:
            return f"{run} was run again and is equal to the bit{since}."
        return f"{run} came out differently{since}: {'; '.join(self.differences)}."

    def __repr__(self) -> str:
        return f"<Reproduction: {self.sentence}>"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.sentence)}</p>"


def reproduce(
    record: Record,
    frames: Mapping[str, pd.DataFrame],
    bars: pd.DataFrame | Bars | None,
    *,
    loader: Loader,
    runners: Mapping[str, Runner],
) -> Reproduction:
    """Run a record again on the same bars; raises StoreError where that cannot be done."""
    if record.kind not in runners:
        raise StoreError(
            f"a {record.kind} cannot be run again from the store; allowed: {', '.join(runners)}",
            id=record.id,
        )
    tape = _same_bars(record, bars if bars is not None else loader(record))
    saved = SavedRun(record=record, frames=frames)
    result = runners[record.kind](saved, tape)
    again = entry_of(result)
    return Reproduction(
        record=record,
        result=result,
        differences=_differences(frames, again.frames),
        code=code_version(),
    )


def bars_of_file(record: Record) -> Path:
    """Return the file that a run's bars came from; raises StoreError where it is gone."""
    source = record.data.source
    path = Path(source)
    if path.suffix.lower() not in FILES:
        raise StoreError(
            f"the bars of run {record.id} came from {source}, which cannot be read again; hand them"
            " over: reproduce(id, bars)",
            id=record.id,
            source=source,
        )
    if not path.exists():
        raise StoreError(
            f"the bars of run {record.id} are gone: {source} is not there; hand them over:"
            " reproduce(id, bars), or `toolkit runs reproduce ID --file FILE`",
            id=record.id,
            source=source,
        )
    return path


def backtest_again(saved: SavedRun, tape: Tape) -> Any:
    """Run a kept backtest again."""
    record = saved.record
    return run_of(
        tape,
        record.parameters,
        capital=record.capital,
        costs=costs_of(record),
        signals=signals_of(saved),
    )


def sweep_again(saved: SavedRun, tape: Tape) -> Any:
    """Run a kept sweep again, in this thread."""
    record, options = saved.record, saved.record.options
    search = search_of(
        options["axes"],
        record.parameters,
        method=options["method"],
        trials=options.get("trials"),
        seed=options.get("seed", 0),
    )
    how = {
        name: options[name] for name in ("method", "metric", "trials", "seed") if name in options
    }
    with progress_of(True, total=search.total, what="again") as report:
        return sweep_of(
            tape,
            search,
            capital=record.capital,
            costs=costs_of(record),
            crew=Alone(),
            report=report,
            how=how,
        )


def walk_forward_again(saved: SavedRun, tape: Tape) -> Any:
    """Run a kept walk-forward again."""
    from toolkit.research.validation.walk_forward import walk_forward

    return walk_forward(tape, **_asked(saved, "train", "test", "anchored", "metric"))


def cross_validate_again(saved: SavedRun, tape: Tape) -> Any:
    """Run a kept cross-validation again."""
    from toolkit.research.validation.combinatorial import cross_validate

    names = ("folds", "test_folds", "purge", "embargo", "metric")
    return cross_validate(tape, **_asked(saved, *names))


RUNNERS: Mapping[str, Runner] = {
    "backtest": backtest_again,
    "sweep": sweep_again,
    "walk_forward": walk_forward_again,
    "cross_validation": cross_validate_again,
}


def _asked(saved: SavedRun, *names: str) -> dict[str, Any]:
    record = saved.record
    return {
        "grid": record.options["axes"],
        "base": record.parameters,
        "capital": record.capital,
        "costs": costs_of(record),
        **{name: record.options[name] for name in names},
    }


def _same_bars(record: Record, bars: Any) -> Tape:
    hours = record.data.hours
    tape = tape_of(bars).within(**hours)
    if tape.fingerprint == record.data.fingerprint:
        return tape
    data, frame = record.data, tape.frame
    known = frame["symbol"].isin(list(data.symbols))
    within = frame["timestamp"].between(data.first, data.last)
    part = frame[known & within].reset_index(drop=True)
    part.attrs = {"feed": data.feed, "adjustment": data.adjustment}
    try:
        cut = tape_of(part, **hours)
    except DataError:
        cut = tape
    if cut.fingerprint == data.fingerprint:
        return cut
    raise StoreError(
        f"these are not the bars of run {record.id}: fingerprint {cut.fingerprint}, not"
        f" {data.fingerprint} ({len(part):,} bars in its span, not {data.bars:,}); bring the same"
        " bars, or run anew",
        id=record.id,
        fingerprint=cut.fingerprint,
        wanted=data.fingerprint,
    )


def _differences(
    then: Mapping[str, pd.DataFrame], now: Mapping[str, pd.DataFrame]
) -> tuple[str, ...]:
    return tuple(
        f"{name}: {what}"
        for name, before in then.items()
        for what in _different(*_done_then(before, now.get(name)))
    )


def _done_then(
    before: pd.DataFrame, after: pd.DataFrame | None
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Leave out the sets that an interrupted sweep had not run."""
    if after is None or "done" not in before.columns or len(after) < len(before):
        return before, after
    done = before["done"].to_numpy(np.bool_)
    return before[done], after[: len(before)][done]


def _different(before: pd.DataFrame, after: pd.DataFrame | None) -> list[str]:
    if after is None:
        return ["not there now"]
    if len(before) != len(after):
        return [f"{len(after)} rows, {len(before)} then"]
    found = []
    for column in before.columns:
        if column not in after.columns:
            found.append(f"{column} is not there now")
            continue
        unequal = int(np.count_nonzero(~_equal(before[column], after[column])))
        if unequal:
            found.append(f"{column} differs in {unequal} of {len(before)} rows")
    return found


def _equal(before: Any, after: Any) -> Any:
    if before.dtype.kind == "f":
        one, other = before.to_numpy(np.float64), after.to_numpy(np.float64)
        return (one == other) | (np.isnan(one) & np.isnan(other))
    return (before.to_numpy() == after.to_numpy()) | (before.isna() & after.isna()).to_numpy()
