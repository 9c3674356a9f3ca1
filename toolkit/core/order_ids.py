"""Names of orders: the same decision has the same one, also after a restart."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from toolkit.core.types import Side

REMEMBERED = 1000


class OrderIds:
    """Makes client order ids of name, symbol, bar, side and attempt; Alpaca takes 48 letters."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._used: deque[str] = deque(maxlen=REMEMBERED)

    def remember(self, client_order_id: str) -> None:
        """Use this id no more."""
        self._used.append(client_order_id)

    def make(self, symbol: str, timestamp: datetime, side: Side) -> str:
        """Return the id of the next attempt at this decision."""
        moment = f"{timestamp:%Y%m%dT%H%M%S}"
        stem = f"{self._name}-{symbol.replace('/', '')}-{moment}-{side.value[0]}"
        attempt = 1
        while f"{stem}{attempt}" in self._used:
            attempt += 1
        self._used.append(f"{stem}{attempt}")
        return f"{stem}{attempt}"
