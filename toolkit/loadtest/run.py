"""Runs one scenario from beginning to end, on our server and on the baseline in turn."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Protocol

from toolkit.loadtest.bench import Bench
from toolkit.loadtest.joining import allow_descriptors
from toolkit.loadtest.machine import machine
from toolkit.loadtest.memory import FIRST, IDLE, bytes_per_connection
from toolkit.loadtest.offenders import NONE, Crowd, Offenders
from toolkit.loadtest.result import Result, SideResult
from toolkit.loadtest.scenario import MOST_CLIENTS, Scenario, check
from toolkit.loadtest.search import Attempt, search
from toolkit.loadtest.target import OURS, STOCK
from toolkit.loadtest.trial import Sample, Trial, together

# Below what any server holds, in deliveries a second.
START_DELIVERIES = 5_000.0
# Without troublemakers, before they come and again when they are gone.
MOST_CALM_SECONDS = 20.0
# With troublemakers, where the scenario has no rate of its own.
CALM_DELIVERIES = 20_000.0
PROBE_SECONDS = 2.0
MAX_PROCESSES = 4
# At a given rate the servers take turns in so many parts, so that noise meets both.
PARTS = 4
FIXED_SECONDS = 10.0


class Progress(Protocol):
    """Told how a run goes."""

    def stage(self, what: str, *, seconds: float | None = None) -> None:
        """Something begins that takes `seconds`, None when nobody knows."""
        ...

    def sample(self, sample: Sample) -> None:
        """A moment of the stage."""
        ...

    def done(self, trial: Trial) -> None:
        """The stage ended with this."""
        ...


def processes_here() -> int:
    """How many client processes leave the server a core of its own."""
    return max(1, min(MAX_PROCESSES, (os.cpu_count() or 1) - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run: `seconds` is how long a rate must be held, `batch` asks for `stream_batch`.

    `crowd` are the troublemakers; with them the baseline is left out. `idle` clients tell what
    a connection costs in memory.
    """

    scenario: Scenario
    seconds: float = 20.0
    probe_seconds: float = PROBE_SECONDS
    batch: bool = False
    crowd: Crowd = NONE
    idle: int = IDLE
    processes: int = field(default_factory=processes_here)

    def __post_init__(self) -> None:
        check("seconds", self.seconds, 0.2, 36_000)
        check("idle", self.idle, 1, MOST_CLIENTS)


def run(plan: Plan, progress: Progress) -> Result:
    """Run a plan; raises ConfigError where the machine does not allow it, else ToolkitError."""
    allow_descriptors(max(plan.scenario.clients, FIRST + plan.idle) + plan.crowd.total)
    if plan.crowd.total:
        return _disturbed(plan, progress)
    costs = {}
    for kind in (OURS, STOCK):
        progress.stage(f"{kind}: memory of {plan.idle:,} idle clients")
        costs[kind] = bytes_per_connection(
            kind, plan.scenario, batch=_reads(plan, kind), idle=plan.idle
        )
    with ExitStack() as stack:
        sides = {kind: stack.enter_context(_Side(kind, plan, progress)) for kind in (OURS, STOCK)}
        if plan.scenario.rate is None:
            _search(plan, sides)
        else:
            _alternate(plan, sides, plan.scenario.rate)
        for side in sides.values():
            side.measure_fixed()
        ours, baseline = (
            side.result(bytes_per_connection=costs[kind]) for kind, side in sides.items()
        )
    return _result(plan, ours=ours, baseline=baseline)


class _Side:
    """One server in a run, and the trials it has had."""

    def __init__(self, kind: str, plan: Plan, progress: Progress) -> None:
        self._kind, self._plan, self._progress = kind, plan, progress
        self._bench = Bench(kind, plan.scenario, processes=plan.processes, batch=_reads(plan, kind))
        self.trials: list[Trial] = []
        self.best: Trial | None = None
        self._fixed: Trial | None = None

    def __enter__(self) -> _Side:
        self._bench.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._bench.__exit__(*error)

    @property
    def bench(self) -> Bench:
        """Server and clients."""
        return self._bench

    def measure(self, attempt: Attempt, *, to_the_end: bool = False) -> Trial:
        """Run one trial."""
        clients = f"{self._plan.scenario.clients:,} clients"
        self._progress.stage(f"{self._kind}: connecting {clients}")
        self._bench.prepare()
        deliveries = attempt.rate * self._plan.scenario.fan_out
        what = f"{self._kind}: {attempt.rate:,.0f} published, {deliveries:,.0f} deliveries a second"
        self._progress.stage(what, seconds=attempt.seconds)
        trial = self._bench.measure(
            attempt.rate, attempt.seconds, to_the_end=to_the_end, watch=self._progress.sample
        )
        self._progress.done(trial)
        return trial

    def attempt(self, attempt: Attempt) -> bool:
        """Run one trial of the search and tell whether the rate was held."""
        trial = self.measure(attempt)
        self.trials.append(trial)
        if trial.held and attempt.seconds == self._plan.seconds:
            self.best = trial
        return trial.held

    def measure_fixed(self) -> None:
        """Run the scenario's fixed rate, if it has one, to its end."""
        rate = self._plan.scenario.fixed_rate
        if rate is not None:
            seconds = min(FIXED_SECONDS, self._plan.seconds)
            self._fixed = self.measure(Attempt(rate, seconds), to_the_end=True)

    def result(self, *, bytes_per_connection: int | None = None) -> SideResult:
        """Return what was found."""
        return SideResult(
            best=self.best,
            trials=tuple(self.trials),
            fixed=self._fixed,
            bytes_per_connection=bytes_per_connection,
            delivery=self._bench.server.delivery,
        )


def _search(plan: Plan, sides: dict[str, _Side]) -> None:
    start = START_DELIVERIES / plan.scenario.fan_out
    probe = min(plan.probe_seconds, plan.seconds)
    searches = {kind: search(start, probe=probe, confirm=plan.seconds) for kind in sides}
    attempts = {kind: next(searching) for kind, searching in searches.items()}
    while attempts:
        for kind, attempt in list(attempts.items()):
            held = sides[kind].attempt(attempt)
            try:
                attempts[kind] = searches[kind].send(held)
            except StopIteration:
                del attempts[kind]


def _alternate(plan: Plan, sides: dict[str, _Side], rate: float) -> None:
    parts: dict[str, list[Trial]] = {kind: [] for kind in sides}
    for _ in range(PARTS):
        for kind, side in sides.items():
            parts[kind].append(side.measure(Attempt(rate, plan.seconds / PARTS), to_the_end=True))
    for kind, side in sides.items():
        side.trials = parts[kind]
        side.best = together(parts[kind])


def _disturbed(plan: Plan, progress: Progress) -> Result:
    scenario = plan.scenario
    rate = scenario.rate or scenario.fixed_rate or CALM_DELIVERIES / scenario.fan_out
    calm = Attempt(rate, min(plan.seconds, MOST_CALM_SECONDS))
    with _Side(OURS, plan, progress) as side:
        before = side.measure(calm, to_the_end=True)
        progress.stage(f"{plan.crowd.total} troublemakers come")
        with Offenders(plan.crowd, side.bench.server.door, symbols=scenario.symbols) as offenders:
            side.best = side.measure(Attempt(rate, plan.seconds), to_the_end=True)
            deeds = offenders.deeds()
        after = side.measure(calm, to_the_end=True)
        side.trials = [before, side.best, after]
        found = _result(plan, ours=side.result(), baseline=None)
    quietly = together([before, after])
    return replace(found, quietly=quietly, crowd=plan.crowd.to_dict(), deeds=deeds, searched=False)


def _reads(plan: Plan, kind: str) -> bool:
    return plan.batch and kind == OURS


def _result(plan: Plan, *, ours: SideResult, baseline: SideResult | None) -> Result:
    return Result(
        scenario=plan.scenario,
        ours=ours,
        baseline=baseline,
        searched=plan.scenario.rate is None,
        batch=plan.batch,
        machine=machine(),
        seconds=plan.seconds,
    )
