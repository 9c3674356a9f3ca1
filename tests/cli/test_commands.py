"""The commands as a user types them."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from toolkit.cli import main
from toolkit.config import Settings
from toolkit.session.bars import bars


def toolkit(*arguments: str, timeout: float = 60, **environment: str):
    return subprocess.run(
        [sys.executable, "-m", "toolkit", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env={**os.environ, **environment},
    )


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command as if it had been typed, but in this process: to start one takes a second."""
    # Logging is the whole process's; test_debug starts processes.
    monkeypatch.setattr(sys.modules["toolkit.cli.main"], "set_up_logging", lambda **_: None)

    def run(*arguments: str, **environment: str):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["toolkit", *arguments])
        code = main()
        said = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=said.out, stderr=said.err)

    return run


@pytest.fixture
def recording(tmp_path: Path) -> str:
    path = tmp_path / "bars.csv"
    bars(["AAPL", "MSFT"], count=400).to_csv(path, index=False)
    return str(path)


def test_replay_and_backtest_print_the_same_trades(recording: str, typed):
    replayed = json.loads(typed("replay", recording, "--speed", "max", "--json").stdout)
    tested = json.loads(typed("backtest", recording, "--json").stdout)
    assert replayed["trades"] == tested["trades"]
    assert replayed["trades"]
    assert replayed["bars"] == 800


def test_a_replay_serves_unless_at_full_speed_and_says_where(recording: str, typed):
    result = typed("replay", recording, "--speed", "max", "--serve", "--port", "0", "--json")
    assert re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", result.stderr)
    assert json.loads(result.stdout)["bars"] == 800


def test_a_replay_for_people_ends_with_its_profit(recording: str, typed):
    result = typed("replay", recording, "--speed", "max")
    assert "800 bars of AAPL, MSFT" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay", "nowhere.parquet", "--speed", "max"], "nowhere.parquet"),
        (["replay", "FILE", "--speed", "fast"], "fast"),
        (["backtest", "FILE", "--set", "ema_period=0"], "whole numbers from 1 to 500"),
        (["backtest", "FILE", "--set", "nonsense=1"], "is no parameter"),
        (["backtest", "FILE", "--set", "ema_period"], "NAME=VALUE"),
        (["backtest", "FILE", "--capital", "-5"], "1 to 1e9"),
        (["backtest", "FILE", "--slippage-bps", "-1"], "slippage_bps"),
        (["backtest", "FILE", "--symbol-spread-bps", "AAPL"], "SYMBOL=BPS"),
        (["replay", "FILE", "--sessions", "night"], "all, regular, extended"),
        (["backtest", "FILE", "--flat-before-close", "60"], 'sessions="regular"'),
        (["serve", "--symbol", "A$"], "no symbol"),
        (["nonsense"], "nonsense"),
        (["dashboard"], "no server found"),
        (["lab", "nowhere"], "no folder"),
    ],
)
def test_a_wrong_command_says_what_is_wrong_and_exits_with_2(
    arguments, words, recording: str, typed
):
    result = typed(*arguments_with(recording, arguments))
    assert result.returncode == 2
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["backtest", "FILE", "--set", "ema_period=0"], "whole numbers from 1 to 500"),
        (["nonsense"], "nonsense"),
    ],
)
def test_its_process_ends_with_2(arguments, words, recording: str):
    result = toolkit(*arguments_with(recording, arguments))
    assert result.returncode == 2
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def arguments_with(recording: str, arguments: list[str]) -> list[str]:
    return [recording if argument == "FILE" else argument for argument in arguments]


def test_serve_runs_until_it_is_interrupted_and_leaves_no_record(tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-m", "toolkit", "serve", "--port", "0", "--no-dashboard"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        line = process.stdout.readline()
        address = re.search(r"(http://\S+?)/\?token=(\S+)", line)
        with urllib.request.urlopen(f"{address[1]}/healthz", timeout=10) as answer:
            assert answer.status == 200
        records = Path(os.environ["TOOLKIT_STATE_DIR"]) / "servers"
        assert list(records.glob("*.json"))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    assert not list(records.glob("*.json"))


def test_an_interrupted_replay_prints_the_trades_so_far(recording: str):
    command = [sys.executable, "-m", "toolkit", "replay", recording, "--speed", "100/s", "--json"]
    with subprocess.Popen(
        [*command, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert "token" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    result = json.loads(out)
    assert result["interrupted"]
    assert result["bars"] < 800


def test_square_brackets_are_shown_and_not_obeyed(tmp_path: Path, typed):
    path = tmp_path / "bars.csv"
    path.write_text("timestamp,symbol,open,high,low,close,volume\n[/bold]x,AAPL,1,1,1,1,0\n")
    result = typed("backtest", str(path))
    assert result.returncode == 2
    assert "[/bold]x" in result.stderr
    assert "Traceback" not in result.stderr


def test_allowed_origins_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TOOLKIT_ALLOWED_ORIGINS", "https://a.example, https://b.example")
    assert Settings.load().allowed_origins == ("https://a.example", "https://b.example")


def test_a_taken_port_is_named_with_the_way_out(typed):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        result = typed("serve", "--port", port, "--no-dashboard")
        doctor = json.loads(typed("doctor", "--port", port, "--json").stdout)
    assert result.returncode == 2
    assert port in result.stderr
    assert "--port" in result.stderr
    assert not doctor["port"]["ok"]
    assert "--port" in doctor["port"]["mend"]


def test_the_doctor_checks_everything_and_says_how_to_mend(typed):
    result = json.loads(typed("doctor", "--port", "0", "--json").stdout)
    assert result["python"]["ok"]
    assert result["packages"]["ok"]
    assert {"alpaca", "browser", "live chart", "packages:notebook"} <= result.keys()
    assert "APCA_API_KEY_ID" in result["alpaca"]["mend"]


class _Alpaca(http.server.BaseHTTPRequestHandler):
    """Answers for account and clock as Alpaca does: by key."""

    def do_GET(self) -> None:
        good = self.headers["APCA-API-KEY-ID"] == "good"
        now = datetime.now(UTC).isoformat()
        account = {
            "id": "11111111-2222-3333-4444-555555555555",
            "account_number": "PA1",
            "status": "ACTIVE",
            **{"timestamp": now, "is_open": True, "next_open": now, "next_close": now},
        }
        body = json.dumps(account if good else {"code": 40110000, "message": "forbidden"})
        self.send_response(200 if good else 403)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(("key", "ok", "words"), [("good", True, "ACTIVE"), ("bad", False, "403")])
def test_the_doctor_asks_alpaca_whether_the_keys_work(key, ok, words, typed):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Alpaca) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        result = typed(
            *("doctor", "--port", "0", "--json"),
            ALPACA_TRADING_URL=f"http://127.0.0.1:{server.server_port}",
            APCA_API_KEY_ID=key,
            APCA_API_SECRET_KEY="very-secret",
        )
        server.shutdown()
    check = json.loads(result.stdout)["alpaca"]
    assert (check["ok"], words in check["found"]) == (ok, True)
    assert "very-secret" not in result.stdout + result.stderr
