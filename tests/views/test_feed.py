from __future__ import annotations

import pytest

from toolkit.errors import ConfigError, NotConnected
from toolkit.views.feed import ChartFeed


def times(feed):
    return [bar["timestamp"][11:16] for bar in feed.snapshot().bars]


@pytest.fixture
def feed(client):
    feed = ChartFeed(client, "AAPL")
    feed.start()
    yield feed
    feed.close()


def test_subscribes_to_its_symbol_and_shows_history(client, feed):
    ((streams, symbols),) = client.subscriptions
    assert set(streams) == {
        "market_data",
        "orders",
        "positions",
        "parameters",
        "system_health",
    }
    assert symbols == ("AAPL",)
    assert times(feed) == ["14:30", "14:31", "14:32", "14:33", "14:34"]


def test_bars_that_come_while_history_loads_are_neither_lost_nor_doubled(client, make_bar):
    late = [make_bar(5, close=101.0), make_bar(6, close=102.0, final=False)]
    client.during_history = lambda: [client.send_bar(bar) for bar in late]
    client.bars.append(make_bar(5, close=101.0))
    feed = ChartFeed(client, "AAPL")
    feed.start()
    assert times(feed) == ["14:30", "14:31", "14:32", "14:33", "14:34", "14:35", "14:36"]


def test_a_forming_bar_is_replaced_until_it_is_final(client, feed, make_bar):
    for bar in (
        make_bar(5, close=101.0, final=False),
        make_bar(5, close=102.0, final=False),
        make_bar(5, close=103.0),
        make_bar(5, close=99.0, final=False),
        make_bar(3, close=1.0),
    ):
        client.send_bar(bar)
    last = feed.snapshot().bars[-1]
    assert (last["close"], last["final"], last["indicators"]["ema"]) == (103.0, True, 102.9)
    assert len(feed.snapshot().bars) == 6


def corrected(bar, *, revision=1, decided=True):
    return {**bar, "revision": revision, "decided": decided, "indicators": None}


def test_a_corrected_bar_takes_the_place_of_the_first_and_keeps_its_indicators(
    client, feed, make_bar, recent
):
    client.send_bar(make_bar(5, close=101.0, final=False))
    feed.on_change(recent.append)
    client.send("stream_market_data", corrected(make_bar(2, close=98.0)))
    client.send("stream_market_data", corrected(make_bar(2, close=97.0)))
    client.send("stream_market_data", corrected(make_bar(9, close=97.0)))
    shown = feed.snapshot().bars[2]
    assert (shown["close"], shown["decided"], shown["indicators"]["ema"]) == (98.0, True, 99.9)
    assert times(feed) == ["14:30", "14:31", "14:32", "14:33", "14:34", "14:35"]
    assert list(recent) == ["bar"]


def test_corrections_are_loaded_with_history_and_survive_one_on_its_way(client, make_bar):
    client.corrections = [corrected(make_bar(1, close=98.0))]
    late = corrected(make_bar(3, close=97.0))
    client.during_history = lambda: client.send("stream_market_data", late)
    feed = ChartFeed(client, "AAPL")
    feed.start()
    assert [bar["close"] for bar in feed.snapshot().bars] == [100.0, 98.0, 100.0, 97.0, 100.0]


def test_gates_that_concern_the_symbol_are_told_when_they_change(client, feed, recent):
    feed.on_change(recent.append)
    gate = {"gate": "feed", "reason": "mute", "symbol": None, "since": "2026-01-02T14:30:00Z"}
    other = {**gate, "gate": "market", "symbol": "MSFT"}
    for closed in ([other], [gate, other], [gate], []):
        client.send("stream_system_health", {"kind": "health", "gates": closed})
        client.send("stream_system_health", {"kind": "problem", "message": "x"})
        assert [line.reason for line in feed.snapshot().gates] == ["mute"] * (gate in closed)
    assert list(recent) == ["state", "state"]


def test_tells_ticks_from_bars_fills_and_states(client, feed, make_bar, make_fill, recent):
    remove = feed.on_change(recent.append)
    client.send_bar(make_bar(5, final=False))
    client.send_bar(make_bar(5, close=101.0, final=False))
    client.send_bar(make_bar(5))
    client.send_fill(make_fill(5))
    client.send("disconnected", {})
    assert list(recent) == ["bar", "tick", "bar", "fill", "state"]
    remove()
    client.send_bar(make_bar(6))
    assert len(recent) == 5


def test_versions_grow(client, feed, make_bar):
    version, bars_version = feed.version, feed.bars_version
    client.send_bar(make_bar(5, final=False))
    client.send_bar(make_bar(5, close=101.0, final=False))
    assert (feed.version, feed.bars_version) == (version + 2, bars_version + 1)


def test_other_symbols_and_kinds_change_nothing(client, feed, make_bar, make_fill):
    version = feed.version
    client.send_bar(make_bar(5, symbol="MSFT"))
    client.send_fill(make_fill(5, symbol="MSFT"))
    client.send("stream_market_data", {"kind": "quote", "symbol": "AAPL", "price": 1.0})
    client.send("stream_orders", {"kind": "order", "symbol": "AAPL"})
    assert feed.version == version


def test_a_reconnect_fills_the_hole(client, feed, make_bar, make_fill):
    client.bars += [make_bar(5), make_bar(6)]
    client.fills.append(make_fill(5))
    client.send("connected", {})
    assert times(feed)[-2:] == ["14:35", "14:36"]
    assert len(feed.snapshot().fills) == 1


def test_an_announced_gap_is_filled_from_history(client, feed, make_fill):
    client.fills.append(make_fill(3))
    client.send_raw("gap", {"stream": "orders", "from": 1, "to": 2, "reason": "too slow"})
    assert len(feed.snapshot().fills) == 1


def test_fills_known_from_both_sides_are_counted_once(client, feed, make_fill):
    twins = [make_fill(5), make_fill(5)]
    for twin in twins:
        client.send_fill(twin)
    client.send("connected", {})
    assert len(feed.snapshot().fills) == 2


def test_a_history_that_fails_after_a_reconnect_is_tried_again_at_the_next_bar(
    client, feed, make_bar
):
    client.fail_with = NotConnected("away")
    client.bars.append(make_bar(5))
    client.send("connected", {})
    client.fail_with = None
    client.send_bar(make_bar(6, final=False))
    assert times(feed)[-2:] == ["14:35", "14:36"]


def test_a_bot_that_was_started_anew_begins_a_new_picture(client, feed, make_bar, make_fill):
    client.send_fill(make_fill(3))
    client.send_bar(make_bar(9, final=False))
    client.bars, client.fills = [make_bar(0, close=50.0)], []
    client.send("connected", {})
    client.send_bar(make_bar(1, close=51.0, final=False))
    data = feed.snapshot()
    assert [bar["close"] for bar in data.bars] == [50.0, 51.0]
    assert data.fills == ()


def test_changed_parameters_load_the_bars_that_the_bot_has_re_evaluated(client, feed, make_bar):
    client.bars[-1]["indicators"] = {"ema": 55.0}
    client.set_parameters({"ema_period": 12})
    data = feed.snapshot()
    assert data.bars[-1]["indicators"]["ema"] == 55.0
    assert data.parameters["ema_period"] == 12


def test_handlers_never_wait_for_the_client(client, make_bar, make_fill):
    client.strict = True
    later = []
    feed = ChartFeed(client, "AAPL", run_soon=later.append)
    feed.start()
    feed.on_change(lambda _: feed.snapshot())
    client.send_bar(make_bar(5))
    client.send_fill(make_fill(5))
    client.set_parameters({"ema_period": 12})
    client.send("connected", {})
    assert feed.snapshot().parameters["ema_period"] == 12
    client.bars[0] = make_bar(0, close=50.0)
    later[-1]()
    assert feed.snapshot().bars[0]["close"] == 50.0


def test_a_closed_position_is_none(client, feed):
    position = {"kind": "position", "symbol": "AAPL", "quantity": 5.0, "entry_price": 100.0}
    client.send("stream_positions", position)
    assert feed.snapshot().position == position
    client.send("stream_positions", {**position, "quantity": 0.0})
    assert feed.snapshot().position is None


def send_position(client, epoch):
    data = {"kind": "position", "symbol": "AAPL", "quantity": 5.0, "entry_price": 100.0}
    client.send_raw("stream_positions", {"data": data, "epoch": epoch})
    return data


def test_another_run_of_the_bot_has_not_the_old_position(client, feed):
    position = send_position(client, "one")
    client.send_raw("connected", {"epoch": "one"})
    assert feed.snapshot().position == position
    client.send_raw("connected", {"epoch": "two"})
    assert feed.snapshot().position is None


def test_a_position_that_comes_before_the_word_of_the_new_run_stays(client, feed):
    send_position(client, "one")
    position = send_position(client, "two")
    client.send_raw("connected", {"epoch": "two"})
    assert feed.snapshot().position == position


def test_after_a_gap_on_positions_the_current_one_is_asked_for(client):
    later = []
    feed = ChartFeed(client, "AAPL", run_soon=later.append)
    feed.start()
    send_position(client, "one")
    client.send_raw("gap", {"stream": "positions"})
    assert feed.snapshot().position is None
    assert len(client.subscriptions) == 1
    later.pop()()
    assert client.subscriptions[1] == client.subscriptions[0]


def test_holds_no_more_than_its_limit(client, make_bar, make_fill):
    feed = ChartFeed(client, "AAPL", limit=3)
    feed.start()
    for minute in range(5, 10):
        client.send_bar(make_bar(minute))
        client.send_fill(make_fill(minute, order=str(minute)))
    assert times(feed) == ["14:37", "14:38", "14:39"]
    assert len(feed.snapshot().fills) == 3


def test_close_leaves_no_handler_and_keeps_the_last_picture(client, feed, make_bar):
    feed.close()
    client.send_bar(make_bar(5))
    assert client.handler_count == 0
    assert len(feed.snapshot().bars) == 5


def test_a_start_that_fails_leaves_no_handler(client):
    client.fail_with = NotConnected("away")
    with pytest.raises(NotConnected):
        ChartFeed(client, "AAPL").start()
    assert client.handler_count == 0


@pytest.mark.parametrize(
    ("symbol", "limit", "field"), [("TSLA", 500, "symbol"), ("AAPL", 0, "limit")]
)
def test_wrong_arguments_are_named(client, symbol, limit, field):
    with pytest.raises(ConfigError) as caught:
        ChartFeed(client, symbol, limit=limit)
    assert caught.value.data["field"] == field
