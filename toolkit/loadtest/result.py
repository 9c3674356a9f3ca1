"""What a whole run has found, ready for the table, JSON and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolkit.loadtest.scenario import LIMIT_MS, Scenario
from toolkit.loadtest.trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class SideResult:
    """One server: `best` is the trial the figures come from, None when no rate was held.

    `trials` are all, in order; `fixed` ran at the scenario's fixed rate. `delivery` is how the
    server gets messages to the sockets: ours `express` or `plain`.
    """

    best: Trial | None
    trials: tuple[Trial, ...] = ()
    fixed: Trial | None = None
    bytes_per_connection: int | None = None
    delivery: str | None = None

    def figure(self, name: str) -> Any:
        """Return a figure of the best trial, None where there is none."""
        return getattr(self.best, name) if self.best is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One scenario on our server and on the baseline.

    `searched`: the rate is the highest one held, and the ratio is of deliveries a second; else
    the rate was given, and the ratio is the baseline's p99 by ours. `quietly` is what was
    measured before the troublemakers came and after they left; `crowd` says how many of each
    there were, `deeds` what they did.
    """

    scenario: Scenario
    ours: SideResult
    baseline: SideResult | None
    searched: bool
    batch: bool
    machine: Mapping[str, Any]
    seconds: float
    quietly: Trial | None = None
    crowd: Mapping[str, int] = field(default_factory=dict)
    deeds: Mapping[str, int] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """How many times better than the baseline; None without a baseline or a figure."""
        if self.baseline is None:
            return None
        mine, other = self.ours, self.baseline
        if self.searched:
            return _by(mine.figure("deliveries_per_s"), other.figure("deliveries_per_s"))
        return _by(other.figure("p99_ms"), mine.figure("p99_ms"))

    @property
    def ratio_of(self) -> str:
        """What the ratio compares."""
        return "deliveries_per_s" if self.searched else "p99_ms"

    @property
    def disturbance_percent(self) -> float | None:
        """By how much troublemakers raised the p99 of the others, in percent."""
        before = self.quietly.p99_ms if self.quietly else None
        change = _by(self.ours.figure("p99_ms"), before)
        return None if change is None else (change - 1.0) * 100.0

    @property
    def flawless(self) -> bool:
        """Whether our server lost, doubled and disordered nothing in the trial that counts."""
        best = self.ours.best
        return best is not None and not (best.lost or best.duplicated or best.disordered)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as one JSON-ready object; its figures are of our server."""
        s, best = self.scenario, self.ours
        names = ("deliveries_per_s", "p50_ms", "p99_ms", "lost", "duplicated", "disordered")
        other = self.baseline or SideResult(best=None)
        found: dict[str, Any] = {
            "scenario": s.name,
            "clients": s.clients,
            "symbols": s.symbols,
            "per_client": s.per_client,
            "stream_batch": self.batch,
            "delivery": self.ours.delivery,
            "seconds": self.seconds,
            "ratio": self.ratio,
            "ratio_of": self.ratio_of,
            "p99_limit_ms": LIMIT_MS,
            **{name: best.figure(name) for name in (*names, "cpu_us_per_delivery", "rate")},
            **{
                f"baseline_{name}": other.figure(name)
                for name in (*names, "cpu_us_per_delivery", "rate")
            },
            "bytes_per_connection": best.bytes_per_connection,
            "baseline_bytes_per_connection": other.bytes_per_connection,
            "machine": dict(self.machine),
            "trials": [trial.to_dict() for trial in best.trials],
            "baseline_trials": [trial.to_dict() for trial in other.trials],
        }
        if best.fixed is not None:
            found["fixed"] = fixed_figures(s, best.fixed)
        if other.fixed is not None:
            found["baseline_fixed"] = fixed_figures(s, other.fixed)
        if self.quietly is not None:
            found["disturbance"] = self._disturbance(self.quietly)
        return found

    def _disturbance(self, quietly: Trial) -> dict[str, Any]:
        samples = self.ours.best.samples if self.ours.best is not None else ()
        return {
            "crowd": dict(self.crowd),
            "deeds": dict(self.deeds),
            "p99_without_ms": quietly.p99_ms,
            "p99_with_ms": self.ours.figure("p99_ms"),
            "p99_change_percent": self.disturbance_percent,
            "rss": [{"seconds": s.seconds, "bytes": s.rss} for s in samples],
        }


def fixed_figures(scenario: Scenario, trial: Trial) -> dict[str, Any]:
    """Return what a fixed rate showed; `delivered` is the fraction of what was due."""
    offered = trial.due * scenario.fan_out
    return {**trial.to_dict(), "delivered": trial.received / offered if offered else None}


def _by(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None
