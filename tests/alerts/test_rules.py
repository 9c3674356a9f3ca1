"""What is worth telling, and what is not."""

from __future__ import annotations

import pytest

from tests.alerts.happenings import drawdown, fill, gate, gated, health, problem, round_trip
from tests.core.markets import bar
from toolkit.alerts.rules import Judge, Kind, Rules
from toolkit.bot.events import BotState, Event
from toolkit.core.gates import Gate
from toolkit.core.types import Side
from toolkit.errors import ConfigError


def told(*events: Event, rules: Rules | None = None) -> list[str]:
    judge = Judge(rules or Rules())
    return [notice.text for event in events for notice in judge.on_event(event)]


def test_every_execution_and_every_round_trip_is_told_in_numbers():
    assert told(fill(), fill(side=Side.SELL), round_trip()) == [
        "bought 12.5 AAPL at 187.32 (entry)",
        "sold 12.5 AAPL at 187.32 (take profit)",
        "AAPL closed, +10.00 $ (+1.00 %), stop loss",
    ]


def test_market_data_is_never_told():
    assert told(bar(1, 1, 2, 1, 2)) == []


def test_the_state_is_told_when_it_changes_and_not_with_every_report():
    paused = health(BotState.PAUSED, "entries stopped by anna")
    assert told(health(), health(), paused, paused, health()) == [
        "the bot runs on simulated",
        "the bot takes no entries: entries stopped by anna",
        "the bot runs",
    ]


def test_a_gate_is_told_when_it_closes_when_its_reason_changes_and_when_it_opens():
    feed = gate(Gate.FEED, "mute for 30 s")
    worse = gate(Gate.FEED, "refused", symbol=None)
    judge = Judge(Rules())
    judge.on_event(health())
    events = [gated(feed), gated(feed), gated(worse), gated()]
    notices = [n for event in events for n in judge.on_event(event)]
    assert [n.text for n in notices] == [
        "no entries (feed): mute for 30 s",
        "no entries (feed): refused",
        "feed no longer stops entries",
    ]
    assert {n.kind for n in notices} == {Kind.CONNECTION}
    assert len({n.subject for n in notices}) == 1


def test_a_market_that_closes_for_the_night_is_no_news():
    judge = Judge(Rules())
    judge.on_event(health())
    assert (
        judge.on_event(gated(gate(Gate.MARKET, symbol="AAPL"), gate(Gate.RATE, symbol="AAPL")))
        == []
    )


@pytest.mark.parametrize("name", [Gate.HALT, Gate.ERROR, Gate.LOSS, Gate.RECONCILIATION])
def test_what_needs_a_person_is_urgent(name: Gate):
    judge = Judge(Rules())
    judge.on_event(health())
    assert [n.urgent for n in judge.on_event(gated(gate(name)))] == [True]


def test_a_pause_that_gates_explain_is_told_once():
    judge = Judge(Rules())
    judge.on_event(health())
    halted = gated(gate(Gate.HALT, "anna halted"), state=BotState.PAUSED)
    assert [n.text for n in judge.on_event(halted)] == ["no entries (halt): anna halted"]


def test_a_pause_that_its_gate_ends_is_told_by_the_gate_alone():
    halted = gated(gate(Gate.FEED, "mute"), state=BotState.PAUSED)
    assert told(health(), halted, halted, health())[1:] == [
        "no entries (feed): mute",
        "feed no longer stops entries",
    ]


def test_gates_that_are_closed_while_it_starts_are_told_when_they_stay():
    starting = gated(gate(Gate.RECONCILIATION, "not yet"), state=BotState.STARTING)
    assert told(starting, health()) == ["the bot runs on simulated"]
    stays = gated(gate(Gate.RECONCILIATION, "not equal"), state=BotState.PAUSED)
    assert told(starting, stays) == ["no entries (reconciliation): not equal"]


def test_each_drawdown_threshold_is_told_once_and_only_the_highest_passed():
    events = [drawdown(4.9), drawdown(5.0), drawdown(7), drawdown(25), drawdown(26)]
    assert told(*events) == [
        "drawdown 5.0 % of the equity's peak, above 5 %",
        "drawdown 25.0 % of the equity's peak, above 20 %",
    ]


def test_an_unexpected_error_is_urgent_and_a_refused_order_is_not():
    judge = Judge(Rules())
    (unexpected,) = judge.on_event(problem())
    (refused,) = judge.on_event(problem("no money", code="order_rejected"))
    assert (unexpected.urgent, refused.urgent) == (True, False)
    assert refused.text == "AAPL: no money"


def test_only_the_kinds_that_were_asked_for_are_told():
    rules = Rules.named(["errors", "latency"])
    assert told(fill(), health(), drawdown(50), problem(), rules=rules) == ["AAPL: it broke"]
    assert Judge(rules).on_latency("late", stream="orders")[0].text == "late"
    assert Judge(Rules.named(["fills"])).on_latency("late", stream="orders") == []


def test_no_names_are_all_kinds_and_an_unknown_one_is_refused():
    assert Rules.named([]).kinds == frozenset(Kind)
    with pytest.raises(ConfigError, match="fills, gates"):
        Rules.named(["fils"])
