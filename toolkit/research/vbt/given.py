"""Entries and exits that a user computed, laid out event by event; vectorbt's columns included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from toolkit.core.layout import Bools
from toolkit.errors import ConfigError, DataError
from toolkit.research.tape import Tape
from toolkit.research.vbt.placing import place, rows_of

if TYPE_CHECKING:
    import pandas as pd

Label = tuple[Any, ...]
Packed = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Signals by label: the values of the columns' levels, which `levels` names, without symbols.

    A single set of signals without a name has the label (). Eight events lie in a byte.
    """

    levels: tuple[str, ...]
    signals: dict[Label, Packed]


def given(
    signals: pd.Series[Any] | pd.DataFrame, tape: Tape, *, name: str, bars: Any = None
) -> Given:
    """Lay out a Series or DataFrame of True and False; raises DataError and ConfigError.

    On an index of times the columns are symbols, combinations of parameters, or both (a
    MultiIndex); or on the rows of `bars` as they were passed. Every bar must have a value; where
    there is no bar there may be none, but no signal.
    """
    import pandas as pd

    if not isinstance(signals, (pd.Series, pd.DataFrame)):
        _refuse_type(signals, name)
    if not len(signals):
        raise DataError(f"{name} holds no rows; bring one for each bar", field=name)
    rows = rows_of(signals, bars, tape, name)
    columns = _columns(signals, tape, name, has_symbols=rows.symbols is not None)
    found = {}
    for label, parts in columns.parts.items():
        events = np.zeros(len(tape.market.time), np.bool_)
        for symbol in tape.symbols:
            values = parts.get(symbol, parts.get(""))
            if values is None:
                _missing_symbol(name, symbol, label)
            place(events, values, rows, tape, symbol, name)
        found[label] = np.packbits(events)
    return Given(levels=columns.levels, signals=found)


def paired(entries: Given, exits: Given | None) -> dict[Label, tuple[Packed, Packed]]:
    """Return (entries, exits) by label; one set of either goes with all of the other.

    Raises ConfigError where the columns do not match.
    """
    if exits is None:
        return {label: (bits, np.zeros_like(bits)) for label, bits in entries.signals.items()}
    one, other = entries.signals, exits.signals
    if len(other) == 1 and set(other) != set(one):
        other = dict.fromkeys(one, next(iter(other.values())))
    elif len(one) == 1 and set(other) != set(one):
        one = dict.fromkeys(other, next(iter(one.values())))
    strange = sorted(map(str, set(one) ^ set(other)))
    if strange:
        raise ConfigError(
            f"entries and exits have different columns, among them {', '.join(strange[:3])};"
            " give both the same, or one column to either",
            field="exits",
            value=strange[0],
            allowed=[str(label) for label in one],
        )
    return {label: (bits, other[label]) for label, bits in one.items()}


def unpacked(bits: Packed, size: int) -> Bools:
    """Return True and False of each event."""
    return np.unpackbits(bits, count=size).astype(np.bool_)


@dataclass(frozen=True, slots=True)
class _Columns:
    """For each label the values by symbol; the symbol "" stands for whatever there is."""

    levels: tuple[str, ...]
    parts: dict[Label, dict[str, Any]]


def _columns(
    signals: pd.Series[Any] | pd.DataFrame, tape: Tape, name: str, *, has_symbols: bool
) -> _Columns:
    import pandas as pd

    if isinstance(signals, pd.Series):
        if len(tape.symbols) > 1 and not has_symbols:
            _one_column(name, tape)
        return _Columns((), {(): {"": signals}})
    index = signals.columns
    at = None if has_symbols else _symbol_level(index, tape, name)
    if at is None and len(tape.symbols) > 1 and not has_symbols:
        _one_column(name, tape)
    levels = tuple(_level_name(n, i) for i, n in enumerate(index.names) if i != at)
    parts: dict[Label, dict[str, Any]] = {}
    names: list[Any] = list(index)
    for number, column in enumerate(names):
        values = column if isinstance(column, tuple) else (column,)
        label = tuple(value for i, value in enumerate(values) if i != at)
        symbol = "" if at is None else str(values[at])
        place = parts.setdefault(label, {})
        if symbol in place:
            raise ConfigError(
                f"{name} has the column {column!r} twice; give each a name of its own",
                field=name,
                value=repr(column),
            )
        place[symbol] = signals.iloc[:, number]
    if len(parts) == 1 and index.nlevels == 1:
        return _Columns((), {(): next(iter(parts.values()))})
    return _Columns(levels, parts)


def _symbol_level(index: pd.Index, tape: Tape, name: str) -> int | None:
    """Return the level of the columns that holds symbols, None where there is none."""
    for i, level in enumerate(index.names):
        values = set(map(str, index.get_level_values(i)))
        known = values <= set(tape.symbols)
        if known or str(level).lower() == "symbol":
            if not known:
                strange = sorted(values - set(tape.symbols))
                raise DataError(
                    f"{name} has columns of {', '.join(strange)}, of which there are no bars;"
                    f" there are: {', '.join(tape.symbols)}",
                    field=name,
                    value=", ".join(strange),
                    allowed=list(tape.symbols),
                )
            return i
    return None


def _level_name(name: Any, number: int) -> str:
    return f"level_{number}" if name is None else str(name)


def _one_column(name: str, tape: Tape) -> NoReturn:
    raise DataError(
        f"{name} does not say which symbol it is of; give it a column for each of"
        f" {', '.join(tape.symbols)}",
        field=name,
        allowed=list(tape.symbols),
    )


def _missing_symbol(name: str, symbol: str, label: Label) -> NoReturn:
    of = f" for {label}" if label else ""
    raise DataError(
        f"{name} has no column of {symbol}{of}; add one (all False for no signals), or pass bars"
        " without it",
        field=name,
        value=symbol,
    )


def _refuse_type(signals: Any, name: str) -> NoReturn:
    raise ConfigError(
        f"{name} is {type(signals).__name__}; allowed: a Series or DataFrame of True and False, or"
        " for entries a function of bars that returns (entries, exits)",
        field=name,
        value=type(signals).__name__,
        allowed="Series, DataFrame",
    )
