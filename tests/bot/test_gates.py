"""What closes the gates of a bot in real time, and what opens them again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.bot.real import SickBroker, World, real_bot
from tests.bot.scripted import scripted_bot
from tests.bot.test_bot import BARS, of
from tests.core.markets import minute
from tests.core.test_engine import EAGER, rising
from tests.core.test_engine_updates import fill, order
from toolkit.bot.bot import HEALTH_INTERVAL
from toolkit.bot.events import BarCorrection, BotState, Health, Problem
from toolkit.bot.halt import HaltOrder, HaltSwitch
from toolkit.bot.losses import Losses
from toolkit.broker.port import Recovery
from toolkit.core.gates import Gate
from toolkit.core.limits import RiskLimits
from toolkit.core.types import Bar, Evaluation, Fill, Order, OrderStatus, Side, Signal
from toolkit.errors import (
    BrokerError,
    ConfigError,
    DataError,
    FeedRefused,
    NotConnected,
    OrderRejected,
)
from toolkit.market.port import FeedHealth
from toolkit.streaming.wire import payload, plain


@asynccontextmanager
async def running(bot, world: World) -> AsyncIterator[None]:
    """The bot while it waits for the market; its script ends in a wait."""
    task = asyncio.create_task(bot.run())
    await world.settled()
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def for_ever() -> None:
    await asyncio.Event().wait()


START = minute(0)


def closed(bot) -> set[Gate]:
    return {reason.gate for reason in bot.health().gates}


def healths(events) -> list[tuple[BotState, str]]:
    return [(h.state, h.reason) for h in of(Health, events)]


async def test_a_mute_feed_closes_its_gate_at_once_and_opens_it_by_itself():
    world = World()
    bot, events = real_bot(world, [for_ever])
    async with running(bot, world):
        bot.market.feed = FeedHealth(ok=False, reason="nothing heard for 70 s", last_message=START)
        await world.passes(1)
        assert (BotState.PAUSED, "nothing heard for 70 s") in healths(events)
        assert of(Health, events)[-1].feed.last_message == START
        bot.market.feed = FeedHealth()
        await world.passes(1)
        assert (healths(events)[-1], closed(bot)) == ((BotState.RUNNING, ""), set())
    noted = [(n["gate"], n["closed"]) for n in world.noted("gate")]
    assert noted == [("feed", True), ("feed", False)]


async def test_every_gate_of_the_broker_is_taken_over():
    world, broker = World(), SickBroker()
    bot, _ = real_bot(world, [for_ever], broker=broker)
    async with running(bot, world):
        broker.ill = {Gate.RECONCILIATION: "2 here, 3 there", Gate.ORDERS: "stream down"}
        await world.passes(1)
        assert closed(bot) == {Gate.RECONCILIATION, Gate.ORDERS}
        assert bot.health().reason == "2 here, 3 there"
        broker.ill = {Gate.BROKER: "does not answer"}
        await world.passes(1)
        assert closed(bot) == {Gate.BROKER}
        broker.ill = {}
        await world.passes(1)
        assert (bot.state, closed(bot)) == (BotState.RUNNING, set())


async def test_a_clock_that_is_off_by_more_than_a_second_closes_its_gate():
    world = World()
    world.offset = 1.2
    bot, _ = real_bot(world, [for_ever])
    async with running(bot, world):
        await world.passes(1)
        assert "1.2 s behind" in bot.gates.reason()
        world.offset = NotConnected("no answer")
        await world.passes(61)
        assert closed(bot) == {Gate.CLOCK}
        world.offset = -0.9
        await world.passes(61)
        assert not closed(bot)


async def test_a_closed_market_closes_the_gate_of_its_symbol_and_the_bot_runs():
    world, hours = World(), {"AAPL": False}
    bot, _ = real_bot(world, [for_ever], is_open=lambda symbol, _moment: hours[symbol])
    async with running(bot, world):
        (reason,) = bot.health().gates
        assert (reason.gate, reason.symbol) == (Gate.MARKET, "AAPL")
        assert bot.state is BotState.RUNNING
        hours["AAPL"] = True
        await world.passes(1)
        assert not closed(bot)


async def test_health_is_published_every_few_seconds_though_nothing_changes():
    world = World()
    bot, events = real_bot(world, [for_ever])
    async with running(bot, world):
        before = len(of(Health, events))
        await world.passes(3 * HEALTH_INTERVAL + 1)
        assert len(of(Health, events)) == before + 3


async def test_simulated_markets_have_neither_hours_nor_clock():
    bot, _ = scripted_bot(BARS[:5])
    await bot.run()
    assert not bot.health().gates


def at_close(world: World, bars, *, late: float = 1.0):
    """A script that sets the clock to each bar's arrival."""

    def clock(item: Bar):
        async def arrive() -> None:
            await world.settled()
            world.now = item.timestamp + timedelta(seconds=60 + late)

        return arrive

    return [step for item in bars for step in (clock(item), item)]


async def test_entries_are_refused_while_a_gate_is_closed_and_exits_act():
    world = World()
    exits = EAGER.replace({"rules.exit_on_signal": True})
    bot, events = real_bot(world, [], parameters=exits)

    async def mute() -> None:
        await world.settled()
        if bot.engine.portfolio.holdings:
            bot.market.feed = FeedHealth(ok=False, reason="mute")

    script = at_close(world, BARS)
    bot.market._script = [
        step for n in range(0, len(script), 2) for step in (*script[n : n + 2], mute)
    ]
    await bot.run()
    assert {o.side for o in of(Order, events)} == {Side.BUY, Side.SELL}
    assert len({o.id for o in of(Order, events) if o.side is Side.BUY}) == 1
    assert {s.refusal for s in of(Signal, events) if s.refusal} == {"mute"}


async def test_a_stale_bar_makes_no_entry_and_says_so():
    world = World()
    bot, events = real_bot(world, [], parameters=EAGER)
    bot.market._script = at_close(world, rising(6), late=121.0)
    await bot.run()
    assert not of(Order, events)
    (signal,) = of(Signal, events)
    assert signal.refusal == "stale bar: it closed 121 s ago"
    assert len(of(Evaluation, events)) == 6


async def test_a_fresh_bar_enters():
    world = World()
    bot, events = real_bot(world, [], parameters=EAGER)
    bot.market._script = at_close(world, rising(6), late=119.0)
    await bot.run()
    assert of(Order, events)


async def test_a_correction_is_published_and_kept_but_not_traded():
    world = World()
    bars = rising(4)
    corrected = replace(bars[2], close=bars[2].close + 0.005, revision=1)
    unseen = replace(bars[3], timestamp=minute(9), revision=1)
    bot, events = real_bot(world, [])
    bot.market._script = [*at_close(world, bars), corrected, unseen]
    await bot.run()
    first, second = of(BarCorrection, events)
    assert (first.bar, first.decided) == (corrected, True)
    assert first.indicators == of(Evaluation, events)[2].indicators
    assert (second.decided, second.indicators) == (False, None)
    assert len(bot.engine.memory("AAPL")) == 4
    history = await bot.command("get_history", {"symbol": "AAPL"}, who="ada")
    assert history["corrections"] == [first, second]
    data = payload(first).data
    assert (data["kind"], data["decided"], data["revision"]) == ("bar", True, 1)
    assert [n["decided"] for n in world.noted("revised_bar")] == [True, False]


async def test_an_unknown_outcome_opens_by_itself_when_the_broker_knows():
    world, broker = World(), SickBroker()
    bot, _ = real_bot(world, [for_ever], broker=broker)
    async with running(bot, world):
        bot.watch.unknown["x"] = "AAPL"
        await world.passes(1)
        assert closed(bot) == {Gate.ORDERS}
        bot.trader.on_update(order("x", Side.BUY, OrderStatus.UNKNOWN))
        assert closed(bot) == {Gate.ORDERS}
        bot.trader.on_update(order("x", Side.BUY, OrderStatus.ACCEPTED))
        assert not closed(bot)


async def test_a_fill_that_cannot_be_booked_closes_the_gate_until_a_person_starts_again():
    world = World()
    bot, events = real_bot(world, [for_ever])
    async with running(bot, world):
        bot.trader.on_update(fill("x", Side.SELL, "5", 100.0))
        assert closed(bot) == {Gate.ERROR}
        assert of(Fill, events)
        assert "only 0 are held" in of(Problem, events)[-1].message
        assert (await bot.command("start", {}, who="ada")).state is BotState.RUNNING
    assert world.noted("error")


async def test_a_watch_that_fails_closes_the_gate_and_says_so_once():
    world, broker = World(), SickBroker()
    bot, events = real_bot(world, [for_ever], broker=broker)
    async with running(bot, world):
        broker.ill = None
        await world.passes(3)
        assert closed(bot) == {Gate.ERROR}
        assert len(of(Problem, events)) == 1


async def test_a_journal_that_fails_closes_the_gate():
    world = World()
    bot, events = real_bot(world, [for_ever])

    def full(kind, who, data):
        raise BrokerError("the disk is full")

    bot._notes._note = full
    async with running(bot, world):
        await bot.command("set_parameters", {"values": {"ema_period": 20}}, who="ada")
        assert closed(bot) == {Gate.ERROR}
        assert [p.message for p in of(Problem, events)] == ["the journal failed: the disk is full"]


async def test_what_earlier_runs_did_is_known_and_not_told_again():
    filled = order("in", Side.BUY, OrderStatus.FILLED)
    updates = (
        fill("in", Side.BUY, "10", 100.0),
        filled,
        fill("old", Side.BUY, "1", 9.0, symbol="TSLA"),
    )
    world = World()
    broker = SickBroker(recovery=Recovery(updates=updates))
    bot, events = real_bot(world, [for_ever], broker=broker)
    async with running(bot, world):
        assert not [e for e in events if isinstance(e, Fill)]
        assert bot.engine.portfolio.quantity("AAPL") == 10
        assert (await bot.command("get_orders", {}, who="ada"))["orders"] == [filled]
        (problem,) = of(Problem, events)
        assert (problem.code, problem.symbol) == ("not_traded", "TSLA")


async def test_without_a_network_the_bot_waits_for_it():
    world, broker = World(), SickBroker(offline=2)
    bot, events = real_bot(world, [for_ever], broker=broker)
    async with running(bot, world):
        assert (bot.state, closed(bot)) == (BotState.STARTING, {Gate.BROKER})
        await world.passes(11)
        assert (bot.state, closed(bot), broker.starts) == (BotState.RUNNING, set(), 3)
    assert [p.code for p in of(Problem, events)] == ["not_connected"]


async def test_without_history_the_bot_waits_for_it_and_a_refused_feed_ends_it():
    world = World()
    bot, _ = real_bot(world, [for_ever])
    answers = [DataError("no answer in time"), DataError("no answer in time")]

    async def history(_symbol, *, limit):
        if answers:
            raise answers.pop()
        return []

    bot.market.history = history
    async with running(bot, world):
        assert bot.gates.reason() == "no answer in time"
        await world.passes(11)
        assert (bot.state, closed(bot)) == (BotState.RUNNING, set())
    other, _ = real_bot(world, [for_ever])
    other.market.history = history
    answers.append(FeedRefused("use feed iex"))
    with pytest.raises(FeedRefused):
        await other.run()
    assert other.health().reason == "use feed iex"


async def test_keys_that_open_nothing_end_the_bot_with_what_to_do():
    class Refused(SickBroker):
        async def start(self, on_update) -> None:
            raise BrokerError("Alpaca refused the keys: check them")

    world = World()
    bot, _ = real_bot(world, [for_ever], broker=Refused())
    with pytest.raises(BrokerError):
        await bot.run()
    assert (bot.state, bot.health().reason) == (
        BotState.FAILED,
        "Alpaca refused the keys: check them",
    )


async def test_halt_takes_back_entries_and_flattens_and_holds_over_start():
    world = World()
    bot, events = real_bot(world, [], parameters=EAGER)
    done: list[object] = []

    async def halt() -> None:
        await world.settled()
        if bot.engine.portfolio.holdings and not done:
            args = {"flatten": True, "reason": "enough"}
            done.append(await bot.command("halt", args, who="ada"))
            await bot.command("start", {}, who="bob")
            done.append(bot.state)

    wide = EAGER.replace(stop_loss=0, take_profit=0, trailing_stop=0)
    bot.engine.set_parameters(wide.to_dict())
    bars = at_close(world, BARS)
    bot.market._script = [step for n in range(0, len(bars), 2) for step in (*bars[n : n + 2], halt)]
    await bot.run()
    result, state = done
    assert (len(result["orders"]), result["refused"], state) == (1, [], BotState.PAUSED)
    assert not bot.engine.portfolio.holdings
    sides = [o.side for o in of(Order, events) if o.status is OrderStatus.ACCEPTED]
    assert sides == [Side.BUY, Side.SELL]
    assert "halted by ada: enough" in bot.gates.reason()
    lifted = await bot.command("resume_trading", {}, who="ada")
    assert lifted.gates == ()
    assert [n["name"] for n in world.noted("command")] == ["halt", "start", "resume_trading"]


async def test_a_halt_closes_the_gate_though_a_bar_still_waits_for_the_broker():
    world, answered = World(), asyncio.Event()

    class Slow(SickBroker):
        async def cancel(self, order_id: str) -> None:
            await answered.wait()

        def open_orders(self):
            return [order("in", Side.BUY, OrderStatus.ACCEPTED)]

    bot, _ = real_bot(world, [for_ever], broker=Slow())
    async with running(bot, world):
        stopping = asyncio.create_task(bot.command("stop", {}, who="ada"))
        await world.settled()
        halting = asyncio.create_task(bot.command("halt", {}, who="bob"))
        await world.settled()
        assert closed(bot) == {Gate.HALT, Gate.COMMAND}
        answered.set()
        assert (await halting)["cancelled"] == ["in"]
        await stopping


@pytest.mark.parametrize(
    ("args", "words"), [({"flatten": 1}, "true or false"), ({"reason": 7}, "text")]
)
async def test_a_halt_with_wrong_arguments_halts_nothing(args, words):
    bot, _ = scripted_bot([])
    with pytest.raises(ConfigError, match=words):
        await bot.command("halt", args, who="ada")
    assert not bot.gates.closed


async def test_a_halt_file_flattens_until_nothing_is_held(tmp_path):
    world, path = World(), tmp_path / "halt"
    recovery = Recovery(updates=(fill("in", Side.BUY, "10", 100.0),))

    class Closed(SickBroker):
        tries = 0

        async def submit(self, request):
            self.tries += 1
            raise OrderRejected("the market is closed")

    broker = Closed(recovery=recovery)
    bot, _ = real_bot(world, [for_ever], broker=broker, history=rising(3), switch=HaltSwitch(path))
    async with running(bot, world):
        path.write_text(json.dumps({"who": "ada", "flatten": True}))
        await world.passes(1)
        assert broker.tries == 1
        await world.passes(30)
        assert broker.tries == 1
        await world.passes(60)
        assert broker.tries == 2
        path.unlink()
        await world.passes(1)
        assert not closed(bot)


def test_a_halt_file_of_any_content_halts(tmp_path):
    path = tmp_path / "folder" / "halt"
    switch = HaltSwitch(path)
    assert switch.order() is None
    switch.throw(HaltOrder(who="ada", reason="r", flatten=True))
    assert HaltSwitch(path).order() == HaltOrder(who="ada", reason="r", flatten=True)
    for text, words in (("", "the halt file"), ("lunch", "lunch"), ("[1]", "[1]"), ("{}", "{}")):
        path.write_text(text)
        assert words in switch.order().text
    assert switch.lift()
    assert not switch.lift()


async def test_a_days_loss_closes_the_gate_and_survives_a_restart(tmp_path):
    limits, path = RiskLimits(max_daily_loss=1), tmp_path / "losses.json"
    world = World()
    wide = EAGER.replace(stop_loss=0, take_profit=0, trailing_stop=0)
    falling = [
        replace(b, open=p, high=p, low=p, close=p)
        for b, p in zip(
            rising(12), (100, 100.01, 100.02, 100.03, 99, 98, 97, 96, 95, 94, 95, 96), strict=True
        )
    ]
    bot, _ = real_bot(world, [], parameters=wide, limits=limits, losses=Losses(limits, path=path))
    bot.market._script = at_close(world, falling)
    await bot.run()
    assert Gate.LOSS in closed(bot)
    assert bot.health().limits.daily_loss > 1
    await bot.stop()
    losses = Losses(limits, path=path)
    assert "max_daily_loss" in losses.reason
    assert (await bot.command("start", {}, who="ada")).gates == ()
    assert Losses(limits, path=path).reason == ""
    path.write_text(json.dumps({**json.loads(path.read_text()), "capital": 500.0}))
    less = Losses(limits, path=path)
    opening = json.loads(path.read_text())["opening"]
    assert less.mark(opening - 500.5, falling[-1].timestamp) == ""
    assert "max_daily_loss: 1.00" in less.mark(opening - 501, falling[-1].timestamp)
    path.write_text("{")
    assert Losses(limits, path=path).reason == ""


async def test_limits_stand_in_the_health_and_a_refusal_closes_the_symbols_gate_for_its_bar():
    world = World()
    limits = RiskLimits(max_position_value=100)
    bot, events = real_bot(world, [], parameters=EAGER, limits=limits)
    bot.market._script = at_close(world, rising(6))
    await bot.run()
    (reason,) = bot.health().gates
    assert (reason.gate, reason.symbol) == (Gate.EXPOSURE, "AAPL")
    data = plain(bot.health())
    assert data["limits"]["limits"]["max_position_value"] == 100
    assert data["gates"][0]["gate"] == "exposure"
    assert {s.refusal[:18] for s in of(Signal, events)} == {"max_position_value"}


async def test_a_slow_broker_does_not_hold_up_the_next_bar():
    world, sent = World(), []

    class Slow(SickBroker):
        async def submit(self, request):
            sent.append(request)
            await asyncio.Event().wait()

    bot, events = real_bot(world, [], parameters=EAGER, broker=Slow())
    bot.market._script = [*at_close(world, rising(6)), for_ever]
    async with running(bot, world):
        for _ in range(10):
            await world.settled()
        assert len(sent) == 1
        assert len(of(Evaluation, events)) == 6
        bot.trader._sending.pop().cancel()
