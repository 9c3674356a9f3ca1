"""Fetches what may be missing, and gives up when its time is over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from toolkit.alpaca.port import Data
from toolkit.core.types import Bar, is_crypto
from toolkit.errors import ToolkitError
from toolkit.market.arrivals import Hole
from toolkit.market.longer import MINUTE

log = logging.getLogger(__name__)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def floor_minute(moment: datetime) -> datetime:
    """Return the beginning of a moment's minute."""
    return _EPOCH + (moment - _EPOCH) // MINUTE * MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Minutes from history: of each symbol all that are known before its `until`."""

    bars: Mapping[str, Sequence[Bar]]
    until: Mapping[str, datetime]


class Backfill:
    """Asks history for holes. `patience` (seconds) is how long a hole may hold up newer bars;
    `settle` how long after its end a minute is known to history.
    """

    def __init__(
        self,
        data: Data,
        *,
        feed: str,
        patience: float,
        settle: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._data = data
        self._feed = feed
        self._patience = patience
        self._settle = timedelta(seconds=settle)
        self._monotonic = monotonic
        self._since: dict[tuple[str, datetime], float] = {}

    def expired(self, holes: Sequence[Hole], now: datetime) -> list[str]:
        """Return the symbols whose hole has been open for too long, since it could be filled."""
        at = self._monotonic()
        keys = [(hole.symbol, hole.start) for hole in self.askable(holes, now)]
        self._since = {key: self._since.get(key, at) for key in keys}
        return [key[0] for key, since in self._since.items() if at - since >= self._patience]

    def settled(self, now: datetime) -> datetime:
        """Return until when history is complete."""
        return floor_minute(now - self._settle)

    def askable(self, holes: Sequence[Hole], now: datetime) -> list[Hole]:
        """Return the holes of which history can know something."""
        settled = self.settled(now)
        return [hole for hole in holes if hole.start < settled]

    async def fetch(self, holes: Sequence[Hole], now: datetime) -> Answer:
        """Ask for all holes; what cannot be had now has no `until`, and is asked for again."""
        bars: dict[str, Sequence[Bar]] = {}
        until: dict[str, datetime] = {}
        for crypto in (False, True):
            group = [hole for hole in holes if is_crypto(hole.symbol) == crypto]
            if group:
                found = await self._ask(group, now, crypto)
                bars |= found
                until |= {h.symbol: min(h.end, self.settled(now)) for h in group if found}
        return Answer(bars=bars, until=until)

    async def minutes(self, symbol: str, start: datetime, end: datetime) -> Sequence[Bar]:
        """Return one symbol's minutes, oldest first; raises DataError."""
        found = await self._bars([symbol], start, end, is_crypto(symbol))
        return found.get(symbol, ())

    async def _ask(
        self, group: Sequence[Hole], now: datetime, crypto: bool
    ) -> dict[str, Sequence[Bar]]:
        start = min(hole.start for hole in group)
        end = max(min(hole.end, self.settled(now)) for hole in group)
        symbols = [hole.symbol for hole in group]
        try:
            found = await self._bars(symbols, start, end, crypto)
        except ToolkitError as error:
            log.warning("history of %s is not to be had now: %s", ", ".join(symbols), error)
            return {}
        starts = {hole.symbol: hole.start for hole in group}
        return {
            s: [bar for bar in found.get(s, ()) if bar.timestamp >= first]
            for s, first in starts.items()
        }

    async def _bars(
        self, symbols: Sequence[str], start: datetime, end: datetime, crypto: bool
    ) -> Mapping[str, Sequence[Bar]]:
        found = await self._data.bars(
            symbols,
            timeframe=MINUTE.total_seconds(),
            start=start,
            end=end,
            feed=None if crypto else self._feed,
        )
        return {s: [bar for bar in bars if bar.final] for s, bars in found.items()}
