from __future__ import annotations

import asyncio
import threading

import pytest

from toolkit.errors import ConfigError, NotConnected
from toolkit.views.feed import ChartFeed
from toolkit.views.notebook.chart_sender import ChartSender, later_on_this_loop
from toolkit.views.notebook.live_chart import live_chart


class Clock:
    """Time and timers by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, object]] = []
        self.works = True

    def __call__(self) -> float:
        return self.now

    def call_later(self, delay, call):
        if self.works:
            self.timers.append((self.now + delay, call))
        return self.works

    def advance(self, seconds):
        self.now += seconds
        due = [timer for timer in self.timers if timer[0] <= self.now + 1e-9]
        self.timers = [timer for timer in self.timers if timer not in due]
        for _, call in due:
            call()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sent():
    return []


@pytest.fixture
def sender(client, clock, sent):
    feed = ChartFeed(client, "AAPL")
    feed.start()
    sender = ChartSender(
        feed,
        send_update=sent.append,
        send_history=lambda: sent.append("history"),
        clock=clock,
        call_later=clock.call_later,
    )
    feed.on_change(sender.on_change)
    sender.on_alive(new_view=True)
    sent.clear()
    clock.advance(5)
    return sender


def tick(client, make_bar, close, minute=5):
    client.send_bar(make_bar(minute, close=close, final=False))


def closes(messages):
    return [[row[4] for row in m["rows"]] if m != "history" else m for m in messages]


def test_ticks_are_gathered_to_ten_a_second(client, clock, sender, sent, make_bar):
    tick(client, make_bar, 100.0)
    clock.advance(5)
    sent.clear()
    for step in range(100):
        tick(client, make_bar, 101.0 + step)
        clock.advance(0.01)
    assert 9 <= len(sent) <= 11
    clock.advance(0.2)
    assert sent[-1]["rows"][-1][4] == 200.0


def test_a_held_tick_goes_with_the_next_message_where_there_is_no_timer(
    client, clock, sender, sent, make_bar
):
    clock.works = False
    tick(client, make_bar, 100.0)
    clock.advance(5)
    sent.clear()
    for close in (101.0, 102.0, 103.0):
        tick(client, make_bar, close)
    assert closes(sent) == [[101.0]]
    clock.advance(0.2)
    sender.on_alive(new_view=False)
    assert closes(sent) == [[101.0], [103.0]]


def test_a_closed_bar_goes_at_once_and_history_with_it(client, clock, sender, sent, make_bar):
    tick(client, make_bar, 100.5)
    clock.advance(5)
    tick(client, make_bar, 101.0)
    sent.clear()
    client.send_bar(make_bar(5, close=102.0))
    assert sent == ["history"]


def test_bars_that_close_fast_go_as_rows_and_history_once_a_second(
    client, clock, sender, sent, make_bar
):
    for minute in range(5, 125):
        client.send_bar(make_bar(minute, close=float(minute)))
        clock.advance(1 / 60)
    clock.advance(2)
    assert 2 <= sent.count("history") <= 4
    assert len(sent) < 30
    rows = [close for m in closes(sent) if m != "history" for close in m]
    assert rows == sorted(rows)


def test_no_bar_is_left_out_between_two_messages(client, clock, sender, sent, make_bar):
    tick(client, make_bar, 101.0)
    clock.advance(0.5)
    sent.clear()
    client.send_bar(make_bar(5, close=102.0))
    tick(client, make_bar, 103.0, minute=6)
    clock.advance(0.1)
    assert closes(sent)[0] == [102.0]
    assert closes(sent)[-1][-1] == 103.0


def test_fills_and_states_go_at_once(client, clock, sender, sent, make_bar, make_fill):
    tick(client, make_bar, 100.5)
    clock.advance(5)
    sent.clear()
    client.send_fill(make_fill(4))
    assert [fill["side"] for fill in sent[-1]["fills"]] == ["buy"]
    clock.advance(0.2)
    client.state = "disconnected"
    client.send("disconnected", {})
    assert sent[-1]["state"] == "disconnected"
    assert "fills" not in sent[-1]


def test_nothing_is_sent_to_nobody_and_everything_to_who_comes_back(
    client, clock, sender, sent, make_bar
):
    clock.advance(20)
    for minute in range(5, 50):
        client.send_bar(make_bar(minute))
        clock.advance(1)
    assert sent == []
    sender.on_alive(new_view=False)
    assert sent == ["history"]


def test_a_new_view_gets_everything(sender, sent):
    sender.on_alive(new_view=True)
    assert sent == ["history"]


def test_a_position_travels_with_its_levels(client, clock, sender, sent):
    position = {"quantity": 5.0, "entry_price": 100.0, "stop": 99.8, "target": None}
    client.send("stream_positions", {**position, "kind": "position", "symbol": "AAPL"})
    assert sent[-1]["position"] == position


async def test_the_timer_is_that_of_the_loop_the_client_calls_from():
    called = asyncio.Event()
    assert later_on_this_loop(0.0, called.set)
    await called.wait()
    assert not await asyncio.to_thread(later_on_this_loop, 0.0, called.set)


@pytest.fixture
def bundle(tmp_path):
    path = tmp_path / "live_chart.js"
    path.write_text("export default { render() {} }")
    return path


@pytest.fixture
def chart(client, bundle):
    chart = live_chart(client, "AAPL", bundle=bundle)
    yield chart
    chart.close()


def test_a_page_that_is_loaded_again_gets_what_is_known_now(client, chart, make_bar):
    client.send_bar(make_bar(5, close=123.0))
    rows = chart.get_state()["history"]["rows"]
    assert (len(rows), rows[-1][4]) == (6, 123.0)


def test_warm_up_values_travel_as_null(client, bundle, make_bar):
    client.bars[0]["indicators"] |= {"ema": None}
    chart = live_chart(client, "AAPL", bundle=bundle)
    assert chart.get_state("history")["history"]["rows"][0][7] is None
    chart.close()


def test_corrections_and_gates_travel_to_the_chart(client, chart, make_bar):
    for minute, decided in ((1, False), (2, True)):
        again = {**make_bar(minute), "revision": 1, "decided": decided}
        client.send("stream_market_data", again)
    gate = {"gate": "halt", "reason": "halted by anna", "symbol": None}
    gate["since"] = "1970-01-01T00:01:00Z"
    client.send("stream_system_health", {"kind": "health", "gates": [gate]})
    history = chart.get_state("history")["history"]
    assert [row[12] for row in history["rows"]] == [0, 1, 2, 0, 0]
    assert history["gates"] == [
        {"title": "Halt", "reason": "halted by anna", "since": 60, "grave": True}
    ]


def test_labels_follow_the_parameters(client, chart):
    client.set_parameters({"ema_period": 12})
    assert chart.get_state("history")["history"]["labels"]["ema"] == "12"


def test_stop_keeps_the_last_picture_and_says_closed(client, chart):
    chart.stop()
    history = chart.get_state("history")["history"]
    assert (history["state"], len(history["rows"])) == ("closed", 5)
    assert client.handler_count == 0


def test_close_leaves_no_handler_and_no_thread(client, bundle):
    before = threading.active_count()
    live_chart(client, "AAPL", bundle=bundle).close()
    assert (client.handler_count, threading.active_count()) == (0, before)


@pytest.mark.parametrize(
    ("symbol", "options", "field"),
    [("TSLA", {}, "symbol"), ("AAPL", {"height": 10}, "height"), ("AAPL", {"limit": 0}, "limit")],
)
def test_wrong_arguments_are_named(client, symbol, options, field):
    with pytest.raises(ConfigError) as caught:
        live_chart(client, symbol, **options)
    assert caught.value.data["field"] == field
    assert client.handler_count == 0


def test_history_that_cannot_be_loaded_is_an_error_and_leaves_nothing(client):
    client.fail_with = NotConnected("away")
    with pytest.raises(NotConnected):
        live_chart(client, "AAPL")
    assert client.handler_count == 0


def test_without_the_bundle_it_is_a_bokeh_chart_that_says_why(client, tmp_path, make_bar):
    with pytest.warns(UserWarning, match=r"install Node\.js"):
        chart = live_chart(client, "AAPL", bundle=tmp_path / "missing.js")
    client.send_bar(make_bar(5, close=123.0))
    columns = chart.get_state("history")["history"]["columns"]
    assert columns["bars"]["close"][-1] == 123.0
    assert columns["bars"]["ema"][-1] == 122.9
    chart.close()
    assert client.handler_count == 0
