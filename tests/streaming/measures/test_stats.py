"""What the server measures, and when it warns."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.streaming.fakes import START, evaluation, position, quote
from toolkit.streaming.hub.frames import Frame, control
from toolkit.streaming.hub.mailbox import Counters
from toolkit.streaming.measures.alerts import LatencyWatch
from toolkit.streaming.measures.latency import Rate, StreamLatency
from toolkit.streaming.measures.stats import ServiceStats
from toolkit.streaming.wire import Stream


class Watched:
    """Statistics under a clock that tests move."""

    def __init__(self, *, max_latency_ms: float = 50.0) -> None:
        self.now = 1000.0
        monotonic = lambda: self.now  # noqa: E731
        self.stats = ServiceStats(Counters(), clock=self.wall, monotonic=monotonic)
        self.watch = LatencyWatch(
            self.stats, max_latency_ms=max_latency_ms, clock=self.wall, monotonic=monotonic
        )

    def wall(self):
        return START + timedelta(seconds=self.now)

    def send(self, milliseconds, *, count=1, stream=Stream.ORDERS, receivers=1):
        frame = Frame(text="", stream=stream, created=self.now - milliseconds / 1000.0)
        self.stats.handed_over([frame] * count, receivers=receivers, now=self.now)

    def codes(self):
        return [(alert.code, alert.stream.value) for alert in self.watch.check()]


def test_latency_is_counted_per_stream_and_for_every_receiver():
    watched = Watched()
    watched.send(10.0, receivers=3)
    watched.send(30.0, stream=Stream.SIGNALS)
    latency = watched.stats.latency()
    assert latency["count"] == 4
    assert latency["average"] == pytest.approx(15.0)
    assert latency["max"] == latency["current"] == pytest.approx(30.0)
    assert latency["streams"]["orders"]["p99"] == pytest.approx(10.0, rel=0.02)
    assert latency["streams"]["signals"]["count"] == 1
    assert latency["streams"]["account"] == {
        **dict.fromkeys(("average", "current", "p50", "p95", "p99", "max")),
        "count": 0,
    }


def test_control_frames_and_snapshots_are_not_measured():
    watched = Watched()
    snapshot = Frame(text="", stream=Stream.ORDERS, created=0.0)
    watched.stats.handed_over([control("pong", {}), snapshot], receivers=5, now=watched.now)
    assert watched.stats.latency()["count"] == 0
    watched.now += 1.0
    assert watched.stats.messages_per_second() == 5.0


def test_after_a_minute_the_window_is_empty_and_the_total_is_not():
    watched = Watched()
    watched.send(10.0, count=7)
    watched.now += 66.0
    assert watched.stats.latency()["count"] == 0
    assert watched.stats.total(Stream.ORDERS).count == 7


def test_a_reset_forgets_the_window_and_keeps_the_total():
    watched = Watched()
    watched.send(10.0, count=7)
    watched.stats.reset()
    assert watched.stats.latency()["count"] == 0
    assert watched.stats.latency()["current"] is None
    assert watched.stats.messages_per_second() == 0.0
    watched.send(10.0)
    assert watched.stats.total(Stream.ORDERS).count == 8


def test_what_was_held_back_on_purpose_is_not_late():
    watched = Watched()
    watched.stats.measure_from(watched.now)
    watched.send(5_000.0)
    assert watched.stats.latency()["count"] == 0
    watched.now += 1.0
    watched.send(5.0)
    assert watched.stats.latency()["count"] == 1


def test_the_feed_is_as_old_as_the_latest_market_data_of_each_symbol():
    watched = Watched()
    for event in (quote("AAPL"), evaluation("MSFT"), position("TSLA")):
        watched.stats.heard(event)
    watched.now += 2.0
    watched.stats.heard(quote("AAPL"))
    watched.now += 1.0
    assert watched.stats.feed_ages() == {"AAPL": 1.0, "MSFT": 3.0}


steps = st.lists(
    st.tuples(st.floats(0.0, 20.0), st.floats(0.01, 1000.0), st.integers(1, 5)), max_size=60
)


@given(steps=steps)
def test_the_window_covers_the_last_minute_and_the_total_everything(steps):
    latency, now, noted = StreamLatency(), 0.0, []
    for wait, milliseconds, count in steps:
        now += wait
        latency.note(milliseconds, count, now=now)
        noted.append((now, count))
        assert latency.total().count == sum(count for _, count in noted)
        recent = latency.recent(60.0, now=now).count
        assert recent >= sum(count for at, count in noted if at > now - 60.0)
        assert recent <= sum(count for at, count in noted if at > now - 66.0)


@given(st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(1, 100)), max_size=60))
def test_a_rate_counts_the_last_ten_seconds(steps):
    rate, now, noted = Rate(now=0.0), 0.0, []
    for wait, count in steps:
        now += wait
        rate.note(count, now=now)
        noted.append((now, count))
    seconds = max(1.0, min(now, 10.0))
    most = sum(count for at, count in noted if at > now - 11.0)
    least = sum(count for at, count in noted if at > now - 9.0)
    assert least / seconds <= rate.per_second(now=now) * (1 + 1e-9) <= most / seconds * (1 + 1e-6)


def test_a_steady_rate_is_exact():
    rate = Rate(now=0.0)
    for tick in range(300):
        rate.note(10, now=tick / 10)
    assert rate.per_second(now=30.0) == pytest.approx(100.0)
    assert rate.per_second(now=35.0) == pytest.approx(50.0)
    assert rate.per_second(now=60.0) == 0.0


def test_a_high_p99_is_told_once_and_its_end_once():
    watched = Watched()
    watched.send(80.0, count=100)
    (alert,) = watched.watch.check()
    assert alert.to_dict()["code"] == "latency_high"
    assert alert.to_dict()["data"] == {
        "stream": "orders",
        "p99_ms": pytest.approx(80.0, rel=0.02),
        "max_latency_ms": 50.0,
    }
    assert "orders" in alert.message
    assert watched.codes() == []
    assert [a.stream for a in watched.watch.active] == [Stream.ORDERS]
    watched.now += 16.0
    watched.send(1.0, count=100)
    assert watched.codes() == [("latency_ok", "orders")]
    assert watched.watch.active == []


def test_few_samples_are_no_reason_to_warn():
    watched = Watched()
    watched.send(500.0, count=99)
    assert watched.codes() == []


def test_just_below_the_limit_an_alert_goes_on():
    watched = Watched()
    watched.send(80.0, count=100)
    watched.watch.check()
    watched.now += 16.0
    watched.send(45.0, count=100)
    assert watched.codes() == []
    assert watched.watch.active


def test_a_stream_that_fell_quiet_is_no_longer_late():
    watched = Watched()
    watched.send(80.0, count=100)
    watched.watch.check()
    watched.now += 16.0
    (alert,) = watched.watch.check()
    assert (alert.code, alert.p99_ms) == ("latency_ok", None)
    assert "quiet" in alert.message


def test_a_fluttering_latency_is_told_every_thirty_seconds_at_most():
    watched, told = Watched(), []
    began = watched.now
    for turn in range(10):
        watched.send(500.0 if turn % 2 == 0 else 1.0, count=1000)
        told += [(code, watched.now - began) for code, _ in watched.codes()]
        watched.now += 16.0
    for code in ("latency_high", "latency_ok"):
        times = [at for which, at in told if which == code]
        assert len(times) > 1
        assert all(b - a >= 30.0 for a, b in itertools.pairwise(times))


def test_streams_are_watched_apart():
    watched = Watched()
    watched.send(80.0, count=100)
    watched.send(1.0, count=10_000, stream=Stream.MARKET_DATA)
    assert watched.codes() == [("latency_high", "orders")]
