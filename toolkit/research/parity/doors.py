"""Hours of a market whose doors are opened for what comes about whatever the clock says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from toolkit.core.hours import ALWAYS, Hours


class Doors:
    """The hours of a market; while the doors are `forced`, it is always open."""

    def __init__(self, hours: Hours) -> None:
        self._hours, self._forced = hours, False

    @contextmanager
    def forced(self) -> Iterator[None]:
        """Hold the doors open."""
        self._forced = True
        try:
            yield
        finally:
            self._forced = False

    def session(self, symbol: str, bar: datetime) -> int:
        """Return the session in which a bar begins."""
        return ALWAYS if self._forced else self._hours.session(symbol, bar)

    def next_session(self, symbol: str, bar: datetime) -> int:
        """Return the session in which an entry decided at the close of a bar may fill."""
        return ALWAYS if self._forced else self._hours.next_session(symbol, bar)
