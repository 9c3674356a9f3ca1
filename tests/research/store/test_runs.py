"""The store of runs: what was run is found, compared, loaded and run again, to the bit."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.research.markets import noise
from toolkit.core.costs import Costs
from toolkit.core.layout import Decisions
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError, StoreError
from toolkit.research.backtest import BacktestRun, backtest, run_of
from toolkit.research.store.frames import frame_path
from toolkit.research.store.run_store import RunStore
from toolkit.research.sweeps.sweep import sweep
from toolkit.research.sweeps.table import SweepTable
from toolkit.research.tape import tape_of

NOW = datetime(2026, 11, 28, 16, tzinfo=UTC)
GRID = {"ema_period": [5, 9], "stop_loss": [0.1, 0.3]}


@pytest.fixture(scope="module")
def run() -> BacktestRun:
    return backtest(noise(1), {"ema_period": 12})


@pytest.fixture(scope="module")
def table() -> SweepTable:
    return sweep(noise(1), GRID, progress=False)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "research", clock=Clock())


def test_a_backtest_is_kept_with_all_that_it_takes_to_run_it_again(
    store: RunStore, run: BacktestRun
) -> None:
    kept = store.load(store.save(run, seconds=1.5))
    pd.testing.assert_frame_equal(kept.trades, run.trades)
    pd.testing.assert_series_equal(kept.equity, run.equity)
    record = kept.record
    assert record.parameters == run.parameters
    assert record.costs == run.costs.to_dict()
    assert (record.capital, record.seconds, record.at) == (
        10_000.0,
        1.5,
        NOW + timedelta(minutes=1),
    )
    assert record.data.fingerprint == run.tape.fingerprint
    assert (record.data.feed, record.data.adjustment) == (run.tape.feed, run.tape.adjustment)
    assert (record.data.first, record.data.last) == run.tape.span
    assert record.code.startswith("0.")
    assert record.figures["sharpe"] == run.score.metrics["sharpe"]
    assert kept.stats()["trades"] == len(run.trades)


def test_a_sweep_comes_back_as_it_was(store: RunStore, table: SweepTable) -> None:
    kept = store.load(store.save(table))
    pd.testing.assert_frame_equal(kept.frame, table.frame)
    for ours, theirs in zip(kept.results, table.results, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert kept.best() == table.best()
    assert kept.verdict().sentence == table.verdict().sentence
    assert kept.how == table.how
    assert kept.grid.find({"ema_period": 9, "stop_loss": 0.1}) == 2


def test_the_same_run_again_is_the_same_record(store: RunStore, run: BacktestRun) -> None:
    first, again = store.save(run), store.save(run)
    other = store.save(backtest(noise(1), {"ema_period": 13}))
    assert first == again != other
    assert [record.id for record in store.runs()] == [other, first]


def test_runs_are_listed_the_latest_first_and_filtered(
    store: RunStore, run: BacktestRun, table: SweepTable
) -> None:
    one, two = store.save(run), store.save(table)
    three = store.save(backtest(noise(2, symbol="MSFT")))
    runs = store.runs()
    assert list(runs["id"]) == [three, two, one]
    assert [r.id for r in runs.filter(symbol="aapl")] == [two, one]
    assert [r.id for r in runs.filter(kind="sweep")] == [two]
    assert [r.id for r in runs.filter(since="2026-11-28 16:02")] == [three, two]
    assert [r.id for r in runs.filter(until=NOW + timedelta(minutes=2))] == [one]
    assert [r.id for r in runs.filter(symbol="AAPL", kind="backtest", source="Frame")] == [one]
    assert len(runs.filter(feed="sip")) == 0
    assert "3 runs" in repr(runs) and "<table" in runs._repr_html_()
    with pytest.raises(ConfigError, match="since is 'soon'"):
        runs.filter(since="soon")


def test_an_empty_store_says_so(store: RunStore) -> None:
    assert len(store.runs()) == 0
    assert repr(store.runs()) == "<Runs: none yet>"
    assert store.runs().frame.empty


def test_the_beginning_of_an_id_is_enough_while_it_is_one_run(
    store: RunStore, run: BacktestRun
) -> None:
    name = store.save(run)
    assert store.record(name[:5]).id == name
    for wrong in ("zz", ""):
        with pytest.raises(ConfigError, match=r"no run|more than one"):
            store.record(wrong)


def test_comparing_sets_parameters_and_figures_side_by_side(store: RunStore) -> None:
    ids = [store.save(backtest(noise(1), {"ema_period": n})) for n in (5, 9, 20)]
    found = store.runs().compare(*ids)
    assert list(found.frame.columns) == [r.id for r in found.records]
    assert set(found.frame.loc["ema.ema_period"]) == {5, 9, 20}
    assert "risk.stop_loss" not in found.frame.index
    sharpes = [float(value) for value in found.frame.loc["sharpe"]]
    assert sharpes == sorted(sharpes, reverse=True)
    assert found.sentence.startswith(f"{found.records[0].id} has the best sharpe")
    calm = store.runs().compare(metric="max_drawdown_percent")
    drawdowns = [float(value) for value in calm.frame.loc["max_drawdown_percent"]]
    assert drawdowns == sorted(drawdowns)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (lambda: backtest(noise(2)), "their bars"),
        (lambda: backtest(noise(1, bars=2000)), "span"),
        (lambda: backtest(noise(1, symbol="MSFT")), "symbols"),
        (lambda: backtest(noise(1), costs=Costs(slippage_bps=1.0)), r"costs .*slippage_bps 1\.0"),
        (lambda: backtest(noise(1), capital=500.0), r"capital .*500\.00"),
        (lambda: backtest(fed("sip")), r"feed .*sip"),
        (lambda: backtest(adjusted("split")), r"adjustment .*split"),
    ],
)
def test_runs_of_other_data_or_costs_are_ranked_only_by_force_and_that_is_said(
    store: RunStore, run: BacktestRun, other: Callable[[], BacktestRun], what: str
) -> None:
    ids = store.save(run), store.save(other())
    with pytest.raises(ConfigError, match=f"cannot be ranked: .*{what}.*force=True"):
        store.runs().compare(*ids)
    forced = store.runs().compare(*ids, force=True)
    assert len(forced.differences) == 1
    assert "no contest of parameters" in forced.sentence


def fed(feed: str) -> pd.DataFrame:
    bars = noise(1)
    bars.attrs["feed"] = feed
    return bars


def adjusted(adjustment: str) -> pd.DataFrame:
    bars = noise(1)
    bars.attrs["adjustment"] = adjustment
    return bars


def test_comparing_needs_two_runs_and_a_metric(store: RunStore, run: BacktestRun) -> None:
    name = store.save(run)
    with pytest.raises(ConfigError, match="two different ones"):
        store.runs().compare(name, name)
    with pytest.raises(ConfigError, match="metric is 'luck'"):
        store.runs().compare(name, metric="luck")


def test_a_deleted_run_is_gone_with_its_tables(store: RunStore, run: BacktestRun) -> None:
    name = store.save(run)
    assert store.runs().delete(name[:6]) == name
    assert len(store.runs()) == 0
    assert list((store.folder / "frames").iterdir()) == []


def test_what_is_run_again_on_the_same_file_is_equal_to_the_bit(
    store: RunStore, tmp_path: Path
) -> None:
    path = tmp_path / "bars.parquet"
    noise(1).to_parquet(path)
    for result in (backtest(path, {"ema_period": 12}), sweep(path, GRID, progress=False)):
        name = store.put(from_file(result, path))
        again = store.runs().reproduce(name)
        assert again.equal
        assert again.sentence == f"Run {name} was run again and is equal to the bit."


def from_file(result: Any, path: Path) -> Any:
    from toolkit.research.store.entries import entry_of

    entry = entry_of(result)
    return replace(entry, data=replace(entry.data, source=str(path)))


def test_the_bars_of_a_part_of_a_file_are_found_in_it(store: RunStore, tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    noise(1).to_parquet(path)
    name = store.put(from_file(backtest(noise(1)[500:2500]), path))
    assert store.reproduce(name).equal


def test_an_interrupted_sweep_is_compared_as_far_as_it_went(store: RunStore) -> None:
    def interrupt(done: int, _total: int) -> None:
        if done >= 2:
            raise KeyboardInterrupt

    name = store.save(sweep(noise(1), GRID, progress=interrupt))
    assert store.load(name).interrupted
    assert store.reproduce(name, noise(1)).equal


def test_an_interrupted_guided_sweep_is_compared_as_far_as_it_went(store: RunStore) -> None:
    def interrupt(done: int, _total: int) -> None:
        if done >= 20:
            raise KeyboardInterrupt

    space = {"ema_period": (2, 60), "stop_loss": (0.1, 2.0)}
    table = sweep(noise(1), space, method="optuna", trials=40, progress=interrupt)
    name = store.save(table)
    assert store.load(name).interrupted
    assert store.reproduce(name, noise(1)).equal


def test_signals_of_the_users_own_are_kept_and_run_again(store: RunStore) -> None:
    tape = tape_of(noise(1))
    size = len(tape.market.time)
    entry = np.arange(size) % 50 == 0
    own = Decisions(entry, np.roll(entry, 10), np.full(size, np.nan))
    run = run_of(tape, Parameters(), capital=1000.0, costs=Costs(), signals=own)
    assert store.reproduce(store.save(run), noise(1)).equal


def test_a_different_outcome_is_named(store: RunStore, run: BacktestRun) -> None:
    name = store.save(run)
    path = frame_path(store.folder, name, "trades")
    frame = pd.read_parquet(path)
    frame.loc[3, "pnl"] = np.nextafter(frame.loc[3, "pnl"], 1e9)
    frame.to_parquet(path, index=False)
    again = store.reproduce(name, noise(1))
    assert not again.equal
    assert f"trades: pnl differs in 1 of {len(frame)} rows" in again.sentence


@pytest.mark.parametrize(
    ("source", "bars", "message"),
    [
        ("DataFrame", None, "hand them over"),
        ("/nowhere/bars.parquet", None, "are gone: /nowhere/bars.parquet is not there"),
        ("DataFrame", noise(2), "these are not the bars of run .* fingerprint"),
        ("DataFrame", noise(1, symbol="MSFT"), "these are not the bars"),
        ("DataFrame", noise(1, bars=100), "100 bars in its span, not 3,000"),
    ],
)
def test_bars_that_are_gone_or_others_are_told(
    store: RunStore, run: BacktestRun, source: str, bars: pd.DataFrame | None, message: str
) -> None:
    name = store.put(from_file(run, Path(source)))
    with pytest.raises(StoreError, match=message):
        store.reproduce(name, bars)


def test_a_full_disk_is_one_clear_message_and_leaves_nothing_behind(
    store: RunStore, run: BacktestRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = pd.DataFrame.to_parquet

    def full(frame: pd.DataFrame, path: Path, **options: Any) -> None:
        if "equity" not in frame.columns:
            return written(frame, path, **options)
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(StoreError, match="No space left on device; free some disk space"):
        store.save(run)
    assert list((store.folder / "frames").iterdir()) == []
    assert len(store.runs()) == 0


def test_damage_is_told_and_hurts_nothing_else(store: RunStore, run: BacktestRun) -> None:
    name = store.save(run)
    frame_path(store.folder, name, "trades").write_bytes(b"no parquet")
    with pytest.raises(StoreError, match=r"trades\.parquet cannot be read"):
        store.load(name)
    frame_path(store.folder, name, "trades").unlink()
    with pytest.raises(StoreError, match=r"the trades of run .* are gone"):
        store.load(name)
    (store.folder / "runs.sqlite").write_bytes(b"no database " * 1000)
    with pytest.raises(StoreError, match="the file is damaged: move it away"):
        store.save(run)


def test_a_record_of_other_code_does_not_hide_the_rest(store: RunStore, run: BacktestRun) -> None:
    kept, other = store.save(run), store.save(backtest(noise(2)))
    with sqlite3.connect(store.folder / "runs.sqlite") as file:
        (text,) = file.execute("select record from runs where id = ?", (other,)).fetchone()
        values = json.loads(text)
        values["parameters"]["ema.unheard_of"] = 1
        file.execute("update runs set record = ? where id = ?", (json.dumps(values), other))
    runs = store.runs()
    assert [record.id for record in runs] == [kept]
    assert "1 more were kept by other code" in repr(runs)
    with pytest.raises(StoreError, match="does not understand"):
        store.record(other)


def test_a_store_of_a_newer_toolkit_is_left_alone(store: RunStore, run: BacktestRun) -> None:
    store.save(run)
    with sqlite3.connect(store.folder / "runs.sqlite") as file:
        file.execute("pragma user_version = 99")
    with pytest.raises(StoreError, match="newer toolkit"):
        store.runs()


def keep_some(folder: Path, seed: int) -> None:
    store = RunStore.open(folder)
    for period in range(5, 10):
        store.save(backtest(noise(1, bars=300), {"ema_period": period}))
    store.save(backtest(noise(seed, bars=300)))


def test_two_processes_keep_runs_at_the_same_time(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from tests.research.store.test_runs import keep_some\n"
        "print(flush=True)\n"
        "keep_some(Path(sys.argv[1]), 2)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        keep_some(tmp_path, 3)
    assert other.returncode == 0
    runs = RunStore.open(tmp_path).runs()
    kept = {(r.parameters, r.data.fingerprint) for r in runs}
    assert len(kept) == 7  # five were the same in both
    assert all(len(runs.load(record.id).equity) == 300 for record in runs)


def test_a_kind_that_cannot_be_kept_is_refused(store: RunStore) -> None:
    with pytest.raises(ConfigError, match="a dict cannot be kept"):
        store.save({})
