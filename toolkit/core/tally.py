"""Running statistics of a run, compiled: returns, drawdown, exposure, and what trades earned.

A timestamp is closed when the next one begins. Its return is the change of the equity as a
fraction of the equity before. Where nothing changed the return is 0 and adds nothing, so that
only timestamps that were visited are added up: within a block of time in their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.core.compiled import inlined
from toolkit.core.layout import HELD, Course, Floats

Record = Any  # numba sees a record of a dtype

TALLY = np.dtype(
    [
        ("equity", np.float64),  # whole micro-dollars at the last timestamp that was closed
        ("peak", np.float64),
        ("trough", np.float64),  # since the peak
        ("drawdown", np.float64),  # the worst, as a fraction of its peak
        ("held", np.int64),  # whether anything was held during the open timestamp
        ("open", np.int64),  # an event of the open timestamp
        ("filled", np.int64),  # timestamps of the equity that are written
        ("block", np.int64),
        ("event", np.int64),  # where the run stands
        ("entry", np.int64),  # the places in the plan that are next
        ("exit", np.int64),
        ("wins", np.int64),
        ("won", np.int64),
        ("lost", np.int64),
        ("fees", np.int64),
    ]
)
POWERS = 4  # of returns that are summed up in each block


@inlined
def start(tally: Record, capital: int) -> None:
    """Begin with `capital` micro-dollars."""
    tally.equity = tally.peak = tally.trough = float(capital)
    tally.drawdown = 0.0
    tally.held = tally.open = tally.filled = tally.block = 0
    tally.event = tally.entry = tally.exit = 0
    tally.wins = tally.won = tally.lost = tally.fees = 0


@inlined
def step_of(course: Course, event: int) -> Any:
    """Return the number of an event's timestamp."""
    return event if course.single else np.int64(course.step[event])


@inlined
def powers(sums: Floats, block: int) -> tuple[float, float, float, float]:
    """Return the sums of a block."""
    return sums[block, 0], sums[block, 1], sums[block, 2], sums[block, 3]


@inlined
def put_powers(
    sums: Floats, block: int, first: float, second: float, third: float, fourth: float
) -> None:
    """Put the sums of a block back."""
    sums[block, 0], sums[block, 1] = first, second
    sums[block, 2], sums[block, 3] = third, fourth


@inlined
def fill(equity: Floats, tally: Record, step: Any, before: float, now: float) -> None:
    """Write the equity up to a timestamp; in dollars, what it was `before` where it was flat."""
    for at in range(tally.filled, step):
        equity[at] = before / 1e6
    equity[step] = now / 1e6
    tally.filled = step + 1


@inlined
def close(tally: Record, books: Record, sums: Floats, course: Course, equity: Floats) -> None:
    """End the open timestamp."""
    now, before = float(books.cash + books.value), tally.equity
    books.exposed += tally.held
    tally.held = 0
    if len(equity):
        fill(equity, tally, step_of(course, tally.open), before, now)
    if now == before:
        return
    while tally.open >= course.edges[tally.block + 1]:
        tally.block += 1
    change = (now - before) / before
    square = change * change
    sums[tally.block, 0] += change
    sums[tally.block, 1] += square
    sums[tally.block, 2] += square * change
    sums[tally.block, 3] += square * square
    if now > tally.peak:
        tally.drawdown = max(tally.drawdown, 1.0 - tally.trough / tally.peak)
        tally.peak = tally.trough = now
    else:
        tally.trough = min(tally.trough, now)
    tally.equity = now


@inlined
def count(tally: Record, trip: Record) -> None:
    """Add a round trip."""
    tally.fees += trip.entry_fee + trip.exit_fee
    tally.wins += trip.profit > 0
    if trip.profit > 0:
        tally.won += trip.profit
    else:
        tally.lost -= trip.profit


@inlined
def finish(tally: Record, lots: Record, equity: Floats) -> None:
    """Add what is still held, and the drawdown that is not over."""
    for at in range(tally.filled, len(equity)):
        equity[at] = tally.equity / 1e6
    tally.drawdown = max(tally.drawdown, 1.0 - tally.trough / tally.peak)
    for at in range(len(lots)):
        if lots[at].phase >= HELD:
            tally.fees += lots[at].entry_fee
