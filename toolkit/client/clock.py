"""The server's clock as seen from here: NTP over `ping`. Pure.

All arguments are wall times in seconds since the epoch; results are in milliseconds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

KEPT = 8
# Wall and monotonic clock drift apart by less between two looks, unless one of them stepped.
STEP_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Estimate:
    """`offset_ms` is the server's clock minus ours, wrong by at most `uncertainty_ms`."""

    offset_ms: float
    round_trip_ms: float

    @property
    def uncertainty_ms(self) -> float:
        """Half the round trip: all of it may have been on one of the two ways."""
        return self.round_trip_ms / 2.0


class ServerClock:
    """Keeps the last eight samples; the one with the least round trip counts."""

    def __init__(self) -> None:
        self._samples: deque[Estimate] = deque(maxlen=KEPT)
        self.estimate: Estimate | None = None

    def add(
        self, sent: float, server_received: float, server_sent: float, received: float
    ) -> Estimate | None:
        """Count one ping: t0 and t3 by our clock, t1 and t2 by the server's.

        Returns its own estimate; None for times that cannot be: a clock was set in between.
        """
        times = (sent, server_received, server_sent, received)
        round_trip = (received - sent) - (server_sent - server_received)
        if not all(map(math.isfinite, times)) or server_sent < server_received or round_trip < 0:
            return None
        offset = ((server_received - sent) + (server_sent - received)) / 2.0
        sample = Estimate(offset * 1000.0, round_trip * 1000.0)
        self._samples.append(sample)
        self.estimate = min(self._samples, key=lambda s: s.round_trip_ms)
        return sample

    def restart(self) -> None:
        """Forget all samples: one of the two clocks was set, or the connection is another."""
        self._samples.clear()
        self.estimate = None


class SteadyWall:
    """The wall clock, watched: `steps` counts how often it left the monotonic one.

    That happens when it is set and when the machine slept. Slow corrections (NTP slews by at
    most half a millisecond a second) do not count as long as it is read every few seconds.
    """

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self.steps = 0
        self._wall = wall
        self._monotonic = monotonic
        self._ahead = wall() - monotonic()

    def now(self) -> float:
        """Return the wall time, in seconds since the epoch."""
        now = self._wall()
        ahead = now - self._monotonic()
        if abs(ahead - self._ahead) >= STEP_SECONDS:
            # A pause between the two readings looks the same: read again.
            now = self._wall()
            ahead = now - self._monotonic()
            self.steps += abs(ahead - self._ahead) >= STEP_SECONDS
        self._ahead = ahead
        return now
