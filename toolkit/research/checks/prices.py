"""Faults that sound bars can still have: spikes, splits, jumps, bars that stand still."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from toolkit.core.layout import Bools, Floats
from toolkit.core.types import is_crypto
from toolkit.market.sessions import NEW_YORK
from toolkit.research.checks.findings import Finding, Series, Severity, runs

DAY = 86_400.0
WINDOW = 61  # bars around one that tell its usual range
SPIKE_RANGES, SPIKE = 15.0, 0.005  # usual ranges beyond all neighbours, and share of the price
LONGEST_SPIKE = 3  # bars
JUMP_RANGES, JUMP, OVERNIGHT_JUMP = 40.0, 0.08, 0.25
LEVEL = 5  # bars on each side that tell the level of prices
STILL = 10  # flat bars at one price
SPLITS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100, 3 / 2, 4 / 3, 5 / 4, 5 / 2)


def usual_range(part: Series) -> Floats:
    """Return what a bar ranges over around each one: the median true range, at least 1 bp."""
    import pandas as pd

    high, low, close = (part.values[name] for name in ("high", "low", "close"))
    before = np.concatenate([close[:1], close[:-1]])
    ranges = pd.Series(np.maximum(high, before) - np.minimum(low, before))
    local = ranges.rolling(WINDOW, center=True, min_periods=1).median().to_numpy()
    usual: Floats = np.maximum(np.maximum(local, ranges.median() / 2.0), close * 1e-4)
    return usual


def spikes(part: Series) -> tuple[list[Finding], Bools]:
    """Return prices that leave those around them and come back, and the rows of these."""
    found: list[Finding] = []
    spiked = np.zeros(len(part), np.bool_)
    usual = usual_range(part)
    for length in range(1, LONGEST_SPIKE + 1):
        for start, beyond in _excursions(part, usual, length):
            if spiked[start : start + length].any():
                continue
            spiked[start : start + length] = True
            found.append(_spike(part, start, length, beyond))
    return found, spiked


def _excursions(part: Series, usual: Floats, length: int) -> Iterator[tuple[int, float]]:
    """Yield (first bar, distance as a share) of bars that all lie beyond those around them."""
    high, low = part.values["high"], part.values["low"]
    size = len(part) - length - 1
    if size < 1:
        return
    first, last = slice(0, size), slice(length + 1, length + 1 + size)
    top, bottom = np.maximum(high[first], high[last]), np.minimum(low[first], low[last])
    inside = [slice(1 + k, 1 + k + size) for k in range(length)]
    # One bar is a spike by its extreme, several only where each of them is beyond altogether.
    up = np.min([(high if length == 1 else low)[s] for s in inside], axis=0) - top
    down = bottom - np.max([(low if length == 1 else high)[s] for s in inside], axis=0)
    distance = np.maximum(up, down)
    limit = np.maximum(SPIKE_RANGES * usual[1 : 1 + size], SPIKE * bottom)
    for place in np.flatnonzero(distance > limit).tolist():
        yield place + 1, float(distance[place] / bottom[place])


def _spike(part: Series, start: int, length: int, beyond: float) -> Finding:
    close = part.values["close"]
    end = start + length
    around = sorted((close[start - 1], close[end]))
    far = beyond / 2.0
    stays = around[0] * (1 - far) <= close[start] <= around[1] * (1 + far)
    kind, what = (
        ("bad_tick", "high or low lies") if length == 1 and stays else ("spike", "price lies")
    )
    bars = f" for {length} bars" if length > 1 else ""
    return part.finding(
        start,
        kind,
        Severity.WARNING,
        f"{what} {100 * beyond:.2f} % beyond the bars around it{bars}",
        "compare with another feed; a stop or target there would be filled",
        count=length,
    )


def jumps(part: Series, spiked: Bools, *, adjustment: str) -> Iterator[Finding]:
    """Yield changes of level that stay: splits overnight, and what no market does in a bar."""
    close, open_ = part.values["close"], part.values["open"]
    if len(part) < 2:
        return
    change = np.log(open_[1:] / close[:-1])
    inside = np.log(close[1:] / close[:-1])
    change = np.where(np.abs(inside) > np.abs(change), inside, change)
    limit = np.maximum(JUMP_RANGES * usual_range(part)[1:] / close[1:], JUMP)
    night = _new_day(part)
    for place in np.flatnonzero(np.abs(change) > np.minimum(limit, math.log(1.2))).tolist():
        at = place + 1
        if spiked[max(0, at - LONGEST_SPIKE) : at + 1].any():
            continue
        ratio, level = math.exp(change[place]), _level(close, at)
        if abs(math.log(level / ratio)) > 0.1:
            continue
        split = _split(ratio) if night[place] and not is_crypto(part.symbol) else ""
        if split:
            yield _split_found(part, at, ratio, split, adjustment)
        elif abs(change[place]) > (OVERNIGHT_JUMP if night[place] else limit[place]):
            yield part.finding(
                at,
                "jump",
                Severity.WARNING,
                f"price changes by {100 * (ratio - 1):+.1f} % and stays there",
                "look for news, a corporate action or another feed",
            )


def _split_found(part: Series, at: int, ratio: float, split: str, adjustment: str) -> Finding:
    adjusted = f", though adjustment is {adjustment}" if adjustment in ("split", "all") else ""
    return part.finding(
        at,
        "split",
        Severity.WARNING,
        f"opens at {ratio:.4g} times the last close: looks like a split {split}{adjusted}",
        "take bars with adjustment split, or multiply the earlier prices",
    )


def _new_day(part: Series) -> Bools:
    """Return for each bar but the first whether another day of New York begins with it."""
    if part.seconds >= DAY:
        return np.ones(len(part) - 1, np.bool_)
    days = part.times.tz_convert(NEW_YORK).tz_localize(None).normalize().asi8
    return np.asarray(np.diff(days) != 0, np.bool_)


def _level(close: Floats, at: int) -> float:
    """Return the ratio of the level of prices after a bar's open to that before."""
    before, after = close[max(0, at - LEVEL) : at], close[at : at + LEVEL]
    return float(np.median(after) / np.median(before))


def _split(ratio: float) -> str:
    """Return the split that a ratio of prices comes near to, such as 2:1; empty for none."""
    size = max(ratio, 1.0 / ratio)
    nearest = min(SPLITS, key=lambda known: abs(math.log(size / known)))
    if abs(math.log(size / nearest)) > (0.03 if nearest >= 2 else 0.015):
        return ""
    names = {3 / 2: "3:2", 4 / 3: "4:3", 5 / 4: "5:4", 5 / 2: "5:2"}
    name = names.get(nearest, f"{nearest:g}:1")
    return name if ratio < 1.0 else ":".join(reversed(name.split(":")))


def still(part: Series) -> Iterator[Finding]:
    """Yield bars that repeat the one before, and long stretches at one price."""
    v = part.values
    high, low, volume = v["high"], v["low"], v["volume"]
    same = np.zeros(len(part), np.bool_)
    if len(part) > 1:
        same[1:] = np.all([values[1:] == values[:-1] for values in v.values()], axis=0)
    moved = high > low
    yield from part.each_run(
        same & moved,
        "repeated",
        Severity.WARNING,
        "prices and volume are those of the bar before",
        "the source may stand still; fetch these bars again",
    )
    flat = ~moved
    flat[1:] &= high[1:] == high[:-1]
    for start, stop in runs(flat):
        first = start - 1 if start and not moved[start - 1] else start
        if stop - first >= STILL and volume[first:stop].any():
            yield part.finding(
                first,
                "still",
                Severity.WARNING,
                f"the price stands still for {stop - first} bars",
                "the source may stand still; fetch these bars again",
                count=stop - first,
            )


def without_volume(part: Series) -> Iterator[Finding]:
    """Yield bars in which nothing traded: filled in by somebody, or with a volume lost."""
    v, empty = part.values, part.values["volume"] == 0.0
    if empty.all():
        yield part.finding(
            0,
            "no_volume",
            Severity.NOTE,
            "no bar has a volume",
            "fine for an index; costs by volume and limits of participation mean nothing here",
            count=len(part),
        )
        return
    flat = v["high"] == v["low"]
    flat[1:] &= v["open"][1:] == v["close"][:-1]
    yield from part.each_run(
        empty & flat,
        "filled",
        Severity.WARNING,
        "nothing traded: the bar repeats the last price",
        "drop such bars, orders fill at the next bar that exists",
    )
    yield from part.each_run(
        empty & ~flat,
        "zero_volume",
        Severity.WARNING,
        "the price moved without volume",
        "fetch these bars again, or do not use their volume",
    )
