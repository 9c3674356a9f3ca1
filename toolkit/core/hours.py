"""When fills may happen, as the simulated exchange asks it; calendars are in `market.hours`."""

from __future__ import annotations

from datetime import date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

CLOSED = -1  # the number of no session
ALWAYS = 0  # the number of the session that never ends
NEW_YORK = ZoneInfo("America/New_York")
EPOCH = date(1970, 1, 1)


class Hours(Protocol):
    """Numbers the sessions of each symbol; CLOSED stands for none."""

    def session(self, symbol: str, bar: datetime) -> int:
        """Return the session in which a bar begins."""

    def next_session(self, symbol: str, bar: datetime) -> int:
        """Return the session in which an entry decided at the close of a bar may fill."""


class AlwaysOpen:
    """Hours of a market that never closes."""

    def session(self, symbol: str, bar: datetime) -> int:
        """Return ALWAYS."""
        return ALWAYS

    def next_session(self, symbol: str, bar: datetime) -> int:
        """Return ALWAYS."""
        return ALWAYS


def number_of(day: date) -> int:
    """Return a date as days since 1970."""
    return (day - EPOCH).days


def day_of(moment: datetime) -> int:
    """Return the number of the date in New York, on which fees are summed up."""
    return number_of(moment.astimezone(NEW_YORK).date())
