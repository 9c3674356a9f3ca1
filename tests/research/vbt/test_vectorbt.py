"""vectorbt: its Portfolio of our orders, and its own simulator as a second opinion."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("vectorbt")

import vectorbt as vbt
from vectorbt.records.mapped_array import MappedArray
from vectorbt.records.nb import apply_on_records_nb, reduce_mapped_nb

from tests.core.markets import random_bars
from tests.core.test_kernel import (
    STARTS,
    SYMBOLS,
    random_costs,
    random_hours,
    random_parameters,
)
from tests.effort import tries
from tests.research.markets import noise
from toolkit.core.costs import Costs
from toolkit.core.parameters import Parameters
from toolkit.market.tables import frame_of
from toolkit.research.backtest import BacktestRun, backtest
from toolkit.research.checks.lookahead import check_lookahead
from toolkit.research.vbt.crosscheck import crosscheck
from toolkit.research.vbt.signal_table import SignalTable
from toolkit.research.vbt.signals import backtest_signals

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("vectorbt"),  # its functions are compiled again in every process
    pytest.mark.filterwarnings("ignore::numba.core.errors.NumbaPendingDeprecationWarning"),
]


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


@pytest.fixture(scope="module")
def two() -> BacktestRun:
    """A run of two symbols that ends with a position open."""
    bars = frame_of(random_bars(3, symbols=("AAPL", "BTC/USD"), count=500))
    run = backtest(bars, {"lookback": 5, "stop_loss": 1, "take_profit": 1, "trailing_stop": 0})
    assert run.stats()["open_positions"] > 0
    return run


def test_trades_positions_and_orders_are_ours(two: BacktestRun) -> None:
    portfolio, held = two.portfolio, two.stats()["open_positions"]
    closed = portfolio.trades.closed.records
    ordered = two.trades.sort_values(["symbol", "entry_time"])
    np.testing.assert_allclose(closed["pnl"], ordered["pnl"], atol=1e-4)
    np.testing.assert_allclose(closed["entry_price"], ordered["entry_price"], rtol=1e-12)
    assert portfolio.trades.open.count().sum() == held
    assert portfolio.positions.count().sum() == len(two.trades) + held
    assert portfolio.orders.count().sum() == 2 * len(two.trades) + held
    stats = portfolio.trades.stats(group_by=True)
    assert stats["Total Open Trades"] == held
    assert stats["Win Rate [%]"] == pytest.approx(two.stats()["win_rate_percent"])
    wins = two.trades["return_percent"][two.trades["pnl"] > 0]
    assert stats["Avg Winning Trade [%]"] == pytest.approx(wins.mean(), rel=0.05)
    by_symbol = portfolio.trades.stats(column="AAPL", group_by=False)
    assert by_symbol["Total Closed Trades"] == (two.trades["symbol"] == "AAPL").sum()


def test_drawdowns_and_returns_are_ours(two: BacktestRun) -> None:
    portfolio = two.portfolio
    worst = portfolio.drawdowns.max_drawdown()
    assert -100 * worst == pytest.approx(two.stats()["max_drawdown_percent"], abs=1e-3)
    stats = portfolio.drawdowns.stats()
    assert stats["Total Records"] == portfolio.drawdowns.count() > 0
    assert stats["Total Active Drawdowns"] in (0, 1)
    returns = two.equity.pct_change().fillna(two.equity.iloc[0] / two.capital - 1)
    np.testing.assert_allclose(portfolio.returns(), returns, atol=1e-8)
    assert portfolio.returns_stats()["Sharpe Ratio"] == pytest.approx(
        two.stats()["sharpe"], rel=1e-5
    )


def test_statistics_are_taken_without_vectorbts_compiler(two: BacktestRun) -> None:
    before = compilations()
    two.portfolio.stats()
    for part in ("trades", "positions", "orders"):
        getattr(two.portfolio, part).stats(group_by=True)
    two.portfolio.drawdowns.stats()
    assert compilations() == before


def compilations() -> int:
    return len(reduce_mapped_nb.overloads) + len(apply_on_records_nb.overloads)


def test_streaks_are_those_of_our_trades(two: BacktestRun) -> None:
    trades = two.portfolio.trades.closed
    for code, symbol in enumerate(two.tape.symbols):
        won = two.trades["pnl"][two.trades["symbol"] == symbol].to_numpy() > 0
        longest, streak = 0, 0
        for each in won.tolist():
            streak = streak + 1 if each else 0
            longest = max(longest, streak)
        assert trades.winning_streak.max(group_by=False).iloc[code] == longest


def test_quick_statistics_are_vectorbts_own(two: BacktestRun) -> None:
    """One reducer through vectorbt's compiled loop, all of them against numpy."""
    for name in ("pnl", "return", "size", "entry_idx"):
        quick = two.portfolio.trades.map_field(name)
        values = pd.Series(quick.values.astype(float)).groupby(quick.col_arr)
        for statistic in ("min", "max", "mean", "median", "sum", "std"):
            ours = getattr(quick, statistic)(group_by=False)
            np.testing.assert_allclose(ours, getattr(values, statistic)(), rtol=1e-12)
    quick = two.portfolio.trades.pnl
    theirs = MappedArray(**quick.config).mean(group_by=False)
    pd.testing.assert_series_equal(quick.mean(group_by=False), theirs)


@pytest.mark.parametrize("kind", ["two symbols", "one symbol", "no trades"])
def test_pictures_show_in_notebooks_and_in_panel(two: BacktestRun, kind: str) -> None:
    panel = pytest.importorskip("panel")
    bars = 400 if kind == "one symbol" else 20
    run = two if kind == "two symbols" else backtest(noise(2, bars=bars))
    figures = [run.portfolio.plot()]
    if kind == "two symbols":
        figures += [
            run.portfolio.plot(column="AAPL", group_by=False),
            run.portfolio.drawdowns.plot(),
            run.portfolio.trades.plot(column="AAPL"),
        ]
    for figure in figures:
        assert len(figure.data) >= 3
        bundle = figure._repr_mimebundle_(include=None, exclude=None)
        assert "application/vnd.jupyter.widget-view+json" in bundle
        model = panel.pane.Plotly(figure).get_root()
        assert len(model.data) == len(figure.data)


def test_vectorbts_indicators_are_traded_by_our_rules_with_one_call() -> None:
    bars = noise(4, bars=600)
    close = bars.set_index("timestamp")["close"]
    fast, slow = vbt.MA.run_combs(close, [5, 10, 20], short_names=["fast", "slow"])
    table = backtest_signals(
        bars, fast.ma_crossed_above(slow), fast.ma_crossed_below(slow), progress=False
    )
    assert isinstance(table, SignalTable)
    assert table.levels == ("fast_window", "slow_window")
    assert table.frame.index.tolist() == [(5, 10), (5, 20), (10, 20)]
    means = {n: close.rolling(n).mean() for n in (5, 20)}
    up = (means[5] > means[20]) & (means[5].shift(1) <= means[20].shift(1))
    down = (means[5] < means[20]) & (means[5].shift(1) >= means[20].shift(1))
    expected = backtest_signals(bars, up, down)
    ours = table.run(fast_window=5, slow_window=20)
    assert isinstance(expected, BacktestRun) and len(ours.trades) > 5
    entries = {trip.entry_time for trip in ours.round_trips}
    assert entries == {trip.entry_time for trip in expected.round_trips}
    assert ours.portfolio.trades.count() >= len(ours.trades)


def test_vectorbts_indicators_of_several_symbols_and_windows_are_told_apart() -> None:
    bars = frame_of(random_bars(5, symbols=("AAPL", "BTC/USD"), count=400))
    close = bars.pivot(index="timestamp", columns="symbol", values="close")
    rsi = vbt.RSI.run(close.ffill(), window=[7, 14])
    low = rsi.rsi_below(35) & pd.concat([close.notna()] * 2, axis=1).to_numpy()
    table = backtest_signals(bars, low, progress=False)
    assert isinstance(table, SignalTable)
    assert table.levels == ("rsi_window",) and table.frame.index.tolist() == [7, 14]
    assert set(table.run(7).trades["symbol"]) == {"AAPL", "BTC/USD"}


def test_vectorbts_indicators_know_no_future_unless_they_are_shifted() -> None:
    def mean(part: pd.DataFrame) -> pd.Series:
        return vbt.MA.run(part["close"], 10).ma_below(part["close"])

    bars = noise(4, bars=300)
    assert check_lookahead(bars, mean, cuts=12, progress=False).ok
    ahead = check_lookahead(bars, lambda part: mean(part).shift(-1), cuts=12, progress=False)
    assert ahead.leaks[0].ahead == 1


def test_vectorbts_own_simulator_makes_the_same_trades() -> None:
    total = 0
    for seed in range(tries(80)):
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
    assert total > 200


def test_a_wrong_trade_is_named() -> None:
    run = backtest(noise(3), Parameters())
    wrong = run.outcome.trips.copy()
    wrong["exit_price"][0] *= 1.001
    changed = dataclasses.replace(run, outcome=run.outcome._replace(trips=wrong))
    check = crosscheck(changed)
    assert not check.agrees
    assert "round trip 0: exit_price" in check.differences[0]
