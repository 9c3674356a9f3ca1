"""A recording played through the live path: the same events, one by one, to the last bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.bot.scripted import ScriptedMarket
from tests.core.markets import random_bars
from tests.record.recorded import MAX, PARAMETERS, compared, play, record
from toolkit.bot.events import ParametersChanged
from toolkit.broker.simulated import SimulatedBroker
from toolkit.core.types import Fill, MarketGap, Order, OrderStatus, Quote, RoundTrip, Signal
from toolkit.errors import ConfigError
from toolkit.market.recording import Recording
from toolkit.market.simulated import SimulatedMarket

BARS = [replace(b, volume=1.0) for b in random_bars(1, symbols=["AAPL"], count=400)]


def of(kind, events):
    return [event for event in events if type(event) is kind]


def script(bot_of: list) -> list:
    """Bars, ticks and a gap, with commands between them."""

    async def tune():
        await bot_of[0].command("set_parameters", {"ema_period": 12}, who="anna")

    async def wrong():
        with pytest.raises(ConfigError):
            await bot_of[0].command("set_parameters", {"nonsense": 12}, who="anna")

    async def stop():
        await bot_of[0].command("stop", {}, who="bob")

    async def start():
        await bot_of[0].command("start", {}, who="bob")

    async def flatten():
        await bot_of[0].command("flatten", {}, who="bob")

    quote = Quote(symbol="AAPL", timestamp=BARS[0].timestamp, bid=99.5, ask=100.5)
    gap = MarketGap(symbol="AAPL", after=BARS[9].timestamp, before=BARS[10].timestamp, missing=3)
    forming = replace(BARS[20], final=False)
    items = [quote, *BARS[:10], gap, *BARS[10:20], forming, *BARS[20:120], tune, wrong]
    items += [*BARS[120:200], stop, *BARS[200:230], start, *BARS[230:300], flatten]
    return [*items, *BARS[300:]]


async def recorded_run(folder: Path):
    bot_of: list = []
    market = ScriptedMarket(script(bot_of), history=BARS[:0])
    return await record(folder, market, drive=bot_of.append)


@pytest.mark.parametrize("broker", ["recorded", "simulated"])
async def test_a_session_with_commands_plays_back_event_by_event(tmp_path: Path, broker: str):
    run = await recorded_run(tmp_path / "r")
    again = await play(tmp_path / "r", broker=SimulatedBroker() if broker == "simulated" else None)
    assert compared(again.events) == compared(run.events)
    for kind in (Signal, Order, Fill, RoundTrip, ParametersChanged, MarketGap, Quote):
        assert of(kind, again.events), kind
    assert again.bot.engine.portfolio.holdings == run.bot.engine.portfolio.holdings


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_simulated_market_of_ticks_plays_back_bit_for_bit(tmp_path: Path, seed: int):
    market = SimulatedMarket(["AAPL", "BTC/USD"], seed=seed, pace=MAX, timeframe=60.0)

    def drive(bot):
        wait, sink = bot.market, bot._sink

        def publish(event):
            sink(event)
            if bot.ledger.bars >= 150:
                wait._market._pacer.stop()

        bot._sink = publish

    run = await record(tmp_path / "r", market, drive=drive)
    again = await play(tmp_path / "r")
    resimulated = await play(tmp_path / "r", broker=SimulatedBroker())
    assert compared(again.events) == compared(run.events)
    assert compared(resimulated.events) == compared(run.events)
    assert of(Fill, run.events)


async def test_history_warms_the_play_up_as_it_did_the_session(tmp_path: Path):
    market = ScriptedMarket(BARS[200:], history=BARS[:200])
    run = await record(tmp_path / "r", market)
    again = await play(tmp_path / "r")
    assert compared(again.events) == compared(run.events)


async def test_a_recording_says_what_came_of_it(tmp_path: Path):
    run = await recorded_run(tmp_path / "r")
    entries = list(Recording(tmp_path / "r").entries())
    assert [e.value for e in entries if e.what == "signal"] == of(Signal, run.events)
    assert [e.value for e in entries if e.what == "trip"] == of(RoundTrip, run.events)
    assert [e.value for e in entries if e.what == "update"] == [
        e for e in run.events if type(e) in (Order, Fill) and not _told_again(e, run.events)
    ]
    commands = [e.value for e in entries if e.what == "note" and e.value["kind"] == "command"]
    assert [c["data"]["name"] for c in commands] == [
        "set_parameters",
        "set_parameters",
        "stop",
        "start",
        "flatten",
    ]
    assert entries[-1].what == "end"


def _told_again(event, events) -> bool:
    # The snapshot at the start repeats open orders; here there are none.
    return isinstance(event, Order) and event.status is OrderStatus.PENDING


async def test_a_play_with_other_parameters_says_where_it_leaves_the_recording(tmp_path: Path):
    await recorded_run(tmp_path / "r")
    from tests.record.recorded import session
    from toolkit.record.broker import RecordedBroker
    from toolkit.record.playback import RecordedMarket

    market = RecordedMarket(Recording(tmp_path / "r"), pace=MAX)
    market.broker = RecordedBroker(market.script, name="simulated", real_time=False)
    run = session(market, market.broker)
    run.bot.engine.set_parameters({"ema_period": 50, "lookback": 1})
    await run.bot.run()
    assert any("in the recording" in text for text in market.script.differences)
    assert PARAMETERS.to_dict() != run.bot.engine.parameters.to_dict()
