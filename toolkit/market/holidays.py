"""Days on which the New York Stock Exchange stays closed or closes early, by today's rules.

Unscheduled closures are known from 2005 on; one that is news to us shows up as a gap.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache

MONDAY, THURSDAY = 0, 3
SATURDAY, SUNDAY = 5, 6
_DAY = timedelta(days=1)
_FIRST_JUNETEENTH = 2022
_UNSCHEDULED = frozenset(
    {
        date(2007, 1, 2),  # mourning for President Ford
        date(2012, 10, 29),  # Hurricane Sandy
        date(2012, 10, 30),
        date(2018, 12, 5),  # mourning for President Bush
        date(2025, 1, 9),  # mourning for President Carter
    }
)


def is_holiday(day: date) -> bool:
    """Whether a weekday has no session at all."""
    return day in _UNSCHEDULED or day in _holidays(day.year)


def closes_early(day: date) -> bool:
    """Whether the session ends at 13:00 instead of 16:00."""
    before_fixed = (day.month, day.day) in ((7, 3), (12, 24))
    after_thanksgiving = day == _nth(day.year, 11, THURSDAY, 4) + _DAY
    return before_fixed or after_thanksgiving


@lru_cache(maxsize=256)
def _holidays(year: int) -> frozenset[date]:
    days = {
        _nth(year, 1, MONDAY, 3),  # Martin Luther King
        _nth(year, 2, MONDAY, 3),  # Washington's birthday
        _easter(year) - 2 * _DAY,  # Good Friday
        _last_monday_of_may(year),  # Memorial Day
        _nth(year, 9, MONDAY, 1),  # Labor Day
        _nth(year, 11, THURSDAY, 4),  # Thanksgiving
        _observed(date(year, 7, 4)),
        _observed(date(year, 12, 25)),
    }
    new_year = date(year, 1, 1)
    if new_year.weekday() != SATURDAY:  # the exchange does not close on 31 December for it
        days.add(_observed(new_year))
    if year >= _FIRST_JUNETEENTH:
        days.add(_observed(date(year, 6, 19)))
    return frozenset(days)


def _observed(day: date) -> date:
    shift = {SATURDAY: -_DAY, SUNDAY: _DAY}
    return day + shift.get(day.weekday(), timedelta())


def _nth(year: int, month: int, weekday: int, n: int) -> date:
    first = date(year, month, 1)
    return first + _DAY * ((weekday - first.weekday()) % 7 + 7 * (n - 1))


def _last_monday_of_may(year: int) -> date:
    last = date(year, 5, 31)
    return last - _DAY * ((last.weekday() - MONDAY) % 7)


def _easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar: the Sunday after the Paschal full moon."""
    century = year // 100
    leap_correction = century - century // 4
    moon_correction = (8 * century + 13) // 25
    epact = (19 * (year % 19) + leap_correction - moon_correction + 15) % 30
    epact -= (epact + year % 19 // 11) // 29
    full_moon = date(year, 3, 21) + _DAY * epact
    return full_moon + _DAY * ((SUNDAY - full_moon.weekday() - 1) % 7 + 1)
