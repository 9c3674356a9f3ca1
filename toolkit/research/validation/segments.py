"""A part of a tape, traded on its own by decisions that were made on the whole of it.

Indicators look back only, so they are computed once; a part starts flat with the start capital,
reads no bar behind its end, and counts a position that is open there at its last close.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from toolkit.core.costs import Costs
from toolkit.core.layout import Decisions, Market
from toolkit.core.parameters import Parameters
from toolkit.research.backtest import BacktestRun, run_of
from toolkit.research.signals import Signals
from toolkit.research.tape import Tape


def cut(tape: Tape, first: int, last: int) -> Tape:
    """Return the bars of the timestamps numbered from `first` to before `last`."""
    start, end = _events(tape, first, last)
    symbol = tape.market.symbol[start:end]
    return replace(
        tape,
        frame=tape.frame.iloc[start:end].reset_index(drop=True),
        market=Market._make(column[start:end] for column in tape.market),
        events={name: np.flatnonzero(symbol == i) for i, name in enumerate(tape.symbols)},
    )


class Segments:
    """Runs any set on any part of one tape."""

    def __init__(self, tape: Tape, *, capital: float, costs: Costs) -> None:
        self.tape, self.capital, self.costs = tape, capital, costs
        self._signals = Signals(tape)

    def run(self, parameters: Parameters, first: int, last: int) -> BacktestRun:
        """Trade the timestamps numbered from `first` to before `last`."""
        start, end = _events(self.tape, first, last)
        decisions = self._signals.decisions(parameters)
        part = Decisions._make(column[start:end] for column in decisions)
        return run_of(
            cut(self.tape, first, last),
            parameters,
            capital=self.capital,
            costs=self.costs,
            signals=part,
        )


def _events(tape: Tape, first: int, last: int) -> tuple[int, int]:
    steps = tape.steps()
    start = int(steps[first - 1]) + 1 if first > 0 else 0
    return start, int(steps[last - 1]) + 1


def longest_trade(run: BacktestRun) -> int:
    """Return how many timestamps the longest round trip lasted, 1 where there was none."""
    trips = run.outcome.trips
    if not len(trips):
        return 1
    step_of = np.searchsorted(run.tape.steps(), np.arange(len(run.tape.market.time)))
    return int((step_of[trips["exit"]] - step_of[trips["entry"]]).max()) + 1
