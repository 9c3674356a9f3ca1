"""What one measurement at one rate has shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolkit.core.histogram import Histogram
from toolkit.loadtest.scenario import LIMIT_MS

COUNTS = ("received", "lost", "duplicated", "disordered", "broken", "unasked")
WRONG = COUNTS[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One moment of a trial: `seconds` since it began, what came since the last one, memory."""

    seconds: float
    deliveries_per_s: float
    p99_ms: float | None
    rss: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run at one `rate` (published a second) for `seconds`.

    `on_time` deliveries had come when publishing ended; `broken` counts messages whose `prev` was
    not the message received before. `late_p99_ms` is how late the publisher itself was.
    """

    rate: float
    seconds: float
    elapsed: float
    due: int
    published: int
    expected: int
    on_time: int
    received: int
    lost: int = 0
    duplicated: int = 0
    disordered: int = 0
    broken: int = 0
    unasked: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    latency: Histogram = field(default_factory=Histogram)
    late_p99_ms: float = 0.0
    cpu_seconds: float = 0.0
    quiet: bool = True
    samples: tuple[Sample, ...] = ()

    @property
    def p50_ms(self) -> float | None:
        """Half of the deliveries took at most that long, in milliseconds."""
        return self.latency.percentile(50)

    @property
    def p99_ms(self) -> float | None:
        """99 % of the deliveries took at most that long, in milliseconds."""
        return self.latency.percentile(99)

    @property
    def deliveries_per_s(self) -> float:
        """Messages that reached clients while publishing went on."""
        return self.on_time / self.elapsed if self.elapsed else 0.0

    @property
    def cpu_us_per_delivery(self) -> float | None:
        """Processor time of the server process, publishing included, in microseconds."""
        return self.cpu_seconds * 1e6 / self.received if self.received else None

    @property
    def problem(self) -> str | None:
        """Why the rate was not held, None when it was."""
        if self.faults:
            return ", ".join(f"{count} × {what}" for what, count in self.faults.items())
        for name in WRONG:
            if count := getattr(self, name):
                return f"{count:,} {name}"
        if self.p99_ms is None or self.p99_ms >= LIMIT_MS:
            return "nothing arrived" if self.p99_ms is None else f"p99 {self.p99_ms:.0f} ms"
        if self.late_p99_ms >= LIMIT_MS:
            return f"publisher {self.late_p99_ms:.0f} ms late"
        if self.published < self.due:
            return f"published {self.published:,} of {self.due:,}"
        return None

    @property
    def held(self) -> bool:
        """Whether the rate was held: p99 below the limit, nothing lost, doubled or disordered."""
        return self.problem is None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON-ready values, without the samples."""
        names = ("rate", "seconds", "published", "expected", *COUNTS, "deliveries_per_s")
        latency = {f"{name}_ms": self.latency.summary()[name] for name in ("p50", "p95", "p99")}
        return {
            **{name: getattr(self, name) for name in names},
            **latency,
            "max_ms": self.latency.summary()["max"],
            "late_p99_ms": self.late_p99_ms,
            "cpu_us_per_delivery": self.cpu_us_per_delivery,
            "held": self.held,
            "problem": self.problem,
        }


def sum_up(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up what the client processes say; `latencies` counts messages by milliseconds."""
    faults, latencies = Counter[str](), Counter[float]()
    for result in results:
        faults.update(result["faults"])
        latencies.update(dict(result["latencies"]))
    counts = {name: sum(result.get(name, 0) for result in results) for name in COUNTS}
    quiet = all(result.get("quiet", True) for result in results)
    return {**counts, "faults": dict(faults), "latencies": latencies, "quiet": quiet}


def together(trials: Sequence[Trial]) -> Trial:
    """Return trials at one rate as one; raises ValueError for none."""
    if not trials:
        raise ValueError("no trials")
    latency, faults = Histogram(), Counter[str]()
    samples: list[Sample] = []
    for trial in trials:
        before = samples[-1].seconds if samples else 0.0
        samples += [
            Sample(
                seconds=before + s.seconds,
                deliveries_per_s=s.deliveries_per_s,
                p99_ms=s.p99_ms,
                rss=s.rss,
            )
            for s in trial.samples
        ]
        latency.merge(trial.latency)
        faults.update(trial.faults)
    names = ("seconds", "elapsed", "due", "published", "expected", "on_time", *COUNTS)
    return Trial(
        rate=trials[0].rate,
        **{name: sum(getattr(trial, name) for trial in trials) for name in names},
        faults=dict(faults),
        latency=latency,
        late_p99_ms=max(trial.late_p99_ms for trial in trials),
        cpu_seconds=sum(trial.cpu_seconds for trial in trials),
        quiet=all(trial.quiet for trial in trials),
        samples=tuple(samples),
    )
