"""The bot: what it publishes, what commands do, and that nothing stops it silently."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.bot.scripted import scripted_bot
from tests.core.markets import bar, random_bars
from toolkit.bot.events import BotState, Health, ParametersChanged, Performance, Problem
from toolkit.bot.ledger import KEPT_ORDERS, Ledger
from toolkit.broker.simulated import SimulatedBroker
from toolkit.core.costs import Costs
from toolkit.core.engine import Engine
from toolkit.core.gates import Gate
from toolkit.core.parameters import Parameters
from toolkit.core.types import (
    Account,
    Bar,
    Evaluation,
    Fill,
    Order,
    OrderStatus,
    OrderType,
    Position,
    Quote,
    Reason,
    RoundTrip,
    Side,
    Signal,
)
from toolkit.errors import ConfigError, DataError, OrderRejected, UnknownOrderState

BARS = [replace(b, volume=1.0) for b in random_bars(1, symbols=["AAPL"], count=400)]


def of(kind, events):
    return [event for event in events if type(event) is kind]


async def test_a_run_publishes_every_kind_of_event_and_ends_finished():
    quote = Quote(symbol="AAPL", timestamp=BARS[0].timestamp, bid=99.0, ask=101.0)
    forming = replace(BARS[0], final=False)
    bot, events = scripted_bot([quote, forming, *BARS])
    await bot.run()
    for kind in (Bar, Quote, Evaluation, Signal, Order, Fill, RoundTrip, Position, Account):
        assert of(kind, events), kind
    assert of(Performance, events)
    assert of(Health, events)[-1].state is BotState.FINISHED
    assert len(of(Evaluation, events)) == len(BARS)


async def test_orders_fills_and_books_tell_one_story():
    bot, events = scripted_bot(BARS)
    await bot.run()
    trips, account = of(RoundTrip, events), of(Account, events)[-1]
    assert account.realised_pnl == sum(trip.pnl for trip in trips)
    assert bot.performance().trades == len(trips)
    for position in bot.broker.positions():
        assert bot.engine.portfolio.quantity(position.symbol) == position.quantity


async def test_a_closed_position_is_published_with_quantity_zero():
    bot, events = scripted_bot(BARS)
    await bot.run()
    closed = [p for p in of(Position, events) if not p.quantity]
    assert len(closed) == len(of(RoundTrip, events))


async def test_history_warms_up_and_is_not_traded():
    bot, events = scripted_bot(BARS[200:], history=BARS[:200])
    await bot.run()
    first = of(Evaluation, events)[0]
    assert first.bar == BARS[199]  # the snapshot at the start
    assert of(Evaluation, events)[1].indicators.rsi > 0
    assert min(order.submitted_at for order in of(Order, events)) >= BARS[200].timestamp


async def test_parameters_change_between_bars_and_are_confirmed():
    async def change():
        result = await bot.command("set_parameters", {"values": {"ema_period": 20}}, who="ada")
        assert result.new == {"ema.ema_period": 20}

    bot, events = scripted_bot([*BARS[:100], change, *BARS[100:]])
    await bot.run()
    (event,) = [e for e in of(ParametersChanged, events) if e.who == "ada"]
    assert event.old == {"ema.ema_period": 9}
    assert event.parameters["ema.ema_period"] == 20
    assert bot.engine.parameters.ema.ema_period == 20


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("fly", {}, "known are: flatten"),
        ("set_parameters", {"values": {"ema_period": 0}}, "whole numbers from 1 to 500"),
        ("set_parameters", {"values": {"nonsense": 1}}, "is no parameter"),
        ("set_parameters", {"values": 7}, "takes values"),
        ("get_history", {"limit": 10}, "takes a symbol"),
        ("get_history", {"symbol": "AAPL", "limit": 0}, "1 to 1000"),
        ("flatten", {"symbols": "AAPL"}, "list of symbols"),
    ],
)
async def test_a_wrong_command_says_what_is_allowed(name, args, words):
    bot, _ = scripted_bot([])
    with pytest.raises(ConfigError, match=words):
        await bot.command(name, args, who="test")


async def test_an_unknown_symbol_is_named_with_the_known_ones():
    bot, _ = scripted_bot([])
    with pytest.raises(DataError, match="known symbols: AAPL"):
        await bot.command("get_history", {"symbol": "TSLA"}, who="test")


async def test_paused_takes_no_entries_until_it_is_started_again():
    async def pause():
        await bot.command("stop", {}, who="ada")

    async def resume():
        await bot.command("start", {}, who="ada")

    bot, events = scripted_bot([pause, *BARS[:300], resume, *BARS[300:]])
    await bot.run()
    assert [h.state for h in of(Health, events) if h.reason == "entries stopped by ada"]
    assert of(Order, events)
    assert min(o.submitted_at for o in of(Order, events)) >= BARS[300].timestamp


async def test_a_bad_bar_is_a_problem_and_the_bot_goes_on():
    bad = replace(BARS[5], close=float("nan"))
    bot, events = scripted_bot([*BARS[:5], bad, *BARS[5:]])
    await bot.run()
    (problem,) = of(Problem, events)
    assert (problem.code, problem.symbol) == ("data_error", "AAPL")
    assert "close is nan" in problem.message
    assert bot.ledger.bars == len(BARS)


class _Refusing(SimulatedBroker):
    async def submit(self, request):
        raise OrderRejected("no such luck", symbol=request.symbol)


async def test_a_refused_order_is_published_and_forgotten():
    bot, events = scripted_bot(BARS, broker=_Refusing())
    await bot.run()
    assert {p.code for p in of(Problem, events)} == {"order_rejected"}
    assert not of(Fill, events)
    assert bot.state is BotState.FINISHED


class _Faulty(SimulatedBroker):
    def on_bar(self, bar):
        if bar.timestamp == BARS[50].timestamp:
            raise RuntimeError("boom")
        super().on_bar(bar)


async def test_an_unexpected_error_closes_the_gate_and_is_published():
    bot, events = scripted_bot(BARS, broker=_Faulty())
    await bot.run()
    (problem,) = of(Problem, events)
    assert (problem.code, "boom" in problem.message) == ("internal_error", True)
    entries = [o for o in of(Order, events) if o.side.value == "buy"]
    assert all(o.submitted_at < BARS[50].timestamp for o in entries)
    assert bot.state is BotState.FINISHED
    assert bot.ledger.bars == len(BARS) - 1


async def test_a_market_that_fails_ends_the_bot_with_its_reason():
    async def fail():
        raise DataError("the line is dead")

    bot, _ = scripted_bot([*BARS[:3], fail])
    with pytest.raises(DataError):
        await bot.run()
    assert (bot.state, bot.health().reason) == (BotState.FAILED, "the line is dead")


async def test_newcomers_can_ask_for_the_latest_states_of_the_last_orders():
    bot, events = scripted_bot(BARS)
    await bot.run()
    latest = {order.id: order for order in of(Order, events)}
    assert len(of(Order, events)) > len(latest) > 2
    assert await bot.command("get_orders", {}, who="ada") == {"orders": list(latest.values())}


def test_the_memory_of_orders_is_bounded():
    ledger, moment = Ledger(), BARS[0].timestamp
    order = Order(
        id="0",
        client_order_id="c0",
        symbol="AAPL",
        side=Side.BUY,
        quantity=Decimal(1),
        order_type=OrderType.MARKET,
        status=OrderStatus.ACCEPTED,
        reason=Reason.ENTRY,
        submitted_at=moment,
        updated_at=moment,
    )
    for number in range(KEPT_ORDERS + 5):
        ledger.record(replace(order, id=str(number)))
    ledger.record(replace(order, id="5", status=OrderStatus.FILLED))
    assert len(ledger.orders()) == KEPT_ORDERS
    assert (ledger.orders()[0].id, ledger.orders()[0].status) == ("5", OrderStatus.FILLED)


async def test_flatten_closes_at_the_next_open():
    async def flatten():
        if bot.engine.portfolio.holdings:
            await bot.command("flatten", {}, who="ada")
            flattened.append(True)

    flattened: list[bool] = []
    wide = Parameters().replace(stop_loss=0, take_profit=0, trailing_stop=0)
    last = BARS[-1]
    after = bar(1000, last.close, last.close, last.close, last.close)
    bot, events = scripted_bot([*BARS, flatten, after], parameters=wide)
    await bot.run()
    assert flattened
    assert [t.exit_reason.value for t in of(RoundTrip, events)] == ["flatten"]


async def held_bot(broker=None):
    """A bot that holds AAPL with an entry behind it, its events, and a bar to go on with."""
    wide = Parameters().replace(stop_loss=0, take_profit=0, trailing_stop=0)
    bot, events = scripted_bot(BARS, parameters=wide, broker=broker)
    await bot.run()
    assert bot.engine.portfolio.holdings
    return bot, events


async def test_a_flatten_that_names_an_unknown_symbol_changes_nothing():
    bot, _ = await held_bot()
    with pytest.raises(DataError, match="known symbols"):
        await bot.command("flatten", {"symbols": ["AAPL", "NOPE"]}, who="ada")
    assert len((await bot.command("flatten", {}, who="ada"))["orders"]) == 1


async def test_a_flatten_of_no_symbols_closes_nothing():
    bot, _ = await held_bot()
    assert (await bot.command("flatten", {"symbols": []}, who="ada"))["orders"] == []


async def test_flatten_reports_what_the_broker_refused():
    bot, _ = await held_bot()
    bot.trader.broker = _Refusing()
    result = await bot.command("flatten", {}, who="ada")
    assert (result["orders"], len(result["refused"])) == ([], 1)


class _Overtaken(SimulatedBroker):
    """The last share of an entry comes in just before a sale does."""

    def __init__(self) -> None:
        super().__init__()
        self.bot, self.fill = None, None
        self.asked: list[Decimal] = []

    async def submit(self, request):
        if request.side is Side.BUY:
            return await super().submit(request)
        self.asked.append(request.quantity)
        if len(self.asked) == 1:
            self.bot.trader.on_update(self.fill)
        held = self.bot.engine.portfolio.quantity(request.symbol)
        if request.quantity != held:
            raise OrderRejected(f"{held} are held", symbol=request.symbol, reason="quantity")
        return None


@pytest.mark.parametrize("command", ["flatten", "halt"])
async def test_a_sale_that_a_fill_overtook_is_made_anew_with_what_is_held(command):
    broker = _Overtaken()
    bot, events = await held_bot(broker)
    broker.bot, before = bot, bot.engine.portfolio.quantity("AAPL")
    broker.fill = of(Fill, events)[-1]
    assert (broker.fill.side, broker.fill.quantity) == (Side.BUY, before)
    result = await bot.command(command, {"flatten": True} if command == "halt" else {}, who="ada")
    assert (len(result["orders"]), result["refused"]) == (1, [])
    assert broker.asked == [before, 2 * before]


@pytest.mark.parametrize("command", ["flatten", "stop"])
async def test_flatten_and_stop_take_back_an_entry_that_waits(command):
    async def act():
        if not acted and bot.broker.open_orders():
            await bot.command(command, {}, who="ada")
            await bot.command("stop", {}, who="ada")
            acted.append(True)

    acted: list[bool] = []
    script = [item for bar_ in BARS for item in (bar_, act)]
    bot, events = scripted_bot(script)
    await bot.run()
    assert acted
    assert not of(Fill, events)
    assert [o.status for o in of(Order, events)] == [OrderStatus.ACCEPTED, OrderStatus.CANCELED]


class _Silent(SimulatedBroker):
    async def submit(self, request):
        raise UnknownOrderState("no answer came", client_order_id=request.client_order_id)


async def test_an_unknown_outcome_is_never_sent_again_and_pauses():
    bot, events = scripted_bot(BARS, broker=_Silent())
    await bot.run()
    assert [p.code for p in of(Problem, events)] == ["unknown_order_state"]
    assert any("unknown outcome" in health.reason for health in of(Health, events))
    assert Gate.ORDERS in bot.gates.by_gate


async def test_a_stale_or_broken_bar_reaches_neither_broker_nor_strategy():
    entry = next(i for i in range(len(BARS)) if await_entry(i))
    stale = replace(BARS[entry - 5], open=50.0, low=50.0)
    broken = replace(BARS[entry + 1], open=float("nan"))
    bot, events = scripted_bot([*BARS[: entry + 1], stale, broken, *BARS[entry + 1 :]])
    await bot.run()
    assert len(of(Problem, events)) == 2
    assert of(Fill, events)[0].price == BARS[entry + 1].open


def await_entry(number: int) -> bool:
    """Whether the default strategy sends its first order at this bar."""
    engine = Engine(symbols=["AAPL"], parameters=Parameters())
    decisions = [engine.on_bar(item) for item in BARS[: number + 1]]
    return decisions[-1].request is not None


async def test_equity_is_start_plus_realised_plus_unrealised():
    bot, events = scripted_bot(BARS, broker=SimulatedBroker(costs=Costs(stock_fee_bps=20)))
    await bot.run()
    for account in of(Account, events):
        if account.open_positions == 0:
            assert account.equity == 10_000 + account.realised_pnl
    held, _ = await held_bot(SimulatedBroker(costs=Costs(stock_fee_bps=20)))
    (position,) = held.broker.positions()
    account = held.engine.portfolio.account(held.engine.prices(), timestamp=held.clock())
    assert account.equity == 10_000 + account.realised_pnl + position.unrealised_pnl


async def test_the_snapshot_tells_a_newcomer_everything():
    bot, _ = scripted_bot(BARS)
    await bot.run()
    kinds = {type(event) for event in bot.snapshot()}
    assert {Health, ParametersChanged, Evaluation, Account, Performance} <= kinds
