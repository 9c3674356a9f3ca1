"""The bar-scale model of the simulated market: where each symbol goes, and how wildly.

A slot is one bar's worth of time; the random numbers of a block of 60 slots depend only on
(seed, symbol, block), so that a path is the same whatever runs beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from toolkit.market.profiles import Profile
from toolkit.market.sessions import sessions_between

Floats = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]

BLOCK = 60
MINUTES_OF_SESSION = 390

# Variance follows GARCH(1, 1) with mean 1, fat-tailed shocks and jumps, kept within bounds.
ALPHA, BETA = 0.07, 0.91
LARGEST_SHOCK = 25.0
VARIANCE_RANGE = (0.15, 20.0)
JUMPS_PER_MINUTE = 1 / 400
# A transient part of the price fades by a quarter a minute: mild mean reversion.
KEPT_PER_MINUTE, TRANSIENT = 0.75, 0.8
# A night moves a stock as much as 40 % of a day's session does.
OVERNIGHT = 0.4
# Crypto shares a little of what moves stocks.
CRYPTO_WITH_STOCKS = 0.3
_STOCKS, _CRYPTO = 1, 2


@dataclass(frozen=True, slots=True)
class Moves:
    """The traded slots of a block, one element each; prices are natural logarithms.

    `slots` times the timeframe is the epoch of the bar's open; `jump` is the part of the move
    that comes at once; `stress` is volatility and `activity` volume, relative to normal.
    """

    slots: Integers
    begin: Floats
    end: Floats
    jump: Floats
    volatility: Floats
    stress: Floats
    activity: Floats


class SymbolPath:
    """The path of one symbol; `timeframe` in seconds; take blocks in order."""

    def __init__(self, profile: Profile, *, seed: int, timeframe: float) -> None:
        self._profile = profile
        self._seed = seed
        self._timeframe = timeframe
        self._minutes = timeframe / 60.0
        self._kept = KEPT_PER_MINUTE**self._minutes
        total = 1.0 + 2.0 * TRANSIENT**2 / (1.0 + self._kept)
        self._volatility = profile.volatility * 1e-4 * math.sqrt(self._minutes / total)
        self._level = math.log(profile.price)
        self._transient = 0.0
        self._variance = 1.0
        self._last_slot: int | None = None

    def block(self, index: int) -> Moves | None:
        """Return the moves of the next block; None where the market is closed throughout."""
        slots, part_of_day = open_slots(self._profile.crypto, index, timeframe=self._timeframe)
        if not len(slots):
            return None
        shape, activity = _day_shape(self._profile.crypto, part_of_day)
        shocks, jumps, fades, gaps = self._random(index, slots - index * BLOCK)
        before = slots[0] if self._last_slot is None else self._last_slot
        night = self._volatility * math.sqrt(MINUTES_OF_SESSION / self._minutes) * OVERNIGHT
        gaps = np.where(np.diff(slots, prepend=before) > 1, gaps * night, 0.0)
        self._last_slot = int(slots[-1])
        begin, end, volatility = self._walk(shape, shocks, jumps, fades, gaps)
        return Moves(
            slots=slots,
            begin=begin,
            end=end,
            jump=jumps * volatility,
            volatility=volatility,
            stress=volatility / self._volatility,
            activity=activity,
        )

    def _walk(
        self, shape: Floats, shocks: Floats, jumps: Floats, fades: Floats, gaps: Floats
    ) -> tuple[Floats, Floats, Floats]:
        begin, end, volatility = (np.empty(len(shape)) for _ in range(3))
        level, transient, variance = self._level, self._transient, self._variance
        rows = zip(
            shape.tolist(),
            (shocks + jumps).tolist(),
            (TRANSIENT * fades).tolist(),
            gaps.tolist(),
            strict=True,
        )
        for i, (usual, shock, fade, gap) in enumerate(rows):
            sigma = self._volatility * usual * math.sqrt(variance)
            level += gap
            begin[i] = level + transient
            level += sigma * shock
            transient = self._kept * transient + sigma * fade
            end[i] = level + transient
            volatility[i] = sigma
            news = ALPHA * min(shock * shock, LARGEST_SHOCK)
            variance = 1.0 - ALPHA - BETA + (news + BETA) * variance
            variance = min(max(variance, VARIANCE_RANGE[0]), VARIANCE_RANGE[1])
        self._level, self._transient, self._variance = level, transient, variance
        return begin, end, volatility

    def _random(self, index: int, rows: Integers) -> tuple[Floats, Floats, Floats, Floats]:
        """Return shocks, jumps (both in volatilities), fades and overnight gaps of the slots."""
        rng = np.random.default_rng([self._seed, self._profile.key, index])
        own = _shocks(rng)
        happens = rng.random(BLOCK) < min(JUMPS_PER_MINUTE * self._minutes, 0.2)
        size = rng.uniform(3.0, 7.0, BLOCK) * rng.choice((-1.0, 1.0), BLOCK)
        common = _common(self._seed, index, crypto=self._profile.crypto)
        share = self._profile.common
        mixed = share * common + math.sqrt(1.0 - share * share) * own
        jumps = np.where(happens, size, 0.0)
        return mixed[0, rows], jumps[rows], mixed[1, rows], mixed[2, rows]


def open_slots(crypto: bool, index: int, *, timeframe: float) -> tuple[Integers, Floats]:
    """Return the slots of a block in which a symbol trades, and how far the day is, 0 to 1."""
    slots = np.arange(index * BLOCK, (index + 1) * BLOCK, dtype=np.int64)
    seconds = slots * timeframe
    if crypto:
        return slots, seconds % 86_400 / 86_400
    part = np.full(BLOCK, np.nan)
    start = datetime.fromtimestamp(float(seconds[0]), UTC)
    for session in sessions_between(start, start + timedelta(seconds=BLOCK * timeframe)):
        opens, closes = session.open.timestamp(), session.close.timestamp()
        inside = (seconds >= opens) & (seconds + timeframe <= closes)
        part[inside] = (seconds[inside] - opens) / (closes - opens)
    traded = ~np.isnan(part)
    return slots[traded], part[traded]


def _day_shape(crypto: bool, part: Floats) -> tuple[Floats, Floats]:
    """Return usual volatility and volume over the day, about 1 on average: U-shaped for stocks."""
    if crypto:
        wave = np.cos(2.0 * math.pi * (part - 15 / 24))
        return 1.0 + 0.15 * wave, 1.0 + 0.35 * wave
    after_open, to_close = part, 1.0 - part
    volatility = 0.85 + 1.2 * np.exp(-after_open / 0.07) + 0.45 * np.exp(-to_close / 0.06)
    volume = 0.7 + 2.4 * np.exp(-after_open / 0.06) + 2.8 * np.exp(-to_close / 0.05)
    return volatility, volume


def _shocks(rng: np.random.Generator) -> Floats:
    """Return fat-tailed shocks of variance 1 in three rows: lasting, fading, and of nights."""
    freedom = 6.0
    return rng.standard_t(freedom, (3, BLOCK)) / math.sqrt(freedom / (freedom - 2.0))


def _common(seed: int, index: int, *, crypto: bool) -> Floats:
    stocks = _shocks(np.random.default_rng([seed, _STOCKS, index]))
    if not crypto:
        return stocks
    own = _shocks(np.random.default_rng([seed, _CRYPTO, index]))
    return CRYPTO_WITH_STOCKS * stocks + math.sqrt(1.0 - CRYPTO_WITH_STOCKS**2) * own
