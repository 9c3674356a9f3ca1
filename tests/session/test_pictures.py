"""One function draws every result; reports are one file; what cannot be drawn says why."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

import toolkit as tk
from toolkit.errors import ConfigError
from toolkit.research.backtest import BacktestRun
from toolkit.research.scoring import METRICS
from toolkit.session import reporting
from toolkit.session.pictures import kinds, picture
from toolkit.views.charts.theme import DARK


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return tk.bars(["AAPL", "MSFT"], "1Min", start="2026-01-02", count=700, market="simulated")


@pytest.fixture(scope="module")
def run(bars: pd.DataFrame) -> BacktestRun:
    return tk.backtest(bars, {"stop_loss": 0.1}, store=False)


def test_every_kind_of_a_run_is_drawn(run: BacktestRun) -> None:
    assert kinds(run) == ("run", "equity", "trades", "excursions", "returns")
    assert [run.plot(kind).title for kind in kinds(run)] == [
        f"BacktestRun: {kind}" for kind in kinds(run)
    ]


def test_names_that_do_not_exist_are_answered_with_those_that_do(run: BacktestRun) -> None:
    with pytest.raises(ConfigError, match="kind is 'pie'; allowed: run, equity"):
        run.plot("pie")
    with pytest.raises(ConfigError, match=r"options is \['simbol'\]; allowed: symbol, start, end"):
        run.plot("run", simbol="AAPL")
    with pytest.raises(ConfigError, match="theme is 'sepia'; allowed: auto, light, dark"):
        run.plot(theme="sepia")
    with pytest.raises(ConfigError, match="known symbols: AAPL, MSFT"):
        run.plot(symbol="TSLA")
    with pytest.raises(ConfigError, match=r"a int has no picture; its table is \.frame"):
        picture(7)


def test_a_part_of_a_run_has_its_bars_and_its_trades_only(run: BacktestRun) -> None:
    whole = run.plot(symbol="MSFT").layout
    start = "2026-01-02T16:00"
    part = run.plot(symbol="MSFT", start=start, end="2026-01-02T17:00").layout
    source = part.select_one({"name": "bars"}).data
    assert len(source["x"]) == 60
    assert pd.to_datetime(source["time"][0], unit="ms", utc=True) == pd.Timestamp(start, tz="UTC")
    counts = [len(p.select_one({"name": "trades"}).data["pnl"]) for p in (whole, part)]
    assert 0 < counts[1] < counts[0]
    with pytest.raises(ConfigError, match="start is 'soon'"):
        run.plot(start="soon")


def test_a_fixed_theme_stays(run: BacktestRun) -> None:
    layout = run.plot("trades", theme="dark").layout
    assert layout.title.text_color == DARK.text


def test_sweeps_are_drawn_by_two_and_by_three_parameters(bars: pd.DataFrame) -> None:
    grid = {"stop_loss": [0.1, 0.4], "ema_period": [5, 9], "lookback": [1, 2]}
    table = tk.sweep(bars, grid, progress=False, store=False)
    picture_of = table.plot("slices", by="ema_period").layout
    assert len(list(picture_of.select({"name": "slice"}))) == 2
    assert table.heatmap("ema_period", "lookback").layout.xaxis[0].axis_label == "ema period"
    assert table.plot("slider", x="lookback").layout.children[0].text.startswith("ema period")
    with pytest.raises(ConfigError, match=r"stop_loss, ema\.ema_period, rules\.lookback"):
        table.plot("slices", by="take_profit")


def test_a_report_is_one_file_that_asks_for_nothing(run: BacktestRun, tmp_path: Path) -> None:
    import panel.models.tabulator  # noqa: F401  # its tables bring files to any page of Bokeh's

    page = run.report(tmp_path / "report.html").read_text()
    assert not re.search(r"<script[^>]+src=", page)
    body = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert not re.search(r"(?:src|href)=", body)
    assert "@import" not in body
    for told in (
        "Backtest of AAPL, MSFT",
        "No verdict",
        run.tape.fingerprint,
        "sec_fee_per_million",
        f"{len(run.trades):,}",
        '<td class="changed">0.1</td>',
        "Trades of MSFT",
    ):
        assert told in body
    assert body.count("<tr><td") == len(run.trades)


def test_a_report_of_nothing_says_why(bars: pd.DataFrame, tmp_path: Path) -> None:
    run = tk.backtest(bars.head(20), store=False)
    page = tk.report(run, tmp_path / "empty.html", title="Twenty bars").read_text()
    assert "<h1>Twenty bars</h1>" in page
    assert "the indicators need" in page


@pytest.mark.parametrize("name", ["report.pdf", "missing/report.html"])
def test_a_report_that_cannot_be_written_is_refused(
    run: BacktestRun, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ConfigError, match="cannot write a report to"):
        run.report(tmp_path / name)


def test_panel_takes_a_picture_as_it_is(run: BacktestRun) -> None:
    import panel

    assert isinstance(panel.Column(run.plot("trades"))[0], panel.pane.Bokeh)


def test_a_report_of_a_sweep_has_its_verdict_and_what_was_swept(
    bars: pd.DataFrame, tmp_path: Path
) -> None:
    table = tk.sweep(bars, {"stop_loss": [0.1, 0.4]}, progress=False, store=False)
    page = tk.report(table, tmp_path / "sweep.html").read_text()
    assert "No evidence for this set" in page
    assert "0.1, 0.4" in page
    assert "allowed: 2 swept parameters or more" in page  # in the place of the heatmap


def test_a_report_colours_each_figure_by_its_own_sign() -> None:
    figures = {"total_return_percent": 0.01, "net_profit": -0.36, "sharpe": 3.0}
    others = dict.fromkeys(METRICS, 1.0) | {"trades": 6, "open_positions": 1}
    signs = {f.name: f.sign for f in reporting._figures({**others, **figures})}
    assert signs["return"] == 0.01
    assert signs["net profit of closed trades"] == -0.36
