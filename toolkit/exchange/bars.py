"""Minute bars with count and average price, and longer bars made of them."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from toolkit.exchange.hours import is_regular
from toolkit.exchange.values import HOUR, MINUTE, Micros, micros_of, moment_of
from toolkit.market.sessions import NEW_YORK

_CHICAGO = ZoneInfo("America/Chicago")  # where a day of crypto begins, at Alpaca
_FORM = re.compile(r"(\d{1,2})(Min|T|Hour|H|Day|D|Week|W|Month|M)")
_MOST = {"Min": 59, "Hour": 23, "Day": 1, "Week": 1, "Month": 12}
_SHORT = {"T": "Min", "H": "Hour", "D": "Day", "W": "Week", "M": "Month"}
_MONTHS = frozenset({1, 2, 3, 4, 6, 12})


class MinuteBar(NamedTuple):
    """One bar; `at` is its open, `vwap` the average price by volume."""

    at: Micros
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int
    vwap: float

    def fields(self, *, volumes: int = 1) -> dict[str, Any]:
        """Return Alpaca's names without the time; counts and volume times `volumes`."""
        return {
            "o": self.open,
            "h": self.high,
            "l": self.low,
            "c": self.close,
            "v": self.volume * volumes,
            "n": self.trades * volumes,
            "vw": self.vwap,
        }


def bar_of(at: Micros, prints: Sequence[tuple[float, float]]) -> MinuteBar:
    """Make a bar of (price, size) in order of time; at least one."""
    prices = [price for price, _ in prints]
    volume = 0.0
    turnover = 0.0
    for price, size in prints:
        volume += size
        turnover += price * size
    vwap = turnover / volume if volume else prices[-1]
    return MinuteBar(
        at=at,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume=volume,
        trades=len(prices),
        vwap=round(vwap, 6),
    )


class Timeframe(NamedTuple):
    """`5Min`, `1Hour`, `1Day`, `1Week`, `3Month`."""

    amount: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> Timeframe:
        """Read Alpaca's notation; raises ValueError."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(f"invalid timeframe: {text}")
        amount, unit = int(match[1]), _SHORT.get(match[2], match[2])
        if not 1 <= amount <= _MOST[unit] or (unit == "Month" and amount not in _MONTHS):
            raise ValueError(f"invalid timeframe: {text}")
        return cls(amount, unit)

    def start_of(self, at: Micros, *, crypto: bool) -> Micros:
        """Return the open of the bar that holds a moment."""
        if self.unit == "Min" and HOUR % (self.amount * MINUTE) == 0:
            return at - at % (self.amount * MINUTE)
        local = moment_of(at).astimezone(_CHICAGO if crypto else NEW_YORK)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.unit in ("Min", "Hour"):
            step = self.amount * (MINUTE if self.unit == "Min" else HOUR)
            begin = micros_of(midnight)
            return begin + (at - begin) // step * step
        return micros_of(self._day(midnight))

    def _day(self, midnight: datetime) -> datetime:
        if self.unit == "Week":
            return midnight - timedelta(days=midnight.weekday())
        if self.unit == "Month":
            month = (midnight.month - 1) // self.amount * self.amount + 1
            return midnight.replace(month=month, day=1)
        return midnight


def joined(bars: Iterable[MinuteBar], timeframe: Timeframe, *, crypto: bool) -> list[MinuteBar]:
    """Return longer bars; the last may be partial. Days of stocks are regular sessions only."""
    if timeframe == (1, "Min"):
        return list(bars)
    if timeframe.unit in ("Day", "Week", "Month") and not crypto:
        bars = (bar for bar in bars if is_regular(bar.at))
    groups = groupby(bars, key=lambda bar: timeframe.start_of(bar.at, crypto=crypto))
    return [join(at, list(group)) for at, group in groups]


def join(at: Micros, bars: Sequence[MinuteBar]) -> MinuteBar:
    """Return one bar of several, at least one."""
    volume = sum(bar.volume for bar in bars)
    turnover = sum(bar.vwap * bar.volume for bar in bars)
    return MinuteBar(
        at=at,
        open=bars[0].open,
        high=max(bar.high for bar in bars),
        low=min(bar.low for bar in bars),
        close=bars[-1].close,
        volume=volume,
        trades=sum(bar.trades for bar in bars),
        vwap=round(turnover / volume, 6) if volume else bars[-1].close,
    )


class BarStore:
    """Minute bars of one symbol in order of time."""

    def __init__(self, bars: Iterable[MinuteBar] = ()) -> None:
        self._bars = list(bars)

    def __iter__(self) -> Iterator[MinuteBar]:
        return iter(self._bars)

    def __len__(self) -> int:
        return len(self._bars)

    @property
    def last(self) -> MinuteBar | None:
        """The latest bar."""
        return self._bars[-1] if self._bars else None

    def put(self, bar: MinuteBar) -> None:
        """Add a bar, or replace the one of the same minute."""
        place = bisect_left(self._bars, bar.at, key=lambda kept: kept.at)
        known = place < len(self._bars) and self._bars[place].at == bar.at
        self._bars[place : place + known] = [bar]

    def between(self, start: Micros, end: Micros) -> list[MinuteBar]:
        """Return the bars that open from `start` to `end`, both included."""
        first = bisect_left(self._bars, start, key=lambda bar: bar.at)
        last = bisect_right(self._bars, end, key=lambda bar: bar.at)
        return self._bars[first:last]
