"""tk.backtest: what a run holds, and what it says when there is nothing to hold."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.core.markets import random_bars
from tests.research.markets import noise
from toolkit.core.costs import Costs
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError, DataError
from toolkit.market.tables import frame_of, normalise
from toolkit.research.backtest import BacktestRun, backtest
from toolkit.research.scoring import METRICS


@pytest.fixture(scope="module")
def run() -> BacktestRun:
    bars = frame_of(random_bars(1, symbols=("AAPL", "BTC/USD"), count=600))
    return backtest(bars, {"lookback": 3}, costs=Costs(crypto_fee_bps=5))


def test_a_frame_a_file_and_a_table_give_the_same_run(tmp_path: Path) -> None:
    bars = noise(1)
    bars.to_parquet(tmp_path / "bars.parquet")
    expected = backtest(bars).to_json()
    assert expected["trades"]
    assert backtest(tmp_path / "bars.parquet").to_json() == expected
    assert backtest(str(tmp_path / "bars.parquet")).to_json() == expected
    assert backtest(normalise(bars)).to_json() == expected


def test_trades_are_a_table_in_utc(run: BacktestRun) -> None:
    trades = run.trades
    assert len(trades) == len(run.round_trips) > 10
    assert (
        str(trades["entry_time"].dtype) == str(trades["exit_time"].dtype) == "datetime64[us, UTC]"
    )
    assert (trades["exit_time"] >= trades["entry_time"]).all()
    assert trades["exit_time"].is_monotonic_increasing


def test_json_keeps_every_bit(run: BacktestRun) -> None:
    printed = json.loads(json.dumps(run.to_json()))
    assert printed == run.to_json()
    for printed_trade, trip in zip(printed["trades"], run.round_trips, strict=True):
        assert printed_trade["entry_price"] == trip.entry_price
        assert printed_trade["quantity"] == float(trip.quantity)
        assert printed_trade["exit_time"].endswith("Z")


def test_equity_has_one_value_per_timestamp_and_ends_at_the_sum(run: BacktestRun) -> None:
    equity = run.equity
    assert equity.index.is_unique and equity.index.is_monotonic_increasing
    assert str(equity.index.tz) == "UTC"
    closed = run.capital + run.trades["pnl"].sum()
    open_value = (
        run.outcome.lots["value"].sum()
        - run.outcome.lots["cost"][run.outcome.lots["value"] > 0].sum()
    )
    assert equity.iloc[-1] == pytest.approx(closed + open_value / 1e6, abs=0.01)


def test_stats_are_what_the_tables_say(run: BacktestRun) -> None:
    stats, pnl = run.stats(), run.trades["pnl"]
    returns = run.equity.pct_change().dropna()
    returns = np.append(run.equity.iloc[0] / run.capital - 1, returns)
    peak = np.maximum.accumulate(np.append(run.capital, run.equity))[1:]
    assert set(METRICS) <= set(stats)
    assert stats["trades"] == len(pnl)
    assert stats["win_rate_percent"] == pytest.approx(100 * (pnl > 0).mean())
    assert stats["profit_factor"] == pytest.approx(pnl[pnl > 0].sum() / -pnl[pnl < 0].sum())
    assert stats["net_profit"] == pytest.approx(pnl.sum())
    assert stats["max_drawdown_percent"] == pytest.approx(100 * (1 - run.equity / peak).max())
    year = math.sqrt(365 * 1440)
    assert stats["sharpe"] == pytest.approx(returns.mean() / returns.std(ddof=1) * year)
    assert 0 < stats["exposure_percent"] < 100


def test_exposure_counts_the_bars_in_which_something_was_held() -> None:
    run = backtest(noise(2))
    held: set[Any] = set()
    for trip in run.round_trips:
        held |= set(pd.date_range(trip.entry_time, trip.exit_time, freq="min"))
    for lot in run.outcome.lots[run.outcome.lots["value"] > 0]:
        held |= set(run.equity.index[lot["entry"] :])
    assert run.stats()["exposure_percent"] == pytest.approx(100 * len(held) / len(run.equity))


@pytest.mark.parametrize(
    ("symbol", "freq", "periods"),
    [
        ("AAPL", "min", 252 * 390),
        ("BTC/USD", "min", 365 * 1440),
        ("AAPL", "5min", 252 * 78),
        ("AAPL", "D", 252),
        ("BTC/USD", "D", 365),
    ],
)
def test_a_year_has_the_periods_of_its_market(symbol: str, freq: str, periods: float) -> None:
    bars = noise(3, bars=50, symbol=symbol)
    bars["timestamp"] = pd.date_range("2026-01-05", periods=50, freq=freq, tz="UTC")
    assert backtest(bars).tape.periods_per_year == periods


def test_fewer_bars_than_the_warm_up_give_an_honest_empty_result() -> None:
    run = backtest(noise(4, bars=20))
    assert run.to_json() == {"trades": []}
    assert run.trades.empty and str(run.trades["pnl"].dtype) == "float64"
    assert run.note == "no trades: the indicators need 32 bars, 20 are there"
    assert run.stats()["trades"] == 0 and math.isnan(run.stats()["win_rate_percent"])
    assert (run.equity == run.capital).all()
    assert "need 32 bars" in run._repr_html_()


def test_the_warm_up_that_the_note_names_is_enough() -> None:
    always = {"stoch_rsi.lower_band": 100, "ema.enabled": False, "rules.lookback": 1}
    firsts = []
    for seed in range(40):
        run = backtest(noise(seed, bars=60), always)
        values = run.indicators()
        firsts.append(int(np.argmax(values["stoch_rsi_d"].notna())) + 1)
    assert set(firsts) == {32}


def test_nan_and_bad_prices_are_refused_by_name() -> None:
    bars = noise(5)
    bars.loc[7, "close"] = np.nan
    with pytest.raises(DataError, match="close"):
        backtest(bars)


@pytest.mark.parametrize("capital", [0, -1, math.nan, math.inf, 2e9, "10", True])
def test_a_wrong_capital_names_what_is_allowed(capital: Any) -> None:
    with pytest.raises(ConfigError, match=r"capital is .*; allowed: 1 to 1e9"):
        backtest(noise(6), capital=capital)


def test_unknown_parameters_and_symbols_are_named(run: BacktestRun) -> None:
    with pytest.raises(ConfigError, match="speed"):
        backtest(noise(6), {"speed": 1})
    with pytest.raises(ConfigError, match="known symbols: AAPL, BTC/USD"):
        run.bars("MSFT")


def test_bars_and_indicators_of_one_symbol_line_up(run: BacktestRun) -> None:
    bars, values = run.bars("BTC/USD"), run.indicators("BTC/USD")
    assert set(bars["symbol"]) == {"BTC/USD"}
    assert list(values.index) == list(bars["timestamp"])
    assert {"ema", "stoch_rsi_k", "stoch_rsi_d", "atr"} <= set(values.columns)


def test_plot_goes_through_the_plotter_that_was_brought(run: BacktestRun) -> None:
    with pytest.raises(ConfigError, match="plotter"):
        run.plot()
    seen: list[Any] = []

    def plotter(*given: Any, **options: Any) -> str:
        seen.append((*given, options))
        return "figure"

    drawn = dataclasses.replace(run, plotter=plotter)
    assert drawn.plot() == "figure"
    assert drawn.plot("run", symbol="BTC/USD") == "figure"
    assert seen == [(drawn, None, {}), (drawn, "run", {"symbol": "BTC/USD"})]


def test_the_input_is_left_as_it_was() -> None:
    bars = noise(7)
    before = bars.copy()
    backtest(bars, Parameters())
    pd.testing.assert_frame_equal(bars, before)


def test_it_is_shown_with_its_figures(run: BacktestRun) -> None:
    assert "trades" in repr(run)
    assert "<table>" in run._repr_html_() and "win rate percent" in run._repr_html_()
