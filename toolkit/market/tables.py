"""Recorded market data: files and DataFrames, checked once and then trusted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from toolkit.core.types import Bar, Quote, Trade
from toolkit.errors import DataError
from toolkit.market.builder import BarBuilder
from toolkit.market.columns import (
    COLUMNS,
    SPREAD,
    Kind,
    named_columns,
    numbers,
    recognise,
    spreads,
    symbols_of,
    utc_times,
)
from toolkit.market.files import read_file
from toolkit.market.origins import DEFAULTS, origin_attrs, origin_columns, refuse_mixed
from toolkit.market.rows import (
    DEFAULT_TIMEFRAME,
    check_order,
    check_relations,
    codes_of,
    spacing,
    steps_within_symbols,
)

if TYPE_CHECKING:
    import pandas as pd

_CHUNK = 4096  # rows turned into objects at a time


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MarketTable:
    """Sound data in order of (timestamp, symbol); do not change the frame.

    `frame` has the columns timestamp (UTC), symbol and those of its kind (float64); `timeframe`
    is in seconds; `source` names the file in messages. `feed` and `adjustment` hold for bars that
    have no column of that name.
    """

    kind: Kind
    frame: pd.DataFrame
    timeframe: float
    source: str
    feed: str = ""
    adjustment: str = "raw"

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of the table, sorted."""
        return tuple(sorted(self.frame["symbol"].unique()))

    def select(self, symbols: Sequence[str]) -> MarketTable:
        """Return the rows of some symbols; DataError names the known ones."""
        unknown = sorted(set(symbols).difference(self.symbols))
        if unknown or not symbols:
            what = f"has no {', '.join(unknown)}" if unknown else "was asked for no symbols"
            known = list(self.symbols)
            raise DataError(
                f"{self.source} {what}; known symbols: {', '.join(known)}; ask for some of these",
                field="symbols",
                value=", ".join(unknown),
                allowed=known,
            )
        chosen = self.frame[self.frame["symbol"].isin(list(symbols))].reset_index(drop=True)
        return replace(self, frame=chosen)


def read_table(
    path: str | Path, *, symbol: str | None = None, timeframe: float | None = None
) -> MarketTable:
    """Read a .parquet, .csv or .feather file; raises DataError.

    Takes the columns of `normalise`.
    """
    path = Path(path)
    return normalise(read_file(path), symbol=symbol, timeframe=timeframe, source=path.name)


def normalise(
    frame: pd.DataFrame,
    *,
    symbol: str | None = None,
    timeframe: float | None = None,
    source: str = "DataFrame",
) -> MarketTable:
    """Check a frame of bars, quotes or trades; raises DataError, leaves the frame as it is.

    Columns: timestamp (or a DatetimeIndex), symbol (or the argument), and open, high, low, close,
    volume; or bid, bid_size, ask, ask_size; or price, size. Bars may have a spread (ask minus
    bid), and a feed and an adjustment, as columns or in `frame.attrs`. Others are dropped.
    `timeframe` in seconds; left out, it is the most frequent distance of bars, and 60 for quotes
    and trades.
    """
    if not (hasattr(frame, "columns") and hasattr(frame, "attrs")):  # as pandas' have
        what = f"bars are of type {type(frame).__name__}; allowed: a DataFrame, a file or tk.bars()"
        raise DataError(what, field="bars", row=None, value=repr(frame), allowed="a DataFrame")
    if frame.empty:
        what = f"{source} holds no rows; bring at least one below the column names"
        raise DataError(what, field="rows", row=None, value="0", allowed="at least one row")
    named = named_columns(frame, source)
    kind = recognise(named, source)
    columns: dict[str, Any] = {
        "timestamp": utc_times(named["timestamp"], source),
        "symbol": symbols_of(named, symbol, source),
    }
    columns |= {name: numbers(named, name, source) for name in COLUMNS[kind]}
    if kind == "bars":
        columns |= spreads(named, source) | origin_columns(named)
    check_relations(kind, columns, source)
    codes = codes_of(columns["symbol"])
    ticks = columns["timestamp"].dt.tz_localize(None).to_numpy().astype("int64")
    steps, rows = steps_within_symbols(codes, ticks)
    check_order(kind, columns["timestamp"], steps, rows, source)
    if timeframe is None:
        per_second = 1e9 if columns["timestamp"].dt.unit == "ns" else 1e6
        timeframe = spacing(steps, per_second) if kind == "bars" else DEFAULT_TIMEFRAME
    BarBuilder(timeframe)  # a timeframe that builds no bars is refused here
    ordered, order = _frame(columns), np.lexsort((codes, ticks))
    if (np.diff(order) != 1).any():
        ordered = ordered.iloc[order].reset_index(drop=True)
    return MarketTable(
        kind=kind,
        frame=ordered,
        timeframe=timeframe,
        source=source,
        **origin_attrs(frame.attrs),
    )


def bars_of(
    table: MarketTable,
    *,
    timeframe: float | None = None,
    on_mixed: Literal["refuse", "flag"] = "refuse",
) -> pd.DataFrame:
    """Return final bars as a frame: as recorded, or built from ticks exactly as live ones are.

    `timeframe` in seconds, by default the table's own; recorded bars keep theirs, so another one
    raises DataError. So do bars of several feeds or adjustments, unless they are only looked at:
    `on_mixed="flag"`.
    """
    if table.kind == "bars" and on_mixed == "refuse":
        refuse_mixed(table.frame, table.source)
    wanted = table.timeframe if timeframe is None else timeframe
    if table.kind != "bars":
        return frame_of(_built(table, wanted))
    if wanted != table.timeframe:
        raise DataError(
            f"{table.source} holds bars of {table.timeframe:g} s, not of {wanted:g} s;"
            " leave timeframe out, or bring bars, quotes or trades that fit",
            field="timeframe",
            value=str(wanted),
            allowed=f"{table.timeframe:g}",
        )
    return table.frame


def _built(table: MarketTable, timeframe: float) -> Iterator[Bar]:
    builder = BarBuilder(timeframe)
    for tick in cast(Iterator[Quote | Trade], iter_events(table)):
        yield from (bar for bar in builder.on_tick(tick) if bar.final)
    yield from builder.flush()


def frame_of(bars: Iterable[Bar]) -> pd.DataFrame:
    """Return bars as a frame with the columns and types of a MarketTable.

    There is a column `spread` where any bar has one.
    """
    import pandas as pd

    rows = list(bars)
    times = pd.to_datetime([bar.timestamp for bar in rows], utc=True)
    columns: dict[str, Any] = {
        "timestamp": times.as_unit("us"),
        "symbol": pd.Series([bar.symbol for bar in rows], dtype="str"),
    }
    for name in COLUMNS["bars"]:
        columns[name] = np.array([getattr(bar, name) for bar in rows], dtype=np.float64)
    if any(bar.spread is not None for bar in rows):
        columns[SPREAD] = np.array([bar.spread for bar in rows], dtype=np.float64)
    return pd.DataFrame(columns)


def iter_events(table: MarketTable) -> Iterator[Bar | Quote | Trade]:
    """Yield the rows as core types, in order; nanoseconds are cut to microseconds."""
    make: Callable[..., Bar | Quote | Trade]
    make = {"bars": Bar, "quotes": Quote, "trades": Trade}[table.kind]
    names = COLUMNS[table.kind]
    if table.kind == "bars":
        make = partial(Bar, feed=table.feed, adjustment=table.adjustment)
        names += tuple(name for name in (SPREAD, *DEFAULTS) if name in table.frame.columns)
    for start in range(0, len(table.frame), _CHUNK):
        part = table.frame.iloc[start : start + _CHUNK]
        times = part["timestamp"].dt.tz_localize(None).to_numpy().astype("M8[us]").tolist()
        columns = [part[name].tolist() for name in ("symbol", *names)]
        if SPREAD in names:
            at = 1 + names.index(SPREAD)
            columns[at] = [None if math.isnan(value) else value for value in columns[at]]
        for naive, symbol, *values in zip(times, *columns, strict=True):
            time: datetime = naive.replace(tzinfo=UTC)
            yield make(symbol=symbol, timestamp=time, **dict(zip(names, values, strict=True)))


def _frame(columns: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(columns)
