"""The user's own signals: traded by our rules, aligned bar by bar, refused where they misfit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.markets import random_bars
from tests.core.test_kernel import EVERYTHING_ON
from tests.effort import tries
from tests.research.markets import noise
from toolkit.core.costs import Costs
from toolkit.errors import ConfigError, DataError, ToolkitError
from toolkit.market.tables import frame_of
from toolkit.research.backtest import BacktestRun, backtest
from toolkit.research.vbt.signal_table import SignalTable
from toolkit.research.vbt.signals import backtest_signals

BARS = noise(1, bars=800)
CLOSE = BARS.set_index("timestamp")["close"]
TWO = frame_of(random_bars(5, symbols=("AAPL", "BTC/USD"), count=400))  # with missing minutes


def run_of(*args: Any, **options: Any) -> BacktestRun:
    result = backtest_signals(*args, progress=False, **options)
    assert isinstance(result, BacktestRun)
    return result


def table_of(*args: Any, **options: Any) -> SignalTable:
    result = backtest_signals(*args, progress=False, **options)
    assert isinstance(result, SignalTable)
    return result


def wide(bars: pd.DataFrame, values: Any) -> pd.DataFrame:
    """Values of each row as a table of times by symbols; NaN where a symbol has no bar."""
    return bars.assign(value=values).pivot(index="timestamp", columns="symbol", values="value")


def above(*windows: int) -> pd.DataFrame:
    columns = {n: CLOSE.rolling(n).mean() < CLOSE for n in windows}
    return pd.concat(columns, axis=1, names=["window"])


@pytest.mark.parametrize("shape", ["rows", "times by symbols", "function"])
def test_the_strategys_own_signals_give_the_strategys_own_trades(shape: str) -> None:
    costs = Costs(slippage_bps=1)
    expected = backtest(TWO, EVERYTHING_ON, costs=costs)
    entries, exits = (pd.Series(v) for v in (expected.decisions.entry, expected.decisions.exit))
    given_: tuple[Any, ...] = (entries, exits)
    if shape == "times by symbols":
        given_ = tuple(wide(TWO, values) for values in given_)
    elif shape == "function":
        given_ = (lambda bars: (entries, exits),)
    run = run_of(TWO, *given_, parameters=EVERYTHING_ON, costs=costs)
    assert len(run.outcome.trips) > 10
    np.testing.assert_array_equal(run.outcome.trips, expected.outcome.trips)
    np.testing.assert_array_equal(run.outcome.equity, expected.outcome.equity)


def test_a_signal_at_a_close_is_filled_at_the_next_open() -> None:
    entries, exits = CLOSE.index == CLOSE.index[100], CLOSE.index == CLOSE.index[103]
    run = run_of(
        BARS,
        pd.Series(entries, CLOSE.index),
        pd.Series(exits, CLOSE.index),
        parameters={"stop_loss": 0, "take_profit": 0, "trailing_stop": 0},
    )
    (trip,) = run.round_trips
    assert (trip.entry_time, trip.exit_time) == (CLOSE.index[101], CLOSE.index[104])
    assert (trip.entry_price, trip.exit_price) == (BARS["open"][101], BARS["open"][104])


def test_without_exits_positions_end_by_the_risk_parameters() -> None:
    run = run_of(BARS, CLOSE.pct_change() > 0, parameters={"take_profit": 0.1, "stop_loss": 0.1})
    reasons = set(run.trades["exit_reason"])
    assert "signal" not in reasons and {"stop_loss", "take_profit"} & reasons


def test_sizes_come_from_the_risk_parameters() -> None:
    run = run_of(BARS, CLOSE.pct_change() > 0, parameters={"trade_capital_percent": 40})
    first = run.trades.iloc[0]
    assert first["quantity"] * first["entry_price"] == pytest.approx(4000, rel=0.01)


def test_a_function_a_file_and_a_series_give_the_same_run(tmp_path: Path) -> None:
    def rule(bars: pd.DataFrame) -> Any:
        return bars["close"] < bars["close"].rolling(20).mean()

    path = tmp_path / "bars.parquet"
    BARS.to_parquet(path)
    expected = run_of(BARS, rule(BARS)).to_json()
    assert expected["trades"]
    assert run_of(BARS, rule).to_json() == expected
    assert run_of(path, rule, lookahead=True).to_json() == expected
    assert run_of(path, CLOSE.rolling(20).mean() > CLOSE).to_json() == expected


def test_columns_of_parameters_give_a_table_whose_rows_are_single_runs() -> None:
    table = table_of(BARS, above(5, 10, 20), ~above(5, 10, 20))
    assert table.frame.index.tolist() == [5, 10, 20] and table.frame.index.name == "window"
    for window in (5, 10, 20):
        single = run_of(BARS, above(window)[window], ~above(window)[window])
        assert table.run(window).to_json() == table.run(window=window).to_json()
        assert table.run(window).to_json() == single.to_json()
        assert table.frame.loc[window, "sharpe"] == single.stats()["sharpe"]
    best = table.frame["sharpe"].idxmax()
    assert table.best().to_json() == table.run(best).to_json()
    assert table.best("max_drawdown_percent").stats()["max_drawdown_percent"] == (
        table.frame["max_drawdown_percent"].min()
    )
    assert table.sentence.startswith(f"Best of 3: window={best}. ")
    verdict = table.verdict()
    assert verdict.overfitting.trials == 3
    assert not verdict.supported and "No evidence" in table.sentence
    assert table.verdict(window=10).trades == table.frame.loc[10, "trades"]


def test_one_column_of_exits_goes_with_all_entries_and_the_other_way_round() -> None:
    both = table_of(BARS, above(5, 10), ~above(10)[10])
    assert both.run(10).to_json() == run_of(BARS, above(10)[10], ~above(10)[10]).to_json()
    turned = table_of(BARS, above(10)[10], ~above(5, 10))
    assert turned.frame.index.name == "window"
    assert turned.run(10).to_json() == both.run(10).to_json()


def test_parameters_and_symbols_in_one_multiindex_are_told_apart() -> None:
    prices = wide(TWO, TWO["close"])
    levels = {n: prices > prices.rolling(n, min_periods=1).mean() for n in (5, 9)}
    entries = pd.concat(levels, axis=1, names=["window", "symbol"])
    table = table_of(TWO, entries)
    assert table.levels == ("window",)
    assert table.run(9).to_json() == run_of(TWO, levels[9]).to_json()
    swapped = entries.swaplevel(axis=1)
    assert table_of(TWO, swapped).run(9).to_json() == table.run(9).to_json()


def test_rows_on_a_shared_index_of_times_are_the_rows_of_the_bars() -> None:
    bars = TWO.set_index("timestamp")
    entries = bars["close"] > bars.groupby("symbol")["close"].shift(1)
    assert run_of(bars, entries).to_json() == run_of(TWO, entries.reset_index(drop=True)).to_json()


def test_naive_times_are_utc_and_other_zones_are_moved() -> None:
    entries = CLOSE.rolling(20).mean() > CLOSE
    expected = run_of(BARS, entries).to_json()
    assert run_of(BARS, entries.tz_localize(None)).to_json() == expected
    assert run_of(BARS, entries.tz_convert("America/New_York")).to_json() == expected


def test_missing_values_count_only_where_there_is_a_bar() -> None:
    entries = wide(TWO, TWO["close"] > 100)
    assert entries.isna().any(axis=None)
    assert run_of(TWO, entries).outcome.trips.size
    first = TWO["timestamp"][TWO["symbol"] == "AAPL"].iloc[7]
    entries.loc[first, "AAPL"] = np.nan
    with pytest.raises(DataError, match=r"entries of AAPL is missing at .*fillna"):
        run_of(TWO, entries)


def test_a_signal_where_a_symbol_has_no_bar_is_not_lost_silently() -> None:
    entries = wide(TWO, TWO["close"] > 0).fillna(True).astype(bool)
    with pytest.raises(DataError, match=r"where (AAPL|BTC/USD) has no bar"):
        run_of(TWO, entries)


ENTRIES = CLOSE.rolling(20).mean() > CLOSE
WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "cut": (lambda: run_of(BARS, ENTRIES[5:]), "no value for 5 of 800 bars of AAPL, the first at"),
    "moved": (
        lambda: run_of(BARS, ENTRIES.shift(freq="30s")),
        "no value for 800 of 800 bars of AAPL",
    ),
    "nan": (lambda: run_of(BARS, ENTRIES.shift(1)), "missing at 2026-01-05T14:30:00Z, 1 times"),
    "numbers": (lambda: run_of(BARS, ENTRIES.astype(int)), "int64; allowed: True and False"),
    "floats": (lambda: run_of(BARS, CLOSE), "float64; allowed: True and False"),
    "words": (lambda: run_of(BARS, ENTRIES.map({True: "yes", False: "no"})), "allowed: True and"),
    "list": (lambda: run_of(BARS, [True]), "entries is list; allowed: a Series"),
    "rows": (lambda: run_of(BARS, ENTRIES.reset_index(drop=True)[:9]), "no index of times"),
    "empty": (lambda: run_of(BARS, ENTRIES[:0]), "holds no rows"),
    "twice": (lambda: run_of(BARS, pd.concat([ENTRIES, ENTRIES])), "more than once"),
    "symbol": (
        lambda: run_of(BARS, pd.concat({"MSFT": ENTRIES}, axis=1, names=["symbol"])),
        "columns of MSFT, of which there are no bars",
    ),
    "no symbol": (lambda: run_of(TWO, ENTRIES), "does not say which symbol it is of"),
    "one symbol": (
        lambda: run_of(TWO, wide(TWO, TWO["close"] > 1)[["AAPL"]]),
        "no column of BTC/USD",
    ),
    "exits": (lambda: run_of(BARS, above(5, 9), above(5, 7)), "different columns"),
    "three": (lambda: run_of(BARS, lambda bars: (ENTRIES,) * 3), "returned 3 values"),
    "both": (lambda: run_of(BARS, lambda bars: ENTRIES, ENTRIES), "exits must come from it too"),
    "lookahead": (lambda: run_of(BARS, ENTRIES, lookahead=True), "needs a function of bars"),
    "future": (
        lambda: run_of(BARS, lambda b: b["close"].shift(-1) > b["close"], lookahead=True),
        "look-ahead: close at row",
    ),
    "unknown set": (lambda: table_of(BARS, above(5, 9)).run(7), "no combination"),
    "unknown name": (lambda: table_of(BARS, above(5, 9)).run(windows=5), "no combination"),
    "unknown metric": (lambda: table_of(BARS, above(5, 9)).best("sharp"), "metric is 'sharp'"),
    "parameter": (lambda: run_of(BARS, ENTRIES, parameters={"stop": 1}), "is no parameter"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused_and_says_why(name: str) -> None:
    call, words = WRONG[name]
    with pytest.raises(ToolkitError, match=words):
        call()


def test_no_signal_at_all_gives_an_honest_empty_run() -> None:
    run = run_of(BARS, ENTRIES & False)
    assert run.note == "no trades: the conditions never led to a position that closed"
    table = table_of(BARS, above(5, 9) & False)
    assert table.sentence.startswith("no combination closed a trade")
    with pytest.raises(DataError, match="no combination closed a trade"):
        table.best()


def test_an_interrupt_keeps_what_is_done() -> None:
    def stop(done: int, _of: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    table = backtest_signals(BARS, above(5, 9, 20), progress=stop)
    assert isinstance(table, SignalTable)
    assert table.interrupted and table.frame.index.tolist() == [5, 9]
    assert "interrupted after 2" in repr(table)
    with pytest.raises(ConfigError, match="no combination"):
        table.run(20)


@settings(max_examples=tries(8), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rate=st.floats(0.01, 0.5))
def test_rows_in_any_order_of_symbols_mean_the_same(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    entries = pd.Series(rng.random(len(TWO)) < rate)
    exits = pd.Series(rng.random(len(TWO)) < rate)
    expected = run_of(TWO, entries, exits).to_json()
    assert run_of(TWO, wide(TWO, entries), wide(TWO, exits)).to_json() == expected
    order = TWO.sort_values(["symbol", "timestamp"]).index
    shuffled = [frame.loc[order].reset_index(drop=True) for frame in (TWO, entries, exits)]
    assert run_of(*shuffled).to_json() == expected
