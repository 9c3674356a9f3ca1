"""tk.sweep: every set as a backtest would have it, and honest at the edges."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.core.markets import random_bars
from tests.research.markets import noise
from toolkit.core.costs import Costs
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError, DataError
from toolkit.market.tables import frame_of
from toolkit.research.backtest import backtest
from toolkit.research.scoring import METRICS
from toolkit.research.sweeps.grid import MAX_SETS, grid_of
from toolkit.research.sweeps.sets import Sets
from toolkit.research.sweeps.sweep import sweep, sweep_of
from toolkit.research.sweeps.table import SweepTable
from toolkit.research.sweeps.work import Alone
from toolkit.research.tape import tape_of

GRID = {"ema_period": [5, 9], "risk.stop_loss": [0.1, 0.3], "stoch_rsi.lower_band": [30, 50, 70]}


@pytest.fixture(scope="module")
def table() -> SweepTable:
    return sweep(noise(1), GRID, progress=False)


def test_every_set_has_the_figures_of_its_backtest() -> None:
    bars = frame_of(random_bars(3, symbols=("AAPL", "BTC/USD"), count=500))
    grid = {
        "adaptive_bands": [True, False],
        "stochastic.enabled": [True, False],
        "exit_on_signal": [True, False],
        "atr_stop": [True, False],
        "ema_period": [5, 9],
        "rsi_length": [7, 14],
        "cooldown": [0, 120],
    }
    base = Parameters().replace({"stochastic.lower_band": 60, "lookback": 5})
    costs = Costs(slippage_bps=1.0, crypto_fee_bps=10.0)
    swept = sweep(bars, grid, base=base, costs=costs, capital=5000.0, progress=False)
    assert len(swept.frame) == 2**7
    for number in range(0, 2**7, 5):
        row = swept.frame.loc[number]
        run = backtest(bars, swept.grid.parameters(number), costs=costs, capital=5000.0)
        assert {n: run.parameters[n] for n in swept.grid.axes} == dict(row[list(swept.grid.axes)])
        for name in METRICS:
            np.testing.assert_equal(float(row[name]), float(run.score.metrics[name]))


def test_the_frame_has_full_names_and_all_combinations(table: SweepTable) -> None:
    names = ["ema.ema_period", "risk.stop_loss", "stoch_rsi.lower_band"]
    assert list(table.frame.columns) == [*names, *METRICS]
    assert len(table.frame.drop_duplicates(names)) == 12
    assert table.frame["trades"].dtype == np.int64


def test_best_is_the_highest_and_for_drawdown_the_lowest(table: SweepTable) -> None:
    frame = table.frame
    best = frame.loc[frame["sharpe"].idxmax()]
    assert table.best()["stoch_rsi.lower_band"] == best["stoch_rsi.lower_band"]
    calm = frame.loc[frame["max_drawdown_percent"].idxmin()]
    assert table.best("max_drawdown_percent")["risk.stop_loss"] == calm["risk.stop_loss"]
    with pytest.raises(ConfigError, match="metric is 'luck'; allowed: trades"):
        table.best("luck")


def test_best_verdict_and_plateau_go_by_the_metric_of_the_sweep() -> None:
    swept = sweep(noise(2), GRID, metric="fees", progress=False)
    first = swept.ranked().index[0]
    assert first != swept.ranked("sharpe").index[0]
    assert swept.best() == swept.best("fees") == swept.grid.parameters(first)
    assert swept.verdict().parameters == swept.grid.parameters(first)
    assert swept.plateau().metric == "fees"


def test_without_a_trade_there_is_no_best_set() -> None:
    with pytest.raises(DataError, match="no set of the sweep closed a trade"):
        sweep(noise(1, bars=20), GRID, progress=False).best()


def test_pivot_is_a_mean_over_the_other_axes(table: SweepTable) -> None:
    square = table.pivot("ema_period", "stop_loss")
    assert square.shape == (2, 2)
    chosen = table.frame[
        (table.frame["ema.ema_period"] == 5) & (table.frame["risk.stop_loss"] == 0.1)
    ]
    assert square.loc[0.1, 5] == pytest.approx(chosen["sharpe"].mean())
    with pytest.raises(ConfigError, match="two different parameters"):
        table.pivot("ema_period", "ema.ema_period")
    with pytest.raises(ConfigError, match="was not swept"):
        table.pivot("ema_period", "take_profit")


def test_heatmap_goes_through_the_plotter_that_was_brought(table: SweepTable) -> None:
    with pytest.raises(ConfigError, match="has no plotter"):
        table.heatmap()
    drawn = dataclasses.replace(table, plotter=lambda _, kind, **options: (kind, *options.values()))
    assert drawn.heatmap() == ("heatmap", "ema.ema_period", "risk.stop_loss", "sharpe")
    swapped = drawn.heatmap("stop_loss", value="trades")
    assert swapped[1:] == ("risk.stop_loss", "ema.ema_period", "trades")
    assert drawn.heatmap(y="ema_period")[1] == "risk.stop_loss"


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({}, "grid is .*at least one parameter"),
        ([5, 9], "grid is .*at least one parameter"),
        ({"ema_period": []}, "ema.ema_period is .*at least one value"),
        ({"ema_period": [9, 501]}, "ema.ema_period is 501; allowed: whole numbers from 1 to 500"),
        ({"ema_period": [9.5]}, "ema.ema_period is 9.5"),
        ({"ema_period": 9}, "ema.ema_period is 9; allowed: a list"),
        ({"ema_period": "9"}, "ema.ema_period is '9'; allowed: a list"),
        ({"emma": [9]}, "'emma' is no parameter"),
        ({"lower_band": [9]}, "could be any of: stoch_rsi.lower_band, stochastic.lower_band"),
        ({"ema_period": [9], "ema.ema_period": [5]}, "each parameter once"),
        ({"stop_loss": [math.nan]}, "risk.stop_loss is nan"),
        ({"ema.enabled": [False], "stoch_rsi.enabled": [False]}, "all three groups"),
    ],
)
def test_a_wrong_grid_names_the_field_and_what_is_allowed(
    grid: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        sweep(noise(1, bars=50), grid, progress=False)


def test_a_grid_too_large_is_refused_before_anything_runs() -> None:
    grid = {"ema_period": range(1, 501), "rsi_length": range(2, 201), "k": range(1, 4)}
    with pytest.raises(ConfigError, match=f"up to {MAX_SETS} sets"):
        sweep(noise(1, bars=50), grid, progress=False)


def test_numpy_values_and_repeated_ones_are_understood() -> None:
    grid = {"ema_period": np.array([5, 9, 9]), "stop_loss": np.arange(0.1, 0.35, 0.1)}
    table = sweep(noise(1, bars=200), grid, progress=False)
    assert table.grid.axes["ema.ema_period"] == (5, 9)
    assert len(table.frame) == 6


def test_progress_is_reported_to_the_end() -> None:
    calls: list[tuple[int, int]] = []
    sweep(noise(1, bars=100), GRID, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (12, 12)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


def test_an_interrupt_keeps_what_is_done() -> None:
    def interrupt(done: int, _total: int) -> None:
        if done >= 5:
            raise KeyboardInterrupt

    table = sweep(noise(1), GRID, progress=interrupt)
    whole = sweep(noise(1), GRID, progress=False)
    assert table.interrupted and not whole.interrupted
    done = len(table.frame)
    assert 5 <= done < 12
    assert f"interrupted after {done}" in repr(table)
    pd.testing.assert_frame_equal(table.frame, whole.frame.loc[table.frame.index])
    assert table.verdict().overfitting.trials == done


def test_an_interrupt_while_the_next_sets_are_thought_of_is_one() -> None:
    class Tired:
        total = 24

        def first(self) -> Sets:
            return grid_of(GRID, Parameters())

        def more(self, sets: Sets, goodness: object) -> Sets | None:
            raise KeyboardInterrupt

    table = sweep_of(
        tape_of(noise(1)),
        Tired(),
        capital=10_000.0,
        costs=Costs(),
        crew=Alone(),
        report=lambda _done, _of: None,
        how={"metric": "sharpe"},
    )
    assert table.results.done.all() and table.interrupted


def test_costs_may_be_named_in_a_mapping() -> None:
    table = sweep(noise(1), {"ema_period": [9]}, costs={"slippage_bps": 2}, progress=False)
    assert table.costs == Costs(slippage_bps=2.0)


def test_sets_without_a_value_of_the_metric_are_not_the_best(table: SweepTable) -> None:
    metrics = table.results.metrics.copy()
    metrics[:, METRICS.index("sharpe")] = np.nan
    unknown = dataclasses.replace(table, results=table.results._replace(metrics=metrics))
    assert unknown.best_number("net_profit") is not None
    assert unknown.best_number("sharpe") is None


def test_it_is_shown_by_the_metric_that_it_looked_for(table: SweepTable) -> None:
    by_profit = dataclasses.replace(table, how={"metric": "net_profit"})
    first = by_profit._repr_html_().partition("<tbody>")[2].partition("<th>")[2].partition("<")[0]
    assert int(first) == by_profit.ranked("net_profit").index[0]


def test_a_chosen_set_must_be_one_of_those_that_were_run(table: SweepTable) -> None:
    chosen = table.verdict({"ema_period": 5, "stop_loss": 0.1, "stoch_rsi.lower_band": 30})
    assert chosen.parameters == table.grid.parameters(0)
    with pytest.raises(ConfigError, match=r"differs in ema\.ema_period"):
        table.verdict({"ema_period": 6, "stop_loss": 0.1, "stoch_rsi.lower_band": 30})
    with pytest.raises(ConfigError, match=r"differs in risk\.cooldown"):
        table.verdict(table.best().replace(cooldown=61))


def test_it_is_shown_with_its_best_sets(table: SweepTable) -> None:
    html = table._repr_html_()
    assert "12 sets" in html and "&lt;SweepTable" in html and "<table" in html


def test_the_best_set_carries_its_verdict_until_it_is_changed():
    table = sweep(noise(1), GRID, progress=False)
    best = table.best()
    assert isinstance(best, Parameters)
    assert best.verdict == table.verdict()
    assert best == best.verdict.parameters
    assert not hasattr(best.replace(cooldown=61), "verdict")
