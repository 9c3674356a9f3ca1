"""Bars laid out for the kernel: one event per bar, in the order in which the bot sees them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toolkit.core.batch import IndicatorArrays, indicators
from toolkit.core.costs import Costs
from toolkit.core.layout import Floats, Ints, Market, charges_of
from toolkit.core.parameters import Parameters
from toolkit.core.types import is_crypto
from toolkit.errors import ConfigError
from toolkit.market.files import give_back
from toolkit.market.hours import Hours, Sessions, hours_of
from toolkit.market.rows import codes_of
from toolkit.market.tables import MarketTable, bars_of, normalise, read_table

if TYPE_CHECKING:
    import pandas as pd

Bars = MarketTable | str | Path  # or a pandas DataFrame, or a Tape
SESSIONS_A_YEAR, SESSION, DAY = 252, 390 * 60.0, 86_400.0
UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, eq=False)
class Tape:
    """All bars of a study; `events[symbol]` are the positions of its bars in `market`.

    `timeframe` is in seconds; `frame` is the bars as `market.tables.bars_of` gives them. `feed`
    and `adjustment` are those of the bars, `crypto+iex` where stocks and crypto have one each,
    `unknown` where nobody said. `hours` says when orders fill.
    """

    frame: pd.DataFrame
    market: Market
    symbols: tuple[str, ...]
    events: dict[str, Ints]
    timeframe: float
    source: str
    hours: Hours
    feed: str = UNKNOWN
    adjustment: str = UNKNOWN

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any symbol, time, price, volume or spread."""
        digest = blake2b("\0".join(self.symbols).encode(), digest_size=8)
        m = self.market
        for values in (m.symbol, m.time, m.open, m.high, m.low, m.close, m.volume):
            digest.update(np.ascontiguousarray(values).data)
        if not np.isnan(m.spread).all():
            digest.update(np.ascontiguousarray(m.spread).data)
        return digest.hexdigest()

    @property
    def span(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """The first and the last timestamp, UTC."""
        times = self.frame["timestamp"]
        return times.iloc[0], times.iloc[-1]

    @property
    def periods_per_year(self) -> float:
        """Bars in a year of trading."""
        return trading_year(self.symbols, self.timeframe) / self.timeframe

    def prices(self, symbol: str) -> tuple[Floats, Floats, Floats]:
        """Return (high, low, close) of one symbol; do not change the arrays."""
        at = self.events[self.known(symbol)]
        if len(self.symbols) == 1:
            return self.market.high, self.market.low, self.market.close
        return self.market.high[at], self.market.low[at], self.market.close[at]

    def known(self, symbol: str) -> str:
        """Return the symbol; raises ConfigError where there are no bars of it."""
        if symbol not in self.events:
            raise ConfigError(
                f"there are no bars of {symbol!r}; known symbols: {', '.join(self.symbols)}",
                field="symbol",
                value=repr(symbol),
                allowed=list(self.symbols),
            )
        return symbol

    def charges(self, costs: Costs) -> NDArray[np.void]:
        """Return the costs of each symbol, by its code."""
        return charges_of(costs, self.symbols)

    def within(self, *, sessions: Sessions, flat_before_close: float = 0.0) -> Tape:
        """Return the same bars under other sessions (see `market.hours.Hours`)."""
        hours = replace(self.hours, sessions=sessions, flat_before_close=flat_before_close)
        if hours == self.hours:
            return self
        crypto = np.array([is_crypto(symbol) for symbol in self.symbols])
        when = hours_of(hours, self.market.time, crypto[self.market.symbol])
        return replace(self, hours=hours, market=self.market._replace(**when._asdict()))

    def steps(self) -> Ints:
        """Return the position of the last event of each distinct timestamp."""
        time = self.market.time
        return np.flatnonzero(np.append(time[1:] != time[:-1], [True]))

    def indicators(self, symbol: str, parameters: Parameters) -> IndicatorArrays:
        """Compute every indicator of one symbol."""
        high, low, close = self.prices(symbol)
        return indicators(high, low, close, parameters)


def trading_year(symbols: Iterable[str], timeframe: float) -> float:
    """Return the seconds of a year in which bars are made.

    Every minute of 365 days where crypto is among the symbols, else 252 sessions of 390 minutes,
    each of which counts as a day where bars last a day or longer.
    """
    if any(is_crypto(symbol) for symbol in symbols):
        return 365.0 * DAY
    return SESSIONS_A_YEAR * (DAY if timeframe >= DAY else SESSION)


def tape_of(
    bars: pd.DataFrame | Bars | Tape,
    *,
    sessions: Sessions = "all",
    flat_before_close: float = 0.0,
) -> Tape:
    """Lay out a DataFrame, a file or a MarketTable; quotes and trades are built into bars.

    `sessions` and `flat_before_close` (seconds) as in `market.hours.Hours`; a tape keeps its own
    unless others than `all` are asked for. Raises DataError where the data is unsound,
    ConfigError.
    """
    if isinstance(bars, Tape):
        if sessions == "all" and not flat_before_close:
            return bars
        return bars.within(sessions=sessions, flat_before_close=flat_before_close)
    table = _table(bars)
    frame = bars_of(table)
    hours = Hours(timeframe=table.timeframe, sessions=sessions, flat_before_close=flat_before_close)
    symbols = tuple(sorted(frame["symbol"].unique()))
    codes = codes_of(frame["symbol"])
    tape = Tape(
        frame=frame,
        market=_market(frame, codes, symbols, hours),
        symbols=symbols,
        events={symbol: np.flatnonzero(codes == i) for i, symbol in enumerate(symbols)},
        timeframe=table.timeframe,
        source=table.source,
        hours=hours,
        feed=_origin(frame, "feed", table.feed),
        adjustment=_origin(frame, "adjustment", table.adjustment),
    )
    give_back()
    return tape


def _market(frame: pd.DataFrame, codes: Ints, symbols: tuple[str, ...], hours: Hours) -> Market:
    times = frame["timestamp"].to_numpy("M8[us]").view(np.int64)
    unknown = np.broadcast_to(np.nan, len(codes))
    crypto = np.array([is_crypto(symbol) for symbol in symbols])
    when = hours_of(hours, times, crypto[codes])
    return Market(
        symbol=codes if len(symbols) > 1 else np.broadcast_to(np.int64(0), len(codes)),
        time=times,
        open=_floats(frame["open"]),
        high=_floats(frame["high"]),
        low=_floats(frame["low"]),
        close=_floats(frame["close"]),
        volume=_floats(frame["volume"]),
        spread=_floats(frame["spread"]) if "spread" in frame.columns else unknown,
        day=when.day,
        session=when.session,
        next_session=when.next_session,
        leave=when.leave,
    )


def _origin(frame: pd.DataFrame, name: str, of_all: str) -> str:
    found = frame[name].unique() if name in frame.columns else [of_all]
    return "+".join(sorted(value or UNKNOWN for value in found))


def _table(bars: pd.DataFrame | Bars) -> MarketTable:
    if isinstance(bars, MarketTable):
        return bars
    if isinstance(bars, (str, Path)):
        return read_table(bars)
    return normalise(bars)


def _floats(column: Any) -> Floats:
    return np.ascontiguousarray(column.to_numpy(np.float64))
