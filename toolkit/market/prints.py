"""Quotes and prints of the simulated market inside its bars, on the price grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.market.paths import Floats, Integers, Moves
from toolkit.market.profiles import Profile

Flags = np.ndarray[Any, np.dtype[np.bool_]]
MOST_TICKS = 4  # in one bar, times the usual number


@dataclass(frozen=True, slots=True)
class Prints:
    """Quotes, each with the trade that follows it, in order of time; one element each.

    `times` in microseconds of the epoch, on whole milliseconds; prices in dollars.
    """

    slots: Integers
    times: Integers
    bid: Floats
    ask: Floats
    bid_size: Floats
    ask_size: Floats
    price: Floats
    size: Floats

    def where(self, chosen: Flags) -> Prints:
        """Return some of them."""
        return Prints(*(getattr(self, name)[chosen] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class BarArrays:
    """Final bars of one symbol, one element each."""

    slots: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


def print_moves(
    moves: Moves,
    profile: Profile,
    *,
    rng: np.random.Generator,
    timeframe: float,
    ticks_per_bar: int,
) -> Prints:
    """Fill each slot with quotes and trades; a busy slot gets more, each gets at least one."""
    usual = ticks_per_bar * np.sqrt(moves.activity)
    counts = np.clip(rng.poisson(usual), 1, MOST_TICKS * ticks_per_bar)
    valid = np.arange(counts.max()) < counts[:, None]
    when = np.sort(np.where(valid, rng.random(valid.shape), 1.0), axis=1)
    mid = np.exp(_prices(moves, when, rng)) * profile.ticks_per_dollar
    rows = np.broadcast_to(np.arange(len(counts))[:, None], valid.shape)[valid]
    bid, ask = _quotes(mid[valid], moves.stress[rows], profile, rng)
    rising = np.sign(np.diff(mid, axis=1, prepend=mid[:, :1]))[valid]
    buys = rng.random(len(rows)) < 0.5 + 0.3 * rising
    volume = profile.volume * timeframe / 60.0 * moves.activity * np.sqrt(moves.stress)
    volume *= rng.lognormal(0.0, 0.3, len(counts))
    share = (volume / counts)[rows]
    milliseconds = (when[valid] * timeframe * 1e3).astype(np.int64)
    opens = (moves.slots * timeframe * 1e3).astype(np.int64)
    return Prints(
        slots=moves.slots[rows],
        times=(opens[rows] + milliseconds) * 1000,
        bid=bid / profile.ticks_per_dollar,
        ask=ask / profile.ticks_per_dollar,
        bid_size=_sizes(share, profile, rng),
        ask_size=_sizes(share, profile, rng),
        price=np.where(buys, ask, bid) / profile.ticks_per_dollar,
        size=_sizes(share, profile, rng),
    )


def bars_from(prints: Prints) -> BarArrays:
    """Build the bars that BarBuilder makes of the same trades, to the last bit."""
    slots, starts, rows = np.unique(prints.slots, return_index=True, return_inverse=True)
    ends = np.append(starts[1:], len(prints.slots)) - 1
    volume: Floats = np.bincount(rows, weights=prints.size).astype(np.float64)  # adds in order
    return BarArrays(
        slots=slots,
        open=prints.price[starts],
        high=np.maximum.reduceat(prints.price, starts),
        low=np.minimum.reduceat(prints.price, starts),
        close=prints.price[ends],
        volume=volume,
    )


def _prices(moves: Moves, when: Floats, rng: np.random.Generator) -> Floats:
    """Return log prices: a Brownian bridge from each slot's beginning to its end, and its jump."""
    times = np.column_stack([when, np.ones(len(when))])
    steps = np.diff(times, axis=1, prepend=0.0)
    walk = np.cumsum(rng.standard_normal(steps.shape) * np.sqrt(steps), axis=1)
    bridge = (walk - times * walk[:, -1:])[:, :-1] * moves.volatility[:, None]
    jumped = when >= rng.random((len(when), 1))
    steady = (moves.end - moves.begin - moves.jump)[:, None] * when
    return np.asarray(moves.begin[:, None] + steady + bridge + moves.jump[:, None] * jumped)


def _quotes(
    mid: Floats, stress: Floats, profile: Profile, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return bid and ask in grid steps; the spread grows with volatility, and is never 0."""
    spread = mid * profile.spread * 1e-4 * stress**0.8 * rng.lognormal(0.0, 0.25, len(mid))
    spread = np.maximum(np.rint(spread), 1.0)
    bid = np.maximum(np.rint(mid - spread / 2.0), 1.0)
    return bid, bid + spread


def _sizes(share: Floats, profile: Profile, rng: np.random.Generator) -> Floats:
    lots = np.rint(share * profile.lots_per_unit * rng.exponential(1.0, len(share)))
    return np.asarray(np.maximum(lots, 1.0) / profile.lots_per_unit)
