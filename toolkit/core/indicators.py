"""Incremental indicators, TradingView's definitions (docs/execution.md), one bar at a time.

`update` takes the next value and returns the indicator's, NaN until it is defined. Sums run from
the oldest value to the newest, never as running totals, so that the batch versions in
`core.batch` give the same bits.
"""

from __future__ import annotations

import math
from collections import deque

FLAT = 1e-9


class Mean:
    """Mean of the last `length` defined values."""

    def __init__(self, length: int) -> None:
        self._values: deque[float] = deque(maxlen=length)

    def update(self, value: float) -> float:
        """Return the mean; an undefined value is passed over."""
        if math.isnan(value):
            return math.nan
        self._values.append(value)
        if len(self._values) < (self._values.maxlen or 1):
            return math.nan
        total = 0.0
        for item in self._values:
            total += item
        return total / len(self._values)


class Ema:
    """Exponential average, seeded with the first value."""

    def __init__(self, period: int, *, smoothing: float = 2.0) -> None:
        self._weight = smoothing / (period + 1)
        self._value = math.nan

    def update(self, value: float) -> float:
        """Return the average with `value` in it."""
        if math.isnan(self._value):
            self._value = value
        else:
            self._value = self._weight * value + (1.0 - self._weight) * self._value
        return self._value


class Wilder:
    """Wilder's average (RMA), seeded with the mean of the first `length` values."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._count = 0
        self._value = 0.0

    def update(self, value: float) -> float:
        """Return the average, NaN before the seed is complete."""
        self._count += 1
        if self._count <= self._length:
            self._value += value
            if self._count < self._length:
                return math.nan
            self._value /= self._length
        else:
            self._value = (self._value * (self._length - 1) + value) / self._length
        return self._value


class Rsi:
    """Wilder's relative strength index, 0 to 100."""

    def __init__(self, length: int) -> None:
        self._up, self._down = Wilder(length), Wilder(length)
        self._previous = math.nan

    def update(self, close: float) -> float:
        """Return the RSI at this close; first defined after `length` changes."""
        previous, self._previous = self._previous, close
        if math.isnan(previous):
            return math.nan
        change = close - previous
        up = self._up.update(max(change, 0.0))
        down = self._down.update(max(-change, 0.0))
        if math.isnan(up):
            return math.nan
        return 100.0 if down == 0.0 else 100.0 * up / (up + down)


class _Oscillator:
    """Where a value lies in a range, 0 to 100; a flat range repeats the last answer."""

    def __init__(self) -> None:
        self._raw = math.nan

    def update(self, value: float, low: float, high: float, flat: float) -> float:
        if high - low >= flat:
            self._raw = 100.0 * (value - low) / (high - low)
        return self._raw


class StochRsi:
    """Stochastic of the RSI: `update` returns (%K, %D)."""

    def __init__(self, stoch_length: int, k: int, d: int) -> None:
        self._window: deque[float] = deque(maxlen=stoch_length)
        self._oscillator = _Oscillator()
        self._k, self._d = Mean(k), Mean(d)

    def update(self, rsi: float) -> tuple[float, float]:
        """Return (%K, %D) for the next RSI; an undefined RSI is passed over."""
        if math.isnan(rsi):
            return math.nan, math.nan
        self._window.append(rsi)
        if len(self._window) < (self._window.maxlen or 1):
            return math.nan, math.nan
        raw = self._oscillator.update(rsi, min(self._window), max(self._window), FLAT)
        k = self._k.update(raw)
        return k, self._d.update(k)


class Stochastic:
    """Slow stochastic of the price: `update` returns (%K, %D)."""

    def __init__(self, k_length: int, smooth_k: int, smooth_d: int) -> None:
        self._highs: deque[float] = deque(maxlen=k_length)
        self._lows: deque[float] = deque(maxlen=k_length)
        self._oscillator = _Oscillator()
        self._k, self._d = Mean(smooth_k), Mean(smooth_d)

    def update(self, high: float, low: float, close: float) -> tuple[float, float]:
        """Return (%K, %D) for the next bar."""
        self._highs.append(high)
        self._lows.append(low)
        if len(self._highs) < (self._highs.maxlen or 1):
            return math.nan, math.nan
        top = max(self._highs)
        raw = self._oscillator.update(close, min(self._lows), top, FLAT * top)
        k = self._k.update(raw)
        return k, self._d.update(k)


class Atr:
    """Average true range in price units."""

    def __init__(self, period: int) -> None:
        self._average = Wilder(period)
        self._previous = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Return the ATR, first defined at the `period`-th bar."""
        previous, self._previous = self._previous, close
        true_range = high - low
        if not math.isnan(previous):
            true_range = max(true_range, abs(high - previous), abs(low - previous))
        return self._average.update(true_range)


class Bands:
    """The StochRSI bands; adaptive ones widen while volatility is above its mean."""

    def __init__(self, lower: float, upper: float, *, length: int | None) -> None:
        self._lower, self._upper = lower, upper
        self._mean = Mean(length) if length is not None else None

    def update(self, atr: float, close: float) -> tuple[float, float]:
        """Return (lower, upper), each 0 to 100; `length=None` keeps them fixed."""
        if self._mean is None:
            return self._lower, self._upper
        volatility = atr / close
        mean = self._mean.update(volatility)
        ratio = 1.0 if math.isnan(mean) or mean == 0.0 else volatility / mean
        ratio = min(max(ratio, 0.5), 2.0)
        lower = min(self._lower / ratio, 100.0)
        return lower, max(100.0 - (100.0 - self._upper) / ratio, 0.0)
