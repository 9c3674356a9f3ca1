"""One-way latency of live messages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from toolkit.client.latency import LatencyMeter

START = 1.7e9


class Bench:
    """A meter, a network that takes `way` seconds, and a server whose clock is `ahead`."""

    def __init__(self, *, ahead: float = 0.0) -> None:
        self.wall, self.monotonic, self.ahead = START, 0.0, ahead
        self.meter = LatencyMeter(wall=lambda: self.wall, monotonic=lambda: self.monotonic)

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def ping(self, way: float = 0.001) -> None:
        sent = self.wall
        self.pass_(2 * way)
        there = sent + way + self.ahead
        self.meter.clock.add(sent, there, there, self.wall)

    def receive(self, stream: str = "orders", *, way: float, **more: Any) -> None:
        published = datetime.fromtimestamp(self.wall + self.ahead, UTC)
        self.pass_(way)
        self.note({"stream_type": stream, "published": published.isoformat(), **more})

    def note(self, message: dict[str, Any]) -> None:
        self.meter.note(message, self.meter.arrival())

    def max(self, stream: str) -> float:
        found: float = self.meter.by_stream()[stream]["max"]
        return found


@pytest.mark.parametrize("ahead", [0.0, 3600.0, -0.25])
def test_the_way_is_measured_by_the_servers_clock(ahead: float) -> None:
    bench = Bench(ahead=ahead)
    bench.meter.confirmed("orders")
    bench.ping()
    for way in (0.010, 0.020, 0.030):
        bench.receive(way=way)
    found = bench.meter.by_stream()["orders"]
    assert found["count"] == 3
    assert found["average"] == pytest.approx(20.0, abs=0.01)
    assert found["max"] == pytest.approx(30.0, abs=0.01)
    assert found["p50"] == pytest.approx(20.0, rel=0.03)


def test_streams_are_kept_apart_and_joined_in_the_report() -> None:
    bench = Bench()
    bench.meter.confirmed("orders")
    bench.meter.confirmed("account")
    bench.ping()
    assert bench.meter.report() is None
    bench.receive("orders", way=0.010)
    bench.receive("account", way=0.050)
    assert bench.max("orders") == pytest.approx(10.0, abs=0.01)
    report = bench.meter.report()
    assert report is not None
    assert set(report) == {"count", "p50", "p95", "p99", "max"}
    assert (report["count"], report["max"]) == (2, pytest.approx(50.0, abs=0.01))


def test_snapshots_and_what_was_missed_do_not_count() -> None:
    bench = Bench()
    bench.ping()
    missed = datetime.fromtimestamp(bench.wall, UTC).isoformat()
    bench.pass_(60.0)
    bench.meter.confirmed("orders")
    bench.note({"stream_type": "orders", "published": missed})
    bench.receive(way=0.001, snapshot=True)
    bench.receive("account", way=0.001)
    assert bench.meter.by_stream() == {}
    bench.receive(way=0.001)
    assert bench.meter.by_stream()["orders"]["count"] == 1


def test_nothing_is_measured_before_the_clock_is_known() -> None:
    bench = Bench(ahead=100.0)
    bench.meter.confirmed("orders")
    bench.receive(way=0.001)
    assert bench.meter.by_stream() == {}
    assert bench.meter.average is None
    update = bench.meter.update(4.0, target=50.0)
    assert (update["current"], update["offset_ms"], update["ok"]) == (2.0, None, True)


def test_a_clock_that_is_set_spoils_no_figure() -> None:
    bench = Bench()
    bench.meter.confirmed("orders")
    bench.ping()
    bench.receive(way=0.010)
    bench.wall += 3600.0
    bench.receive(way=0.010)
    assert bench.meter.estimate is None
    bench.ahead = -3600.0
    bench.ping()
    bench.receive(way=0.010)
    found = bench.meter.by_stream()["orders"]
    assert found["count"] == 2
    assert found["max"] == pytest.approx(10.0, abs=0.01)
    assert bench.meter.steps() == 1


def test_figures_are_of_the_last_minutes() -> None:
    bench = Bench()
    bench.meter.confirmed("orders")
    bench.ping()
    bench.receive(way=5.0)
    bench.pass_(200.0)
    bench.ping()
    bench.receive(way=0.010)
    assert bench.max("orders") == pytest.approx(10.0, abs=0.01)


@pytest.mark.parametrize("published", [None, 5, "yesterday"])
def test_a_message_without_a_time_is_not_measured(published: Any) -> None:
    bench = Bench()
    bench.meter.confirmed("orders")
    bench.ping()
    bench.note({"stream_type": "orders", "published": published})
    assert bench.meter.by_stream() == {}


def test_the_update_says_whether_the_target_is_met() -> None:
    bench = Bench()
    bench.meter.confirmed("orders")
    bench.ping(way=0.002)
    bench.receive(way=0.080)
    update = bench.meter.update(4.0, target=50.0)
    assert update["current"] == update["max"] == pytest.approx(80.0, abs=0.01)
    assert (update["ok"], update["target"], update["round_trip_ms"]) == (False, 50.0, 4.0)
    assert update["uncertainty_ms"] == pytest.approx(2.0, abs=0.01)
