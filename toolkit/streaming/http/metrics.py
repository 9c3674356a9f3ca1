"""Prometheus text from the service's own counters; nothing is counted twice or kept globally."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator

import psutil
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from toolkit._version import __version__
from toolkit.bot.events import BotState
from toolkit.streaming.http.service import Service
from toolkit.streaming.wire import Payload, Role, Stream, parse_time, payload

# Upper bounds in milliseconds; the metric is in seconds.
BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000)
MODES = ("express", "plain")


def render_metrics(service: Service) -> bytes:
    """Return all figures in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Figures(service))
    return generate_latest(registry)


class _Figures(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        yield from self._messages()
        yield self._latencies()
        yield from self._clients()
        yield from self._server()
        yield from self._bot()
        yield from _process()

    def _messages(self) -> Iterator[Metric]:
        counters, hub = self._service.stats.counters, self._service.hub
        published = CounterMetricFamily(
            "toolkit_messages_published", "Messages of each stream.", labels=["stream"]
        )
        for stream in Stream:
            published.add_metric([stream.value], hub.seq(stream))
        yield published
        for name, about, value in (
            ("messages_delivered", "Messages handed to sockets.", counters.delivered),
            ("messages_conflated", "Values that newer ones replaced.", counters.conflated),
            ("messages_dropped", "Messages that slow clients lost.", counters.dropped),
            ("gaps", "Gaps announced to slow clients.", counters.gaps),
        ):
            yield CounterMetricFamily(f"toolkit_{name}", about, value=value)

    def _latencies(self) -> Metric:
        family = HistogramMetricFamily(
            "toolkit_delivery_latency_seconds",
            "From publishing to handing over to the socket, once for each receiver.",
            labels=["stream"],
        )
        for stream in Stream:
            total = self._service.stats.total(stream)
            counts = zip(BUCKETS, total.cumulative(BUCKETS), strict=True)
            buckets = [(str(bound / 1000), float(count)) for bound, count in counts]
            family.add_metric(
                [stream.value], [*buckets, ("+Inf", float(total.count))], total.total / 1000
            )
        return family

    def _clients(self) -> Iterator[Metric]:
        roles = Counter(client.role for client in self._service.stats.clients.values())
        clients = GaugeMetricFamily("toolkit_clients", "Connected clients.", labels=["role"])
        for role in Role:
            clients.add_metric([role.name.lower()], roles[role])
        yield clients
        waiting = self._service.waiting()
        yield _gauge("queue_depth", "Messages that wait for all clients.", sum(waiting))
        longest = max(waiting, default=0)
        yield _gauge("queue_depth_max", "Messages that wait for the slowest client.", longest)

    def _server(self) -> Iterator[Metric]:
        service = self._service
        about = {"version": __version__, "epoch": service.hub.epoch}
        if service.membership is not None:
            about["worker"] = service.membership.worker
        yield InfoMetricFamily("toolkit", "The running server.", about)
        started = service.stats.started_at.timestamp()
        yield _gauge("start_time_seconds", "When the server started, since 1970.", started)
        mode = GaugeMetricFamily(
            "toolkit_delivery_mode", "1 for how messages reach sockets.", labels=["mode"]
        )
        for name in MODES:
            mode.add_metric([name], float(name == service.delivery.mode))
        yield mode
        streaming = float(service.controls.state.streaming)
        yield _gauge("streaming", "1 while messages flow, 0 while they wait.", streaming)
        late = {alert.stream for alert in service.alerts.active}
        alerts = GaugeMetricFamily(
            "toolkit_latency_alert", "1 while the stream's p99 is too high.", labels=["stream"]
        )
        for stream in Stream:
            alerts.add_metric([stream.value], float(stream in late))
        yield alerts

    def _bot(self) -> Iterator[Metric]:
        ages = GaugeMetricFamily(
            "toolkit_market_data_age_seconds",
            "Since the newest market data of the symbol came.",
            labels=["symbol"],
        )
        for symbol, age in self._service.stats.feed_ages().items():
            ages.add_metric([symbol], age)
        yield ages
        known = (payload(event) for event in self._service.bot.snapshot())
        health = next((item for item in known if item.kind == "health"), None)
        if health is not None:
            yield from _health(health)


def _health(health: Payload) -> Iterator[Metric]:
    states = GaugeMetricFamily("toolkit_bot_state", "1 for the current state.", labels=["state"])
    for state in BotState:
        states.add_metric([state.value], float(state.value == health.data["state"]))
    yield states
    yield CounterMetricFamily(
        "toolkit_bot_bars", "Final bars the bot has seen.", value=health.data["bars"]
    )
    if health.data["market_time"] is not None:
        seconds = parse_time(health.data["market_time"]).timestamp()
        yield _gauge("market_time_seconds", "Time of the market's newest bar, since 1970.", seconds)


def _process() -> Iterator[Metric]:
    process = psutil.Process()
    with process.oneshot():
        cpu, memory = process.cpu_times(), process.memory_info().rss
        started = process.create_time()
        files = process.num_handles() if sys.platform == "win32" else process.num_fds()
    yield CounterMetricFamily(
        "process_cpu_seconds", "CPU time of user and system.", value=cpu.user + cpu.system
    )
    for name, about, value in (
        ("resident_memory_bytes", "Memory in use.", memory),
        ("start_time_seconds", "When the process started, since 1970.", started),
        ("open_fds", "Open files and sockets.", files),
    ):
        yield GaugeMetricFamily(f"process_{name}", about, value=value)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"toolkit_{name}", about, value=value)
