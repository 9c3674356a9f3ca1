"""The last bars before a moment, across nights and weekends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.market.fakes import MINUTE, bar
from toolkit.core.types import Bar
from toolkit.market.lookback import last_minutes, start_for

MONDAY = datetime(2026, 1, 5, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("slots", "start"),
    [
        (30, datetime(2026, 1, 5, 14, 30, tzinfo=UTC)),
        (31, datetime(2026, 1, 2, 14, 30, tzinfo=UTC)),  # Friday
        (30 + 390 + 1, datetime(2025, 12, 31, 14, 30, tzinfo=UTC)),  # over New Year
        (30 + 780 + 390 * 2 + 1, datetime(2025, 12, 26, 14, 30, tzinfo=UTC)),
        (30 + 390 * 5 + 1, datetime(2025, 12, 24, 14, 30, tzinfo=UTC)),  # a half day
        (30 + 390 * 5 + 210 + 1, datetime(2025, 12, 23, 14, 30, tzinfo=UTC)),
    ],
)
def test_stocks_are_looked_up_session_by_session(slots: int, start: datetime) -> None:
    assert start_for("AAPL", slots=slots, step=MINUTE, end=MONDAY) == start


def test_crypto_trades_all_the_time() -> None:
    assert start_for("BTC/USD", slots=90, step=MINUTE, end=MONDAY) == MONDAY - 90 * MINUTE


async def test_a_thin_symbol_is_looked_up_further_back_and_nothing_is_asked_twice() -> None:
    known = [bar(n, "BTC/USD") for n in range(-1000, 0, 5)]
    asked: list[tuple[datetime, datetime]] = []

    async def fetch(start: datetime, end: datetime) -> Sequence[Bar]:
        asked.append((start, end))
        return [b for b in known if start <= b.timestamp < end]

    minutes = await last_minutes(fetch, "BTC/USD", limit=50, timeframe=60.0, end=MONDAY)
    assert minutes == [b for b in known if b.timestamp >= MONDAY - 450 * MINUTE]
    assert asked == [
        (MONDAY - 50 * MINUTE, MONDAY),
        (MONDAY - 150 * MINUTE, MONDAY - 50 * MINUTE),
        (MONDAY - 450 * MINUTE, MONDAY - 150 * MINUTE),
    ]


async def test_the_first_minute_begins_a_bar_of_the_timeframe() -> None:
    starts: list[datetime] = []

    async def fetch(start: datetime, end: datetime) -> Sequence[Bar]:
        starts.append(start)
        return []

    await last_minutes(fetch, "AAPL", limit=2, timeframe=3600.0, end=MONDAY + timedelta(minutes=7))
    assert all(start.minute == 0 for start in starts)
