"""tk.check_* and tk.backtest_signals: what the session adds to research."""

from __future__ import annotations

import pandas as pd
import pytest

import toolkit as tk
from tests.research.checks.markets import sessions
from toolkit.research.backtest import BacktestRun
from toolkit.research.store.trials import DataKey
from toolkit.research.vbt.signal_table import SignalTable
from toolkit.session.kept import run_store

BARS = sessions(days=3)
CLOSE = BARS.set_index("timestamp")["close"]


def above(*windows: int) -> pd.DataFrame:
    return pd.DataFrame({f"n{n}": CLOSE.rolling(n).mean() < CLOSE for n in windows})


def test_every_check_draws_itself():
    costs = tk.check_costs(BARS, progress=False)
    warmup = tk.check_warmup(BARS, progress=False)
    data = tk.check_data(BARS.drop(index=[100]), progress=False)
    for found in (costs, warmup, data):
        assert type(found.plot()).__name__ == "Picture"


def test_the_warm_up_is_held_against_what_the_bot_loads():
    assert tk.check_warmup(BARS, progress=False).loaded == 500


def test_signals_are_kept_and_each_set_counts_as_a_trial():
    run = tk.backtest_signals(BARS, above(9)["n9"])
    assert isinstance(run, BacktestRun) and run.id
    other = tk.backtest_signals(BARS, above(20)["n20"])
    assert other.id != run.id
    trials = run_store().trials
    key = DataKey.of(run.tape)
    assert trials.known(key).count == 2
    table = tk.backtest_signals(BARS, above(9, 20, 30), progress=False)
    assert isinstance(table, SignalTable) and table.id
    assert trials.known(key).count == 3  # two of the three were tried before
    kinds = [record.kind for record in run_store().runs().records]
    assert sorted(kinds) == ["backtest", "backtest", "signals"]


def test_a_run_of_signals_is_reproduced_to_the_bit():
    run = tk.backtest_signals(BARS, above(9)["n9"], ~above(9)["n9"], sessions="regular")
    again = tk.runs().reproduce(run.id, BARS)
    assert again.equal, again.sentence


def test_nothing_is_kept_where_it_is_not_wanted():
    tk.backtest_signals(BARS, above(9)["n9"], store=False)
    assert len(run_store().runs().records) == 0


def test_the_best_set_of_a_table_draws_itself():
    table = tk.backtest_signals(BARS, above(9, 20), progress=False, store=False)
    assert table.best().plot() is not None


def test_a_finished_run_of_signals_is_checked_for_its_costs():
    run = tk.backtest_signals(BARS, above(9)["n9"], ~above(9)["n9"], store=False)
    found = tk.check_costs(run, progress=False)
    assert found.assumed.trades == len(run.trades)


def test_what_does_not_fit_raises_the_errors_of_toolkit():
    with pytest.raises(tk.DataError, match="no value for"):
        tk.backtest_signals(BARS, above(9)["n9"].iloc[3:], store=False)
