"""What one thread does of a sweep: a study, and the figures of its sets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from toolkit.core.costs import Costs
from toolkit.core.kernel import Kernel
from toolkit.core.layout import Floats, Ints, Rules
from toolkit.core.parameters import Parameters
from toolkit.research.scoring import score
from toolkit.research.signals import Signals
from toolkit.research.sweeps.sets import Group
from toolkit.research.tape import Tape

Item = TypeVar("Item")
Done = TypeVar("Done")


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
    """Runs sets of a study; one per thread."""

    def __init__(self, study: Study) -> None:
        tape = study.tape
        self._study = study
        self._signals = Signals(tape)
        self._kernel = Kernel(tape.market, charges=tape.charges(study.costs))

    def run(self, parameters: Parameters, sets: Sequence[tuple[int, dict[str, Any]]]) -> Rows:
        """Run the sets of one decision setting: each a number and its values of the risk group."""
        study, decisions = self._study, self._signals.decisions(parameters)
        scores = []
        for _, changes in sets:
            rules = Rules.of(replace(parameters.risk, **changes))
            outcome = self._kernel.run(decisions, rules, capital=study.capital)
            scores.append(
                score(
                    outcome,
                    capital=study.capital,
                    periods_per_year=study.tape.periods_per_year,
                    edges=study.edges,
                )
            )
        return Rows(
            number=np.array([number for number, _ in sets]),
            metrics=np.array([list(s.metrics.values()) for s in scores]),
            moments=np.array([s.moments for s in scores]),
            blocks=np.array([s.blocks for s in scores]),
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
    """Runs groups of sets, with a Sweeper in each thread; what is pickled is the study alone."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._mine = threading.local()

    def __call__(self, group: Group) -> Rows:
        """Run one group of `Sets.groups()`."""
        sweeper: Sweeper | None = getattr(self._mine, "sweeper", None)
        if sweeper is None:
            sweeper = self._mine.sweeper = Sweeper(self._study)
        return sweeper.run(*group)

    def __reduce__(self) -> tuple[type[Hand], tuple[Study]]:
        return Hand, (self._study,)
