"""Each cause, planted in a session of a real bot, is found, named, and costs what it cost."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from tests.research.parity.sessions import (
    BARS,
    HISTORY,
    LIVE,
    Halved,
    OtherFills,
    Refusing,
    lived,
    report_of,
)
from toolkit.bot.bot import Bot
from toolkit.core.gates import Gate
from toolkit.core.limits import RiskLimits
from toolkit.core.types import Bar, Fill, Reason, Side
from toolkit.errors import DataError, NotConnected, OrderRejected, UnknownOrderState
from toolkit.market.tables import frame_of
from toolkit.research.parity.parity import compare
from toolkit.research.parity.report import ParityReport
from toolkit.research.parity.session import Cause, Session
from toolkit.research.parity.trades import Trade

NUMBER = {bar.timestamp: n for n, bar in enumerate(LIVE)}


@pytest.fixture
async def clean(tmp_path: Path) -> ParityReport:
    return report_of(await lived(tmp_path / "clean", LIVE))


def chosen(clean: ParityReport, place: int = 4) -> Trade:
    """A trade of the clean session that lasts for some bars."""
    closed = [t for t in clean.live if t.exit and NUMBER[t.exit.time] > NUMBER[t.entry.time] + 1]
    return closed[place]


def named(report: ParityReport) -> set[str]:
    return set(report.causes["cause"])


def only(report: ParityReport, cause: Cause) -> None:
    """All that differs has this one cause, and something does."""
    assert report.differences
    assert named(report) == {cause.value}, report.frame.to_string()
    assert report.unexplained == 0
    assert "Nothing is unexplained" in report.sentence


def sunk(bar: Bar) -> Bar:
    """The same bar with a close at which nobody would buy."""
    return replace(bar, close=bar.low * 0.99, low=bar.low * 0.99)


def bought(report: ParityReport, trade: Trade):
    """The row of the trade's entry."""
    frame = report.frame
    return frame[(frame["decided"] == trade.decided) & (frame["side"] == "buy")].iloc[0]


@pytest.mark.parametrize("real_time", [True, False])
async def test_a_clean_session_has_no_difference_and_costs_nothing(tmp_path: Path, real_time: bool):
    report = report_of(await lived(tmp_path / "r", LIVE, real_time=real_time))
    assert len(report.live) > 5
    assert report.differences == ()
    assert report.live == pytest.approx(report.live)
    assert (report.cost, len(report.frame), len(report.causes)) == (0, 0, 0)
    assert report.live_profit == report.backtest_profit != 0
    assert report.sentence.endswith("trades, no difference.")
    assert len(report.facts) == 0


async def test_later_bars_that_say_the_same_make_no_difference(tmp_path: Path):
    report = report_of(await lived(tmp_path / "r", LIVE), frame_of(BARS))
    assert report.differences == ()


async def test_a_revised_bar(tmp_path: Path, clean: ParityReport):
    trade = chosen(clean)
    at = NUMBER[trade.decided]
    seen = sunk(LIVE[at])
    script = [*LIVE[:at], seen, LIVE[at + 1], replace(LIVE[at], revision=1), *LIVE[at + 2 :]]
    report = report_of(await lived(tmp_path / "r", script))
    only(report, Cause.REVISED_BAR)
    row = bought(report, trade)
    assert row["live_time"] > row["backtest_time"]  # it was bought some bars later
    assert row["backtest_price"] == trade.entry.price
    assert f"close {seen.close:g}, later {LIVE[at].close:g}" in row["detail"]
    later = next(t for t in report.live if t.entry.time == row["live_time"])
    assert row["cost"] == float(trade.profit - later.profit)
    assert len(report.facts) == 1


@pytest.mark.parametrize("known", [True, False])
async def test_a_missing_bar(tmp_path: Path, clean: ParityReport, known: bool):
    trade = chosen(clean)
    script = [bar for bar in LIVE if bar.timestamp != trade.decided]
    session = await lived(tmp_path / "r", script)
    report = report_of(session, frame_of(BARS) if known else None)
    if known:
        only(report, Cause.MISSING_BAR)
        assert "never came" in bought(report, trade)["detail"]
    else:
        assert report.differences == ()  # nobody told of it since


async def test_a_late_bar_that_came_after_its_successor(tmp_path: Path, clean: ParityReport):
    trade = chosen(clean)
    at = NUMBER[trade.decided]
    late = replace(LIVE[at], revision=1)
    script = [*LIVE[:at], LIVE[at + 1], late, *LIVE[at + 2 :]]
    report = report_of(await lived(tmp_path / "r", script))
    only(report, Cause.LATE_BAR)
    assert "came after its successor" in bought(report, trade)["detail"]


async def test_a_bar_that_came_too_late_to_buy_at(tmp_path: Path, clean: ParityReport):
    trade = chosen(clean)
    at = NUMBER[trade.decided]
    script = [*LIVE[:at], (LIVE[at], 130.0), (LIVE[at + 1], 75.0), *LIVE[at + 2 :]]
    report = report_of(await lived(tmp_path / "r", script))
    only(report, Cause.LATE_BAR)
    assert "stale bar: it came 130 s" in bought(report, trade)["detail"]


async def test_a_fill_at_another_price_because_its_bar_was_late(
    tmp_path: Path, clean: ParityReport
):
    trade = chosen(clean)
    at = NUMBER[trade.decided]
    script = [*LIVE[:at], (LIVE[at], 40.0), *LIVE[at + 1 :]]
    broker = OtherFills(dearer(trade))
    report = report_of(await lived(tmp_path / "r", script, broker=broker))
    assert bought(report, trade)["cause"] == "late bar"
    assert "its bar came 40.0 s after its close" in bought(report, trade)["detail"]


async def test_bars_of_another_feed(tmp_path: Path):
    session = await lived(tmp_path / "r", LIVE)
    others = [
        replace(b, close=b.close * (1 + 0.002 * (n % 3 - 1)), feed="sip")
        for n, b in enumerate(BARS)
    ]
    others = [replace(b, high=max(b.high, b.close), low=min(b.low, b.close)) for b in others]
    frame = frame_of(others)
    frame.attrs["feed"] = "sip"
    frame = frame[frame.index % 10 != 3].reset_index(drop=True)  # the other feed has not all
    report = report_of(session, frame)
    assert Cause.OTHER_FEED.value in named(report)
    assert named(report) <= {Cause.OTHER_FEED.value, Cause.WARM_UP.value}
    assert "(iex, later sip)" in " ".join(report.frame["detail"])
    assert set(report.facts["cause"]) == {"other feed"}


async def test_a_warm_up_that_was_too_short(tmp_path: Path):
    session = await lived(tmp_path / "r", LIVE, history=HISTORY[-12:])
    report = report_of(session, frame_of(BARS))
    only(report, Cause.WARM_UP)
    assert "warmed up with 12 bars, the backtest with 100" in report.frame["detail"].iloc[0]
    assert report_of(session).differences == ()


def dearer(trade: Trade, factor: float = 1.001):
    def change(fill: Fill) -> Fill:
        mine = fill.side is Side.BUY and fill.timestamp == trade.entry.time
        return replace(fill, price=fill.price * factor) if mine else fill

    return change


async def test_a_fill_at_another_price(tmp_path: Path, clean: ParityReport):
    trade = chosen(clean)
    report = report_of(await lived(tmp_path / "r", LIVE, broker=OtherFills(dearer(trade))))
    only(report, Cause.FILL_PRICE)
    assert report.count == 1
    row = bought(report, trade)
    assert row["live_price"] == pytest.approx(trade.entry.price * 1.001)
    assert "(+10.00 bp)" in row["detail"]
    worth = float(trade.entry.quantity) * trade.entry.price * 0.001
    assert float(report.cost) == pytest.approx(worth, rel=0.01)
    others = report.frame[report.frame["decided"] != trade.decided]
    assert others["follows"].all()  # later trades are a little smaller


async def test_a_fee_that_was_another_is_of_the_fill(tmp_path: Path, clean: ParityReport):
    trade = chosen(clean)

    def change(fill: Fill) -> Fill:
        mine = fill.side is Side.SELL and fill.timestamp == trade.exit.time
        return replace(fill, fee=Decimal("0.75")) if mine else fill

    report = report_of(await lived(tmp_path / "r", LIVE, broker=OtherFills(change)))
    only(report, Cause.FILL_PRICE)
    assert "fee 0.7500 $ instead of 0.0" in " ".join(report.frame["detail"])
    assert float(report.cost) == pytest.approx(0.75, abs=0.05)


async def test_entries_that_were_filled_by_half(tmp_path: Path):
    report = report_of(await lived(tmp_path / "r", LIVE, broker=Halved()))
    only(report, Cause.PARTIAL_FILL)
    assert "50 % of it was filled" in report.frame["detail"].iloc[0]
    assert report.count == len(report.live)
    assert float(report.live_profit) == pytest.approx(float(report.backtest_profit) / 2, rel=0.01)


def commands(bot_of: list[Bot]):
    def command(name: str, args: dict | None = None, who: str = "ada"):
        async def send() -> None:
            await bot_of[0].command(name, args or {}, who=who)

        return send

    return command


async def test_parameters_that_somebody_changed(tmp_path: Path):
    bot_of: list[Bot] = []
    command = commands(bot_of)
    tune = command("set_parameters", {"take_profit": 0.1, "ema_period": 20})
    script = [*LIVE[:120], tune, *LIVE[120:]]
    report = report_of(await lived(tmp_path / "r", script, drive=bot_of.append))
    only(report, Cause.PARAMETER_CHANGE)
    assert "ada set" in report.frame["detail"].iloc[0]
    assert "take_profit = 0.1" in report.frame["detail"].iloc[0]
    assert (report.frame["decided"] >= LIVE[118].timestamp).all()


async def test_entries_that_somebody_stopped(tmp_path: Path, clean: ParityReport):
    bot_of: list[Bot] = []
    command = commands(bot_of)
    at = NUMBER[chosen(clean).decided]
    script = [*LIVE[:at], command("stop"), *LIVE[at : at + 5], command("start"), *LIVE[at + 5 :]]
    report = report_of(await lived(tmp_path / "r", script, drive=bot_of.append))
    only(report, Cause.GATE_CLOSED)
    row = bought(report, chosen(clean))
    assert row["detail"] == "gate command: entries stopped by ada"


async def test_limits_of_the_account(tmp_path: Path, clean: ParityReport):
    limits = RiskLimits(max_daily_loss=1.0)
    report = report_of(await lived(tmp_path / "r", LIVE, limits=limits))
    only(report, Cause.GATE_CLOSED)
    assert "gate loss" in report.frame["detail"].iloc[0]
    small = RiskLimits(max_position_value=10.0)
    report = report_of(await lived(tmp_path / "s", LIVE, limits=small))
    only(report, Cause.GATE_CLOSED)
    assert report.live == ()
    assert "max_position_value" in report.frame["detail"].iloc[0]


async def test_an_order_that_the_broker_refused(tmp_path: Path, clean: ParityReport):
    broker = Refusing()
    trade = chosen(clean)
    at = NUMBER[trade.decided]
    script = [*LIVE[:at], setting(broker, OrderRejected("too poor")), LIVE[at]]
    script += [setting(broker, None), *LIVE[at + 1 :]]
    report = report_of(await lived(tmp_path / "r", script, broker=broker))
    only(report, Cause.GATE_CLOSED)
    assert bought(report, trade)["detail"] == "too poor"


def setting(broker: Refusing, error: Exception | None, gates: dict[Gate, str] | None = None):
    async def step() -> None:
        broker.error, broker.gates = error, gates or {}

    return step


async def test_an_order_that_could_not_be_sent(tmp_path: Path, clean: ParityReport):
    broker = Refusing()
    trade = chosen(clean)
    at = NUMBER[trade.decided]
    script = [*LIVE[:at], setting(broker, NotConnected("Alpaca does not answer")), LIVE[at]]
    script += [setting(broker, None), *LIVE[at + 1 :]]
    report = report_of(await lived(tmp_path / "r", script, broker=broker))
    only(report, Cause.OUTAGE)
    assert bought(report, trade)["detail"] == "Alpaca does not answer"


async def test_an_order_whose_outcome_was_never_known(tmp_path: Path, clean: ParityReport):
    broker = Refusing()
    trade = chosen(clean)
    at = NUMBER[trade.decided]
    script = [*LIVE[:at], setting(broker, UnknownOrderState("504")), LIVE[at]]
    script += [setting(broker, None), *LIVE[at + 1 :]]
    report = report_of(await lived(tmp_path / "r", script, broker=broker))
    only(report, Cause.OUTAGE)
    assert "never known" in bought(report, trade)["detail"]


async def test_a_broker_that_was_away(tmp_path: Path, clean: ParityReport):
    broker = Refusing()
    trade = chosen(clean)
    at = NUMBER[trade.decided]
    away = {Gate.ORDERS: "the order stream is down"}
    script = [*LIVE[: at - 1], setting(broker, None, away), *LIVE[at - 1 : at + 4]]
    script += [setting(broker, None), *LIVE[at + 4 :]]
    report = report_of(await lived(tmp_path / "r", script, broker=broker))
    only(report, Cause.OUTAGE)
    assert bought(report, trade)["detail"] == "gate orders: the order stream is down"
    assert report.facts["detail"].str.contains("300.0 s|240.0 s").any()


async def test_a_position_that_somebody_sold(tmp_path: Path, clean: ParityReport):
    bot_of: list[Bot] = []
    trade = chosen(clean)
    at = NUMBER[trade.entry.time] + 1
    script = [*LIVE[:at], commands(bot_of)("flatten"), *LIVE[at:]]
    report = report_of(await lived(tmp_path / "r", script, drive=bot_of.append))
    only(report, Cause.MANUAL_ORDER)
    rows = report.frame[report.frame["decided"] == trade.decided]
    assert list(rows["side"]) == ["sell"]
    assert "sold by hand" in rows["detail"].iloc[0]


async def test_a_position_that_somebody_bought(tmp_path: Path, clean: ParityReport):
    def change(fill: Fill) -> Fill:
        return fill

    broker = OtherFills(change)
    trade = chosen(clean)
    at = NUMBER[trade.decided] - 3

    async def buy() -> None:
        fill = Fill(
            order_id="x", client_order_id="x", symbol="AAPL", side=Side.BUY, price=LIVE[at].close,
            quantity=Decimal(1), fee=Decimal(0), timestamp=LIVE[at].timestamp,
            reason=Reason.MANUAL,
        )  # fmt: skip
        broker._on_update(fill)

    async def sell() -> None:
        fill = Fill(
            order_id="y", client_order_id="y", symbol="AAPL", side=Side.SELL,
            price=LIVE[at + 6].close, quantity=Decimal(1), fee=Decimal(0),
            timestamp=LIVE[at + 6].timestamp, reason=Reason.MANUAL,
        )  # fmt: skip
        broker._on_update(fill)

    script = [*LIVE[: at + 1], buy, *LIVE[at + 1 : at + 7], sell, *LIVE[at + 7 :]]
    report = report_of(await lived(tmp_path / "r", script, broker=broker))
    only(report, Cause.MANUAL_ORDER)
    assert "bought by hand" in " ".join(report.frame["detail"])


async def test_what_nothing_explains_is_said_first_and_loudly(tmp_path: Path):
    bot_of: list[Bot] = []
    tune = commands(bot_of)("set_parameters", {"take_profit": 0.1, "ema_period": 20})
    script = [*LIVE[:60], tune, *LIVE[60:]]
    session = await lived(tmp_path / "r", script, drive=bot_of.append)
    report = report_of(forgetful(session))
    assert report.unexplained
    assert report.causes["cause"].iloc[0] == "unexplained"
    assert report.frame["cause"].iloc[0] == "unexplained"
    assert report.sentence.startswith("UNEXPLAINED: ")
    assert "color:#c62828" in report._repr_html_()


async def test_a_signal_that_was_none_is_not_explained(tmp_path: Path):
    session = await lived(tmp_path / "r", LIVE)
    signals = [e for e in session.executions if e.fill.reason is Reason.SIGNAL]
    (stop, *_) = [e for e in session.executions if e.fill.reason is Reason.STOP_LOSS]
    assert signals
    bar = stop.position - 2
    early = replace(stop.fill, reason=Reason.SIGNAL, timestamp=LIVE[bar].timestamp, price=99.0)
    wrong = replace(stop, fill=early, position=bar)
    executions = tuple(wrong if e is stop else e for e in session.executions)
    report = report_of(replace(session, executions=executions))
    rows = report.frame[report.frame["cause"] == "unexplained"]
    assert list(rows["side"]) == ["sell"]
    assert list(rows["live_price"]) == [99.0]


def forgetful(session: Session) -> Session:
    return replace(session, changes=())


async def test_several_causes_at_once_are_told_apart(tmp_path: Path, clean: ParityReport):
    bot_of: list[Bot] = []
    command = commands(bot_of)
    first, second, third = (chosen(clean, n) for n in (1, 4, 6))
    one, two = NUMBER[first.decided], NUMBER[second.decided]
    script = [*LIVE[:one], sunk(LIVE[one]), LIVE[one + 1], replace(LIVE[one], revision=1)]
    script += [*LIVE[one + 2 : two], command("stop"), *LIVE[two : two + 4], command("start")]
    script += LIVE[two + 4 :]
    broker = OtherFills(dearer(third))
    report = report_of(await lived(tmp_path / "r", script, broker=broker, drive=bot_of.append))
    assert bought(report, first)["cause"] == "revised bar"
    assert bought(report, second)["cause"] == "gate closed"
    assert report.frame[report.frame["live_time"] == third.entry.time]["cause"].iloc[0] == (
        "fill price"
    )
    assert report.unexplained == 0


async def test_bars_that_do_not_fit_are_refused(tmp_path: Path):
    session = await lived(tmp_path / "r", LIVE)
    other = [replace(bar, symbol="MSFT") for bar in BARS]
    with pytest.raises(DataError, match="no bars of AAPL"):
        compare(session, frame_of(other))
    with pytest.raises(DataError, match="hold nothing of the session"):
        compare(session, frame_of(HISTORY))
    fives = [bar for bar in BARS if bar.timestamp.minute % 5 == 0]
    with pytest.raises(DataError, match="bars of 300 s"):
        compare(session, frame_of(fives))
