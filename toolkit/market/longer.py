"""Bars of several minutes, built from minutes that come in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from toolkit.core.types import Bar
from toolkit.errors import ConfigError

MINUTE = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REMEMBERED = 8  # windows whose minutes may still be corrected
ALLOWED = "whole minutes that divide an hour, up to one hour"


@dataclass(slots=True, kw_only=True)
class _Window:
    minutes: dict[datetime, Bar] = field(default_factory=dict)
    handed: Bar | None = None


class LongerBars:
    """Builds bars of `timeframe` seconds, aligned to the epoch as Alpaca's are.

    A bar is final with the last minute of its window, with the first minute of a later one, or
    when `close_until` says that its time is over. A minute that comes afterwards, or is
    corrected, makes a correction of its bar. Raises ConfigError.
    """

    def __init__(self, timeframe: float) -> None:
        if not (60 <= timeframe <= 3600 and 3600 % timeframe == 0 and timeframe % 60 == 0):
            raise ConfigError(
                f"timeframe is {timeframe!r} s; allowed: {ALLOWED}",
                field="timeframe",
                value=repr(timeframe),
                allowed=ALLOWED,
            )
        self._step = timedelta(seconds=timeframe)
        self._windows: dict[str, dict[datetime, _Window]] = {}

    def start_of(self, moment: datetime) -> datetime:
        """Return the open of the bar that holds a moment."""
        return _EPOCH + (moment - _EPOCH) // self._step * self._step

    def end_of(self, start: datetime) -> datetime:
        """Return when the bar of an open is over."""
        return start + self._step

    def on_minute(self, minute: Bar) -> list[Bar]:
        """Take a final minute, or the correction of one; return what it makes final."""
        start = self.start_of(minute.timestamp)
        windows = self._windows.setdefault(minute.symbol, {})
        if start not in windows and windows and start < max(windows):
            return _late(windows, start, minute)
        done = self._close(minute.symbol, start)
        window = windows.setdefault(start, _Window())
        window.minutes[minute.timestamp] = minute
        if window.handed is not None:
            correction = _corrected(window, start)
            return [*done, correction] if correction is not None else done
        if minute.timestamp + MINUTE == start + self._step:
            done.append(_handed(window, start))
        while len(windows) > _REMEMBERED:
            del windows[min(windows)]
        return done

    def on_forming(self, minute: Bar) -> Bar | None:
        """Return the forming bar of a forming minute; None where that bar is over."""
        start = self.start_of(minute.timestamp)
        window = self._windows.get(minute.symbol, {}).get(start, _Window())
        if window.handed is not None:
            return None
        minutes = {**window.minutes, minute.timestamp: minute}
        return replace(join(start, minutes.values()), final=False)

    def close_until(self, symbol: str, moment: datetime) -> list[Bar]:
        """Return the bar of a symbol that is over at `moment`, if it is not out yet."""
        return self._close(symbol, self.start_of(moment))

    def forget(self, symbol: str) -> None:
        """Drop a symbol."""
        self._windows.pop(symbol, None)

    def _close(self, symbol: str, before: datetime) -> list[Bar]:
        windows = self._windows.get(symbol, {})
        opened = sorted(s for s, w in windows.items() if w.handed is None and s < before)
        return [_handed(windows[start], start) for start in opened]


def join(start: datetime, minutes: Iterable[Bar]) -> Bar:
    """Return one final bar of several minutes, at least one, summed oldest first."""
    bars: Sequence[Bar] = sorted(minutes, key=lambda bar: bar.timestamp)
    volume = 0.0
    for bar in bars:
        volume += bar.volume
    return Bar(
        symbol=bars[0].symbol,
        timestamp=start,
        open=bars[0].open,
        high=max(bar.high for bar in bars),
        low=min(bar.low for bar in bars),
        close=bars[-1].close,
        volume=volume,
        feed=bars[0].feed,
        adjustment=bars[0].adjustment,
    )


def _late(windows: dict[datetime, _Window], start: datetime, minute: Bar) -> list[Bar]:
    """Return the bar that was thought not to exist, as a correction; too old: nothing."""
    if start < min(windows):
        return []
    bar = replace(join(start, [minute]), revision=1)
    windows[start] = _Window(minutes={minute.timestamp: minute}, handed=bar)
    return [bar]


def _handed(window: _Window, start: datetime) -> Bar:
    window.handed = join(start, window.minutes.values())
    return window.handed


def _corrected(window: _Window, start: datetime) -> Bar | None:
    before = window.handed
    assert before is not None
    now = replace(join(start, window.minutes.values()), revision=before.revision)
    if now == before:
        return None
    window.handed = replace(now, revision=before.revision + 1)
    return window.handed
