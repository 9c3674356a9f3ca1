"""Prometheus text from the service's counters; nothing is counted twice or kept globally."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from toolkit.bot.events import BotState, Event, Health
from toolkit.streaming.stats import ServiceStats
from toolkit.streaming.wire import Payload


class _Figures(Collector):
    def __init__(
        self, stats: ServiceStats, *, waiting: int, events: Sequence[Event | Payload]
    ) -> None:
        self._stats = stats
        self._waiting = waiting
        self._events = events

    def collect(self) -> Iterable[Metric]:
        counters = self._stats.counters
        yield _counter("published", "Messages of all streams.", counters.published)
        yield _counter("delivered", "Messages handed to sockets.", counters.delivered)
        yield _counter("conflated", "Messages replaced by newer ones.", counters.conflated)
        yield _counter("dropped", "Lossless messages a slow client lost.", counters.dropped)
        yield _counter("gaps", "Gaps announced to slow clients.", counters.gaps)
        yield _gauge("clients", "Connected clients.", len(self._stats.clients))
        yield _gauge("queue_depth", "Messages waiting for all clients.", self._waiting)
        yield from self._latencies()
        yield from self._bot_states()

    def _latencies(self) -> Iterator[Metric]:
        latency = self._stats.latency()
        family = GaugeMetricFamily(
            "toolkit_delivery_latency_seconds",
            "Publishing to socket, over the last 4096 messages.",
            labels=["quantile"],
        )
        for name, quantile in (("p50", "0.5"), ("p95", "0.95"), ("p99", "0.99"), ("max", "1")):
            if latency[name] is not None:
                family.add_metric([quantile], latency[name] / 1000.0)
        yield family

    def _bot_states(self) -> Iterator[Metric]:
        health = next((e for e in self._events if isinstance(e, Health)), None)
        if health is None:
            return
        family = GaugeMetricFamily(
            "toolkit_bot_state", "1 for the current state.", labels=["state"]
        )
        for state in BotState:
            family.add_metric([state.value], float(state is health.state))
        yield family
        yield _gauge("bot_bars", "Bars the bot has seen.", health.bars)


def render_metrics(
    stats: ServiceStats, *, waiting: int, events: Sequence[Event | Payload]
) -> tuple[bytes, str]:
    """Return the metrics and their content type; `events` is the bot's snapshot."""
    registry = CollectorRegistry()
    registry.register(_Figures(stats, waiting=waiting, events=events))
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _counter(name: str, about: str, value: float) -> Metric:
    return CounterMetricFamily(f"toolkit_messages_{name}", about, value=value)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"toolkit_{name}", about, value=value)
