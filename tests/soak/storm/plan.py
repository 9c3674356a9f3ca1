"""What a storm is made of, all of it drawn from one seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from enum import StrEnum

from tests.soak.storm.weather import EVERY, storm
from tests.soak.storm.world import SYMBOLS
from toolkit.exchange.faults import Fault

# Moments within a minute at which both sides come to rest: the bar is there, the order has
# filled, the net is placed; then every few seconds. They are fixed, so that a storm's bot acts
# at the same moments as that of a calm day.
STOPS = (1.2, 2.0, 3.0, *(float(second) for second in range(5, 61, 5)))
LAST_CALM_MINUTES = 20
FIRST_CALM_MINUTES = 5
DOWN_SECONDS = 60.0  # on average
AT_ONCE = 0.3  # of the restarts


class Moment(StrEnum):
    """Where a kill hits."""

    AT_REST = "at rest"
    AT_WORK = "at work"  # some thousandths of a second after the clock was moved
    BEFORE_TAKEN = "before taken"  # the intent is on disk, the exchange never takes the order
    AFTER_TAKEN = "after taken"  # the exchange has the order, its answer is not heard
    AT_FILL = "at fill"  # an order fills, nobody hears of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One kill: the minute and the stop from which on it is due; `down` seconds follow."""

    minute: int
    stop: int
    moment: Moment
    delay: float
    down: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One storm; without `faults` and `kills` it is calm."""

    seed: int
    minutes: int
    symbols: tuple[str, ...] = SYMBOLS
    faults: tuple[Fault, ...] = ()
    kills: tuple[Kill, ...] = ()

    @property
    def calm(self) -> Plan:
        """The same market on a good day."""
        return Plan(seed=self.seed, minutes=self.minutes, symbols=self.symbols)


def beginning(whole: Plan, *, minutes: int) -> Plan:
    """Return the first minutes of a storm, and some calm ones after them."""
    return replace(
        whole,
        minutes=minutes + FIRST_CALM_MINUTES,
        faults=tuple(fault for fault in whole.faults if fault.start < 60.0 * minutes),
        kills=tuple(kill for kill in whole.kills if kill.minute < minutes),
    )


def plan(
    *,
    seed: int,
    minutes: int,
    kills: int,
    symbols: tuple[str, ...] = SYMBOLS,
    every: float = EVERY,
) -> Plan:
    """Draw a storm with a fault every so many seconds on average."""
    wild = max(minutes - LAST_CALM_MINUTES, 1)
    return Plan(
        seed=seed,
        minutes=minutes,
        symbols=symbols,
        faults=tuple(storm(seed=seed, symbols=symbols, length=60.0 * wild, every=every)),
        kills=_kills(random.Random(f"kills {seed}"), kills, wild),
    )


def _kills(draw: random.Random, count: int, wild: int) -> tuple[Kill, ...]:
    minutes = sorted(draw.randrange(min(FIRST_CALM_MINUTES, wild - 1), wild) for _ in range(count))
    return tuple(
        Kill(
            minute=minute,
            stop=draw.randrange(len(STOPS)),
            moment=draw.choice(list(Moment)),
            delay=draw.uniform(0.0, 0.02),
            down=0.0 if draw.random() < AT_ONCE else draw.expovariate(1.0 / DOWN_SECONDS),
        )
        for minute in minutes
    )
