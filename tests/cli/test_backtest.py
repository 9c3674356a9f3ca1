"""`toolkit backtest --html`: the same figures in a file, and an early word where it cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from toolkit.cli import main
from toolkit.session.bars import bars


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    import sys

    monkeypatch.setattr(sys.modules["toolkit.cli.main"], "set_up_logging", lambda **_: None)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["toolkit", *map(str, arguments)])
        code = main()
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bars.csv"
    bars(["AAPL"], count=400, market="simulated").to_csv(path, index=False)
    return path


def test_the_report_is_written_beside_the_figures(typed: Any, file: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    code, out, _ = typed("backtest", file, "--html", report, "--json")
    told = json.loads(out)
    assert code == 0
    assert told["html"] == str(report)
    assert told["stats"]["trades"] == len(told["trades"])
    assert told["id"]
    page = report.read_text()
    assert "Backtest of AAPL" in page
    assert f"{told['stats']['total_return_percent']:+.3f} %" in page
    code, out, _ = typed("backtest", file, "--html", report, "--no-store")
    assert code == 0
    assert f"report: {report}" in out


def test_a_bad_place_is_told_before_anything_is_run(typed: Any, tmp_path: Path) -> None:
    code, _, err = typed("backtest", "no-such-file.csv", "--html", tmp_path / "report.pdf")
    assert code == 2
    assert ".html" in err


def test_why_there_are_no_trades_is_in_the_json_too(typed: Any, tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    bars(["AAPL"], count=9, market="simulated").to_csv(path, index=False)
    told = json.loads(typed("backtest", path, "--json", "--no-store")[1])
    assert told["note"] == "no trades: the indicators need 32 bars, 9 are there"
