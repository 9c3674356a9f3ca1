"""Which bars are visited: many symbols in few places, and stretches that end in mid-trade."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.markets import drive, random_bars, random_costs, rows
from tests.core.test_kernel import compare, random_parameters
from tests.effort import tries
from toolkit.core.costs import Costs
from toolkit.core.hours import CLOSED
from toolkit.core.kernel import STRETCH, Kernel, Outcome
from toolkit.core.layout import NEVER, Decisions, Market, Rules
from toolkit.core.parameters import Parameters
from toolkit.market.tables import frame_of
from toolkit.research.backtest import backtest
from toolkit.research.tape import tape_of

MANY = ("AAPL", "AMD", "AMZN", "BTC/USD", "ETH/USD", "GOOG", "META", "MSFT", "NVDA", "TSLA")


@pytest.mark.parametrize("seed", range(12))
def test_ten_symbols_in_few_places_trade_as_the_oracle_says(seed: int) -> None:
    bars = random_bars(seed, symbols=MANY, count=110)
    chosen = random_parameters(seed).replace(
        max_positions=1 + seed % 5, trade_capital_percent=35, cooldown=(seed % 3) * 120
    )
    run = backtest(frame_of(bars), chosen, costs=random_costs(seed), capital=2000.0)
    compare(run, rows(bars))


def test_a_trade_may_reach_over_the_end_of_a_stretch() -> None:
    bars = random_bars(5, symbols=("AAPL", "MSFT"), count=9500)
    assert len(bars) > STRETCH
    chosen = Parameters().replace(stop_loss=3, take_profit=3, trailing_stop=0, cooldown=0)
    run = backtest(frame_of(bars), chosen)
    trips = run.outcome.trips
    assert ((trips["entry"] < STRETCH) & (trips["exit"] >= STRETCH)).any()
    assert run.to_json()["trades"] == drive(bars, chosen, symbols=("AAPL", "MSFT"))


def market_of(seed: int, *, size: int, symbols: int, closed: bool) -> Market:
    """Prices that wander, some bars missing, some in no session."""
    rng = np.random.default_rng(seed)
    there = rng.random((size, symbols)) < 0.8
    there[0, 0] = True
    times, codes = np.nonzero(there)
    count = len(times)
    path = 100.0 * np.exp(np.cumsum(rng.normal(0, 0.002, (size, symbols)), axis=0))[times, codes]
    open_ = path * (1 + rng.normal(0, 0.001, count))
    wide = 1 + np.abs(rng.normal(0, 0.001, (2, count)))
    session = np.where(rng.random(count) < 0.2, CLOSED, 0) if closed else np.zeros(count, np.int64)
    return Market(
        symbol=codes,
        time=times * 60_000_000,
        open=open_,
        high=np.maximum(open_, path) * wide[0],
        low=np.minimum(open_, path) / wide[1],
        close=path,
        volume=np.full(count, 500.0),
        spread=np.full(count, np.nan),
        day=times // 50,
        session=session,
        next_session=np.where(rng.random(count) < 0.2, CLOSED, 0) if closed else session,
        leave=rng.random(count) < 0.03,
    )


def traded(market: Market, decisions: Decisions, rules: Rules, symbols: int) -> Outcome:
    charges = tape_of(frame_of(random_bars(1, symbols=MANY[:symbols], count=3))).charges(Costs())
    return Kernel(market, charges=charges).run(decisions, rules, capital=1e4)


@settings(max_examples=tries(60), deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(1, 60),
    symbols=st.integers(1, 4),
    closed=st.booleans(),
    most=st.integers(1, 4),
    often=st.sampled_from([0.02, 0.3, 1.0]),
    cooldown=st.sampled_from([0.0, 180.0]),
)
def test_any_decisions_keep_to_the_rules(
    seed: int,
    size: int,
    symbols: int,
    closed: bool,
    most: int,
    often: float,
    cooldown: float,
) -> None:
    market = market_of(seed, size=size, symbols=symbols, closed=closed)
    rng, count = np.random.default_rng(seed + 1), len(market.time)
    decisions = Decisions(
        rng.random(count) < often, rng.random(count) < 0.1, np.full(count, np.nan)
    )
    risk = Parameters().replace(max_positions=most, cooldown=cooldown, trailing_stop=0.1).risk
    done = traded(market, decisions, Rules.of(risk), symbols)
    books, lots = done.books, done.lots
    tied_up = int((lots["cost"] + lots["entry_fee"])[lots["value"] > 0].sum())
    assert books["cash"] == books["start"] + books["realised"] - tied_up
    assert done.equity[-1] == (books["cash"] + books["value"]) / 1e6
    assert (np.diff(done.trips["exit"]) >= 0).all()
    before: dict[int, int] = {}
    for trip in done.trips:
        symbol, entry, exit_ = (int(trip[name]) for name in ("symbol", "entry", "exit"))
        decided = np.flatnonzero((market.symbol == symbol) & (np.arange(count) < entry))[-1]
        assert decisions.entry[decided]
        assert market.session[exit_] != CLOSED
        assert market.next_session[decided] == market.session[entry]
        waited = market.time[decided] - before.get(symbol, NEVER // 2)
        assert waited >= cooldown * 1e6
        before[symbol] = int(market.time[exit_])
    for event in range(count):
        held = (done.trips["entry"] <= event) & (done.trips["exit"] > event)
        assert np.count_nonzero(held) <= most


def test_nothing_is_visited_where_nothing_is_signalled() -> None:
    market = market_of(1, size=50, symbols=2, closed=False)
    never = np.zeros(len(market.time), np.bool_)
    done = traded(market, Decisions(never, never, never * 1.0), Rules.of(Parameters().risk), 2)
    assert len(done.trips) == 0
    assert (done.equity == 1e4).all()
    assert done.books["exposed"] == 0
