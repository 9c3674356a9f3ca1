"""Which bars of a market are visited, compiled: those at which something can happen.

In the order of time and symbol these are the bars of a symbol that is held or about to be, and
those with an entry condition while a position is free. What happens in them is in `core.lots`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from toolkit.core import lots, tally
from toolkit.core.compiled import inlined, merged
from toolkit.core.layout import (
    BUYING,
    FLAT,
    FLATTEN,
    HELD,
    NEVER,
    SELLING,
    SIGNAL,
    Course,
    Floats,
    Ints,
    Places,
    Plan,
)

Record = Any  # numba sees a record of a dtype
Whole = Any  # numba sees an int64


@inlined
def _after(course: Course, event: int) -> Whole:
    """Return the event of the same symbol's next bar, the number of events for none."""
    return event + 1 if course.single else np.int64(course.following[event])


@inlined
def _from(places: Places, at: int, event: int) -> int:
    """Return the position of the first place that is not before `event`, looking on from `at`."""
    while at < len(places) and places[at] < event:
        at += 1
    return at


@inlined
def _hold(
    event: int,
    limit: int,
    lot: Record,
    books: Record,
    stats: Record,
    sums: Floats,
    rules: Record,
    course: Course,
) -> Whole:
    """Walk on from bar to bar of the only open position; return the last in which nothing happens.

    Nothing can happen in a bar whose low stays above the stop that its own high may raise, and
    whose high stays below the target.
    """
    quantity, fixed, target, peak = lot.quantity, lot.fixed_stop, lot.target, lot.peak
    arm, factor = math.inf, 1.0 - rules.trailing_stop / 100.0
    if rules.trailing_stop > 0.0:
        arm = lot.arm
    cash, value, before = float(books.cash), float(lot.value), stats.equity
    top, trough, worst, exposed = stats.peak, stats.trough, stats.drawdown, 0
    block, edge = stats.block, np.uint64(course.edges[stats.block + 1])
    first, second, third, fourth = tally.powers(sums, block)
    i, end = np.uint64(event), np.uint64(limit)
    while True:
        k = i + np.uint64(1)
        if not course.single:
            k = np.uint64(course.following[i])
        if k >= end:
            break
        high = course.high[k]
        higher = high if high > peak else peak
        trail = higher * factor if higher >= arm else fixed
        stop = trail if trail > fixed else fixed
        if course.low[k] <= stop or high >= target:
            break
        if i >= edge:
            tally.put_powers(sums, block, first, second, third, fourth)
            while i >= edge:
                block += 1
                edge = np.uint64(course.edges[block + 1])
            first, second, third, fourth = tally.powers(sums, block)
        peak, now = higher, cash + value
        change = (now - before) / before
        square = change * change
        first += change
        second += square
        third += square * change
        fourth += square * square
        if now > top:
            worst = max(worst, 1.0 - trough / top)
            top = trough = now
        elif now < trough:
            trough = now
        before = now
        value = math.floor(course.close[k] * quantity * 1e6 + 0.5)
        exposed += 1
        i = k
    tally.put_powers(sums, block, first, second, third, fourth)
    stats.block, stats.equity, stats.open = block, before, np.int64(i)
    stats.peak, stats.trough, stats.drawdown = top, trough, worst
    books.exposed += exposed
    lot.peak, lot.value = peak, np.int64(value)
    books.value = lot.value
    return np.int64(i)


@inlined
def _retrace(
    event: Whole,
    last: int,
    lot: Record,
    cash: int,
    before: float,
    stats: Record,
    course: Course,
    equity: Floats,
) -> None:
    """Write the equity of the bars that were walked from `event` to before `last`."""
    while event < last:
        now = float(cash) + math.floor(course.close[event] * lot.quantity * 1e6 + 0.5)
        tally.fill(equity, stats, tally.step_of(course, event), before, now)
        event, before = _after(course, event), now


@inlined
def _order(
    lot: Record,
    books: Record,
    event: int,
    plan: Plan,
    rules: Record,
    course: Course,
    active: Ints,
) -> None:
    """Decide on an entry; who is to enter is among the active symbols."""
    bar, atr = course.bars[event], math.nan
    if rules.atr_stop or rules.atr_sizing:
        atr = plan.atr[event]
    lots.decide(lot, books, bar, course.close[event], atr, rules)
    if lot.phase == BUYING:
        lot.next = _after(course, event)
        active[books.slots - 1] = bar.symbol


@inlined
def _mark(lot: Record, books: Record, event: int, course: Course) -> None:
    value = np.int64(math.floor(course.close[event] * lot.quantity * 1e6 + 0.5))
    books.value += value - lot.value
    lot.value = value


@inlined
def _next(records: Record, active: Ints, slots: int, end: int) -> tuple[int, int]:
    """Return the event of the next bar of an active symbol, `end` for none, and who it is."""
    event, who = end, 0
    for at in range(slots):
        if records[active[at]].next < event:
            event, who = records[active[at]].next, at
    return event, who


@inlined
def _place(places: Places, at: int, end: int) -> Whole:
    return np.int64(places[at]) if at < len(places) else end


@merged
def run(
    until: int,
    plan: Plan,
    rules: Record,
    charges: Record,
    course: Course,
    records: Record,
    books: Record,
    stats: Record,
    sums: Floats,
    trips: Record,
    equity: Floats,
    active: Ints,
) -> None:
    """Trade from where the run stands to the event `until`.

    `active` has the codes of the symbols that are held or about to be, in its first `slots`
    places; a code finds its lot in `records`. `entry` and `exit_` are where the plan goes on.
    """
    end, event, entry, exit_ = len(course.close), stats.event, stats.entry, stats.exit
    alone = course.single or rules.max_positions == 1
    while event < until:
        following, who = _next(records, active, books.slots, end)
        entry = _from(plan.entries, entry, event)
        signal = _place(plan.entries, entry, end)
        entering = signal < following and books.slots < rules.max_positions
        event = signal if entering else following
        if event >= until:
            break
        bar = course.bars[event]
        lot = records[bar.symbol]
        if not entering:
            if course.single or course.step[event] != course.step[stats.open]:
                tally.close(stats, books, sums, course, equity)
            stats.open = event
            lots.trade_bar(lot, books, stats, trips, event, bar, course, rules, charges[bar.symbol])
            if lot.phase == FLAT:
                active[who] = active[books.slots]
                entry = _from(plan.entries, entry, event)
                entering = _place(plan.entries, entry, end) == event
        if entering:
            _order(lot, books, event, plan, rules, course, active)
        elif lot.phase != FLAT:
            _mark(lot, books, event, course)
            exit_ = _from(plan.exits, exit_, event)
            limit = _place(plan.exits, exit_, end)
            if lot.phase == HELD and limit == event:
                lot.phase = SELLING
                lot.reason = FLATTEN if course.leave[event] else SIGNAL
            elif lot.phase == HELD and books.slots == 1:
                if not alone:
                    entry = _from(plan.entries, entry, event + 1)
                    limit = min(limit, _place(plan.entries, entry, end))
                before, first = stats.equity, event
                event = _hold(event, min(limit, until), lot, books, stats, sums, rules, course)
                if len(equity):
                    _retrace(first, event, lot, books.cash, before, stats, course, equity)
            lot.next = _after(course, event)
        event += 1
    stats.event, stats.entry, stats.exit = event, entry, exit_
    if until == end:
        tally.close(stats, books, sums, course, equity)
        tally.finish(stats, records, equity)


@inlined
def begin(books: Record, stats: Record, records: Record, capital: int) -> None:
    books.start = books.cash = capital
    books.realised = books.value = books.slots = books.trips = books.exposed = 0
    books.day, books.sec, books.taf, books.cat = -1, 0, 0, 0
    tally.start(stats, capital)
    for at in range(len(records)):
        records[at].phase = FLAT
        records[at].value = 0
        records[at].last_exit = NEVER
