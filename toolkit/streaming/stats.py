"""What the server measures: delivery latency, rates, and who is connected."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from toolkit.streaming.frames import Frame
from toolkit.streaming.mailbox import Counters
from toolkit.streaming.wire import Role, format_time

WINDOW = 4096
RATE_SECONDS = 10


@dataclass(slots=True)
class ClientRecord:
    """One connection; `delivered` counts stream messages handed to its socket."""

    id: str
    name: str
    role: Role
    transport_id: str
    connected_at: datetime
    delivered: int = 0

    @property
    def who(self) -> str:
        """How a change made by this client is signed."""
        role = self.role.name.lower()
        return role if self.name == role else f"{self.name} ({role})"


class ServiceStats:
    """Figures since the start, or since `reset`; latencies of the last 4,096 messages.

    Latency is from publishing to handing over to the socket, in milliseconds, by one clock.
    """

    def __init__(
        self, counters: Counters, *, clock: Callable[[], datetime], monotonic: Callable[[], float]
    ) -> None:
        self.counters = counters
        self.clients: dict[str, ClientRecord] = {}
        self.started_at = clock()
        self._monotonic = monotonic
        self._started = monotonic()
        self._latencies: deque[float] = deque(maxlen=WINDOW)
        self._marks: deque[tuple[float, int]] = deque(maxlen=RATE_SECONDS + 1)

    def handed_over(self, frames: Sequence[Frame], *, receivers: int, now: float) -> None:
        """Note that `receivers` clients were handed `frames` at the monotonic time `now`."""
        for frame in frames:
            if frame.created:
                self._latencies.extend([(now - frame.created) * 1000.0] * receivers)
        if not self._marks or now - self._marks[-1][0] >= 1.0:
            self._marks.append((now, self.counters.delivered))

    def reset(self) -> None:
        """Forget the measured latencies and rates; counters go on."""
        self._latencies.clear()
        self._marks.clear()

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return self._monotonic() - self._started

    def messages_per_second(self) -> float:
        """Messages handed over a second, over about the last ten seconds."""
        now = self._monotonic()
        recent = [mark for mark in self._marks if now - mark[0] <= RATE_SECONDS]
        if not recent:
            return 0.0
        since, count = recent[0]
        return (self.counters.delivered - count) / max(now - since, 1.0)

    def latency(self) -> dict[str, Any]:
        """Return count, current, average, p50, p95, p99 and max in milliseconds."""
        values = list(self._latencies)
        ranked = sorted(values)
        return {
            "unit": "ms",
            "count": len(values),
            "current": values[-1] if values else None,
            "average": math.fsum(values) / len(values) if values else None,
            "p50": percentile(ranked, 50),
            "p95": percentile(ranked, 95),
            "p99": percentile(ranked, 99),
            "max": ranked[-1] if ranked else None,
        }

    def summary(self) -> dict[str, Any]:
        """Return the figures of `/api/websocket/stats`."""
        counters = self.counters
        return {
            "connected_clients": len(self.clients),
            "uptime": self.uptime,
            "started_at": format_time(self.started_at),
            "websocket_stats": {
                "average_latency": self.latency()["average"],
                "messages_per_second": self.messages_per_second(),
                "published": counters.published,
                "delivered": counters.delivered,
                "conflated": counters.conflated,
                "dropped": counters.dropped,
                "gaps": counters.gaps,
            },
        }


def percentile(ranked: list[float], percent: float) -> float | None:
    """Return the nearest-rank percentile of sorted values, None when there are none."""
    if not ranked:
        return None
    return ranked[max(0, math.ceil(percent / 100.0 * len(ranked)) - 1)]
