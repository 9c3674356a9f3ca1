"""Sessions as a rule of execution: bar by bar and in whole arrays, which must say the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.core.hours import ALWAYS, CLOSED, day_of
from toolkit.errors import ConfigError
from toolkit.market.hours import Hours, hours_of

REGULAR = Hours(timeframe=60.0, sessions="regular")
EXTENDED = Hours(timeframe=60.0, sessions="extended")
MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}Z")


@pytest.mark.parametrize(
    ("bar", "regular", "extended"),
    [
        ("2026-01-05T08:59", False, False),
        ("2026-01-05T09:00", False, True),  # 04:00 in New York
        ("2026-01-05T14:29", False, True),
        ("2026-01-05T14:30", True, True),
        ("2026-01-05T20:59", True, True),
        ("2026-01-05T21:00", False, True),
        ("2026-01-06T00:59", False, True),
        ("2026-01-06T01:00", False, False),
        ("2026-07-01T13:30", True, True),  # summer time
        ("2026-11-27T18:00", False, True),  # half a day
        ("2026-11-27T22:00", False, False),
        ("2026-11-26T15:00", False, False),  # Thanksgiving
        ("2026-01-04T15:00", False, False),  # Sunday
    ],
)
def test_a_bar_belongs_to_the_session_in_which_it_begins(
    bar: str, regular: bool, extended: bool
) -> None:
    assert (REGULAR.session("AAPL", at(bar)) != CLOSED) is regular
    assert (EXTENDED.session("AAPL", at(bar)) != CLOSED) is extended
    assert REGULAR.session("BTC/USD", at(bar)) == ALWAYS


def test_an_entry_needs_a_session_when_its_bar_ends() -> None:
    assert REGULAR.next_session("AAPL", at("2026-01-05T14:29")) == day_of(at("2026-01-05T15:00"))
    assert REGULAR.next_session("AAPL", at("2026-01-05T20:59")) == CLOSED
    assert REGULAR.refusal("AAPL", at("2026-01-05T20:58")) == ""
    assert "closed" in REGULAR.refusal("AAPL", at("2026-01-05T20:59"))
    assert REGULAR.refusal("BTC/USD", at("2026-01-05T20:59")) == ""
    assert not REGULAR.leaves("AAPL", at("2026-01-05T20:59"))


def test_positions_leave_so_that_they_are_flat_before_the_close() -> None:
    hours = Hours(timeframe=60.0, sessions="regular", flat_before_close=300.0)
    assert not hours.leaves("AAPL", at("2026-01-05T20:53"))
    assert hours.leaves("AAPL", at("2026-01-05T20:54"))  # ends, and is sold, at 15:55
    assert "about to be" in hours.refusal("AAPL", at("2026-01-05T20:54"))
    assert hours.leaves("AAPL", at("2026-11-27T17:54"))
    assert not hours.leaves("BTC/USD", at("2026-01-05T20:54"))


def test_bars_of_a_day_have_no_hours() -> None:
    daily = Hours(timeframe=86_400.0, sessions="regular")
    assert daily.session("AAPL", at("2026-01-05T05:00")) == ALWAYS
    assert daily.next_session("AAPL", at("2026-01-05T05:00")) == ALWAYS


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("sessions", {"sessions": "night"}),
        ("flat_before_close", {"sessions": "regular", "flat_before_close": -1.0}),
        ("flat_before_close", {"sessions": "regular", "flat_before_close": 86_400.0}),
        ("flat_before_close", {"flat_before_close": 60.0}),
        ("flat_before_close", {"sessions": "regular", "flat_before_close": 60.0, "timeframe": 1e5}),
    ],
)
def test_what_makes_no_sense_is_refused(field: str, values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{field} is .*; allowed: ") as caught:
        Hours(**{"timeframe": 60.0, **values})
    assert caught.value.data["field"] == field


@settings(max_examples=60, deadline=None)
@given(
    start=st.integers(0, 9 * 365 * 1440).map(lambda n: at("2019-01-01T00:00") + n * MINUTE),
    steps=st.lists(st.integers(1, 400), min_size=1, max_size=40),
    timeframe=st.sampled_from([1.0, 60.0, 300.0, 3600.0, 86_400.0]),
    sessions=st.sampled_from(["all", "regular", "extended"]),
    flat=st.sampled_from([0.0, 0.5, 60.0, 3600.0]),
)
def test_arrays_say_what_single_bars_say(
    start: datetime, steps: list[int], timeframe: float, sessions: Any, flat: float
) -> None:
    flat = 0.0 if sessions == "all" or timeframe == 86_400.0 else flat
    hours = Hours(timeframe=timeframe, sessions=sessions, flat_before_close=flat)
    bars = [start + sum(steps[: n + 1]) * MINUTE for n in range(len(steps))]
    symbols = ["BTC/USD" if n % 3 == 1 else "AAPL" for n in range(len(bars))]
    times = np.array([(bar - EPOCH) // timedelta(microseconds=1) for bar in bars])
    found = hours_of(hours, times, np.array(["/" in symbol for symbol in symbols]))
    pairs = list(zip(symbols, bars, strict=True))
    assert found.session.tolist() == [hours.session(*pair) for pair in pairs]
    assert found.next_session.tolist() == [hours.next_session(*pair) for pair in pairs]
    assert found.leave.tolist() == [hours.leaves(*pair) for pair in pairs]
    assert found.day.tolist() == [day_of(bar) for bar in bars]
