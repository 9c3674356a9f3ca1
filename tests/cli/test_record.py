"""`toolkit record`, `replay` of what it made, `export` and `alerts test`, as a user types them."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import toolkit as tk
from toolkit.cli.main import app
from toolkit.core.report import TRADE_FIELDS
from toolkit.runtime import wait_until

runner = CliRunner()


def answer(*arguments: str) -> dict:
    """Run in this process; the command's JSON."""
    result = runner.invoke(app, [*arguments, "--json"], standalone_mode=False)
    assert result.exception is None, result.exception
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("recorded")
    arguments = ["record", str(folder), "--symbol", "AAPL", "--symbol", "BTC/USD"]
    return answer(*arguments, "--speed", "max", "--events", "6000", "--simulated")


def test_a_recorded_market_is_replayed_and_studied(recorded: dict):
    path = recorded["path"]
    assert sum(recorded["counts"].values()) == 6000
    played = answer("replay", path, "--speed", "max")
    assert played["bars"] == recorded["counts"]["bars"]
    assert played["same_as_recorded"] is None
    assert played["notes"] == []
    assert played["symbols"] == ["AAPL", "BTC/USD"]
    assert played["trades"]
    frame = tk.bars(path)
    assert len(frame) == played["bars"]
    assert tk.backtest(frame).tape.symbols == ("AAPL", "BTC/USD")


def test_a_recording_is_exported_as_parquet(recorded: dict, tmp_path: Path):
    done = answer("export", "recording", recorded["path"], str(tmp_path / "tables"))
    counts = recorded["counts"]
    assert done["files"]["bars.parquet"] == counts["bars"]
    assert done["notes"] == []
    bars = tk.bars(str(tmp_path / "tables" / "bars.parquet"))
    pd.testing.assert_frame_equal(
        bars[["timestamp", "symbol", "close"]],
        tk.bars(recorded["path"])[["timestamp", "symbol", "close"]],
    )
    for kind in ("quotes", "trades"):
        if kind in counts:
            frame = pd.read_parquet(tmp_path / "tables" / f"{kind}.parquet")
            assert len(frame) == counts[kind]
            assert (frame["received"].diff().dropna() >= pd.Timedelta(0)).all()
    assert not [p for p in (tmp_path / "tables").iterdir() if p.suffix == ".tmp"]


def test_an_interrupted_recording_is_whole_and_a_killed_one_is_read_to_its_last_record(
    tmp_path: Path,
):
    ends = {"a": signal.SIGINT, "b": signal.SIGKILL}
    command = [sys.executable, "-m", "toolkit", "record", "--simulated", "--speed", "6000x"]
    running = {
        name: subprocess.Popen(
            [*command, str(tmp_path / name)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for name in ends
    }
    for name, process in running.items():
        segments = f"{name}/*/*.segment"
        assert wait_until(
            lambda found=segments: any(p.stat().st_size > 20_000 for p in tmp_path.glob(found)),
            timeout=60,
        )
        assert process.poll() is None
        process.send_signal(ends[name])
        process.communicate(timeout=60)
    assert running["a"].returncode == 0
    assert running["b"].returncode == -signal.SIGKILL
    assert answer("replay", str(tmp_path / "a"), "--speed", "max")["notes"] == []
    cut = answer("replay", str(tmp_path / "b"), "--speed", "max")
    assert "its end is missing" in cut["notes"][-1]


def test_trades_of_a_running_bot_come_out_as_csv(tmp_path: Path):
    with tk.launch(["AAPL"], port=0, speed="max", announce=lambda _text: None) as live:
        assert wait_until(live.trades, timeout=20)
        result = runner.invoke(
            app,
            ["export", "trades", str(tmp_path / "t.csv"), "--url", live.url],
            standalone_mode=False,
        )
        assert result.exception is None, result.exception
        known = live.trades()
    reader = csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text()))
    rows = list(reader)
    assert reader.fieldnames == list(TRADE_FIELDS)
    assert rows
    assert [row["entry_time"] for row in rows] == [t["entry_time"] for t in known][: len(rows)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay", "FOLDER", "--speed", "max"], "is a folder and no recording"),
        (["export", "recording", "FOLDER", "OUT"], "is no recording"),
        (["export", "trades", "--journal", "nowhere.sqlite"], "name the CSV file"),
        (["export", "trades", "OUT", "--journal", "nowhere.sqlite"], "no journal"),
        (["export", "trades"], "no server"),
        (["alerts", "test"], "TOOLKIT_ALERTS"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(arguments: list[str], words: str, tmp_path: Path):
    named = {"FOLDER": str(tmp_path), "OUT": str(tmp_path / "out")}
    result = runner.invoke(app, [named.get(a, a) for a in arguments], standalone_mode=False)
    assert words in str(result.exception)


def test_alerts_test_says_which_target_took_it_and_no_secret(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TOOLKIT_ALERTS", "json://me:hunter2@127.0.0.1:9/x")
    result = runner.invoke(app, ["alerts", "test"], standalone_mode=False)
    assert result.return_value == 1
    assert "no json (target 1)" in result.output
    assert "hunter2" not in result.output
