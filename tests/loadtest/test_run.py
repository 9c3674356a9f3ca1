"""A run with servers that are played, and runs of the command with real ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.loadtest.test_trial import spread, trial
from toolkit.cli import main
from toolkit.errors import ConfigError
from toolkit.loadtest import joining
from toolkit.loadtest import run as module
from toolkit.loadtest.run import Plan, run
from toolkit.loadtest.scenario import SCENARIOS, Scenario
from toolkit.loadtest.trial import Trial

CAPACITY = {"ours": 3_000.0, "stock": 100.0}


class Silent:
    def __init__(self) -> None:
        self.stages: list[str] = []

    def stage(self, what: str, *, seconds: float | None = None) -> None:
        self.stages.append(what)

    def sample(self, sample: object) -> None:
        pass

    def done(self, done: Trial) -> None:
        pass


class Played:
    """Holds every rate up to its capacity."""

    def __init__(self, kind: str, scenario: Scenario, **_: Any) -> None:
        self.kind, self.scenario = kind, scenario
        self.server = SimpleNamespace(delivery="played")

    def prepare(self) -> None:
        pass

    def measure(self, rate: float, seconds: float, **_: Any) -> Trial:
        fine = rate <= CAPACITY[self.kind]
        received = round(rate * seconds * self.scenario.fan_out)
        return trial(
            rate=rate,
            seconds=seconds,
            elapsed=seconds,
            on_time=received,
            received=received,
            latency=spread(5.0 if fine else 80.0),
        )

    def __enter__(self) -> Played:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Bench", Played)
    monkeypatch.setattr(module, "bytes_per_connection", lambda *_, **__: 1234)


@pytest.mark.usefixtures("played")
def test_a_search_finds_both_capacities_in_turns():
    progress = Silent()
    result = run(Plan(scenario=SCENARIOS["C"]), progress)
    assert result.ratio == pytest.approx(30.0, rel=0.11)
    assert result.ours.best is not None
    assert result.ours.best.seconds == 20.0
    assert result.ours.fixed is not None
    assert result.ours.fixed.rate == 1_000.0
    measured = [what.partition(":")[0] for what in progress.stages if "published" in what]
    assert measured[:4] == ["ours", "stock", "ours", "stock"]


@pytest.mark.usefixtures("played")
def test_at_a_given_rate_the_servers_take_turns():
    result = run(Plan(scenario=SCENARIOS["D"], seconds=8.0), Silent())
    assert result.ratio_of == "p99_ms"
    assert result.ours.best is not None
    assert result.ours.best.seconds == 8.0
    assert [t.seconds for t in result.ours.trials] == [2.0] * 4


@pytest.mark.usefixtures("played")
def test_too_few_file_descriptors_are_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(joining.resource, "getrlimit", lambda _: (256, 512))
    with pytest.raises(ConfigError, match="1050 connections need 1114 open files"):
        run(Plan(scenario=SCENARIOS["B"]), Silent())


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["toolkit", "loadtest", *arguments])
        return main(), capsys.readouterr().out

    return call


TINY = ("--clients", "6", "--symbols", "4", "--per-client", "2", "--rate", "200", "--seconds", "1")


def test_a_real_run_prints_one_object_with_all_figures(command: Callable[..., tuple[int, str]]):
    code, out = command(*TINY, "--own", "--idle", "20", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["lost"], found["duplicated"], found["disordered"]) == (0, 0, 0)
    assert (found["baseline_lost"], found["baseline_duplicated"]) == (0, 0)
    assert found["deliveries_per_s"] == pytest.approx(600, rel=0.2)
    assert found["ratio"] == pytest.approx(found["baseline_p99_ms"] / found["p99_ms"])
    assert found["p50_ms"] <= found["p99_ms"]
    assert 1_000 < found["bytes_per_connection"] < 1_000_000
    assert found["cpu_us_per_delivery"] > 0
    assert found["scenario"] == "own"
    assert found["delivery"] == "express"
    assert {"baseline_deliveries_per_s", "machine", "trials"} <= set(found)


def test_a_real_run_with_troublemakers_writes_a_page(
    command: Callable[..., tuple[int, str]], tmp_path: Path
):
    crowd = ("--slow", "1", "--churn", "1", "--sleepy", "1", "--hostile", "4")
    code, out = command(*TINY, *crowd, "--json", "--html", str(tmp_path / "report.html"))
    found = json.loads(out)
    assert code == 0
    assert found["ratio"] is None
    assert found["lost"] == 0
    assert sum(found["disturbance"]["deeds"].values()) > 0
    assert found["disturbance"]["p99_without_ms"] > 0
    assert "Troublemakers" in (tmp_path / "report.html").read_text()


def test_an_unknown_scenario_is_refused(command: Callable[..., tuple[int, str]]):
    assert command("--scenario", "E") == (2, "")
