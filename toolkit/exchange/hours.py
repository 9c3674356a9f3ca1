"""When an order may work: sessions of stocks, extended hours, and where they end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from toolkit.exchange.values import DAY, MINUTE, Micros, micros_of, moment_of
from toolkit.market.sessions import NEW_YORK, session_on

_PRE_MARKET = time(4)
_AFTER_HOURS = timedelta(hours=4)
GOOD_TILL_CANCELED = 90 * DAY
OPENING_AUCTION = 2 * MINUTE  # orders for it must arrive so long before
_LONGEST_BREAK = 14  # days without a session, at most


@dataclass(frozen=True, slots=True)
class Hours:
    """One trading day: regular from `open` to `close`, extended from `early` to `late`."""

    day: date
    early: Micros
    open: Micros
    close: Micros
    late: Micros


@lru_cache(maxsize=4096)
def hours_on(day: date) -> Hours | None:
    """Return the hours of a New York date; None where there is no session."""
    session = session_on(day)
    if session is None:
        return None
    early = datetime.combine(day, _PRE_MARKET, NEW_YORK)
    return Hours(
        day=day,
        early=micros_of(early),
        open=micros_of(session.open),
        close=micros_of(session.close),
        late=micros_of(session.close + _AFTER_HOURS),
    )


def day_of(at: Micros) -> date:
    """Return the New York date."""
    return moment_of(at).astimezone(NEW_YORK).date()


def is_regular(at: Micros) -> bool:
    """Whether stocks trade in the regular session."""
    hours = hours_on(day_of(at))
    return hours is not None and hours.open <= at < hours.close


def is_extended(at: Micros) -> bool:
    """Whether stocks trade in the regular session or around it."""
    hours = hours_on(day_of(at))
    return hours is not None and hours.early <= at < hours.late


def next_hours(at: Micros, *, extended: bool = False) -> Hours:
    """Return the trading day that goes on at `at`, or else the next one."""
    day = day_of(at)
    for _ in range(_LONGEST_BREAK):
        hours = hours_on(day)
        if hours is not None and at < (hours.late if extended else hours.close):
            return hours
        day += timedelta(days=1)
    raise AssertionError("no session within two weeks")


def next_open(at: Micros) -> Micros:
    """Return the next opening after `at`."""
    hours = next_hours(at)
    return hours.open if hours.open > at else next_hours(hours.close).open


def days_between(first: date, last: date) -> list[Hours]:
    """Return the trading days from `first` to `last`, both included."""
    found = []
    day = first
    while day <= last:
        hours = hours_on(day)
        if hours is not None:
            found.append(hours)
        day += timedelta(days=1)
    return found
