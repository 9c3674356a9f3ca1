"""Replay through the live path, backtest and oracle print the same trades on real data."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.oracle import oracle
from toolkit.cli import main
from toolkit.core.costs import Costs
from toolkit.market.tables import bars_of, read_table

NAMES = (
    "bars_1min_crypto_2018.parquet",
    "bars_1min_spx_2019.parquet",
    "quotes_1min_crypto_2018.parquet",
)
OPTIONS = [
    "--set",
    "exit_on_signal=true",
    "--set",
    "stoch_rsi.upper_band=70",
    "--slippage-bps",
    "1",
]


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
    assert replayed["trades"] == expected(file, replayed["parameters"], slippage=bool(options))
    assert len(replayed["trades"]) > 3


def expected(file: str, parameters: dict, *, slippage: bool) -> list[dict]:
    frame = bars_of(read_table(file))
    rows = frame.to_dict("records")
    for row in rows:
        row["timestamp"] = row["timestamp"].to_pydatetime()
    costs = Costs(slippage_bps=float(slippage))
    trades = oracle(rows, parameters, costs=costs.to_dict(), timeframe=60.0)
    return json.loads(json.dumps(trades))
