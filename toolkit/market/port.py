"""The port to market data. Adapters: simulated, replay, alpaca."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from toolkit.core.types import Bar, MarketEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedHealth:
    """Whether the data can be acted on; `reason` says why not, and what to do.

    `last_message` is when something was heard last, by our clock; None: nothing yet, or a source
    that cannot fall silent.
    """

    ok: bool = True
    reason: str = ""
    last_message: datetime | None = None


class MarketData(Protocol):
    """One source of market data for a fixed set of symbols.

    Events come in order of time; within one time in order of symbol. A final bar is sent once,
    after every forming version of it; a correction of it comes later with a higher `revision`,
    and is the one thing that may be older than what came before. Missing minutes are not
    invented: a `MarketGap` comes before the first bar after them. Errors are DataError.

    Live, order is strict within a symbol: others go on while one waits for a hole to be filled.
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

    def health(self) -> FeedHealth:
        """Return whether the data can be acted on now."""
        ...

    async def stop(self) -> None:
        """Release everything; `events()` ends. Calling it twice is harmless."""
        ...
