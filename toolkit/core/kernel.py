"""The execution rules over the bars of many symbols with shared cash, compiled.

What happens in a bar is said in `core.lots`, which bars are visited in `core.visits`. Nothing
happens in the others, so the results are those of visiting every bar. Importing this module
imports numba.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.core import execution, lots, tally, visits
from toolkit.core.compiled import sealed, without_counts
from toolkit.core.hours import CLOSED
from toolkit.core.layout import (
    BAR,
    BOOKS,
    LOT,
    RULES,
    TRIP,
    Bools,
    Course,
    Decisions,
    Floats,
    Ints,
    Market,
    Places,
    Plan,
    Rules,
)
from toolkit.core.tally import POWERS, TALLY

Record = Any  # numba sees a record of a dtype
STRETCH = 1 << 14  # bars that every run walks before the next stretch: they stay in the cache


def _fingerprint() -> int:
    """Tell one version of the rules from another."""
    named = [
        (name, getattr(value, "py_func", value))
        for module in (execution, lots, tally, visits)
        for name, value in sorted(vars(module).items())
    ]
    codes = [f.__code__ for _, f in named if hasattr(f, "__code__")]
    rules = [(c.co_name, c.co_code, c.co_names, c.co_consts) for c in codes]
    numbers = [(name, v) for name, v in named if isinstance(v, (int, float, np.number))]
    return zlib.crc32(repr((rules, numbers)).encode())


def _compile(rules_version: int) -> Callable[..., None]:
    # numba's cache sees no change in another file, but it does see the value of a closure.
    @without_counts
    def run(
        plan: Plan,
        rules: Record,
        charges: Record,
        course: Course,
        capital: int,
        records: Record,
        books: Record,
        stats: Record,
        sums: Floats,
        trips: Record,
        equity: Floats,
        active: Ints,
    ) -> None:
        end = len(course.close)
        for n in range(len(rules) if rules_version >= 0 else 0):
            visits.begin(books[n], stats[n], records[n], capital)
        for until in range(min(STRETCH, end), end + STRETCH, STRETCH):
            for n in range(len(rules)):
                visits.run(
                    min(until, end),
                    plan,
                    rules[n],
                    charges,
                    course,
                    records[n],
                    books[n],
                    stats[n],
                    sums[n],
                    trips,
                    equity,
                    active[n],
                )

    return run


_compiled_run = _compile(_fingerprint())


class Measures(NamedTuple):
    """The ends of several runs, one row each: lots by symbol code (LOT), books (BOOKS), statistics.

    `stats` are records of TALLY; `sums` those of the first four powers of the returns in each
    block of time, shape (runs, blocks, 4).
    """

    lots: NDArray[np.void]
    books: NDArray[np.void]
    stats: NDArray[np.void]
    sums: Floats


class Outcome(NamedTuple):
    """The end of one run: closed trips in order, lots by symbol code (see LOT), books (see BOOKS).

    `equity` in dollars per distinct timestamp; `measures` has one row.
    """

    trips: NDArray[np.void]
    lots: NDArray[np.void]
    books: np.void
    equity: Floats
    measures: Measures


class Kernel:
    """Runs one market again and again under different decisions and rules, in any thread.

    `edges` are the timestamps, by number, at which blocks of time begin, and how many there are;
    by default all are one block.
    """

    def __init__(
        self, market: Market, *, charges: NDArray[np.void], edges: Ints | None = None
    ) -> None:
        self._charges = charges
        self._course = _course(market, charges, edges)
        self._steps = int(np.count_nonzero(_changes(market.time))) + min(len(market.time), 1)

    def plan(self, decisions: Decisions) -> Plan:
        """List the events at which something may be decided."""
        exits = _places(decisions.exit | self._course.leave)
        return Plan(_places(decisions.entry), exits, sealed(decisions.atr))

    def run(self, decisions: Decisions, rules: Rules, *, capital: float) -> Outcome:
        """Trade the market once with `capital` dollars."""
        trips = np.empty(len(self._course.close) + 1, TRIP)
        equity = np.empty(self._steps)
        done = self._trade(self.plan(decisions), [rules], capital, trips, equity)
        closed = trips[: done.books["trips"][0]].copy()
        return Outcome(closed, done.lots[0], done.books[0], equity, done)

    def measure(self, plan: Plan, rules: Sequence[Rules], *, capital: float) -> Measures:
        """Trade the market with `capital` dollars under each of some rules."""
        return self._trade(plan, rules, capital, np.empty(1, TRIP), np.empty(0))

    def _trade(
        self,
        plan: Plan,
        rules: Sequence[Rules],
        capital: float,
        trips: NDArray[np.void],
        equity: Floats,
    ) -> Measures:
        several = np.array([tuple(each) for each in rules], RULES)
        lots = np.zeros((len(rules), len(self._charges)), LOT)
        books, stats = np.zeros(len(rules), BOOKS), np.zeros(len(rules), TALLY)
        sums = np.zeros((len(rules), len(self._course.edges) - 1, POWERS))
        _compiled_run(
            plan,
            several,
            self._charges,
            self._course,
            int(execution.micros(capital)),
            lots,
            books,
            stats,
            sums,
            trips,
            equity,
            np.zeros(lots.shape, np.int64),
        )
        return Measures(lots, books, stats, sums)


def _places(where: Bools) -> Places:
    return np.flatnonzero(where).astype(np.uint32)


def _course(market: Market, charges: NDArray[np.void], edges: Ints | None) -> Course:
    size, single = len(market.time), bool((market.symbol == market.symbol[:1]).all())
    step, ends = np.empty(0, np.uint32), np.array([0, size]) if edges is None else edges
    if not single:
        step = _steps(market)
        ends = np.searchsorted(step, [0, step[-1] + 1] if edges is None else edges)
    low, high, closed = market.low, market.high, market.session == CLOSED
    if closed.any():
        low, high = np.where(closed, np.inf, low), np.where(closed, -np.inf, high)
    bars = np.empty(size, BAR)
    for name in BAR.names or ():
        bars[name] = getattr(market, name)
    by_volume = charges["impact_bps"].any() or charges["max_volume_percent"].any()
    return Course(
        bars=bars,
        low=sealed(low),
        high=sealed(high),
        close=sealed(market.close),
        volume=sealed(market.volume if by_volume else market.volume[:0]),
        spread=sealed(market.spread if charges["quoted_spread"].any() else market.spread[:0]),
        leave=sealed(market.leave),
        following=np.empty(0, np.uint32) if single else _following(market.symbol),
        step=step,
        edges=np.asarray(ends, np.int64),
        single=single,
    )


def _changes(time: Ints) -> Bools:
    return np.not_equal(time[1:], time[:-1])


def _steps(market: Market) -> Places:
    """Return the number of each event's timestamp."""
    steps = np.zeros(len(market.time), np.uint32)
    np.cumsum(_changes(market.time), out=steps[1:])
    return steps


def _following(symbol: Ints) -> Places:
    """Return for each event the next one of its symbol, the number of events for none."""
    following = np.full(len(symbol), len(symbol), np.uint32)
    order = np.argsort(symbol, kind="stable")
    same = symbol[order[:-1]] == symbol[order[1:]]
    following[order[:-1][same]] = order[1:][same]
    return following
