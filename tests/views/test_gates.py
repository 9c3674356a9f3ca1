"""What keeps entries out, what guards the account: in words, from the bot's own messages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from toolkit.bot.events import BotState, Health
from toolkit.core.gates import Gate, Gates
from toolkit.core.limits import LimitsStatus, RiskLimits
from toolkit.market.port import FeedHealth
from toolkit.streaming.wire import plain
from toolkit.views.dashboard import blocks, safety
from toolkit.views.dashboard.desk import DeskData
from toolkit.views.gates import TITLES, gate_lines, has_gate, listed, since_text

NOW = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)


def health(gates=None, **values):
    """A health message as the bot sends it."""
    usual = Health(
        timestamp=NOW,
        state=BotState.PAUSED if gates and gates.reason() else BotState.RUNNING,
        reason=gates.reason() if gates else "",
        market="alpaca:iex",
        broker="alpaca:paper",
        symbols=("AAPL", "MSFT"),
        market_time=NOW,
        bars=1,
        gates=gates.closed if gates else (),
    )
    return plain(replace(usual, **values))


def desk(message, **values):
    usual = {"positions": (), "orders": (), "trades": (), "account": None, "problem": None}
    usual |= {"parameters": None, "connection": "connected", "heartbeat_age": 1.0}
    return DeskData(health=message, **{**usual, "health_age": 0.0, **values})


def closed(*gates):
    made = Gates()
    for minutes, (gate, reason, symbol) in enumerate(gates):
        made.close(gate, reason, now=NOW + timedelta(minutes=minutes), symbol=symbol)
    return made


def test_every_gate_has_a_title():
    assert set(TITLES) == set(Gate)


def test_the_gravest_gate_comes_first_with_its_reason_and_since_when():
    gates = closed((Gate.FEED, "mute <34 s>", None), (Gate.HALT, "halted by anna: a drill", None))
    text = blocks.notice(desk(health(gates)))
    assert text.index("halted by anna: a drill") < text.index("mute &lt;34 s&gt;")
    assert "since 05 Jan 15:01 UTC" in text
    assert text.count("halted by anna") == 1
    assert "Entries paused" in blocks.status(desk(health(gates)))


def test_where_all_is_well_there_is_only_a_calm_word():
    assert blocks.notice(desk(health())) == ""
    assert "Running, entries open" in blocks.status(desk(health()))


def test_symbols_that_wait_for_the_same_share_a_line():
    gates = closed(
        (Gate.MARKET, "the market of MSFT is closed", "MSFT"),
        (Gate.MARKET, "the market of AAPL is closed", "AAPL"),
        (Gate.RATE, "30 of 30", "AAPL"),
    )
    market, rate = gate_lines(health(gates))
    assert market.sentence == "the market of AAPL, MSFT is closed"
    assert market.since == NOW
    assert rate.sentence == "AAPL: 30 of 30"
    assert "no entries in AAPL, MSFT" in blocks.status(desk(health(gates)))
    assert [line.symbols for line in gate_lines(health(gates), "MSFT")] == [("MSFT",)]
    assert not has_gate(health(gates), Gate.MARKET)


def test_a_message_without_gates_is_read_as_one_with_none():
    assert gate_lines(None) == gate_lines({"state": "running"}) == []


def test_many_names_are_cut_and_times_of_today_have_seconds():
    assert listed("ABCDEF") == "A, B, C and 3 more"
    assert listed("ABCD") == "A, B, C, D"
    assert since_text(NOW, now=NOW) == "15:00:00 UTC"


@pytest.mark.parametrize(
    ("broker", "word"), [("alpaca:live", "LIVE"), ("alpaca:paper", "PAPER"), ("simulated", None)]
)
def test_whose_money_it_is_stands_in_the_header(broker, word):
    shown = blocks.status(desk(health(broker=broker)))
    assert f">{word or 'SIMULATED'}</span>" in shown
    assert ('class="badge live"' in shown) is (word == "LIVE")


@pytest.mark.parametrize(
    ("broker", "order", "net"),
    [
        ("alpaca:paper", {}, "at the broker"),
        ("alpaca:paper", {"symbol": "MSFT"}, "no net"),
        ("alpaca:paper", {"status": "pending"}, "no net"),
        ("alpaca:paper", {"order_type": "market"}, "no net"),
        ("simulated", {"side": "buy"}, "simulated"),
    ],
)
def test_a_position_says_whether_its_net_rests_at_the_broker(broker, order, net):
    usual = {"symbol": "AAPL", "side": "sell", "order_type": "stop", "status": "accepted"}
    moment = desk(
        health(broker=broker), positions=({"symbol": "AAPL"},), orders=({**usual, **order},)
    )
    assert safety.with_nets(moment) == [{"symbol": "AAPL", "net": net}]


def test_the_age_of_the_feed_is_the_bots_until_its_report_is_late():
    feed = FeedHealth(last_message=NOW - timedelta(seconds=3))
    assert ">3 s ago" in safety.guards(desk(health(feed=feed), health_age=4.0))
    assert ">23 s ago" in safety.guards(desk(health(feed=feed), health_age=20.0))
    assert "ago" not in safety.guards(desk(health()))
    mute = FeedHealth(ok=False, reason="mute")
    assert "mute or refused" in safety.guards(desk(health(feed=mute)))


def test_limits_show_what_is_used_of_them():
    limits = RiskLimits(max_position_value=1_000, max_exposure=4_000, max_daily_loss_percent=2)
    status = LimitsStatus(limits=limits, exposure=3_400.0, daily_loss=300.0, drawdown_percent=1.0)
    held = {"symbol": "AAPL", "quantity": 10.0, "price": 120.0}
    moment = desk(health(limits=status), positions=(held,), account={"equity": 9_700.0})
    used = {usage.title: usage.used for usage in safety.usages(moment)}
    assert used == {
        "Largest position": 1_200.0,
        "Exposure": 3_400.0,
        "Loss today": 3.0,
        "Entries a minute": None,
    }
    text = safety.guards(moment)
    assert 'meter wait"><i style="width: 85%"' in text
    assert 'meter bad"><i style="width: 100%"' in text
    assert "at most 30" in text


def test_without_limits_there_are_no_rows_for_them():
    assert safety.usages(desk(health())) == []
