"""How a market, its decisions and the books lie in memory for the kernel: arrays and records.

Money is int64 micro-dollars, times are int64 microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple, get_type_hints

import numpy as np
from numpy.typing import NDArray

from toolkit.core.costs import Charges, Costs
from toolkit.core.parameters import Risk

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Places = NDArray[np.uint32]  # events by their number

FLAT, BUYING, HELD, SELLING = 0, 1, 2, 3
SIGNAL, FLATTEN = 4, 5  # exit reasons beside those of `core.execution`
NEVER = np.iinfo(np.int64).min

TRIP = np.dtype(
    [
        ("symbol", np.int64),
        ("entry", np.int64),  # event of the entry
        ("exit", np.int64),
        ("entry_price", np.float64),
        ("exit_price", np.float64),
        ("quantity", np.float64),
        ("cost", np.int64),  # money without fees
        ("profit", np.int64),  # after fees
        ("entry_fee", np.int64),
        ("exit_fee", np.int64),
        ("reason", np.int64),
    ]
)
LOT = np.dtype(
    [
        ("phase", np.int64),
        ("quantity", np.float64),
        ("stop_distance", np.float64),
        ("entry", np.int64),
        ("entry_price", np.float64),
        ("cost", np.int64),
        ("entry_fee", np.int64),
        ("peak", np.float64),
        ("fixed_stop", np.float64),
        ("target", np.float64),
        ("arm", np.float64),
        ("value", np.int64),  # at the last close, 0 while flat
        ("last_exit", np.int64),  # time, NEVER before the first
        ("reason", np.int64),  # of the exit that is pending
        ("next", np.int64),  # event of the symbol's next bar
        ("session", np.int64),  # in which a pending entry may fill
    ]
)
BOOKS = np.dtype(
    [
        ("start", np.int64),
        ("cash", np.int64),
        ("realised", np.int64),
        ("value", np.int64),  # of all positions at their last closes
        ("slots", np.int64),  # open positions and pending entries
        ("trips", np.int64),
        ("exposed", np.int64),  # timestamps during which something was held
        ("day", np.int64),  # from here on: `core.costs.Owed`
        ("sec", np.int64),
        ("taf", np.int64),
        ("cat", np.int64),
    ]
)
CHARGES = np.dtype(
    [
        (name, np.bool_ if kind is bool else np.float64)
        for name, kind in get_type_hints(Charges).items()
    ],
    align=True,
)


class Market(NamedTuple):
    """Bars of all symbols, one event each, in order of (time, symbol code).

    `volume` is 0 and `spread` (dollars) NaN where not known. `day` is the date in New York as a
    number. `session` numbers the session in which a bar begins, `next_session` the one in which
    an entry decided at its close may fill; -1 (`core.hours.CLOSED`) for none. At a bar with
    `leave` a held position is ordered to close.
    """

    symbol: Ints
    time: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    spread: Floats
    day: Ints
    session: Ints
    next_session: Ints
    leave: Bools


BAR = np.dtype(
    [
        ("time", np.int64),
        ("open", np.float64),
        ("symbol", np.int32),
        ("day", np.int32),
        ("session", np.int32),
        ("next_session", np.int32),
    ]
)


class Course(NamedTuple):
    """A market as the kernel reads it; `bars` (see BAR) is what a trade looks at, side by side.

    `low` and `high` are those at which exits are looked for: infinite where none can fill.
    `following` is of each event its symbol's next one, `step` the number of its timestamp; both
    are empty where a `single` symbol makes them obvious. `edges` are the events at which blocks of
    time begin, and the number of events at the end. `volume` and `spread` are empty where no
    charge asks for them.
    """

    bars: NDArray[np.void]
    low: Floats
    high: Floats
    close: Floats
    volume: Floats
    spread: Floats
    leave: Bools
    following: Places
    step: Places
    edges: Ints
    single: bool


class Plan(NamedTuple):
    """Decisions as the kernel reads them: events with an entry and with an exit condition."""

    entries: Places
    exits: Places
    atr: Floats


class Decisions(NamedTuple):
    """What the strategy says at each event: conditions and the ATR (NaN while undefined)."""

    entry: Bools
    exit: Bools
    atr: Floats

    def digest(self, salt: str = "") -> str:
        """Return 16 hex digits that tell these entries and exits, with `salt`, from any others."""
        found = blake2b(salt.encode(), digest_size=8)
        for values in (self.entry, self.exit):
            found.update(np.ascontiguousarray(values).tobytes())
        return found.hexdigest()


class Rules(NamedTuple):
    """The risk parameters, by their names in `core.parameters`."""

    stop_loss: float
    take_profit: float
    trailing_stop: float
    trailing_activation: float
    atr_stop: bool
    atr_sizing: bool
    atr_multiplier: float
    risk_percent: float
    trade_capital_percent: float
    max_positions: int
    cooldown: float

    @classmethod
    def of(cls, risk: Risk) -> Rules:
        """Take the values of a Risk."""
        return cls(**{name: getattr(risk, name) for name in cls._fields})


_KINDS = {bool: np.bool_, int: np.int64, float: np.float64}
RULES = np.dtype([(name, _KINDS[kind]) for name, kind in get_type_hints(Rules).items()], align=True)


def charges_of(costs: Costs, symbols: Sequence[str]) -> NDArray[np.void]:
    """Return the costs of each symbol, by its code; see CHARGES."""
    return np.array([tuple(costs.of(symbol)) for symbol in symbols], CHARGES)
