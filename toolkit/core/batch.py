"""Indicators and decisions over whole arrays of one symbol: docs/execution.md, compiled.

Every array is float64, one value per existing bar, NaN where a value is not yet defined. Sums run
from the oldest value to the newest, so that the bits equal those of `core.indicators`. Importing
this module imports numba; callers that must start fast import it when they need it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from toolkit.core.compiled import sealed, without_counts
from toolkit.core.layout import Bools, Floats
from toolkit.core.parameters import Parameters

FLAT = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorArrays:
    """Indicator values of one symbol, named as in `core.types.Indicators`."""

    rsi: Floats
    stoch_rsi_k: Floats
    stoch_rsi_d: Floats
    stoch_k: Floats
    stoch_d: Floats
    ema: Floats
    atr: Floats
    lower_band: Floats
    upper_band: Floats


@without_counts
def _ema(values: Floats, weight: float, out: Floats) -> None:
    for i in range(len(values)):
        if i == 0:
            out[i] = values[i]
        else:
            out[i] = weight * values[i] + (1.0 - weight) * out[i - 1]


def ema(values: Floats, period: int, smoothing: float) -> Floats:
    """Exponential average, seeded with the first value."""
    result = np.empty(len(values))
    _ema(sealed(values), smoothing / (period + 1), result)
    return result


@without_counts
def _wilder(values: Floats, length: int, out: Floats) -> None:
    average = 0.0
    for i in range(len(values)):
        if i < length:
            average += values[i]
            if i == length - 1:
                average /= length
        else:
            average = (average * (length - 1) + values[i]) / length
        if i >= length - 1:
            out[i] = average


@without_counts
def _rsi(close: Floats, length: int, out: Floats) -> None:
    up, down = 0.0, 0.0
    for i in range(1, len(close)):
        change = close[i] - close[i - 1]
        rise = change if change > 0.0 else 0.0
        fall = -change if change < 0.0 else 0.0
        if i < length:
            up, down = up + rise, down + fall
        elif i == length:
            up, down = (up + rise) / length, (down + fall) / length
        else:
            up = (up * (length - 1) + rise) / length
            down = (down * (length - 1) + fall) / length
        if i >= length:
            out[i] = 100.0 if down == 0.0 else 100.0 * up / (up + down)


def rsi(close: Floats, length: int) -> Floats:
    """Wilder's relative strength index, 0 to 100, first defined at bar `length`."""
    result = np.full(len(close), np.nan)
    _rsi(sealed(close), length, result)
    return result


def mean(values: Floats, length: int) -> Floats:
    """Mean of the last `length` values; undefined ones may only lead."""
    result = np.full(len(values), np.nan)
    number = len(values) - length + 1
    if number > 0:
        total = result[length - 1 :]
        total[:] = 0.0
        for j in range(length):
            total += values[j : j + number]
        total /= length
    return result


@without_counts
def _extreme(values: Floats, length: int, sign: float, out: Floats) -> None:
    first = 0
    while first < len(values) and math.isnan(values[first]):
        first += 1
    at = first
    for i in range(first, len(values)):
        if sign * values[i] >= sign * values[at]:
            at = i
        elif at <= i - length:
            at = i - length + 1
            for j in range(at + 1, i + 1):
                if sign * values[j] >= sign * values[at]:
                    at = j
        if i >= first + length - 1:
            out[i] = values[at]


def _highest(values: Floats, length: int) -> Floats:
    """Highest of the last `length` values; looks again only when the old one has left."""
    result = np.full(len(values), np.nan)
    _extreme(sealed(values), length, 1.0, result)
    return result


def _lowest(values: Floats, length: int) -> Floats:
    result = np.full(len(values), np.nan)
    _extreme(sealed(values), length, -1.0, result)
    return result


@without_counts
def _oscillate(
    values: Floats, low: Floats, high: Floats, flat: float, relative: float, out: Floats
) -> None:
    raw = math.nan
    for i in range(len(values)):
        if high[i] - low[i] >= flat + relative * high[i]:
            raw = 100.0 * (values[i] - low[i]) / (high[i] - low[i])
        out[i] = raw


def _oscillator(
    values: Floats, low: Floats, high: Floats, *, flat: float = 0.0, relative: float = 0.0
) -> Floats:
    """Where a value lies in its range, 0 to 100; a flat range repeats the last answer.

    Flat is a range below `flat` plus `relative` of its high. The answer takes the place of `low`.
    """
    _oscillate(sealed(values), sealed(low), sealed(high), flat, relative, low)
    return low


def stoch_rsi_raw(rsi: Floats, stoch_length: int) -> Floats:
    """Stochastic of an RSI, 0 to 100, not smoothed."""
    low, high = _lowest(rsi, stoch_length), _highest(rsi, stoch_length)
    return _oscillator(rsi, low, high, flat=FLAT)


def stoch_rsi(rsi: Floats, stoch_length: int, k: int, d: int) -> tuple[Floats, Floats, Floats]:
    """Stochastic of an RSI: (raw, %K, %D), 0 to 100."""
    raw = stoch_rsi_raw(rsi, stoch_length)
    return raw, *smoothed(raw, k, d)


def smoothed(raw: Floats, k: int, d: int) -> tuple[Floats, Floats]:
    """Return %K and %D of a raw stochastic."""
    smooth = mean(raw, k)
    return smooth, mean(smooth, d)


def stochastic(
    high: Floats, low: Floats, close: Floats, k_length: int, smooth_k: int, smooth_d: int
) -> tuple[Floats, Floats, Floats]:
    """Slow stochastic of the price: (raw, %K, %D), 0 to 100."""
    raw = stochastic_raw(high, low, close, k_length)
    return raw, *smoothed(raw, smooth_k, smooth_d)


def stochastic_raw(high: Floats, low: Floats, close: Floats, k_length: int) -> Floats:
    """Stochastic of the price, 0 to 100, not smoothed."""
    bottom, top = _lowest(low, k_length), _highest(high, k_length)
    return _oscillator(close, bottom, top, relative=FLAT)


def atr(high: Floats, low: Floats, close: Floats, period: int) -> Floats:
    """Average true range in price units, first defined at bar `period - 1`."""
    ranges, before = high - low, close[:-1]
    gaps = np.maximum(np.abs(high[1:] - before), np.abs(low[1:] - before))
    ranges[1:] = np.maximum(ranges[1:], gaps)
    result = np.full(len(close), np.nan)
    _wilder(sealed(ranges), period, result)
    return result


def adaptive_bands(
    atr: Floats, close: Floats, lower_band: float, upper_band: float, length: int
) -> tuple[Floats, Floats]:
    """Bands that widen while volatility is above its mean: (lower, upper), 0 to 100."""
    volatility = atr / close
    usual = mean(volatility, length)
    ratio = np.divide(volatility, usual, out=np.ones(len(close)), where=usual > 0.0)
    ratio = np.clip(ratio, 0.5, 2.0)
    lower = np.minimum(lower_band / ratio, 100.0)
    return lower, np.maximum(100.0 - (100.0 - upper_band) / ratio, 0.0)


def held(condition: Bools, lookback: int) -> Bools:
    """Whether a condition held at any of the last `lookback` bars, this one included."""
    result, span = condition.copy(), 1
    while span < lookback:
        step = min(span, lookback - span)
        result[step:] |= result[:-step].copy()
        span += step
    return result


def stoch_rsi_signals(
    k: Floats, d: Floats, lower: Floats | float, upper: Floats | float, lookback: int
) -> tuple[Bools, Bools]:
    """Return (entry, exit) of the StochRSI group."""
    entry, exit_ = (k > d) & (k < lower), (k < d) & (k > upper)
    return held(entry, lookback), held(exit_, lookback)


def ema_signals(close: Floats, ema: Floats, lookback: int) -> tuple[Bools, Bools]:
    """Return (entry, exit) of the EMA group."""
    return held(close > ema, lookback), held(close < ema, lookback)


def stochastic_signals(k: Floats, lower: float, upper: float, lookback: int) -> tuple[Bools, Bools]:
    """Return (entry, exit) of the Stochastic group: %K crosses up, or down, through a band."""
    entry, exit_ = np.zeros(len(k), np.bool_), np.zeros(len(k), np.bool_)
    entry[1:] = (k[:-1] < lower) & (lower <= k[1:])
    exit_[1:] = (k[:-1] > upper) & (upper >= k[1:])
    return held(entry, lookback), held(exit_, lookback)


def bands(atr: Floats, close: Floats, parameters: Parameters) -> tuple[Floats, Floats]:
    """Return the StochRSI bands (lower, upper), adaptive or fixed as the parameters say."""
    group, rules = parameters.stoch_rsi, parameters.rules
    if rules.adaptive_bands:
        length = rules.adaptive_length
        both: tuple[Floats, Floats] = adaptive_bands(
            atr, close, group.lower_band, group.upper_band, length
        )
        return both
    return np.full(len(close), group.lower_band), np.full(len(close), group.upper_band)


def indicators(high: Floats, low: Floats, close: Floats, parameters: Parameters) -> IndicatorArrays:
    """Compute every indicator of one symbol."""
    p = parameters
    strength = rsi(close, p.stoch_rsi.rsi_length)
    _, k, d = stoch_rsi(strength, p.stoch_rsi.stoch_length, p.stoch_rsi.k, p.stoch_rsi.d)
    s = p.stochastic
    _, stoch_k, stoch_d = stochastic(high, low, close, s.k_length, s.smooth_k, s.smooth_d)
    ranges = atr(high, low, close, p.rules.atr_period)
    lower, upper = bands(ranges, close, p)
    return IndicatorArrays(
        rsi=strength,
        stoch_rsi_k=k,
        stoch_rsi_d=d,
        stoch_k=stoch_k,
        stoch_d=stoch_d,
        ema=ema(close, p.ema.ema_period, p.ema.smoothing),
        atr=ranges,
        lower_band=lower,
        upper_band=upper,
    )


def decisions(
    close: Floats, values: IndicatorArrays, parameters: Parameters
) -> tuple[Bools, Bools]:
    """Return (entry, exit) per bar: whether all enabled groups agree, as `Strategy` says it."""
    p, lookback = parameters, parameters.rules.lookback
    groups = []
    if p.stoch_rsi.enabled:
        v = values
        groups.append(
            stoch_rsi_signals(v.stoch_rsi_k, v.stoch_rsi_d, v.lower_band, v.upper_band, lookback)
        )
    if p.ema.enabled:
        groups.append(ema_signals(close, values.ema, lookback))
    if p.stochastic.enabled:
        s = p.stochastic
        groups.append(stochastic_signals(values.stoch_k, s.lower_band, s.upper_band, lookback))
    return combine(groups, exit_on_signal=p.rules.exit_on_signal)


def combine(groups: list[tuple[Bools, Bools]], *, exit_on_signal: bool) -> tuple[Bools, Bools]:
    """Return (entry, exit) where every group agrees; no exit unless signals may exit."""
    entry = np.logical_and.reduce([group[0] for group in groups])
    if not exit_on_signal:
        return entry, np.zeros(len(entry), np.bool_)
    return entry, np.logical_and.reduce([group[1] for group in groups])
