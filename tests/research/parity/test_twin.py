"""The twin without forced facts is the backtest; forced facts come about as they say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.markets import random_bars
from tests.core.test_engine import OPTIONS
from tests.effort import tries
from tests.research.markets import noise
from toolkit.core.costs import Costs
from toolkit.core.parameters import Parameters
from toolkit.core.types import ExitPlan, Fill, Reason, Side
from toolkit.market.hours import Hours
from toolkit.market.tables import frame_of, iter_events, normalise
from toolkit.research.backtest import backtest
from toolkit.research.parity.session import Cause, Change, Failure, Lot, Start
from toolkit.research.parity.trades import Leg
from toolkit.research.parity.twin import World
from toolkit.research.parity.twin import play as played

SYMBOLS = ("AAPL", "BTC/USD")
EAGER = Parameters().replace({"stoch_rsi.enabled": False, "ema_period": 2, "cooldown": 0})


def play(world: World, last):
    return played(world, last).trades


def world_of(bars, parameters=EAGER, **fields) -> World:
    start = Start(parameters=parameters, capital=10_000.0, costs=fields.pop("costs", Costs()))
    return World(start=start, symbols=SYMBOLS, warm_up=(), bars=tuple(bars), **fields)


def prices(bars):
    return {bar.symbol: bar.close for bar in bars}


@settings(max_examples=tries(15), deadline=None)
@given(options=OPTIONS, seed=st.integers(0, 10**6), slippage=st.floats(0, 20))
def test_the_twin_is_the_backtest_trade_by_trade(options, seed, slippage):
    bars, parameters = random_bars(seed), Parameters().replace(options)
    costs = Costs(slippage_bps=slippage)
    run = backtest(frame_of(bars), parameters, costs=costs)
    trades = play(world_of(bars, parameters, costs=costs), prices(bars)).values()
    closed = [trade for trade in trades if trade.exit is not None]
    ours = sorted((t.symbol, t.entry.time, t.entry.price, t.exit.time, t.exit.price,
                   t.entry.quantity, t.profit, t.exit.reason) for t in closed)  # fmt: skip
    theirs = sorted((t.symbol, t.entry_time, t.entry_price, t.exit_time, t.exit_price,
                     t.quantity, t.pnl, t.exit_reason) for t in run.round_trips)  # fmt: skip
    assert ours == theirs


def some_trade(bars):
    """A closed trade from the middle of a run, and the run."""
    trades = play(world_of(bars), prices(bars))
    closed = [t for t in trades.values() if t.exit is not None and t.exit.time > t.entry.time]
    return closed[len(closed) // 2], trades


BARS = random_bars(3)
NUMBER = {(bar.symbol, bar.timestamp): n for n, bar in enumerate(BARS)}


def test_a_refused_bar_makes_no_entry():
    trade, before = some_trade(BARS)
    after = play(world_of(BARS, refusals={trade.key: "stopped"}), prices(BARS))
    assert trade.key in before
    assert trade.key not in after


def test_an_entry_that_failed_blocks_its_symbol_until_that_was_known():
    trade, _ = some_trade(BARS)
    until = NUMBER[trade.key] + 30
    failure = Failure(position=until, cause=Cause.OUTAGE, reason="no answer")
    after = play(world_of(BARS, failures={trade.key: failure}), prices(BARS))
    blocked = [
        t for t in after.values()
        if t.symbol == trade.symbol and NUMBER[trade.key] <= NUMBER[t.key] < until
    ]  # fmt: skip
    assert blocked == []


def test_a_share_of_an_entry_is_filled():
    trade, _ = some_trade(BARS)
    after = play(world_of(BARS, shares={trade.key: 0.25}), prices(BARS))[trade.key]
    assert after.entry.quantity == trade.entry.quantity / 4
    assert after.exit.price == trade.exit.price


def test_executions_come_about_as_they_were():
    trade, _ = some_trade(BARS)
    begin = NUMBER[trade.key] + 1
    entry = Leg(
        time=trade.entry.time + timedelta(seconds=3),
        price=trade.entry.price * 1.01,
        quantity=Decimal(2),
        fee=Decimal("0.5"),
        reason=Reason.ENTRY,
        position=begin,
    )
    out = replace(entry, price=90.0, fee=Decimal(0), reason=Reason.MANUAL, position=begin + 9)
    forced = world_of(BARS, entries={trade.key: entry}, exits={trade.key: out})
    after = play(forced, prices(BARS))[trade.key]
    assert (after.entry, after.exit) == (
        replace(entry, position=-1),
        replace(out, position=-1),
    )
    assert float(after.profit) == round(2 * (90.0 - entry.price) - 0.5, 6)


def test_a_position_whose_exit_never_came_stays_open():
    trade, _ = some_trade(BARS)
    after = play(world_of(BARS, exits={trade.key: None}), prices(BARS))
    assert after[trade.key].exit is None
    assert not [t for t in after.values() if t.symbol == trade.symbol and t.decided > trade.decided]


def test_parameters_change_before_their_bar():
    changed = Change(position=100, values={"take_profit": 5.0}, who="ada", at=BARS[100].timestamp)
    before = play(world_of(BARS), prices(BARS))
    after = play(world_of(BARS, changes=(changed,)), prices(BARS))
    moment = BARS[100].timestamp
    early = [t for t in before.values() if t.exit and t.exit.time < moment]
    assert early
    assert [after[t.key] for t in early] == early
    assert before != after


def test_nobody_decides_on_an_unattended_bar_but_indicators_move():
    trade, _ = some_trade(BARS)
    after = play(world_of(BARS, unattended=frozenset({trade.key})), prices(BARS))
    assert trade.key not in after
    assert [key for key in after if key[1] > trade.decided]


HOURS = Hours(timeframe=60.0, sessions="regular", flat_before_close=300.0)
DAYS = tuple(iter_events(normalise(noise(1))))  # from the opening of one day to the third


def test_a_position_from_before_is_protected_in_a_session_with_hours():
    night = DAYS[0].timestamp - timedelta(hours=10)
    bought = Fill(
        order_id="before",
        client_order_id="before",
        symbol="AAPL",
        side=Side.BUY,
        price=DAYS[0].open,
        quantity=Decimal(1),
        fee=Decimal(0),
        timestamp=night,
        reason=Reason.ENTRY,
    )
    plan = ExitPlan(stop_loss=0.05, take_profit=9.0)
    start = Start(
        parameters=EAGER,
        capital=10_000.0,
        costs=Costs(),
        hours=HOURS,
        recovered=(bought,),
        lots={"AAPL": Lot(plan=plan, peak=0.0)},
    )
    trades = play(World(start=start, symbols=("AAPL",), warm_up=(), bars=DAYS), prices(DAYS))
    left = trades["AAPL", night].exit
    assert left is not None
    assert left.reason is Reason.STOP_LOSS


def test_a_forced_entry_is_protected_in_a_session_with_hours():
    start = Start(parameters=EAGER, capital=10_000.0, costs=Costs(), hours=HOURS)
    world = World(start=start, symbols=("AAPL",), warm_up=(), bars=DAYS)
    usual = play(world, prices(DAYS))
    trade = [t for t in usual.values() if t.exit is not None][3]
    number = [bar.timestamp for bar in DAYS].index(trade.decided) + 1
    hand = replace(trade, entry=replace(trade.entry, position=number, by_hand=True))
    forced = replace(world, refusals={trade.key: "stopped"}, by_hand=(hand,))
    after = [t for t in play(forced, prices(DAYS)).values() if t.decided > trade.decided]
    assert after  # it was sold, and the next one was bought
