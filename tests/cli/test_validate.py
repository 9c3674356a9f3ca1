"""`toolkit validate`: one sentence for people, all figures for scripts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.research.markets import noise
from toolkit.cli import main


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "bars.csv"
    noise(1, bars=700).to_csv(path, index=False)
    return str(path)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["toolkit", "validate", *arguments])
    return main()


GRID = ("--grid", "rsi_length=9,14", "--grid", "stop_loss=0.2,0.4", "--draws", "100")


def test_scripts_get_every_figure(file, monkeypatch, capsys):
    assert run(monkeypatch, file, *GRID, "--set", "ema.enabled=false", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["supported"] is False
    assert printed["sentence"].startswith("No evidence for this set: ")
    assert printed["parameters"]["ema.enabled"] is False
    assert printed["id"]
    figures = {(row["part"], row["figure"]): row["value"] for row in printed["figures"]}
    assert figures["verdict", "trials"] == 4
    assert ("walk_forward", "efficiency") in figures


def test_people_get_a_sentence_and_a_table(file, monkeypatch, capsys):
    assert run(monkeypatch, file, *GRID, "--folds", "3", "--no-store") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith("No evidence for this set: ")
    assert "Best of 4 sets: " in printed
    for words in ("deflated sharpe", "at least 0.95", "over 3 folds", "histories"):
        assert words in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing to vary; add --grid"),
        (("--grid", "rsi_length=9,x"), "rsi_length is 'x'"),
        ((*GRID, "--folds", "0"), "folds is 0"),
        ((*GRID, "--groups", "2"), "folds is 2"),
        ((*GRID, "--draws", "1"), "draws is 1"),
    ],
)
def test_what_is_wrong_is_named(file, monkeypatch, capsys, arguments, words):
    assert run(monkeypatch, file, *arguments) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_missing_file_is_named(monkeypatch, capsys):
    assert run(monkeypatch, "nowhere.csv", *GRID) == 2
    assert "nowhere.csv" in capsys.readouterr().err
