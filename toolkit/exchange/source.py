"""Where the exchange's prices come from: our simulated market, or a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Protocol, cast

from toolkit.core.types import Bar, Quote, Trade
from toolkit.exchange.bars import MinuteBar, bar_of
from toolkit.exchange.ticks import Tick
from toolkit.exchange.values import MINUTE, Micros, micros, micros_of
from toolkit.market.simulation import START, TICKS_PER_BAR, Simulation
from toolkit.market.tables import MarketTable, iter_events

_ALL = 10**9
_LAST_PRINT = 1_000_000  # a recorded bar's close prints a second before its end


class Source(Protocol):
    """Minutes that are over at the start, and ticks from there on."""

    @property
    def name(self) -> str:
        """What is shown to the user."""
        ...

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols that trade, sorted."""
        ...

    @property
    def start(self) -> Micros:
        """When the exchange opens its doors."""
        ...

    def history(self, symbol: str) -> list[MinuteBar]:
        """Return the bars before the start, oldest first."""
        ...

    def ticks(self) -> Iterator[Tick]:
        """Yield ticks in order of time, each time from the start."""
        ...


class SimulatedSource:
    """The market of `toolkit.market.simulated`, tick for tick; raises ConfigError.

    Counts and average prices of bars before the start are estimates.
    """

    name = "simulated"

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        seed: int = 7,
        start: datetime | None = None,
        ticks_per_bar: int = TICKS_PER_BAR,
    ) -> None:
        begin = START if start is None else start.replace(second=0, microsecond=0)
        self._simulation = Simulation(symbols, seed=seed, start=begin, ticks_per_bar=ticks_per_bar)
        self._ticks_per_bar = ticks_per_bar
        self.symbols: Sequence[str] = self._simulation.symbols
        self.start: Micros = micros_of(begin)

    def history(self, symbol: str) -> list[MinuteBar]:
        """Return some 1,000 bars before the start."""
        bars = self._simulation.history(symbol, limit=_ALL)
        return [_minute(bar, count=self._ticks_per_bar) for bar in bars]

    def ticks(self) -> Iterator[Tick]:
        """Yield ticks without end."""
        events = self._simulation.ticks()
        for quote, trade in zip(events, events, strict=False):
            yield _tick(cast(Quote, quote), cast(Trade, trade))


class RecordedSource:
    """A table of bars, quotes or trades; what lies before `start` is history.

    A recorded bar prints open, both extremes and close, so that it is made again exactly. Quotes
    trade at their middle; trades and bars are quoted at their price.
    """

    def __init__(self, table: MarketTable, *, start: datetime | None = None) -> None:
        self._table = table
        self.name = f"recording {table.source}"
        self.symbols: Sequence[str] = table.symbols
        first = table.frame["timestamp"].iloc[0].to_pydatetime()
        self.start: Micros = micros_of(start or first)

    def history(self, symbol: str) -> list[MinuteBar]:
        """Return what was recorded before the start."""
        early = [
            (tick.at - tick.at % MINUTE, tick.price, tick.size)
            for tick in self._all()
            if tick.symbol == symbol and tick.at < self.start
        ]
        return [
            bar_of(at, [(price, size) for _, price, size in group])
            for at, group in groupby(early, key=lambda row: row[0])
        ]

    def ticks(self) -> Iterator[Tick]:
        """Yield ticks until the recording ends."""
        return (tick for tick in self._all() if tick.at >= self.start)

    def _all(self) -> Iterator[Tick]:
        rows = iter_events(self._table)
        if self._table.kind == "bars":
            return _bar_ticks(cast(Iterator[Bar], rows), micros(self._table.timeframe))
        make: Callable[..., Tick] = _of_quote if self._table.kind == "quotes" else _of_trade
        return map(make, rows)


def _minute(bar: Bar, *, count: int) -> MinuteBar:
    vwap = round((bar.open + bar.high + bar.low + bar.close) / 4, 6)
    return MinuteBar(
        micros_of(bar.timestamp), bar.open, bar.high, bar.low, bar.close, bar.volume, count, vwap
    )


def _tick(quote: Quote, trade: Trade) -> Tick:
    return Tick(
        micros_of(quote.timestamp),
        quote.symbol,
        quote.bid,
        quote.ask,
        quote.bid_size,
        quote.ask_size,
        trade.price,
        trade.size,
    )


def _of_quote(quote: Quote) -> Tick:
    middle = Trade(symbol=quote.symbol, timestamp=quote.timestamp, price=quote.mid, size=1.0)
    return _tick(quote, middle)


def _of_trade(trade: Trade) -> Tick:
    at, price, size = micros_of(trade.timestamp), trade.price, trade.size
    return Tick(at, trade.symbol, price, price, size, size, price, size)


def _bar_ticks(bars: Iterator[Bar], length: Micros) -> Iterator[Tick]:
    """Yield the prints of all bars of one moment in order of time, then symbol."""
    for _, group in groupby(bars, key=lambda bar: bar.timestamp):
        prints = [tick for bar in group for tick in _prints(bar, length)]
        yield from sorted(prints, key=lambda tick: (tick.at, tick.symbol))


def _prints(bar: Bar, length: Micros) -> Iterator[Tick]:
    at, size = micros_of(bar.timestamp), bar.volume / 4
    extremes = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
    offsets = (0, length // 3, 2 * length // 3, length - _LAST_PRINT)
    shown = bar.volume or 1.0
    for offset, price in zip(offsets, (bar.open, *extremes, bar.close), strict=True):
        yield Tick(at + offset, bar.symbol, price, price, shown, shown, price, size)
