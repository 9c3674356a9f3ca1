"""Sessions as a rule of execution: which bars fill orders, and when positions are to be closed.

Docs: execution.md. `Hours` answers bar by bar, `hours_of` for whole arrays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from toolkit.core.hours import ALWAYS, CLOSED, EPOCH, NEW_YORK, number_of
from toolkit.core.types import is_crypto
from toolkit.errors import ConfigError
from toolkit.market.sessions import Session, session_on

if TYPE_CHECKING:
    from toolkit.core.layout import Bools, Ints

Sessions = Literal["all", "regular", "extended"]
DAY = 86_400.0
_DAY, _MICROSECOND = timedelta(days=1), timedelta(microseconds=1)
_BEFORE, _AFTER = timedelta(hours=5, minutes=30), timedelta(hours=4)  # 04:00 to 20:00, or 17:00


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """`sessions`: `all` fills at any bar, `regular` from 09:30 to 16:00 in New York, `extended`
    from 04:00 to 20:00; on half days 13:00 and 17:00. Crypto is always open.

    Positions of stocks are closed so that they are flat `flat_before_close` seconds before the
    session ends; 0: they are kept. `timeframe` in seconds; bars of a day have no hours. Raises
    ConfigError.
    """

    timeframe: float
    sessions: Sessions = "all"
    flat_before_close: float = 0.0

    def __post_init__(self) -> None:
        checked_sessions(self.sessions)
        seconds = self.flat_before_close
        number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        if not (number and math.isfinite(seconds) and 0.0 <= seconds < DAY):
            raise _error("flat_before_close", seconds, "seconds from 0, less than a day")
        if seconds > 0.0 and self.sessions == "all":
            allowed = '0, unless sessions="regular" or "extended"'
            raise _error("flat_before_close", seconds, allowed)
        if seconds > 0.0 and self.timeframe >= DAY:
            raise _error("flat_before_close", seconds, "0 where a bar lasts a day")

    def always(self, symbol: str) -> bool:
        """Whether a symbol has no hours."""
        return self.sessions == "all" or self.timeframe >= DAY or is_crypto(symbol)

    def session(self, symbol: str, bar: datetime) -> int:
        """Return the session in which a bar begins; CLOSED for none."""
        if self.always(symbol):
            return ALWAYS
        day = bar.astimezone(NEW_YORK).date()
        session = session_of(day, self.sessions)
        return number_of(day) if session is not None and bar in session else CLOSED

    def next_session(self, symbol: str, bar: datetime) -> int:
        """Return the session in which an entry decided at the close of a bar may fill."""
        if self.always(symbol):
            return ALWAYS
        moment = bar + timedelta(seconds=self.timeframe)
        day = moment.astimezone(NEW_YORK).date()
        session = session_of(day, self.sessions)
        if session is None or moment not in session:
            return CLOSED
        left = (session.close - moment) // _MICROSECOND
        return number_of(day) if left > self.flat_before_close * 1e6 else CLOSED

    def refusal(self, symbol: str, bar: datetime) -> str:
        """Say why a session forbids entries at the close of a bar; empty where it does not."""
        if self.always(symbol) or self.next_session(symbol, bar) != CLOSED:
            return ""
        if self.flat_before_close:
            return f"the {self.sessions} session is over, or about to be"
        return f"the {self.sessions} session is closed"

    def leaves(self, symbol: str, bar: datetime) -> bool:
        """Whether a position is to be closed at the close of a bar."""
        return self.flat_before_close > 0.0 and self.next_session(symbol, bar) == CLOSED


class HourArrays(NamedTuple):
    """Columns of `core.layout.Market`, one value per bar."""

    day: Ints
    session: Ints
    next_session: Ints
    leave: Bools


def hours_of(hours: Hours, times: Ints, always: Bools) -> HourArrays:
    """Return what `hours` says of bars that begin at `times` (microseconds since 1970, rising).

    `always` marks the bars of symbols that have no hours.
    """
    import numpy as np

    if always.all():
        zeros = np.broadcast_to(np.int64(ALWAYS), len(times))
        return HourArrays(zeros, zeros, zeros, np.zeros(len(times), np.bool_))
    dates = _dates(times)
    midnights = np.array([_micros(datetime.combine(d, time(), NEW_YORK)) for d in dates])
    numbers = np.array([number_of(d) for d in dates])
    day = numbers[np.searchsorted(midnights, times, side="right") - 1]
    if hours.sessions == "all" or hours.timeframe >= DAY:
        zeros = np.broadcast_to(np.int64(ALWAYS), len(times))
        return HourArrays(day, zeros, zeros, np.zeros(len(times), np.bool_))
    found = {d: s for d in dates if (s := session_of(d, hours.sessions))}
    ends = times + round(hours.timeframe * 1e6)
    session = np.where(always, ALWAYS, _numbers(found, times, 0.0))
    following = np.where(always, ALWAYS, _numbers(found, ends, hours.flat_before_close))
    leave = (following == CLOSED) & (hours.flat_before_close > 0.0)
    return HourArrays(day, session, following, leave)


def _numbers(sessions: Mapping[date, Session], moments: Ints, margin: float) -> Ints:
    """Return the session of each moment, CLOSED for none and in the last `margin` seconds."""
    import numpy as np

    if not sessions:
        return np.full(len(moments), CLOSED)
    number = np.array([number_of(day) for day in sessions])
    opens = np.array([_micros(session.open) for session in sessions.values()])
    closes = np.array([_micros(session.close) for session in sessions.values()])
    place = np.searchsorted(opens, moments, side="right") - 1
    inside = (place >= 0) & (closes[place] - moments > margin * 1e6)
    return np.where(inside, number[place], CLOSED)


def checked_sessions(sessions: object) -> Sessions:
    """Return the name of the sessions; raises ConfigError."""
    if sessions not in get_args(Sessions):
        raise _error("sessions", sessions, ", ".join(get_args(Sessions)))
    return sessions  # type: ignore[return-value]


@lru_cache(maxsize=4096)
def session_of(day: date, sessions: Sessions) -> Session | None:
    """Return the `regular` or the `extended` session of a day in New York, None for none."""
    regular = session_on(day)
    if regular is None or sessions == "regular":
        return regular
    return Session(regular.open - _BEFORE, regular.close + _AFTER)


def _micros(moment: datetime) -> int:
    return (moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND


def _dates(times: Ints) -> list[date]:
    """Return the dates in New York from the day before the first time to the day after the last."""
    first = EPOCH + timedelta(days=int(times[0] // 86_400_000_000) - 1)
    last = EPOCH + timedelta(days=int(times[-1] // 86_400_000_000) + 1)
    return [first + n * _DAY for n in range((last - first).days + 1)]


def _error(field: str, value: object, allowed: str) -> ConfigError:
    message = f"{field} is {value!r}; allowed: {allowed}"
    return ConfigError(message, field=field, value=repr(value), allowed=allowed)
