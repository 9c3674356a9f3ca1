"""What one thread does of a sweep: a study, and the figures of its sets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from toolkit.core.costs import Costs
from toolkit.core.kernel import Kernel
from toolkit.core.layout import Floats, Ints, Plan, Rules
from toolkit.core.parameters import Parameters
from toolkit.research.scoring import Scores, scores
from toolkit.research.signals import Signals
from toolkit.research.sweeps.sets import Group
from toolkit.research.tape import Tape

Item = TypeVar("Item")
Done = TypeVar("Done")
BARS_AT_ONCE = 50_000_000  # of all sets: a quarter of a second without a look at Ctrl-C
SETS_AT_ONCE = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study:
    """What all sets of a sweep share; `capital` in dollars, `edges` cut time into blocks."""

    tape: Tape
    capital: float
    costs: Costs
    edges: Ints


class Rows(NamedTuple):
    """The figures of some sets, one row each: their numbers, metrics, moments, block sums."""

    number: Ints
    metrics: Floats
    moments: Floats
    blocks: Floats


class Sweeper:
    """Runs sets of a study, in any thread; what two settings share is computed once."""

    def __init__(self, study: Study) -> None:
        tape = study.tape
        self._study = study
        self._steps = len(tape.steps())
        self._signals = Signals(tape)
        self._kernel = Kernel(tape.market, charges=tape.charges(study.costs), edges=study.edges)
        self._most = sets_at_once(study)

    def run(self, parameters: Parameters, sets: Sequence[tuple[int, dict[str, Any]]]) -> Rows:
        """Run the sets of one decision setting: each a number and its values of the risk group."""
        rules = [Rules.of(replace(parameters.risk, **changes)) for _, changes in sets]
        with_atr = any(each.atr_stop or each.atr_sizing for each in rules)
        plan = self._kernel.plan(self._signals.decisions(parameters, atr=with_atr))
        parts = [
            self._scores(plan, rules[first : first + self._most])
            for first in range(0, len(rules), self._most)
        ]
        numbers = np.array([number for number, _ in sets])
        return Rows(numbers, *(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def _scores(self, plan: Plan, rules: Sequence[Rules]) -> Scores:
        return scores(
            self._kernel.measure(plan, rules, capital=self._study.capital),
            steps=self._steps,
            capital=self._study.capital,
            periods_per_year=self._study.tape.periods_per_year,
        )


class Crew(Protocol):
    """Those who do the work: threads, machines, or just the caller."""

    def map(self, function: Callable[[Item], Done], items: Iterable[Item]) -> Iterator[Done]:
        """Yield `function(item)` of each item, in the order in which they are done."""
        ...


class Alone:
    """The calling thread does it all."""

    def map(self, function: Callable[[Item], Done], items: Iterable[Item]) -> Iterator[Done]:
        """Yield `function(item)` of each item in turn."""
        return map(function, items)


class Hand:
    """Runs groups of sets in any thread; what is pickled is the study alone.

    `most` sets are run in one go.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._lock = threading.Lock()
        self._sweeper: Sweeper | None = None
        self.most = sets_at_once(study)

    def __call__(self, group: Group) -> Rows:
        """Run one group of `Sets.groups()`."""
        with self._lock:
            if self._sweeper is None:
                self._sweeper = Sweeper(self._study)
        return self._sweeper.run(*group)

    def __reduce__(self) -> tuple[type[Hand], tuple[Study]]:
        return Hand, (self._study,)


def sets_at_once(study: Study) -> int:
    """Return how many sets are run before there is another look at Ctrl-C."""
    bars = max(len(study.tape.market.time), 1)
    return min(max(BARS_AT_ONCE // bars, 1), SETS_AT_ONCE)
