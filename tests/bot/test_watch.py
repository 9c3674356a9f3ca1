"""The watch: gates are what the world is now, whatever it was before."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bot.real import SickBroker, World
from tests.bot.scripted import ScriptedMarket
from toolkit.bot.halt import HaltOrder, HaltSwitch
from toolkit.bot.watch import RealTime, Watch
from toolkit.core.gates import Gate, Gates
from toolkit.market.port import FeedHealth

REASONS = st.sampled_from(["", "a", "b"])
FROM_BROKER = st.sampled_from([Gate.RECONCILIATION, Gate.ORDERS, Gate.BROKER, Gate.ERROR])
STATES = st.fixed_dictionaries(
    {
        "feed": REASONS,
        "broker": st.dictionaries(FROM_BROKER, st.sampled_from(["a", "b"])),
        "offset": st.none() | st.floats(-3, 3),
        "open": st.booleans(),
        "halted": REASONS,
        "unknown": st.booleans(),
    }
)


@settings(deadline=None)
@given(st.lists(STATES, max_size=12))
def test_gates_follow_the_world_and_an_error_waits_for_a_person(states):
    world, broker, market = World(), SickBroker(), ScriptedMarket([])
    gates, switch, hours = Gates(), HaltSwitch(None), [True]
    watch = Watch(
        market=market,
        broker=broker,
        symbols=["AAPL"],
        gates=gates,
        switch=switch,
        clock=world.clock,
        real_time=RealTime(is_open=lambda _symbol, _moment: hours[0]),
    )
    failed = False
    for state in states:
        world.now += timedelta(seconds=1)
        market.feed = FeedHealth(ok=not state["feed"], reason=state["feed"])
        broker.ill, watch.offset, hours[0] = state["broker"], state["offset"], state["open"]
        watch.unknown = {"x": "AAPL"} if state["unknown"] else {}
        switch.lift()
        if state["halted"]:
            switch.throw(HaltOrder(who="ada", reason=state["halted"]))
        before = [(g.gate, g.symbol, g.reason) for g in gates.closed]
        changed = watch.look()
        assert changed == (before != [(g.gate, g.symbol, g.reason) for g in gates.closed])
        assert not watch.look()
        failed |= Gate.ERROR in state["broker"]
        expected = set(state["broker"]) | ({Gate.ERROR} if failed else set())
        expected |= {Gate.FEED} if state["feed"] else set()
        expected |= {Gate.HALT} if state["halted"] else set()
        expected |= {Gate.ORDERS} if state["unknown"] else set()
        expected |= {Gate.CLOCK} if abs(state["offset"] or 0.0) > 1 else set()
        expected |= set() if state["open"] else {Gate.MARKET}
        assert {g.gate for g in gates.closed} == expected
        assert bool(gates.reason("AAPL")) == bool(expected)
