"""When stocks trade: regular sessions of New York, 09:30 to 16:00, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from toolkit.core.types import is_crypto
from toolkit.market.holidays import SATURDAY, closes_early, is_holiday

NEW_YORK = ZoneInfo("America/New_York")
_OPEN, _CLOSE, _EARLY_CLOSE = time(9, 30), time(16), time(13)
_DAY = timedelta(days=1)
_SUMMER_TIME = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Session:
    """One trading day of stocks, UTC; `close` is no longer part of it."""

    open: datetime
    close: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.open <= moment < self.close


@lru_cache(maxsize=1024)
def session_on(day: date) -> Session | None:
    """Return the session of a New York date; None at weekends and on holidays."""
    if day.weekday() >= SATURDAY or is_holiday(day):
        return None
    close = _EARLY_CLOSE if closes_early(day) else _CLOSE
    return Session(
        datetime.combine(day, _OPEN, NEW_YORK).astimezone(UTC),
        datetime.combine(day, close, NEW_YORK).astimezone(UTC),
    )


def is_open(symbol: str, moment: datetime) -> bool:
    """Whether a symbol trades at a moment; crypto always does."""
    if is_crypto(symbol):
        return True
    session = session_on(moment.astimezone(NEW_YORK).date())
    return session is not None and moment in session


def sessions_between(start: datetime, end: datetime) -> list[Session]:
    """Return the sessions that share time with `start` to `end`, oldest first."""
    day, last = start.astimezone(NEW_YORK).date(), end.astimezone(NEW_YORK).date()
    found = []
    while day <= last:
        session = session_on(day)
        if session and session.open < end and session.close > start:
            found.append(session)
        day += _DAY
    return found


def missing_bars(symbol: str, *, after: datetime, before: datetime, step: timedelta) -> int:
    """Count the bars that could have been between two bars (both given by their opens).

    Stocks: only bars that share time with a regular session count.
    """
    if before - after <= step:
        return 0
    if is_crypto(symbol):
        return (before - after) // step - 1
    if step == _DAY:
        return _days_between(after + step, before)
    return sum(
        _slots_in(session, after=after, before=before, step=step)
        for session in sessions_between(after, before)
    )


def _slots_in(session: Session, *, after: datetime, before: datetime, step: timedelta) -> int:
    """Count k > 0 where the bar at `after + k * step` ends by `before` and touches the session."""
    first = max(1, (session.open - after) // step)
    last = min((before - after) // step - 1, -((after - session.close) // step) - 1)
    return max(0, last - first + 1)


def _days_between(start: datetime, end: datetime) -> int:
    """Count whole sessions, give or take the hour by which summer time moves a day's stamp."""
    start, end = start - _SUMMER_TIME, end + _SUMMER_TIME
    found = sessions_between(start, end)
    return sum(session.open >= start and session.close <= end for session in found)
