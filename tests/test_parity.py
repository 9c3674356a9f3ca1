"""Replay through the live path, backtest and oracle print the same trades on real data."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.oracle import oracle
from toolkit.cli import main
from toolkit.market.tables import bars_of, read_table

NAMES = (
    "bars_1min_crypto_2018.parquet",
    "bars_1min_spx_2019.parquet",
    "quotes_1min_crypto_2018.parquet",
)
OPTIONS = shlex.split("""
    --set exit_on_signal=true --set stoch_rsi.upper_band=70
    --slippage-bps 1 --spread-bps 2 --symbol-spread-bps ETH/USD=3 --quoted-spread
    --impact-bps 10 --max-impact-bps 50 --max-volume-percent 20 --targets-rest
    --crypto-volume 250000 --stock-fee-bps 1 --sessions regular --flat-before-close 300
""")
NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture
def toolkit_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command as if it had been typed, but in this process: its start costs a second."""
    # Logging is the whole process's.
    monkeypatch.setattr(sys.modules["toolkit.cli.main"], "set_up_logging", lambda **_: None)

    def run(*arguments: str) -> dict:
        monkeypatch.setattr(sys, "argv", ["toolkit", *arguments, "--json"])
        assert main() == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [[], OPTIONS], ids=["defaults", "options"])
def test_replay_backtest_and_oracle_agree(
    shared_data: Path, name: str, options: list[str], toolkit_json
):
    file = str(shared_data / name)
    replayed = toolkit_json("replay", file, "--speed", "max", *options)
    tested = toolkit_json("backtest", file, *options)
    assert replayed["trades"] == tested["trades"]
    assert replayed["costs"] == tested["costs"]
    assert replayed["trades"] == expected(file, replayed)
    assert len(replayed["trades"]) > 3


def expected(file: str, printed: dict) -> list[dict]:
    frame = bars_of(read_table(file))
    rows = frame.to_dict("records")
    for row in rows:
        row["timestamp"] = row["timestamp"].to_pydatetime()
    trades = oracle(
        rows,
        printed["parameters"],
        costs=printed["costs"],
        sessions=None if printed["sessions"] == "all" else sessions(rows),
        flat_before_close=printed["flat_before_close"],
    )
    return json.loads(json.dumps(trades))


def sessions(rows: list[dict]) -> list[tuple[datetime, datetime]]:
    """Regular sessions of the days in the files, none of which is a short one."""
    days = sorted({row["timestamp"].astimezone(NEW_YORK).date() for row in rows})
    return [
        tuple(datetime.combine(day, hour, NEW_YORK) for hour in (time(9, 30), time(16)))
        for day in days
    ]
