"""The port to market data. Adapters: simulated, replay (and, with keys, Alpaca)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from toolkit.core.types import Bar, MarketEvent


class MarketData(Protocol):
    """One source of market data for a fixed set of symbols.

    Events come in order of time; within one time in order of symbol. A final bar is sent once,
    after every forming version of it. Missing minutes are not invented: a `MarketGap` comes
    before the first bar after them. Errors are DataError.
    """

    @property
    def name(self) -> str:
        """Where the data comes from, shown to the user: `simulated`, `replay`, `alpaca:iex`."""
        ...

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols of this source, sorted."""
        ...

    @property
    def timeframe(self) -> float:
        """Seconds between the opens of two bars."""
        ...

    async def history(self, symbol: str, *, limit: int) -> Sequence[Bar]:
        """Return up to `limit` final bars before the first live one, oldest first."""
        ...

    def events(self) -> AsyncIterator[MarketEvent]:
        """Yield live events; ends when the source has no more."""
        ...

    async def stop(self) -> None:
        """Release everything; `events()` ends. Calling it twice is harmless."""
        ...
