"""Gates: whoever closes one opens it, and the gravest names the reason."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.markets import START
from toolkit.core.gates import Gate, Gates

SYMBOLS = st.sampled_from([None, "AAPL", "BTC/USD"])
STEPS = st.lists(st.tuples(st.sampled_from(Gate), st.sampled_from(["", "a", "b"]), SYMBOLS))


@settings(deadline=None)
@given(STEPS)
def test_gates_agree_with_a_plain_model(steps):
    gates, model = Gates(), {}
    for number, (gate, reason, symbol) in enumerate(steps):
        now = START + timedelta(seconds=number)
        before = dict(model)
        if reason:
            since = model.get((gate, symbol), (None, now))[1]
            model[gate, symbol] = (reason, since)
        else:
            model.pop((gate, symbol), None)
        assert gates.set(gate, reason, now=now, symbol=symbol) == (before != model)
    assert {(r.gate, r.symbol): (r.reason, r.since) for r in gates.closed} == model
    ranks = [list(Gate).index(reason.gate) for reason in gates.closed]
    assert ranks == sorted(ranks)
    for symbol in (None, "AAPL"):
        standing = [g for g, s in model if s in (None, symbol)]
        assert bool(gates.reason(symbol)) == bool(standing)
    assert set(gates.by_gate) == {g for g, s in model if s is None}


def test_the_gravest_reason_is_named_and_a_symbols_own_stands_in_its_way_alone():
    gates = Gates()
    gates.close(Gate.FEED, "mute", now=START)
    gates.close(Gate.HALT, "halted", now=START)
    gates.close(Gate.MARKET, "closed", now=START, symbol="AAPL")
    assert gates.reason("AAPL") == gates.reason() == "halted"
    gates.open(Gate.HALT)
    gates.open(Gate.FEED)
    assert (gates.reason("AAPL"), gates.reason("MSFT"), gates.reason()) == ("closed", "", "")
