"""What the server measures: delivery latency, rates, and who is connected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from toolkit.bot.events import Event
from toolkit.core.histogram import Histogram
from toolkit.core.types import Bar, Evaluation, Quote, Trade
from toolkit.streaming.hub.frames import Frame
from toolkit.streaming.hub.mailbox import Counters
from toolkit.streaming.measures.latency import WINDOW_SECONDS, Rate, StreamLatency
from toolkit.streaming.requests import LatencyReport
from toolkit.streaming.wire import Role, Stream, format_time

MARKET_DATA = (Quote, Trade, Bar)


@dataclass(slots=True)
class ClientRecord:
    """One connection; `delivered` counts stream messages handed to its socket.

    `asked_at` is when its latest request was taken from the socket, `reported` the one-way
    latency that the client says it measures, and `reported_at` when it said so.
    """

    id: str
    name: str
    role: Role
    transport_id: str
    connected_at: datetime
    delivered: int = 0
    asked_at: datetime | None = None
    reported: LatencyReport | None = None
    reported_at: datetime | None = None

    @property
    def who(self) -> str:
        """How a change made by this client is signed."""
        role = self.role.name.lower()
        return role if self.name == role else f"{self.name} ({role})"


class ServiceStats:
    """Figures since the start, or since `reset`; latencies of about the last minute.

    Latency is from publishing to handing over to the socket, in milliseconds, by one clock;
    what was held back on purpose (stopped streaming, an interval) is delivered, not late.
    """

    def __init__(
        self, counters: Counters, *, clock: Callable[[], datetime], monotonic: Callable[[], float]
    ) -> None:
        self.counters = counters
        self.clients: dict[str, ClientRecord] = {}
        self.started_at = clock()
        self._monotonic = monotonic
        self._started = monotonic()
        self._measured_from = 0.0
        self._streams = {stream: StreamLatency() for stream in Stream}
        self._rate = Rate(now=self._started)
        self._clock = clock
        self._heard: dict[str, float] = {}

    def start(self) -> None:
        """Begin to count time now."""
        self.started_at, self._started = self._clock(), self._monotonic()
        self.reset()

    def heard(self, event: Event) -> None:
        """Note market data on its way in."""
        if isinstance(event, MARKET_DATA):
            self._heard[event.symbol] = self._monotonic()
        elif isinstance(event, Evaluation):
            self._heard[event.bar.symbol] = self._monotonic()

    def heard_of(self, symbol: str) -> None:
        """Note market data of one symbol on its way in."""
        self._heard[symbol] = self._monotonic()

    def feed_ages(self) -> dict[str, float]:
        """Return for each symbol the seconds since its latest market data came."""
        now = self._monotonic()
        return {symbol: now - heard for symbol, heard in self._heard.items()}

    def handed_over(self, frames: Sequence[Frame], *, receivers: int, now: float) -> None:
        """Note that `receivers` clients were handed `frames` at the monotonic time `now`."""
        messages = 0
        for frame in frames:
            if frame.stream is None:
                continue
            messages += 1
            if frame.created > self._measured_from:
                waited = (now - frame.created) * 1000.0
                self._streams[frame.stream].note(waited, receivers, now=now)
        if messages:
            self._rate.note(messages * receivers, now=now)

    def handed_over_paced(self, count: int, *, now: float) -> None:
        """Note values that waited on purpose; how long says nothing of the server."""
        self._rate.note(count, now=now)

    def measure_from(self, moment: float) -> None:
        """Leave out messages that were published before the monotonic time `moment`."""
        self._measured_from = moment

    def reset(self) -> None:
        """Forget the measured latencies and rates; counters and totals go on."""
        for latency in self._streams.values():
            latency.forget_recent()
        self._rate = Rate(now=self._monotonic())

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return self._monotonic() - self._started

    def messages_per_second(self) -> float:
        """Messages handed over a second, over the last ten seconds."""
        return self._rate.per_second(now=self._monotonic())

    def recent(self, stream: Stream, *, seconds: float = WINDOW_SECONDS) -> Histogram:
        """Return the latencies of the last `seconds`, at most of the last minute."""
        return self._streams[stream].recent(seconds, now=self._monotonic())

    def total(self, stream: Stream) -> Histogram:
        """Return the latencies since the start."""
        return self._streams[stream].total()

    def latency(self) -> dict[str, Any]:
        """Return count, current, average, p50, p95, p99, max in milliseconds; also per stream."""
        now = self._monotonic()
        together = Histogram()
        streams: dict[str, Any] = {}
        for stream, latency in self._streams.items():
            recent = latency.recent(WINDOW_SECONDS, now=now)
            together.merge(recent)
            streams[stream.value] = {"current": latency.current, **recent.summary()}
        newest = max(self._streams.values(), key=lambda latency: latency.noted_at)
        return {
            "unit": "ms",
            "window_seconds": WINDOW_SECONDS,
            "current": newest.current,
            **together.summary(),
            "streams": streams,
        }

    def reported(self) -> list[dict[str, Any]]:
        """Return the one-way latencies that clients measured themselves, in milliseconds."""
        return [
            {
                "client_id": client.id,
                "name": client.name,
                "reported_at": format_time(client.reported_at),
                **client.reported.to_dict(),
            }
            for client in self.clients.values()
            if client.reported is not None and client.reported_at is not None
        ]

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
