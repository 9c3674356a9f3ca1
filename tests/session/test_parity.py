"""`tk.parity` and `toolkit parity`: recordings of launched bots, journals, and what is refused."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

import toolkit as tk
from toolkit.broker.journal import Journal
from toolkit.cli.main import main
from toolkit.config import Settings
from toolkit.core.types import Reason
from toolkit.errors import ConfigError, DataError
from toolkit.market.recording import Recording
from toolkit.session import parity as module
from toolkit.session.build import build_bot
from toolkit.session.options import LaunchOptions
from toolkit.session.recorded_market import record_market

PARAMETERS = {"exit_on_signal": True, "stoch_rsi.upper_band": 70.0, "stoch_rsi.lower_band": 60.0}
Run = Callable[[list[str]], tuple[int, str, str]]


@pytest.fixture(scope="module")
def bars():
    return tk.bars(["AAPL", "MSFT"], count=300, market="simulated")


@pytest.fixture(scope="module")
def recording(bars, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("session")
    bars.to_parquet(folder / "bars.parquet")

    async def live() -> None:
        options = LaunchOptions(
            recording=str(folder / "bars.parquet"),
            record=str(folder / "recordings"),
            parameters=PARAMETERS,
            capital=25_000.0,
            costs=tk.Costs(slippage_bps=1.0),
            speed="max",
        )
        bot = build_bot(options, publish=lambda _event: None)
        await bot.run()
        await bot.stop()

    asyncio.run(live())
    return folder / "recordings"


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(arguments: list[str]) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["toolkit", *arguments])
        code = main()
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_a_simulated_session_is_its_backtest_with_the_options_it_was_launched_with(recording, bars):
    report = tk.parity(recording, progress=False)
    assert report.differences == ()
    assert len(report.live) > 10
    costs = tk.Costs(slippage_bps=1.0)
    run = tk.backtest(bars, PARAMETERS, capital=25_000.0, costs=costs, store=False)
    assert [t.profit for t in report.backtest if t.exit] == [
        t.pnl for t in sorted(run.round_trips, key=lambda t: (t.entry_time, t.symbol))
    ]
    assert tk.parity(recording, bars=bars, progress=False).differences == ()


def test_other_parameters_and_costs_of_the_backtest_are_told_apart(recording):
    steps: list[tuple[int, int]] = []
    report = tk.parity(
        recording, parameters={"ema_period": 21}, progress=lambda done, of: steps.append((done, of))
    )
    assert set(report.causes["cause"]) == {"parameter change"}
    assert steps[-1] == (11, 11)
    free = tk.parity(recording, costs=tk.Costs(slippage_bps=0.0), progress=False)
    assert set(free.causes["cause"]) == {"fill price"}
    assert free.cost > 0
    assert len(free.bars("MSFT")) == 300
    with pytest.raises(ConfigError, match="did not trade 'TSLA'"):
        free.bars("TSLA")


def test_a_session_at_alpaca_is_compared_without_fees_that_no_fill_carries(recording):
    source = Recording(recording)
    source.about = {**source.about, "broker": "alpaca:paper"}
    usual = module._of_recording(source, capital=None, costs=None).start.costs
    assert usual == tk.Costs.paper(slippage_bps=1.0)
    asked = module._of_recording(source, capital=None, costs=tk.Costs()).start.costs
    assert asked == tk.Costs()
    some = module._of_recording(source, capital=None, costs={"spread_bps": 2}).start.costs
    assert some == tk.Costs.paper(slippage_bps=1.0, spread_bps=2.0)


def test_the_report_is_drawn(recording):
    report = tk.parity(recording, parameters={"ema_period": 21}, progress=False)
    assert "causes" in repr(report.plot())
    assert report.plot("pairs", symbol="MSFT", bars=report.bars("MSFT"))


def test_the_command_prints_a_table_json_and_a_page(recording, cli: Run, tmp_path: Path):
    code, out, _ = cli(["parity", str(recording)])
    assert (code, "no difference" in out) == (0, True)
    page = tmp_path / "parity.html"
    arguments = ["parity", str(recording), "--set", "ema_period=21"]
    code, out, err = cli([*arguments, "--html", str(page)])
    assert code == 0
    assert "parameter change" in out
    assert "<html" in page.read_text()
    assert str(page.name) in err
    code, out, _ = cli([*arguments, "--json"])
    found = json.loads(out)
    assert found["cost"] == pytest.approx(sum(c["cost"] for c in found["causes"]))
    assert found["differences"][0]["cause"] == "parameter change"
    assert found["profit"]["live"] == pytest.approx(found["profit"]["backtest"] - found["cost"])


@pytest.mark.parametrize(
    ("source", "said"),
    [("nowhere", "neither a recording nor a journal"), ("notes.csv", "neither a recording nor")],
)
def test_other_sources_are_refused_with_what_to_do(cli: Run, tmp_path: Path, source, said):
    (tmp_path / "notes.csv").write_text("a,b\n")
    code, _, err = cli(["parity", str(tmp_path / source)])
    assert (code, said in " ".join(err.split())) == (2, True)


def test_bars_that_are_no_file_are_refused(recording):
    with pytest.raises(DataError, match="is no file"):
        tk.parity(recording, bars="bars.parquet.gone", progress=False)


def test_a_journal_without_bars_or_notes_says_what_it_needs(tmp_path: Path, bars):
    path = tmp_path / "journal.sqlite"
    journal = Journal(path, clock=lambda: datetime(2026, 1, 5, 15, tzinfo=UTC))
    with pytest.raises(DataError, match="does not say how its bot was started"):
        tk.parity(path, bars=bars, progress=False)
    warm_up: dict[str, object] = {}
    data = {
        "symbols": ["AAPL"],
        "timeframe": 60.0,
        "parameters": PARAMETERS,
        "capital": 10_000.0,
        "warm_up": warm_up,
    }
    journal.note("session", who="bot", data=data)
    journal.close()
    with pytest.raises(ConfigError, match="a journal holds no bars"):
        tk.parity(path, progress=False)


async def record(folder: Path, bars, **options) -> Path:
    """Run a bot over bars and return where its recording lies."""
    bars.to_parquet(folder / "bars.parquet")
    chosen = LaunchOptions(
        recording=str(folder / "bars.parquet"),
        record=str(folder / "recordings"),
        **{"parameters": PARAMETERS, "speed": "max", **options},
    )
    bot = build_bot(chosen, publish=lambda _event: None)
    await bot.run()
    await bot.stop()
    return folder / "recordings"


async def test_sales_at_the_end_of_a_session_are_the_backtests_too(tmp_path: Path):
    bars = tk.bars(["AAPL"], count=420, market="simulated")
    patient = {"stop_loss": 20, "take_profit": 0, "trailing_stop": 0, "stoch_rsi.lower_band": 60}
    hours = {"sessions": "regular", "flat_before_close": 600.0}
    place = await record(tmp_path, bars, parameters=patient, **hours)
    report = tk.parity(place, progress=False)
    assert Reason.FLATTEN in {trade.exit.reason for trade in report.live if trade.exit}
    assert report.differences == ()


async def test_the_recording_of_a_market_alone_is_no_session(tmp_path: Path):
    options = LaunchOptions(
        symbols=("AAPL",), record=str(tmp_path / "market"), speed="max", market="simulated"
    )
    await record_market(options, Settings.load(), most=50)
    with pytest.raises(DataError, match="a market without a bot"):
        tk.parity(tmp_path / "market", progress=False)


async def test_a_recording_that_was_cut_off_is_compared_as_far_as_it_goes(tmp_path: Path, bars):
    place = await record(tmp_path, bars)
    (segment,) = place.glob("*/*.segment")
    segment.write_bytes(segment.read_bytes()[: segment.stat().st_size * 2 // 3])
    report = tk.parity(place, progress=False)
    assert report.unexplained == 0
    assert "damaged" in " ".join(report.notes)
    assert 0 < len(report.live) < 60
