"""vectorbt: its Portfolio of our orders, and its own simulator as a second opinion."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("vectorbt")

from tests.core.markets import random_bars
from tests.core.test_kernel import (
    STARTS,
    SYMBOLS,
    random_costs,
    random_hours,
    random_parameters,
)
from tests.research.markets import noise
from toolkit.core.costs import Costs
from toolkit.core.parameters import Parameters
from toolkit.market.tables import frame_of
from toolkit.research.backtest import backtest
from toolkit.research.vbt.crosscheck import crosscheck

pytestmark = pytest.mark.timeout(300)  # its functions are compiled again in every process


@pytest.mark.parametrize("symbols", [("AAPL",), ("AAPL", "BTC/USD")], ids=["one", "shared_cash"])
def test_the_portfolio_has_our_values(symbols: tuple[str, ...]) -> None:
    costs = Costs(stock_fee_bps=3, slippage_bps=1)
    bars = frame_of(random_bars(5, symbols=symbols, count=500))
    run = backtest(bars, {"lookback": 3, "exit_on_signal": True}, costs=costs)
    portfolio, stats = run.portfolio, run.stats()
    theirs = portfolio.stats()
    np.testing.assert_allclose(portfolio.value(), run.equity, atol=1e-4, rtol=0)
    pd.testing.assert_index_equal(portfolio.value().index, run.equity.index)
    assert theirs["Total Closed Trades"] == stats["trades"] > 10
    for theirs_name, name in (
        ("Total Return [%]", "total_return_percent"),
        ("Max Drawdown [%]", "max_drawdown_percent"),
        ("Win Rate [%]", "win_rate_percent"),
        ("Profit Factor", "profit_factor"),
        ("Total Fees Paid", "fees"),
        ("Sharpe Ratio", "sharpe"),
    ):
        assert theirs[theirs_name] == pytest.approx(stats[name], rel=1e-5), name
    assert portfolio.sharpe_ratio() == pytest.approx(stats["sharpe"], rel=1e-5)


def test_the_portfolio_of_a_run_without_trades_stands_still() -> None:
    run = backtest(noise(1, bars=20))
    assert run.portfolio.total_return() == 0.0
    assert len(run.portfolio.orders.records) == 0
    stats = run.portfolio.stats()
    assert stats[["Sharpe Ratio", "Sortino Ratio", "Omega Ratio"]].isna().all()
    assert stats["End Value"] == 10_000.0
    assert stats["Period"] == pd.Timedelta(minutes=20)


def test_the_portfolio_draws_itself() -> None:
    figure = backtest(noise(2, bars=400)).portfolio.plot()
    assert len(figure.data) > 3


def test_vectorbts_own_simulator_makes_the_same_trades() -> None:
    total = 0
    for seed in range(200):
        pick, hours = random.Random(seed), random_hours(seed)
        symbols, start = SYMBOLS[: 1 + seed % 3], pick.choice(STARTS)
        bars = frame_of(random_bars(seed, symbols=symbols, count=220, start=start))
        run = backtest(
            bars,
            random_parameters(seed),
            costs=random_costs(seed),
            sessions=hours.sessions,
            flat_before_close=hours.flat_before_close,
        )
        check = crosscheck(run)
        assert check.agrees, (seed, check.differences)
        total += check.trades
    assert total > 500


def test_a_wrong_trade_is_named() -> None:
    run = backtest(noise(3), Parameters())
    wrong = run.outcome.trips.copy()
    wrong["exit_price"][0] *= 1.001
    changed = dataclasses.replace(run, outcome=run.outcome._replace(trips=wrong))
    check = crosscheck(changed)
    assert not check.agrees
    assert "round trip 0: exit_price" in check.differences[0]
