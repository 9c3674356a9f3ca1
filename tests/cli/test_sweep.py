"""`toolkit sweep` and `toolkit runs`, as typed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.research.markets import noise
from toolkit.cli import main
from toolkit.cli.console import FAILED, INTERRUPTED, OK, USAGE
from toolkit.cli.grids import grid_of
from toolkit.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "bars.parquet"
    noise(1).to_parquet(path)
    return str(path)


class Toolkit:
    def __init__(self, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self._patch, self._captured = patch, captured
        self.code, self.out, self.err = OK, "", ""

    def __call__(self, *arguments: str) -> str:
        self._patch.setattr(sys, "argv", ["toolkit", *arguments])
        # Logging is the whole process's.
        self._patch.setattr(sys.modules["toolkit.cli.main"], "set_up_logging", lambda **_: None)
        self.code = main()
        self.out, self.err = self._captured.readouterr()
        return self.out

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture
def toolkit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Toolkit:
    return Toolkit(monkeypatch, capsys)


GRID = ("--grid", "ema_period=5,9", "--grid", "stop_loss=0.1:0.3")


def test_a_sweep_prints_its_best_sets_first_and_what_they_are_worth(
    toolkit: Toolkit, file: str
) -> None:
    found = toolkit.json("sweep", file, *GRID, "--top", "3", "--slippage-bps", "1")
    assert (toolkit.code, found["sets"], found["done"]) == (OK, 10, 10)
    assert found["grid"]["risk.stop_loss"] == [0.1, 0.15, 0.2, 0.25, 0.3]
    assert found["costs"]["slippage_bps"] == 1.0
    sharpes = [row["sharpe"] for row in found["rows"]]
    assert len(sharpes) == 3 and sharpes == sorted(sharpes, reverse=True)
    assert "evidence" in found["verdict"] or "supports" in found["verdict"]
    said = toolkit("sweep", file, *GRID, "--metric", "net_profit")
    assert "10 sets, the best 10 by net_profit" in said
    assert "kept as " in said


def test_random_sets_are_the_same_for_a_seed(toolkit: Toolkit, file: str) -> None:
    options = ("--method", "random", "--trials", "4", "--top", "0", "--no-store")
    one, two = (toolkit.json("sweep", file, *GRID, *options)["rows"] for _ in range(2))
    assert len(one) == 4 and one == two
    assert toolkit.json("runs")["runs"] == []


def test_an_interrupted_sweep_prints_what_is_done_and_exits_with_130(
    toolkit: Toolkit, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolkit.research.sweeps import sweep as module

    class Impatient(module._Progress):
        def put(self, rows: Any) -> None:
            super().put(rows)
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "_Progress", Impatient)
    found = toolkit.json("sweep", file, *GRID, "--top", "0")
    assert toolkit.code == INTERRUPTED
    assert found["interrupted"] and len(found["rows"]) == found["done"] == 5
    toolkit("validate", file, *GRID)
    assert toolkit.code == INTERRUPTED and toolkit.err.endswith("stopped\n")


def test_runs_are_listed_shown_compared_reproduced_and_deleted(toolkit: Toolkit, file: str) -> None:
    assert "no runs" in toolkit("runs")
    ids = [
        toolkit.json("sweep", file, "--grid", f"ema_period={values}")["id"]
        for values in ("5,9", "12,20")
    ]
    listed = toolkit.json("runs", "--symbol", "AAPL", "--kind", "sweep")["runs"]
    assert {run["id"] for run in listed} == set(ids)
    assert ids[0][:8] in toolkit("runs") and "AAPL" in toolkit.out
    assert (
        max(map(len, toolkit.out.splitlines())) <= 80
        and "\N{HORIZONTAL ELLIPSIS}" not in toolkit.out
    )
    assert toolkit.json("runs", "--kind", "backtest")["runs"] == []
    assert toolkit.json("runs", "show", ids[0][:5])["data"]["source"] == file
    shown = toolkit("runs", "show", ids[0])
    assert "fingerprint" in shown and "0.000195" in shown  # no rate is rounded away
    compared = toolkit.json("runs", "compare", *ids)
    assert compared["sentence"].startswith(f"{compared['runs'][0]['id']} has the best sharpe")
    assert "best sharpe" in toolkit("runs", "compare", *ids)
    assert toolkit.json("runs", "reproduce", ids[1])["equal"] and toolkit.code == OK
    assert toolkit.json("runs", "delete", *ids)["deleted"] == ids
    assert toolkit.json("runs")["runs"] == []


def test_runs_of_other_data_are_compared_by_force_only(
    toolkit: Toolkit, file: str, tmp_path: Path
) -> None:
    other = tmp_path / "others.parquet"
    noise(1, bars=2000).to_parquet(other)
    ids = [toolkit.json("sweep", f, "--grid", "ema_period=5,9")["id"] for f in (file, str(other))]
    toolkit("runs", "compare", *ids)
    assert toolkit.code == USAGE and "they differ in span" in toolkit.err
    assert "no contest of parameters" in toolkit("runs", "compare", *ids, "--force").replace(
        "\n", " "
    )


def test_a_run_whose_file_is_gone_or_changed_says_so(
    toolkit: Toolkit, file: str, tmp_path: Path
) -> None:
    name = toolkit.json("sweep", file, "--grid", "ema_period=5,9")["id"]
    moved = Path(file).rename(tmp_path / "moved.parquet")
    toolkit("runs", "reproduce", name)
    assert toolkit.code == FAILED and "are gone" in toolkit.err
    assert toolkit.json("runs", "reproduce", name, "--file", str(moved))["equal"]
    noise(2).to_parquet(file)
    toolkit("runs", "reproduce", name)
    assert toolkit.code == FAILED and "these are not the bars" in toolkit.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sweep", "FILE"], "add --grid"),
        (["sweep", "FILE", "--grid", "ema_period"], "write NAME=A,B,C"),
        (["sweep", "FILE", "--grid", "ema_period=a:b"], "write NAME=A,B,C"),
        (["sweep", "FILE", "--grid", "ema_period=5,501"], "whole numbers from 1 to 500"),
        (["sweep", "FILE", "--grid", "ema_period=5", "--grid", "ema.ema_period=9"], "given twice"),
        (["sweep", "FILE", *GRID, "--method", "luck"], "grid, random, optuna"),
        (["sweep", "FILE", *GRID, "--metric", "luck"], "allowed: trades"),
        (["sweep", "FILE", *GRID, "--trials", "5"], "None with method='grid'"),
        (["sweep", "FILE", *GRID, "--workers", "0"], "whole numbers from 1"),
        (["sweep", "nowhere.parquet", *GRID], "nowhere.parquet"),
        (["runs", "show", "nothing"], "there is no run 'nothing'"),
        (["runs", "--since", "soon"], "since is 'soon'"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    toolkit: Toolkit, file: str, arguments: list[str], words: str
) -> None:
    toolkit(*(file if word == "FILE" else word for word in arguments))
    assert toolkit.code == USAGE
    assert words in " ".join(toolkit.err.split())


def test_grids_are_read_as_typed() -> None:
    assert grid_of(["ema_period=5:20:5", "adaptive_bands=on,off", "stop_loss=0.1:0.2"]) == {
        "ema.ema_period": [5, 10, 15, 20],
        "rules.adaptive_bands": [True, False],
        "risk.stop_loss": (0.1, 0.2),
    }
    for wrong in ("ema_period=5:20:0", "ema_period=20:5:1", "ema_period=1:2:3:4", "ema_period="):
        with pytest.raises(ConfigError, match="write NAME=A,B,C"):
            grid_of([wrong])
    for endless in ("ema_period=1:inf:1", "stop_loss=0:1:1e-12", "stop_loss=nan:1:0.1"):
        with pytest.raises(ConfigError):
            grid_of([endless])
