"""The simulated market as data: every symbol's prints, block by block, before anyone paces them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import count

import numpy as np

from toolkit.core.types import Bar, Quote, Trade
from toolkit.errors import ConfigError, DataError
from toolkit.market.paths import BLOCK, SymbolPath, open_slots
from toolkit.market.prints import Prints, bars_from, print_moves
from toolkit.market.profiles import profile_of

START = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)  # a Monday, half an hour into the session
FEED = "simulated"
HISTORY = 1000  # bars before the start, at least
TICKS_PER_BAR = 20
MOST_TICKS_PER_BAR = 1000
_HOUR = 3600


class Simulation:
    """Seeded prints of several symbols from `start` on, and what led up to them.

    The numbers depend on seed, start, timeframe and ticks_per_bar alone; a symbol's path does not
    depend on which other symbols there are. `timeframe` in seconds. Raises ConfigError.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        seed: int = 7,
        start: datetime | None = None,
        timeframe: float = 60.0,
        ticks_per_bar: int = TICKS_PER_BAR,
    ) -> None:
        _check("symbols", symbols, _are_names(symbols), "a list of at least one symbol")
        _check("seed", seed, isinstance(seed, int) and seed >= 0, "whole numbers from 0")
        fits = 1 <= timeframe <= _HOUR and timeframe == int(timeframe) and _HOUR % timeframe == 0
        _check("timeframe", timeframe, fits, "whole seconds that divide an hour")
        fits = 1 <= ticks_per_bar <= MOST_TICKS_PER_BAR
        _check("ticks_per_bar", ticks_per_bar, fits, f"1 to {MOST_TICKS_PER_BAR}")
        self.symbols = tuple(sorted(set(symbols)))
        self.timeframe = float(timeframe)
        start = start or START
        start = start.replace(tzinfo=UTC) if start.tzinfo is None else start
        self._start_slot = int(start.timestamp() // timeframe)
        self._seed = seed
        self._ticks_per_bar = ticks_per_bar

    def history(self, symbol: str, *, limit: int) -> list[Bar]:
        """Return up to `limit` bars before the start, oldest first; raises DataError."""
        if symbol not in self.symbols:
            known = ", ".join(self.symbols)
            raise DataError(
                f"the simulated market has no {symbol!r}; known symbols: {known}",
                field="symbol",
                value=symbol,
                allowed=list(self.symbols),
            )
        bars: list[Bar] = []
        for prints in _Printer(self, symbol).before_start():
            bars += _bars(symbol, prints, self.timeframe)
        return bars[max(0, len(bars) - limit) :] if limit > 0 else []

    def ticks(self) -> Iterator[Quote | Trade]:
        """Yield quotes and trades without end, in order of time, then symbol."""
        printers = [_Printer(self, symbol).from_start() for symbol in self.symbols]
        for parts in zip(*printers, strict=True):
            yield from _merged(self.symbols, parts)

    def live_prints(self, symbol: str) -> Iterator[Prints]:
        """Yield one symbol's prints from the start on, without end, a block at a time."""
        for prints in _Printer(self, symbol).from_start():
            if prints is not None:
                yield prints


class _Printer:
    """One symbol's prints; each method walks the same path from its beginning."""

    def __init__(self, simulation: Simulation, symbol: str) -> None:
        self._profile = profile_of(symbol, seed=simulation._seed)
        self._seed = simulation._seed
        self._timeframe = simulation.timeframe
        self._ticks_per_bar = simulation._ticks_per_bar
        self._start_slot = simulation._start_slot
        self._start_block = simulation._start_slot // BLOCK

    def before_start(self) -> Iterator[Prints]:
        path = self._path()
        for block in range(self._first_block(), self._start_block + 1):
            prints = self._prints(path, block)
            if prints is not None:
                yield prints.where(prints.slots < self._start_slot)

    def from_start(self) -> Iterator[Prints | None]:
        """Yield one item for each block, None while the market is closed."""
        path = self._path()
        for block in range(self._first_block(), self._start_block):
            path.block(block)
        prints = self._prints(path, self._start_block)
        yield prints.where(prints.slots >= self._start_slot) if prints else None
        for block in count(self._start_block + 1):
            yield self._prints(path, block)

    def _path(self) -> SymbolPath:
        return SymbolPath(self._profile, seed=self._seed, timeframe=self._timeframe)

    def _first_block(self) -> int:
        """Return the block from which at least HISTORY slots lead up to the start's block."""
        block, found = self._start_block, 0
        while found < HISTORY:
            block -= 1
            found += len(open_slots(self._profile.crypto, block, timeframe=self._timeframe)[0])
        return block

    def _prints(self, path: SymbolPath, block: int) -> Prints | None:
        moves = path.block(block)
        if moves is None:
            return None
        return print_moves(
            moves,
            self._profile,
            rng=np.random.default_rng([self._seed, self._profile.key, block, 1]),
            timeframe=self._timeframe,
            ticks_per_bar=self._ticks_per_bar,
        )


def _bars(symbol: str, prints: Prints, timeframe: float) -> list[Bar]:
    if not len(prints.slots):
        return []
    arrays = bars_from(prints)
    columns = (getattr(arrays, name).tolist() for name in arrays.__slots__)
    return [
        Bar(
            symbol=symbol,
            timestamp=datetime.fromtimestamp(slot * timeframe, UTC),
            open=opened,
            high=high,
            low=low,
            close=close,
            volume=volume,
            feed=FEED,
        )
        for slot, opened, high, low, close, volume in zip(*columns, strict=True)
    ]


def _merged(symbols: Sequence[str], parts: Sequence[Prints | None]) -> Iterator[Quote | Trade]:
    present = [(s, p) for s, p in zip(symbols, parts, strict=True) if p is not None]
    if not present:
        return
    owner = np.repeat(np.arange(len(present)), [len(p.times) for _, p in present])
    times = np.concatenate([p.times for _, p in present])
    order = np.lexsort((owner, times))
    names = [present[i][0] for i in owner[order].tolist()]
    moments = times[order].view("M8[us]").tolist()
    fields = ("bid", "ask", "bid_size", "ask_size", "price", "size")
    columns = [
        np.concatenate([getattr(p, field) for _, p in present])[order].tolist() for field in fields
    ]
    for symbol, naive, bid, ask, bid_size, ask_size, price, size in zip(
        names, moments, *columns, strict=True
    ):
        moment = naive.replace(tzinfo=UTC)
        yield Quote(
            symbol=symbol,
            timestamp=moment,
            bid=bid,
            ask=ask,
            bid_size=bid_size,
            ask_size=ask_size,
        )
        yield Trade(symbol=symbol, timestamp=moment, price=price, size=size)


def _are_names(symbols: Sequence[str]) -> bool:
    return not isinstance(symbols, str) and len(symbols) > 0 and all(symbols)


def _check(field: str, value: object, valid: bool, allowed: str) -> None:
    if not valid:
        raise ConfigError(
            f"{field} is {value!r}; allowed: {allowed}",
            field=field,
            value=repr(value),
            allowed=allowed,
        )
