"""Our sessions against a kept calendar library, day by day."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import exchange_calendars
import pytest

from toolkit.market.sessions import session_on

FIRST, LAST = date(2005, 1, 3), date(2027, 12, 31)
# exchange_calendars 4.13 reads Series.values, which pandas 3.1 advises against.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning:DeprecationWarning")

Hours = tuple[datetime, datetime]


@pytest.fixture(scope="module")
def theirs() -> dict[date, Hours]:
    calendar = exchange_calendars.get_calendar("XNYS", start=FIRST, end=LAST)
    return {
        row.Index.date(): (row.open.to_pydatetime(), row.close.to_pydatetime())
        for row in calendar.schedule.itertuples()
    }


def days() -> list[date]:
    return [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]


def test_every_session_of_2005_to_2027_opens_and_closes_as_the_exchange_does(
    theirs: dict[date, Hours],
) -> None:
    ours = {d: (s.open, s.close) for d in days() if (s := session_on(d)) is not None}
    assert ours == theirs


def test_half_days_are_among_those_compared(theirs: dict[date, Hours]) -> None:
    short = {day for day, (opens, closes) in theirs.items() if closes - opens < timedelta(hours=6)}
    assert {date(2024, 7, 3), date(2025, 11, 28), date(2026, 12, 24)} <= short
    assert len(short) > 40


@pytest.mark.parametrize("day", [date(2012, 10, 29), date(2018, 12, 5), date(2025, 1, 9)])
def test_unscheduled_closings_have_no_session(day: date, theirs: dict[date, Hours]) -> None:
    assert session_on(day) is None
    assert day not in theirs
