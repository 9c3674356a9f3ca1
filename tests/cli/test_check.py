"""`toolkit check`: exit code 1 where something was found, and the same in words and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.research.checks.markets import sessions
from toolkit.cli import main

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def toolkit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process; returns exit code, stdout and stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["toolkit", *map(str, arguments)])
        monkeypatch.setattr(sys.modules["toolkit.cli.main"], "set_up_logging", lambda **_: None)
        code = main()
        out, err = capsys.readouterr()
        return code, out, " ".join(err.split())

    return run


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bars") / "clean.parquet"
    sessions(days=3).to_parquet(path)
    return path


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bars") / "holed.csv"
    sessions(days=3).drop(index=[100, 101, 500]).to_csv(path, index=False)
    return path


def test_clean_data_exits_with_0_and_gaps_with_1(
    toolkit: Command, clean: Path, holed: Path
) -> None:
    code, out, _ = toolkit("check", "data", clean)
    assert code == 0 and "ok no faults in 1,170 rows of AAPL" in out
    code, out, _ = toolkit("check", "data", holed)
    assert code == 1
    assert "2 bars are missing since 2026-01-05 16:09" in " ".join(out.split())
    assert "gap: fetch them again" in out
    code, out, _ = toolkit("check", "data", holed, "--json")
    found = json.loads(out)
    assert code == 1 and found["ok"] is False
    assert [(row["kind"], row["row"], row["count"]) for row in found["rows"]] == [
        ("gap", 100, 2),
        ("gap", 498, 1),
    ]


def test_look_ahead_of_the_strategy_and_of_a_function_in_a_file(
    toolkit: Command, clean: Path, tmp_path: Path
) -> None:
    code, out, _ = toolkit("check", "lookahead", clean, "--cuts", "5", "--set", "ema_period=20")
    assert code == 0 and "stayed the same at 5 cuts" in out
    money = ("--capital", "5000", "--slippage-bps", "2", "--sessions", "regular")
    assert toolkit("check", "lookahead", clean, "--cuts", "5", *money)[0] == 0
    assert "0 to 1000" in toolkit("check", "lookahead", clean, "--slippage-bps", "-1")[2]
    path = tmp_path / "mine.py"
    path.write_text(
        "def honest(bars):\n    return bars['close'] > bars['close'].rolling(5).mean()\n\n\n"
        "def prophet(bars):\n    return bars['close'].shift(-2) > bars['close']\n",
        encoding="utf-8",
    )
    assert toolkit("check", "lookahead", clean, "--function", f"{path}:honest")[0] == 0
    code, out, _ = toolkit("check", "lookahead", clean, "--function", f"{path}:prophet", "--json")
    assert code == 1 and json.loads(out)["rows"][0]["ahead"] == 2


def test_warm_up_of_a_grid_is_a_table_of_its_sets(toolkit: Command, clean: Path) -> None:
    code, out, _ = toolkit("check", "warmup", clean, "--grid", "rsi_length=14,150")
    assert code == 1
    assert "rsi_length" in out and "1 of 2 sets need more than the 500 bars" in out
    code, out, _ = toolkit("check", "warmup", clean, "--json")
    assert code == 0 and json.loads(out)["rows"][0]["defined"] == 32


def test_costs_tell_where_the_edge_dies(toolkit: Command, clean: Path) -> None:
    code, out, _ = toolkit("check", "costs", clean, "--slippage-bps", "5", "--json")
    found = json.loads(out)
    assert code == (0 if found["ok"] else 1)
    assert 5.0 in {row["slippage_bps"] for row in found["rows"]}
    code, out, _ = toolkit("check", "costs", clean, "--sessions", "regular")
    assert code in (0, 1) and "slip 0" in out


def test_all_has_one_line_for_each_check_and_goes_on_where_one_cannot(
    toolkit: Command, clean: Path, tmp_path: Path
) -> None:
    code, out, _ = toolkit("check", "all", clean, "--json")
    found = json.loads(out)
    names = ["data", "lookahead", "warmup", "costs"]
    assert [name for name in found if name not in ("ok", "file")] == names
    assert found["data"]["ok"] and found["lookahead"]["ok"] and found["warmup"]["ok"]
    assert code == (0 if found["ok"] else 1)
    broken = tmp_path / "broken.csv"
    sessions(days=1).assign(high=1.0).to_csv(broken, index=False)
    code, out, _ = toolkit("check", "all", broken)
    assert code == 1
    assert "high_below_low" in out and "cannot be checked" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data", "nowhere.csv"], "nowhere.csv"),
        (["all", "nowhere.csv"], "nowhere.csv"),
        (["lookahead", "FILE", "--cuts", "0"], "cuts is 0"),
        (["lookahead", "FILE", "--function", "nowhere.py:f"], "write FILE.py:NAME"),
        (["warmup", "FILE", "--grid", "ema_period"], "NAME=A,B"),
        (["costs", "FILE", "--set", "nonsense=1"], "is no parameter"),
        (["costs", "FILE", "--sessions", "never"], "sessions"),
        (["vectorbt", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_what_cannot_be_checked_exits_with_2_and_says_why(
    toolkit: Command, clean: Path, arguments: list[str], words: str
) -> None:
    given = [str(clean) if argument == "FILE" else argument for argument in arguments]
    code, _, err = toolkit("check", *given)
    assert code == 2
    assert words in err


def test_a_file_without_the_function_says_so(toolkit: Command, clean: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("x = 1\n", encoding="utf-8")
    code, _, err = toolkit("check", "lookahead", clean, "--function", f"{path}:f")
    assert code == 2 and "has no function f" in err
