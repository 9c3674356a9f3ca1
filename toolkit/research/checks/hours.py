"""Faults of time: gaps, bars off the grid, at closed hours, or in another time zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np

from toolkit.core.layout import Bools, Ints
from toolkit.core.types import is_crypto
from toolkit.market.hours import Sessions, session_of
from toolkit.market.sessions import NEW_YORK, missing_bars, session_on
from toolkit.research.checks.findings import Finding, Series, Severity, runs

DAY = 86_400.0
SHIFTS = tuple(h for h in range(-14, 15) if h)
ENOUGH = 20  # bars that tell a time zone
CLEAR, FITS = 0.2, 0.9  # shares of bars inside the session
AROUND_THE_CLOCK = 0.2
DAY_SHARE, MOST_HOURS_OFF = 0.75, 8


def gaps(part: Series) -> Iterator[Finding]:
    """Yield where bars are missing; stocks: only within regular sessions."""
    at, step = part.at, timedelta(seconds=part.seconds)
    width = round(part.seconds * 1e6)
    for place in np.flatnonzero(np.diff(at) > width).tolist():
        after, before = part.times[place], part.times[place + 1]
        missing = _missing(part.symbol, after.to_pydatetime(), before.to_pydatetime(), step)
        if missing:
            bars = "1 bar is" if missing == 1 else f"{missing:,} bars are"
            yield part.finding(
                place + 1,
                "gap",
                Severity.WARNING,
                f"{bars} missing since {after:%Y-%m-%d %H:%M}",
                "fetch them again; if nothing traded, nothing is to be done",
                count=missing,
            )


def _missing(symbol: str, after: datetime, before: datetime, step: timedelta) -> int:
    """Count the bars between two; those of days by their dates, whatever hour they carry."""
    if is_crypto(symbol) or step.total_seconds() != DAY:
        return missing_bars(symbol, after=after, before=before, step=step)
    first, last = after.date(), before.date()
    days = ((first + timedelta(days=n)) for n in range(1, (last - first).days))
    return sum(session_on(day) is not None for day in days)


def off_grid(part: Series) -> Iterator[Finding]:
    """Yield bars whose time is not a whole number of bars from most others."""
    if part.seconds >= DAY:
        return
    rest = part.at % round(part.seconds * 1e6)
    values, counts = np.unique(rest, return_counts=True)
    bad = rest != values[counts.argmax()]
    message = f"the time is not on the grid of {part.seconds:g} s"
    advice = "bars carry the time of their open; round or drop"
    yield from part.each_run(bad, "off_grid", Severity.WARNING, message, advice)


def wrong_hours(part: Series) -> Iterator[Finding]:
    """Yield bars of stocks that lie where the market is closed, with the time zone to blame."""
    if is_crypto(part.symbol):
        return
    if part.seconds >= DAY:
        yield from _closed_days(part)
        return
    zone = _zone(part)
    if zone:
        yield part.finding(
            0,
            "time_zone",
            Severity.ERROR,
            f"the bars lie outside of the session, but {zone[0]}",
            zone[1],
            count=len(part),
        )
        return
    found, shifted = _shifted_days(part)
    yield from found
    yield from _closed_hours(part, shifted)


def in_session(times: Any, seconds: float, *, sessions: Sessions = "regular") -> Bools:
    """Return which bars share time with a session of New York, or with the hours around it."""
    local = times.tz_convert(NEW_YORK).tz_localize(None).normalize()
    codes, days = _distinct(local)
    opens, closes = np.empty(len(days), np.int64), np.empty(len(days), np.int64)
    for i, day in enumerate(days):
        opens[i], closes[i] = _hours(day.date(), sessions)
    at = np.asarray(times.as_unit("us").asi8, np.int64)
    return (at < closes[codes]) & (at + round(seconds * 1e6) > opens[codes])


def _distinct(values: Any) -> tuple[Ints, Any]:
    import pandas as pd

    codes, distinct = pd.factorize(values)
    return codes, pd.DatetimeIndex(distinct)


def _hours(day: date, sessions: Sessions) -> tuple[int, int]:
    session = session_of(day, sessions)
    return (0, 0) if session is None else (_micros(session.open), _micros(session.close))


def _micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6)


def _zone(part: Series) -> tuple[str, str] | None:
    """Return (what would fit, what to do) where another reading of the times fits better."""
    if len(part) < ENOUGH:
        return None
    now = in_session(part.times, part.seconds).mean()
    local = part.times.tz_localize(None).tz_localize(
        NEW_YORK, ambiguous="NaT", nonexistent="shift_forward"
    )
    local = local[local.notna()].tz_convert("UTC")
    shares = {0: in_session(local, part.seconds).mean()}
    for hours in SHIFTS:
        moved = part.times + timedelta(hours=hours)
        shares[hours] = in_session(moved, part.seconds).mean()
    best = max(shares, key=lambda hours: (round(shares[hours], 3), hours == 0, -abs(hours)))
    if shares[best] < FITS or shares[best] - now < CLEAR:
        return None
    if best == 0:
        return (
            f"{100 * shares[0]:.0f} % of them inside if the times are New York's clock",
            "use tz_localize('America/New_York').tz_convert('UTC') instead of UTC",
        )
    return (
        f"{100 * shares[best]:.0f} % of them inside if moved by {best:+d} h",
        f"add {best:+d} hours to the times, or read them in their own time zone",
    )


def _shifted_days(part: Series) -> tuple[list[Finding], Bools]:
    """Return runs of days whose bars are off by the same whole hours, and the rows of these."""
    found: list[Finding] = []
    shifted = np.zeros(len(part), np.bool_)
    if part.seconds > DAY / 48:
        return found, shifted
    codes, days = _distinct(part.times.tz_convert(NEW_YORK).tz_localize(None).normalize())
    edges = np.searchsorted(codes, np.arange(len(days) + 1))
    off = np.array([_hours_off(part, a, b) for a, b in pairwise(edges)], np.int64)
    for start, stop in runs(off != 0):
        for first, last in _equal(off, start, stop):
            rows = slice(int(edges[first]), int(edges[last]))
            shifted[rows] = True
            found.append(_shift(part, rows, days=last - first, hours=int(off[first])))
    return found, shifted


def _shift(part: Series, rows: slice, *, days: int, hours: int) -> Finding:
    which = "1 day lies" if days == 1 else f"{days} days lie"
    return part.finding(
        rows.start,
        "time_zone",
        Severity.ERROR,
        f"{which} outside of the session, but inside if moved by {hours:+d} h",
        "summer time may be missing or applied twice; convert with the zone's own rules",
        count=rows.stop - rows.start,
    )


def _equal(values: Ints, start: int, stop: int) -> Iterator[tuple[int, int]]:
    first = start
    for at in range(start + 1, stop + 1):
        if at == stop or values[at] != values[first]:
            yield first, at
            first = at


def _hours_off(part: Series, start: int, stop: int) -> int:
    """Return by how many hours a day's bars fit the session better, 0 where they need not."""
    times = part.times[start:stop]
    session = session_on(times[0].tz_convert(NEW_YORK).date())
    if session is None:
        return 0
    length = (session.close - session.open).total_seconds()
    span = (times[-1] - times[0]).total_seconds() + part.seconds
    if not DAY_SHARE * length <= span <= length or in_session(times, part.seconds).all():
        return 0
    for hours in sorted(range(-MOST_HOURS_OFF, MOST_HOURS_OFF + 1), key=abs):
        if in_session(times + timedelta(hours=hours), part.seconds).all():
            return hours
    return 0


def _closed_hours(part: Series, shifted: Bools) -> Iterator[Finding]:
    closed = ~in_session(part.times, part.seconds, sessions="extended") & ~shifted
    if len(part) >= ENOUGH and closed.mean() > AROUND_THE_CLOCK:
        yield part.finding(
            0,
            "around_the_clock",
            Severity.NOTE,
            f"{100 * closed.mean():.0f} % of the bars lie where US stocks do not trade",
            "fine for simulated bars; else check time zone and symbol",
            count=int(closed.sum()),
        )
        return
    message = "the market is closed at this time"
    advice = "check the time zone, or drop these bars"
    yield from part.each_run(closed, "closed_market", Severity.WARNING, message, advice)


def _closed_days(part: Series) -> Iterator[Finding]:
    """Daily bars: their date in UTC is the trading day, wherever in the day they are stamped."""
    closed = np.array([session_on(day) is None for day in part.times.date], np.bool_)
    message = "there is no session on this day"
    advice = "check the time zone of the dates, or drop the bar"
    yield from part.each_run(closed, "closed_market", Severity.WARNING, message, advice)
