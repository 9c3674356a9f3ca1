"""The engine with the matching book, against the oracle and rule by rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.markets import bar, drive, minute, random_bars, rows
from tests.effort import tries
from tests.oracle import oracle
from toolkit.core.costs import Costs
from toolkit.core.engine import Engine
from toolkit.core.matching import MatchingBook
from toolkit.core.parameters import Parameters
from toolkit.core.types import Fill, Reason, Side, SignalKind
from toolkit.errors import ConfigError, DataError

SYMBOLS = ("AAPL", "BTC/USD")
EAGER = Parameters().replace(
    {"stoch_rsi.enabled": False, "ema_period": 2, "cooldown": 0, "rules.lookback": 1}
)

OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "stoch_rsi.rsi_length": st.integers(2, 20),
        "stoch_rsi.k": st.integers(1, 5),
        "stoch_rsi.lower_band": st.floats(10, 90),
        "stoch_rsi.upper_band": st.floats(10, 100),
        "ema.enabled": st.booleans(),
        "ema.ema_period": st.integers(1, 30),
        "stochastic.enabled": st.booleans(),
        "stochastic.k_length": st.integers(2, 20),
        "rules.lookback": st.integers(1, 6),
        "rules.exit_on_signal": st.booleans(),
        "rules.adaptive_bands": st.booleans(),
        "rules.atr_period": st.integers(1, 20),
        "risk.stop_loss": st.floats(0, 1),
        "risk.take_profit": st.floats(0, 1),
        "risk.trailing_stop": st.floats(0, 1),
        "risk.trailing_activation": st.floats(0, 1),
        "risk.atr_stop": st.booleans(),
        "risk.atr_sizing": st.booleans(),
        "risk.trade_capital_percent": st.floats(1, 100),
        "risk.max_positions": st.integers(1, 2),
        "risk.cooldown": st.sampled_from([0.0, 60.0, 600.0]),
    },
)


@settings(max_examples=tries(50), deadline=None)
@given(options=OPTIONS, seed=st.integers(0, 10**6), fee=st.floats(0, 50), slippage=st.floats(0, 20))
def test_engine_and_oracle_make_the_same_trades_to_the_last_bit(options, seed, fee, slippage):
    bars, parameters = random_bars(seed), Parameters().replace(options)
    costs = Costs(stock_fee_bps=fee, crypto_fee_bps=25.0, slippage_bps=slippage)
    ours = drive(bars, parameters, symbols=SYMBOLS, costs=costs)
    assert ours == oracle(rows(bars), parameters.to_dict(), costs=costs.to_dict())


def test_the_random_markets_do_trade():
    trades = [len(drive(random_bars(s), Parameters(), symbols=SYMBOLS)) for s in range(5)]
    assert min(trades) > 0


def rising(count: int, *, start: int = 0):
    return [
        bar(n, 100 + n * 0.01, 100.02 + n * 0.01, 100 + n * 0.01, 100.01 + n * 0.01)
        for n in range(start, start + count)
    ]


def test_an_entry_is_sent_once_and_carries_its_exits():
    engine = Engine(symbols=["AAPL"], parameters=EAGER)
    decisions = [engine.on_bar(item) for item in rising(3)]
    requests = [d.request for d in decisions if d.request]
    assert len(requests) == 1
    assert requests[0].exits.stop_loss == EAGER.risk.stop_loss
    assert len(requests[0].client_order_id) <= 48


def test_a_closed_gate_refuses_entries_and_says_why():
    engine = Engine(symbols=["AAPL"], parameters=EAGER)
    decisions = [engine.on_bar(item, refusal="paused by a test") for item in rising(4)]
    assert not [d for d in decisions if d.request]
    signals = [d.signal for d in decisions if d.signal]
    assert [(s.kind, s.refusal) for s in signals] == [(SignalKind.LONG, "paused by a test")]


def test_flatten_sells_what_is_held_at_the_next_open():
    engine, book = held_engine()
    (request,) = engine.flatten()
    engine.on_update(book.submit(request))
    assert engine.flatten() == []
    trips = [engine.on_update(u) for u in book.on_bar(bar(9, 101, 101, 101, 101))]
    (trip,) = [t for t in trips if t]
    assert (trip.exit_reason, trip.exit_price) == (Reason.FLATTEN, 101)


def test_a_position_that_must_leave_is_sold_whatever_the_strategy_says():
    engine, book = held_engine()
    (last,) = rising(1, start=4)
    decision = engine.on_bar(last, leave=True)
    assert (decision.request.side, decision.request.reason) == (Side.SELL, Reason.FLATTEN)
    assert (decision.signal.kind, decision.signal.reason) == (SignalKind.FLAT, "the session ends")
    engine.on_update(book.submit(decision.request))
    trips = [engine.on_update(u) for u in book.on_bar(bar(9, 101, 101, 101, 101))]
    assert [t.exit_reason for t in trips if t] == [Reason.FLATTEN]
    (fresh,) = rising(1, start=10)
    assert engine.on_bar(fresh, leave=True, refusal="closed").request is None


def held_engine():
    engine = Engine(symbols=["AAPL"], parameters=EAGER)
    book = MatchingBook(cash=10_000.0, costs=Costs())
    for item in rising(4):
        for update in book.on_bar(item):
            engine.on_update(update)
        request = engine.on_bar(item).request
        if request:
            engine.on_update(book.submit(request))
    assert engine.portfolio.quantity("AAPL") > 0
    return engine, book


def test_changed_parameters_give_the_indicators_of_a_fresh_run():
    bars = random_bars(3, symbols=["AAPL"], count=200)
    changed = Engine(symbols=["AAPL"], parameters=Parameters())
    fresh = Engine(symbols=["AAPL"], parameters=Parameters().replace(rsi_length=7))
    for item in bars[:150]:
        changed.warm_up(item)
        fresh.warm_up(item)
    changed.set_parameters({"rsi_length": 7})
    for item in bars[150:]:
        changed.warm_up(item)
        fresh.warm_up(item)
    assert repr(changed.memory("AAPL")) == repr(fresh.memory("AAPL"))


def test_a_wrong_parameter_changes_nothing():
    engine = Engine(symbols=["AAPL"], parameters=Parameters())
    with pytest.raises(ConfigError):
        engine.set_parameters({"ema_period": 12, "rsi_length": -1})
    assert engine.parameters == Parameters()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"close": float("nan")}, "close"),
        ({"low": -1.0}, "low"),
        ({"high": 50.0}, "high"),
        ({"volume": -1.0}, "volume"),
        ({"timestamp": minute(0)}, "timestamp"),
        ({"timestamp": minute(-1)}, "timestamp"),
        ({"symbol": "TSLA"}, "symbol"),
    ],
)
def test_a_bad_bar_is_refused_by_name_and_the_engine_goes_on(change, field):
    engine = Engine(symbols=["AAPL"], parameters=EAGER)
    good = rising(3)
    engine.on_bar(good[0])
    with pytest.raises(DataError) as error:
        engine.on_bar(replace(good[1], **change))
    assert error.value.data["field"] == field
    engine.on_bar(good[1])
    assert len(engine.memory("AAPL")) == 2


@pytest.mark.parametrize("seconds", [0, 20, 59])
@pytest.mark.parametrize(("cooldown", "bars"), [(0, 0), (60, 1), (61, 2)])
def test_the_cooldown_counts_bars_whenever_in_its_bar_the_exit_was(seconds, cooldown, bars):
    patient = {"stop_loss": 0, "take_profit": 0, "trailing_stop": 0, "cooldown": cooldown}
    engine = Engine(symbols=["AAPL"], parameters=EAGER.replace(patient))
    book = MatchingBook(cash=10_000.0, costs=Costs())
    rising = [bar(n, 100.0 + n, 101.0 + n, 100.0 + n, 101.0 + n) for n in range(12)]
    for item in rising[:4]:
        for update in book.on_bar(item):
            engine.on_update(update)
        request = engine.on_bar(item).request
        if request:
            engine.on_update(book.submit(request))
    (order,) = engine.flatten()
    book.submit(order)
    for update in book.on_bar(rising[4]):
        moment = minute(4) + timedelta(seconds=seconds)
        late = replace(update, timestamp=moment) if isinstance(update, Fill) else update
        engine.on_update(late)
    decided = [item.timestamp for item in rising[4:] if engine.on_bar(item).request]
    assert decided[0] == minute(4 + bars)
