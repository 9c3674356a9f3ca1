"""What `tk.*` runs is kept and counted, and what cannot be kept stays in memory."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import toolkit as tk
from tests.research.markets import noise
from toolkit.research.store.run_store import RunStore
from toolkit.research.sweeps.sweep import sweep as plain_sweep
from toolkit.research.tape import tape_of
from toolkit.session.kept import NotKept, timeframe_name

GRID = {"ema_period": [5, 9], "stop_loss": (0.1, 0.3)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bars.parquet"
    noise(1).to_parquet(path)
    return path


def test_everything_is_kept_with_its_file_and_runs_again_from_it(file: Path) -> None:
    run = tk.backtest(file, {"ema_period": 12})
    table = tk.sweep(file, GRID, progress=False)
    by_frame = tk.backtest(tk.bars(file, count=1000), {"ema_period": 5})
    runs = tk.runs()
    assert {r.id for r in runs} == {run.id, table.id, by_frame.id}
    assert {r.data.source for r in runs} == {str(file)}
    assert all(runs.reproduce(r.id).equal for r in runs)
    assert all(r.seconds > 0.0 for r in runs)
    again = runs.load(table.id)
    assert (again.id, again.known().count) == (table.id, table.known().count)
    assert type(again.heatmap()) is type(table.heatmap())


def test_simulated_bars_are_made_again() -> None:
    run = tk.backtest(tk.bars(["AAPL", "BTC/USD"], "5Min", count=300, seed=3))
    table = tk.sweep(tk.bars("MSFT", start="2026-01-05", count=300), GRID, progress=False)
    assert tk.runs().reproduce(run.id).equal
    assert tk.runs().reproduce(table.id).equal


def test_a_sweep_counts_each_of_its_sets_as_a_trial_once(file: Path) -> None:
    table = tk.sweep(file, GRID, progress=False)
    tk.sweep(file, {"ema_period": [9, 20], "stop_loss": (0.1, 0.3)}, progress=False)
    tk.backtest(file, {"ema_period": 5, "stop_loss": 0.1})
    known = table.known()
    assert known.count == 15
    assert table.verdict().overfitting.trials == 15
    ours = table.frame["sharpe"].to_numpy() / np.sqrt(table.periods_per_year)
    assert np.isin(np.round(ours, 12), np.round(known.sharpes, 12)).all()


def test_costs_make_another_trial(file: Path) -> None:
    table = tk.sweep(file, GRID, progress=False)
    tk.sweep(file, GRID, costs=tk.Costs(slippage_bps=1.0), progress=False)
    assert table.known().count == 20


def test_what_is_not_to_be_kept_is_not(file: Path) -> None:
    run = tk.backtest(file, store=False)
    table = tk.sweep(file, GRID, progress=False, store=False)
    assert run.id == table.id == ""
    assert len(tk.runs()) == 0
    assert table.known is None


def test_another_store_can_be_named(file: Path, tmp_path: Path) -> None:
    mine = RunStore.open(tmp_path / "mine")
    run = tk.backtest(file, store=mine)
    assert [r.id for r in tk.runs(tmp_path / "mine")] == [run.id]
    assert len(tk.runs()) == 0


def test_a_store_that_cannot_be_written_is_one_warning_and_the_result_is_there(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    monkeypatch.setenv("TOOLKIT_STATE_DIR", str(blocked))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = tk.backtest(file)
        table = tk.sweep(file, GRID, progress=False)
    assert len(run.equity) == 3000 and len(table.frame) == 10
    assert [w.category for w in said] == [NotKept, NotKept]
    assert "not kept: " in str(said[0].message) and "in memory" in str(said[0].message)
    assert said[0].filename == said[1].filename == __file__
    assert table.verdict().sentence


def test_threads_change_nothing(file: Path) -> None:
    one = plain_sweep(file, GRID, progress=False)
    two = tk.sweep(file, GRID, workers=2, progress=False, store=False)
    pd.testing.assert_frame_equal(one.frame, two.frame)
    for ours, theirs in zip(one.results, two.results, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(tk.ConfigError, match="workers is 0"):
        tk.sweep(file, GRID, workers=0)


@pytest.mark.parametrize(
    ("seconds", "name"), [(5.0, "5Sec"), (60.0, "1Min"), (900.0, "15Min"), (86_400.0, "1Day")]
)
def test_timeframes_have_the_names_of_tk_bars(seconds: float, name: str) -> None:
    assert timeframe_name(seconds) == name


def test_walk_forward_and_cross_validation_run_again(file: Path) -> None:
    grid = {"ema_period": [5, 9]}
    tk.walk_forward(file, grid, folds=3, progress=False)
    tk.walk_forward(file, grid, folds=3, anchored=True, progress=False)
    tk.cross_validate(file, grid, folds=6, progress=False)
    runs = tk.runs()
    assert sorted(r.kind for r in runs) == ["cross_validation", "walk_forward", "walk_forward"]
    assert [runs.reproduce(r.id).differences for r in runs] == [(), (), ()]


def test_the_bars_before_a_hold_out_are_found_again(file: Path) -> None:
    for bars in (file, tk.bars("AAPL", "1Min", market="simulated")):
        research, _ = tk.hold_out(bars)
        table = tk.sweep(research, GRID, progress=False)
        assert tk.runs().reproduce(table.id).equal


def test_sessions_make_another_trial(file: Path) -> None:
    run = tk.backtest(file)
    tk.backtest(file, sessions="regular")
    tk.sweep(file, {"ema_period": [run.parameters["ema_period"]]}, progress=False)
    table = tk.sweep(
        file, {"ema_period": [run.parameters["ema_period"]]}, sessions="regular", progress=False
    )
    assert table.known is not None
    assert table.known().count == 2


def test_bars_with_hours_of_their_own_are_run_again_in_those_of_the_run(file: Path) -> None:
    run = tk.backtest(file)
    other = tape_of(file, sessions="regular")
    assert len(tk.backtest(other, store=False).trades) != len(run.trades)
    assert tk.runs().reproduce(run.id, other).equal


def test_hours_are_kept_and_used_again(file: Path) -> None:
    run = tk.backtest(file, sessions="regular", flat_before_close=300.0)
    assert tk.backtest(file, sessions="regular", flat_before_close=300).id == run.id
    table = tk.sweep(file, GRID, sessions="regular", progress=False)
    plain = tk.backtest(file)
    assert len({run.id, plain.id}) == 2
    assert tk.runs().reproduce(run.id).equal and tk.runs().reproduce(table.id).equal
    with pytest.raises(tk.ConfigError, match="differ in sessions"):
        tk.runs().compare(run.id, plain.id)
