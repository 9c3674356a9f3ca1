"""A day at the exchange double with its faults: recording and journal tell the same causes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.research.parity.rehearsed import Rehearsal, rehearse
from tests.research.parity.sessions import report_of
from toolkit.bot.bot import Bot
from toolkit.core.costs import Costs
from toolkit.exchange.faults import Fault, Kind
from toolkit.market.tables import frame_of
from toolkit.research.parity.fills import with_fills
from toolkit.research.parity.journaled import session_of_journal
from toolkit.research.parity.report import ParityReport
from toolkit.research.parity.runs import runs_of

# It trades every few minutes.
EAGER = {
    "stoch_rsi.enabled": False,
    "ema_period": 5,
    "cooldown": 0,
    "rules.lookback": 1,
    "stop_loss": 0.2,
    "take_profit": 0.3,
    "trailing_stop": 0.15,
}
FAULTS = (
    Fault(kind=Kind.REVISED_BARS, start=60, length=400),
    Fault(kind=Kind.MISSING_BARS, start=500, length=240),
    Fault(kind=Kind.PARTIAL_FILLS, start=780, length=240),
    Fault(kind=Kind.TIMEOUT_BEFORE, start=1080, length=240, target="POST /v2/orders"),
)


def command(name: str, **args: object):
    async def act(bot: Bot) -> None:
        await bot.command(name, args, who="ada")

    return act


ACTS = {
    18: command("flatten"),
    24: command("stop"),
    27: command("start"),
    28: command("set_parameters", ema_period=12),
}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    folder = tmp_path_factory.mktemp("day")
    return rehearse(folder, minutes=34, parameters=EAGER, faults=FAULTS, acts=ACTS)


def of_recording(day: Rehearsal) -> ParityReport:
    return report_of(day.session(), frame_of(day.history))


def test_a_day_with_faults_is_explained_and_adds_up(day: Rehearsal) -> None:
    report = of_recording(day)
    assert report.unexplained == 0, report.frame.to_string()
    closed = sorted(trade.profit for trade in report.live if trade.exit is not None)
    assert closed == sorted(trip.pnl for trip in day.trips)
    assert {"fill price", "manual order"} <= set(report.causes["cause"])
    told = set(report.facts["cause"])
    assert {"revised bar", "late bar", "outage", "gate closed", "parameter change"} <= told


def test_the_journal_of_the_day_tells_the_same(day: Rehearsal) -> None:
    runs = runs_of(day.journal)
    session = session_of_journal(day.journal, runs, day.history, costs=Costs())
    journal, recording = report_of(session, frame_of(day.history)), of_recording(day)
    assert journal.live_profit == recording.live_profit
    assert journal.backtest_profit == recording.backtest_profit
    assert journal.unexplained == 0, journal.frame.to_string()
    assert set(journal.causes["cause"]) == set(recording.causes["cause"])


@pytest.fixture(scope="module")
def two_lives(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    folder = tmp_path_factory.mktemp("lives")
    return rehearse(folder, minutes=26, parameters=EAGER, down=(16, 20))


def test_a_session_that_begins_with_positions_takes_them_over(two_lives: Rehearsal) -> None:
    session = two_lives.session(1)
    held = {fill.symbol for fill in session.start.fills}
    assert held
    report = report_of(session, frame_of(two_lives.history))
    inherited = [t for t in report.backtest if t.entry.time < report.start]
    assert inherited == [t for t in inherited if t.symbol in held]
    assert inherited
    assert report.unexplained == 0, report.frame.to_string()


def test_a_journal_of_two_lives_is_one_session_with_an_outage(two_lives: Rehearsal) -> None:
    runs = runs_of(two_lives.journal)
    assert [run.until.minute for run in runs] == [16, 26]
    session = session_of_journal(two_lives.journal, runs, two_lives.history, costs=Costs())
    report = report_of(session, frame_of(two_lives.history))
    assert report.unexplained == 0, report.frame.to_string()
    assert "outage" in set(report.causes["cause"])
    assert report.facts["detail"].str.contains("the bot was not running").any()


def test_a_journal_adds_what_a_recording_has_lost(day: Rehearsal) -> None:
    whole = day.session()
    assert with_fills(whole, day.journal) == whole
    cut = replace(whole, executions=whole.executions[:-3])
    joined = with_fills(cut, day.journal)
    assert {e.fill for e in joined.executions} == {e.fill for e in whole.executions}
    assert joined.notes == ("3 executions are from the journal",)
