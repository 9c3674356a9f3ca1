from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from toolkit.core.types import Bar
from toolkit.market.gaps import GapDetector
from toolkit.market.sessions import Session, is_open, missing_bars, session_on, sessions_between

MINUTE = timedelta(minutes=1)


def utc(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0
) -> datetime:
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def bar(symbol: str, time: datetime, *, final: bool = True) -> Bar:
    return Bar(symbol=symbol, timestamp=time, open=1, high=1, low=1, close=1, final=final)


def test_sessions_follow_new_york_through_summer_time() -> None:
    assert session_on(date(2026, 1, 5)) == Session(utc(2026, 1, 5, 14, 30), utc(2026, 1, 5, 21))
    assert session_on(date(2026, 7, 6)) == Session(utc(2026, 7, 6, 13, 30), utc(2026, 7, 6, 20))


@pytest.mark.parametrize(
    "day",
    [
        date(2026, 1, 3),
        date(2026, 1, 4),
        date(2026, 1, 1),
        date(2024, 3, 29),
        date(2025, 6, 19),
        date(2026, 7, 3),
        date(2022, 6, 20),
        date(2025, 11, 27),
        date(2022, 12, 26),
    ],
)
def test_weekends_and_holidays_have_no_session(day: date) -> None:
    assert session_on(day) is None


@pytest.mark.parametrize("day", [date(2021, 12, 31), date(2021, 6, 18), date(2019, 10, 14)])
def test_days_that_look_like_holidays_have_a_session(day: date) -> None:
    assert session_on(day) is not None


@pytest.mark.parametrize("day", [date(2025, 7, 3), date(2025, 11, 28), date(2025, 12, 24)])
def test_half_days_end_at_one(day: date) -> None:
    session = session_on(day)
    assert session is not None
    assert session.close - session.open == timedelta(hours=3, minutes=30)


def test_a_session_includes_its_open_and_not_its_close() -> None:
    assert is_open("AAPL", utc(2026, 1, 5, 14, 30))
    assert not is_open("AAPL", utc(2026, 1, 5, 21))
    assert not is_open("AAPL", utc(2026, 1, 5, 14, 29, 59))
    assert is_open("BTC/USD", utc(2026, 1, 4, 3))


def test_a_week_has_five_sessions() -> None:
    assert len(sessions_between(utc(2026, 1, 5), utc(2026, 1, 12))) == 5


@pytest.mark.parametrize(
    ("symbol", "after", "before", "missing"),
    [
        ("AAPL", utc(2026, 1, 5, 15, 0), utc(2026, 1, 5, 15, 1), 0),
        ("AAPL", utc(2026, 1, 5, 15, 0), utc(2026, 1, 5, 15, 10), 9),
        ("AAPL", utc(2026, 1, 5, 20, 59), utc(2026, 1, 6, 14, 30), 0),  # night
        ("AAPL", utc(2026, 1, 9, 20, 59), utc(2026, 1, 12, 14, 30), 0),  # weekend
        ("AAPL", utc(2025, 12, 24, 17, 59), utc(2025, 12, 26, 14, 30), 0),  # half day, Christmas
        ("AAPL", utc(2026, 1, 5, 20, 50), utc(2026, 1, 6, 14, 32), 11),  # 20:51.., 14:30, 14:31
        ("AAPL", utc(2026, 1, 5, 22, 0), utc(2026, 1, 5, 23, 0), 0),  # extended hours
        ("AAPL", utc(2026, 1, 5, 20, 59), utc(2026, 1, 7, 14, 30), 390),  # a whole day
        ("BTC/USD", utc(2026, 1, 5, 22, 0), utc(2026, 1, 5, 23, 0), 59),
    ],
)
def test_missing_bars(symbol: str, after: datetime, before: datetime, missing: int) -> None:
    assert missing_bars(symbol, after=after, before=before, step=MINUTE) == missing


def test_daily_bars_miss_trading_days_only() -> None:
    day = timedelta(days=1)
    friday, monday, tuesday = utc(2026, 3, 6, 5), utc(2026, 3, 9, 4), utc(2026, 3, 10, 4)
    assert missing_bars("AAPL", after=friday, before=monday, step=day) == 0
    assert missing_bars("AAPL", after=friday, before=tuesday, step=day) == 1
    autumn_friday, autumn_monday = utc(2025, 10, 31, 4), utc(2025, 11, 3, 5)
    assert missing_bars("AAPL", after=autumn_friday, before=autumn_monday, step=day) == 0


def test_a_gap_is_told_once_at_the_first_bar_after_it() -> None:
    detector = GapDetector(60.0)
    assert detector.on_bar(bar("A/USD", utc(2026, 1, 5, 15, 0))) is None
    forming = bar("A/USD", utc(2026, 1, 5, 15, 3), final=False)
    gap = detector.on_bar(forming)
    assert gap is not None
    assert (gap.after, gap.before, gap.missing) == (
        utc(2026, 1, 5, 15, 0),
        utc(2026, 1, 5, 15, 3),
        2,
    )
    assert detector.on_bar(forming) is None
    assert detector.on_bar(bar("A/USD", utc(2026, 1, 5, 15, 3))) is None


def test_symbols_have_gaps_of_their_own() -> None:
    detector = GapDetector(60.0)
    detector.on_bar(bar("A/USD", utc(2026, 1, 5, 15, 0)))
    detector.on_bar(bar("B/USD", utc(2026, 1, 5, 15, 5)))
    assert detector.on_bar(bar("B/USD", utc(2026, 1, 5, 15, 6))) is None
    assert detector.on_bar(bar("A/USD", utc(2026, 1, 5, 15, 6))) is not None
