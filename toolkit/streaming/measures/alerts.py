"""Alerts when messages take too long to reach the sockets, and when that is over."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from toolkit.streaming.measures.stats import ServiceStats
from toolkit.streaming.wire import Stream, format_time

log = logging.getLogger(__name__)

MIN_SAMPLES = 100
WINDOW_SECONDS = 10.0
# An alert ends below this part of the limit, so that a value near it does not flutter.
CALM = 0.8
REPEAT_SECONDS = 30.0
HIGH, OK = "latency_high", "latency_ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyAlert:
    """p99 of one stream over about the last ten seconds, and its limit, in milliseconds.

    `p99_ms` is None where the alert ended because nothing is sent any more.
    """

    code: str
    stream: Stream
    p99_ms: float | None
    max_latency_ms: float
    timestamp: datetime

    @property
    def message(self) -> str:
        """One sentence for people."""
        if self.p99_ms is None:
            return f"{self.stream.value} is quiet; its latency was above {self.max_latency_ms:g} ms"
        where = "above" if self.code == HIGH else "again below"
        limit = f"{where} {self.max_latency_ms:g} ms"
        return f"the p99 latency of {self.stream.value} is {self.p99_ms:.1f} ms, {limit}"

    def to_dict(self) -> dict[str, Any]:
        """Return `{code, message, timestamp, data}`, as it travels."""
        return {
            "code": self.code,
            "message": self.message,
            "timestamp": format_time(self.timestamp),
            "data": {
                "stream": self.stream.value,
                "p99_ms": self.p99_ms,
                "max_latency_ms": self.max_latency_ms,
            },
        }


class LatencyWatch:
    """Compares each stream's p99 with `max_latency_ms` whenever `check` is called.

    At least 100 messages must have been measured, and of each kind there is at most one alert
    per stream in 30 seconds.
    """

    def __init__(
        self,
        stats: ServiceStats,
        *,
        max_latency_ms: float,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._stats = stats
        self._limit = max_latency_ms
        self._clock = clock
        self._monotonic = monotonic
        self._active: dict[Stream, LatencyAlert] = {}
        self._told: dict[tuple[str, Stream], float] = {}

    @property
    def active(self) -> list[LatencyAlert]:
        """The alerts that are not over."""
        return list(self._active.values())

    def check(self) -> list[LatencyAlert]:
        """Return what is new since the last check."""
        found = (self._check(stream) for stream in Stream)
        news = [alert for alert in found if alert is not None]
        for alert in news:
            log.log(logging.WARNING if alert.code == HIGH else logging.INFO, "%s", alert.message)
        return news

    def _check(self, stream: Stream) -> LatencyAlert | None:
        recent = self._stats.recent(stream, seconds=WINDOW_SECONDS)
        p99 = recent.percentile(99)
        if stream not in self._active:
            high = p99 is not None and recent.count >= MIN_SAMPLES and p99 > self._limit
            return self._tell(HIGH, stream, p99) if high else None
        calm = p99 is None or p99 <= CALM * self._limit
        return self._tell(OK, stream, p99) if calm else None

    def _tell(self, code: str, stream: Stream, p99: float | None) -> LatencyAlert | None:
        now = self._monotonic()
        if now < self._told.get((code, stream), -REPEAT_SECONDS) + REPEAT_SECONDS:
            return None
        self._told[code, stream] = now
        alert = LatencyAlert(
            code=code,
            stream=stream,
            p99_ms=p99,
            max_latency_ms=self._limit,
            timestamp=self._clock(),
        )
        if code == HIGH:
            self._active[stream] = alert
        else:
            del self._active[stream]
        return alert
