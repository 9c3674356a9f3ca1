"""Where the values of a user's signals lie among the events of a tape, checked bar by bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from toolkit.core.layout import Bools, Ints
from toolkit.errors import DataError
from toolkit.market.columns import named_columns, utc_times
from toolkit.research.tape import Tape

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Rows:
    """Where the rows of the user's table lie: times in microseconds, symbols where known."""

    at: Ints
    symbols: Any


def rows_of(signals: Any, bars: Any, tape: Tape, name: str) -> Rows:
    import pandas as pd

    index = signals.index
    if isinstance(bars, pd.DataFrame) and len(index) == len(bars) and index.equals(bars.index):
        return Rows(*tape_rows(bars, tape))
    if isinstance(index, pd.DatetimeIndex):
        if not index.is_unique:
            twice = index[index.duplicated()][0]
            raise DataError(
                f"{name} has the time {twice} more than once; with several symbols give each a"
                " column",
                field=name,
                value=str(twice),
                allowed="each time once",
            )
        return Rows(_micros(index), None)
    raise DataError(
        f"{name} has {len(index):,} rows and no index of times; index it by timestamp, or like the"
        " bars that are passed",
        field=name,
        value=str(type(index).__name__),
        allowed="a DatetimeIndex",
    )


def tape_rows(bars: pd.DataFrame, tape: Tape) -> tuple[Ints, Any]:
    """Return time (microseconds) and symbol of each row of the bars as they were passed."""
    import pandas as pd

    named = named_columns(bars, "bars")
    times = _micros(pd.DatetimeIndex(utc_times(named["timestamp"], "bars")))
    if "symbol" not in named:
        return times, np.full(len(bars), tape.symbols[0])
    return times, named["symbol"].astype("str").str.strip().to_numpy()


def _micros(index: Any) -> Ints:
    aware = index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
    return np.asarray(aware.as_unit("us").asi8, np.int64)


def place(events: Bools, values: Any, rows: Rows, tape: Tape, symbol: str, name: str) -> None:
    """Write one symbol's values to its events."""
    own = np.ones(len(rows.at), np.bool_) if rows.symbols is None else rows.symbols == symbol
    at, taken = rows.at[own], values[own]
    order = np.argsort(at, kind="stable")
    at, taken = at[order], taken.iloc[order]
    wanted = tape.events[symbol]
    times = tape.market.time[wanted]
    place = np.minimum(np.searchsorted(at, times), len(at) - 1)
    missing = at[place] != times if len(at) else np.ones(len(times), np.bool_)
    if missing.any():
        _misaligned(name, symbol, times, missing)
    yes = _booleans(taken, place, name, symbol, at)
    events[wanted] = yes[place]
    beyond = yes.copy()
    beyond[place] = False
    if beyond.any():
        _without_bar(name, symbol, at[beyond])


def _booleans(values: Any, needed: Ints, name: str, symbol: str, at: Ints) -> Bools:
    """Return the values as True and False; those not needed may be missing."""
    import pandas as pd

    missing = values.isna().to_numpy()
    if missing[needed].any():
        first = int(needed[missing[needed]][0])
        raise DataError(
            f"{name} of {symbol} is missing at {_time(at[first])}, {missing[needed].sum():,} times"
            " in all; say what it means with .fillna(False)",
            field=name,
            value="nan",
            allowed="True or False",
        )
    known = values.to_numpy()[~missing]
    is_bool = pd.api.types.is_bool_dtype(values.dtype)
    if not is_bool and not all(isinstance(value, (bool, np.bool_)) for value in known):
        raise DataError(
            f"{name} of {symbol} holds {values.dtype}; allowed: True and False; compare first, as"
            " in rsi < 30, or use .astype(bool)",
            field=name,
            value=str(values.dtype),
            allowed="bool",
        )
    result = np.zeros(len(values), np.bool_)
    result[~missing] = known.astype(np.bool_)
    return result


def _time(at: Any) -> str:
    return f"{np.datetime64(int(at), 'us').astype('M8[s]')}Z"


def _misaligned(name: str, symbol: str, times: Ints, missing: Bools) -> NoReturn:
    raise DataError(
        f"{name} has no value for {missing.sum():,} of {len(times):,} bars of {symbol}, the first"
        f" at {_time(times[missing][0])}; compute it from these bars, and do not drop rows",
        field=name,
        value=_time(times[missing][0]),
        allowed="a value for every bar",
    )


def _without_bar(name: str, symbol: str, at: Ints) -> NoReturn:
    raise DataError(
        f"{name} says True {len(at):,} times where {symbol} has no bar, first at {_time(at[0])}:"
        " such a signal would be lost; compute it on the symbol's own bars, or mask it with"
        " close.notna()",
        field=name,
        value=_time(at[0]),
        allowed="signals at bars",
    )
