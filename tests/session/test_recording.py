"""A launched bot that records, and its recording as something to launch, replay and study."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.exchange.serving import served
from tests.session.test_alpaca import SYMBOLS, bot_of, of, running, trade_until, until, use
from toolkit.bot.events import BotState, Event, Problem
from toolkit.config import Settings
from toolkit.core.types import Fill, Order, RoundTrip, Signal
from toolkit.errors import ConfigError
from toolkit.market.recording import Recording
from toolkit.session.bars import bars
from toolkit.session.build import build_bot
from toolkit.session.options import LaunchOptions
from toolkit.session.recorded_market import record_market
from toolkit.session.replay import replay

PARAMETERS = {"exit_on_signal": True, "stoch_rsi.upper_band": 70.0, "ema_period": 12}


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "bars.csv"
    bars(["AAPL", "MSFT"], count=400).to_csv(path, index=False)
    return str(path)


async def run(**options: object) -> list[Event]:
    events: list[Event] = []
    bot = build_bot(LaunchOptions(speed="max", **options), publish=events.append)
    await bot.run()
    await bot.stop()
    assert bot.state is BotState.STOPPED
    return events


async def test_a_recorded_bot_is_replayed_as_it_was_with_its_own_parameters(
    table: str, tmp_path: Path
):
    folder = str(tmp_path / "recordings")
    events = await run(recording=table, record=folder, parameters=PARAMETERS, capital=25_000.0)
    result = await replay(LaunchOptions(recording=folder, speed="max"))
    assert result.play.same
    assert result.play.notes == ()
    trips = [e for e in events if type(e) is RoundTrip]
    assert list(result.round_trips) == trips
    assert trips
    again = await run(recording=folder)
    for kind in (Signal, RoundTrip):
        assert [e for e in again if type(e) is kind] == [e for e in events if type(e) is kind]


async def test_other_parameters_trade_anew_on_the_recorded_market(table: str, tmp_path: Path):
    folder = str(tmp_path / "recordings")
    await run(recording=table, record=folder, parameters=PARAMETERS)
    asked = LaunchOptions(recording=folder, speed="max", parameters={"lookback": 3})
    result = await replay(asked)
    plain = await replay(LaunchOptions(recording=table, speed="max", parameters={"lookback": 3}))
    assert result.play.same is None
    assert result.round_trips == plain.round_trips


async def test_a_recording_is_played_with_all_its_symbols(table: str, tmp_path: Path):
    folder = str(tmp_path / "recordings")
    await run(recording=table, record=folder)
    with pytest.raises(ConfigError, match="all its symbols: AAPL, MSFT"):
        await run(recording=folder, symbols=("AAPL",))


async def test_a_play_that_leaves_the_recording_says_so(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = str(tmp_path / "recordings")
    await run(recording=table, record=folder, parameters=PARAMETERS)
    told = Recording(folder).about["options"]["parameters"]
    changed = {**told, "ema_period": 30}

    def about(self: Recording, path: str) -> None:
        original(self, path)
        self.about["options"]["parameters"] = changed

    original = Recording.__init__
    monkeypatch.setattr(Recording, "__init__", about)
    result = await replay(LaunchOptions(recording=folder, speed="max"))
    assert result.play.same is False
    assert result.play.differences


async def test_a_folder_that_cannot_be_written_is_a_problem_and_the_bot_goes_on(
    table: str, tmp_path: Path
):
    (tmp_path / "file").write_text("in the way")
    events = await run(recording=table, record=str(tmp_path / "file"))
    (problem,) = [e for e in events if type(e) is Problem]
    assert problem.code == "recording_stopped"
    assert "the bot goes on" in problem.message
    assert [e for e in events if type(e) is Signal]


async def test_the_options_know_the_record_on_their_way_into_another_process():
    options = LaunchOptions(record="/somewhere")
    assert LaunchOptions.from_dict(options.to_dict()) == options


async def test_a_bot_at_the_exchange_is_replayed_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder, events = str(tmp_path / "recordings"), []
    with served(symbols=SYMBOLS) as exchange, monkeypatch.context() as patch:
        use(exchange, patch)
        bot = bot_of(events, record=folder)
        async with running(bot):
            await until(lambda: bot.state is BotState.RUNNING)
            await trade_until(exchange, lambda: of(Fill, events))
            await bot.command("flatten", {}, who="ada")
            await trade_until(exchange, lambda: of(RoundTrip, events))
    again: list[Event] = []
    player = build_bot(LaunchOptions(recording=folder, speed="max"), publish=again.append)
    await player.run()
    report = player.market.report()
    assert report.differences == ()
    assert report.same
    for kind in (Signal, Fill, RoundTrip, Order):
        assert of(kind, again) == of(kind, events), kind
    assert "APCA" not in str(Recording(folder).about)


async def test_the_market_of_the_exchange_is_recorded_without_a_bot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = str(tmp_path / "recordings")
    with served(symbols=SYMBOLS) as exchange, monkeypatch.context() as patch:
        use(exchange, patch)
        options = LaunchOptions(symbols=SYMBOLS, record=folder)
        counts: list[int] = []
        recording = asyncio.create_task(
            record_market(
                options, Settings.load(), most=150, progress=lambda c: counts.append(c.total())
            )
        )
        await trade_until(exchange, recording.done)
        done = await recording
        assert not exchange.state()["orders"]
    assert (done.problem, counts[0]) == ("", 1)
    assert done.counts["bars"] > 0
    read = list(Recording(folder).entries())
    assert len([e for e in read if e.what == "market"]) == 150
    assert {e.value.symbol for e in read if e.what == "history"} == set(SYMBOLS)
    assert {bar.feed for bar in Recording(folder).bars()} <= {"iex", "crypto"}
