from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import ConfigError
from toolkit.loadtest.joining import subscription
from toolkit.loadtest.scenario import SCENARIOS, Scenario


@given(st.data())
def test_hands_are_without_repetition_and_symbols_are_dealt_evenly(data: st.DataObject):
    symbols = data.draw(st.integers(1, 30))
    per_client = data.draw(st.integers(1, symbols))
    clients = data.draw(st.integers(1, 60))
    dealt = Scenario(name="own", clients=clients, symbols=symbols, per_client=per_client)
    hands = dealt.subscriptions()
    assert len(hands) == clients
    assert all(len(set(hand)) == len(hand) == per_client for hand in hands)
    assert all(0 <= symbol < symbols for hand in hands for symbol in hand)
    counts = Counter(symbol for hand in hands for symbol in hand)
    if clients * per_client % symbols == 0 and symbols % per_client == 0:
        assert set(counts.values()) == {clients * per_client // symbols}


def test_the_clients_of_scenario_c_differ():
    hands = SCENARIOS["C"].subscriptions()
    assert len({tuple(hand) for hand in hands}) > 990
    assert hands == SCENARIOS["C"].subscriptions()


def test_fan_out_is_deliveries_for_one_message():
    assert {name: s.fan_out for name, s in SCENARIOS.items()} == {
        "A": 1,
        "B": 100,
        "C": 50,
        "D": 10,
    }


def test_all_symbols_are_asked_for_as_all():
    assert subscription([0, 1], known=2) == {"stream_types": ["market_data"]}
    assert subscription([1], known=2)["symbols"] == ["L001"]


@pytest.mark.parametrize(
    ("field", "value"), [("clients", 0), ("symbols", 1001), ("per_client", 11), ("rate", 0.0)]
)
def test_what_cannot_be_tested_is_refused(field: str, value: float):
    values = {"clients": 5, "symbols": 10, "per_client": 2, field: value}
    with pytest.raises(ConfigError) as refused:
        Scenario(name="own", **values)
    assert refused.value.data["field"] == field
