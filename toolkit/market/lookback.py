"""The last bars before a moment, across nights and weekends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

from toolkit.core.types import Bar, is_crypto
from toolkit.market.longer import MINUTE, LongerBars
from toolkit.market.sessions import NEW_YORK, session_on

Fetch = Callable[[datetime, datetime], Awaitable[Sequence[Bar]]]

_DAY = timedelta(days=1)
_WIDER = (1, 3, 9)  # times the bars that a full session has: thin symbols skip minutes
_LONGEST = 400  # days to look back, at most


def start_for(symbol: str, *, slots: int, step: timedelta, end: datetime) -> datetime:
    """Return from when there is time for `slots` bars before `end`; stocks: regular sessions."""
    if is_crypto(symbol):
        return end - slots * step
    day, found = end.astimezone(NEW_YORK).date(), 0
    start = end
    for _ in range(_LONGEST):
        session = session_on(day)
        if session is not None and session.open < end:
            start = session.open
            found += -((start - min(session.close, end)) // step)
            if found >= slots:
                break
        day -= _DAY
    return start.astimezone(UTC)


async def last_minutes(
    fetch: Fetch, symbol: str, *, limit: int, timeframe: float, end: datetime
) -> list[Bar]:
    """Return minutes before `end`, enough for `limit` bars of `timeframe` seconds if they exist.

    `fetch(start, end)` returns minutes oldest first. The first one begins a bar of the timeframe.
    """
    longer, minutes = LongerBars(timeframe), list[Bar]()
    until = end
    for factor in _WIDER:
        step = timedelta(seconds=timeframe)
        start = longer.start_of(start_for(symbol, slots=factor * limit, step=step, end=end))
        if start >= until:
            continue
        minutes = [*await fetch(start, until), *minutes]
        until = start
        if len({longer.start_of(bar.timestamp) for bar in minutes}) > limit:
            break
    return minutes


def built(minutes: Sequence[Bar], *, timeframe: float, settled: datetime) -> list[Bar]:
    """Return the final bars of one symbol's minutes; those not over at `settled` are left out."""
    if timeframe == MINUTE.total_seconds():
        return [bar for bar in minutes if bar.timestamp + MINUTE <= settled]
    longer = LongerBars(timeframe)
    bars = [bar for minute in minutes for bar in longer.on_minute(minute)]
    if minutes:
        bars += longer.close_until(minutes[0].symbol, settled)
    return bars
