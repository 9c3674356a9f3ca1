"""What a run held, how far its trades went, and what it returned: against plain loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.core.markets import random_bars
from toolkit.market.tables import frame_of
from toolkit.research.anatomy import period_returns
from toolkit.research.backtest import BacktestRun, backtest


@pytest.fixture(scope="module", params=[1, 2])
def run(request: pytest.FixtureRequest) -> BacktestRun:
    bars = frame_of(random_bars(request.param, symbols=("AAPL", "BTC/USD"), count=500))
    return backtest(bars, {"lookback": 4, "trade_capital_percent": 40})


def test_cash_and_what_is_invested_are_the_equity(run: BacktestRun) -> None:
    assert len(run.trades) > 5
    trips, times = run.outcome.trips, run.tape.market.time
    steps = run.tape.steps()
    for step, (moment, row) in enumerate(run.exposure.iterrows()):
        cash = run.capital
        for trip in trips:
            if times[trip["entry"]] <= times[steps[step]]:
                cash -= (trip["cost"] + trip["entry_fee"]) / 1e6
            if times[trip["exit"]] <= times[steps[step]]:
                cash += (trip["cost"] + trip["profit"] + trip["entry_fee"]) / 1e6
        for lot in run.outcome.lots[run.outcome.lots["value"] > 0]:
            if times[lot["entry"]] <= times[steps[step]]:
                cash -= (lot["cost"] + lot["entry_fee"]) / 1e6
        assert cash + row["invested"] == pytest.approx(run.equity[moment], abs=1e-3)


def test_excursions_hold_the_exit_and_never_more_than_the_bars(run: BacktestRun) -> None:
    table = run.excursions
    for row in table.itertuples():
        bars = run.bars(row.symbol)
        held = bars[(bars["timestamp"] >= row.entry_time) & (bars["timestamp"] <= row.exit_time)]
        exit_percent = 100 * (row.exit_price / row.entry_price - 1)
        assert row.bars_held == len(held)
        assert row.mae_percent <= min(exit_percent, 0) + 1e-9
        assert row.mfe_percent >= max(exit_percent, 0) - 1e-9
        before = held.iloc[:-1]
        lowest = min([*before["low"], held["open"].iloc[-1], row.exit_price])
        assert row.mae_percent == pytest.approx(min(100 * (lowest / row.entry_price - 1), 0))


def test_buy_and_hold_starts_at_the_first_open_and_scales_with_exposure(run: BacktestRun) -> None:
    part, everything = run.benchmark.columns
    ends = [run.bars(s)["close"].iloc[-1] / run.bars(s)["open"].iloc[0] for s in run.tape.symbols]
    assert run.benchmark[everything].iloc[-1] == pytest.approx(run.capital * np.mean(ends))
    share = run.exposure["exposure_percent"].mean() / 100
    gained = run.benchmark - run.capital
    assert gained[part].iloc[-1] == pytest.approx(share * gained[everything].iloc[-1])


@pytest.mark.parametrize(
    ("freq", "count", "row", "column"),
    [
        ("1D", 400, "2026", "Feb"),
        ("1h", 100, "2025-12-29", "Sat"),
        ("1min", 300, "2026-01-01", "01:00"),
    ],
)
def test_returns_of_all_periods_compound_to_the_whole(
    freq: str, count: int, row: str, column: str
) -> None:
    index = pd.date_range("2026-01-01", periods=count, freq=freq, tz="UTC")
    equity = pd.Series(1000 * np.exp(np.linspace(0, 0.3, count)), index=index)
    table = period_returns(equity, 990.0)
    whole = (1 + table["return_percent"] / 100).prod()
    assert whole == pytest.approx(equity.iloc[-1] / 990.0)
    assert ((table["row"] == row) & (table["column"] == column)).any()
