"""Which minutes are over by what was traded since, though their bar has not come."""

from __future__ import annotations

from datetime import datetime

from toolkit.market.backfill import floor_minute
from toolkit.market.longer import MINUTE


class Dues:
    """Remembers minutes with trades; `patience` (seconds) begins when one is seen to be over."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._traded: dict[tuple[str, datetime], float | None] = {}

    def on_trade(self, symbol: str, timestamp: datetime) -> None:
        """A symbol was traded: its minute will have a bar."""
        self._traded.setdefault((symbol, floor_minute(timestamp)), None)

    def on_bar(self, symbol: str, timestamp: datetime) -> None:
        """The bar has come."""
        self._traded.pop((symbol, timestamp), None)

    def overdue(self, *, market_time: datetime, now: float) -> list[tuple[str, datetime]]:
        """Return the minutes, once each, that are over for longer than patience allows.

        `market_time` is the newest time on the stream, `now` is monotonic.
        """
        late = []
        for key, since in list(self._traded.items()):
            if key[1] + MINUTE > market_time:
                continue
            if since is None:
                self._traded[key] = now
            elif now - since >= self._patience:
                late.append(key)
                del self._traded[key]
        return late

    def forget(self, symbol: str) -> None:
        """Drop a symbol."""
        self._traded = {key: at for key, at in self._traded.items() if key[0] != symbol}
