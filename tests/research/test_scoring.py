"""Figures of a run against its equity, counted again from the trades by another way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.markets import random_bars
from tests.core.test_kernel import random_parameters
from tests.effort import tries
from tests.research.markets import noise
from toolkit.core.costs import Costs
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError
from toolkit.market.tables import frame_of
from toolkit.research.backtest import BacktestRun, backtest
from toolkit.research.scoring import BLOCKS, METRICS, best_row, block_edges, moments_of

SYMBOLS = ("AAPL", "AMD", "BTC/USD", "ETH/USD", "MSFT", "NVDA")


def random_run(seed: int) -> BacktestRun:
    bars = frame_of(random_bars(seed, symbols=SYMBOLS[: 1 + seed % 6], count=260))
    costs = Costs(slippage_bps=1.5, crypto_fee_bps=12.0)
    chosen = random_parameters(seed).replace(max_positions=1 + seed % 4, trade_capital_percent=60)
    return backtest(bars, chosen, costs=costs, capital=5000.0)


def recounted(run: BacktestRun) -> tuple[list[int], int]:
    """Return the equity at each timestamp in micro-dollars, and the timestamps with a holding."""
    market, trips = run.tape.market, run.outcome.trips
    books = run.outcome.books
    lots = [
        (t["symbol"], t["entry"], t["exit"], t["quantity"], int(t["cost"] + t["entry_fee"]), t)
        for t in trips
    ]
    for code, lot in enumerate(run.outcome.lots):
        if lot["value"] > 0:
            cost = int(lot["cost"] + lot["entry_fee"])
            lots.append((code, lot["entry"], len(market.time), lot["quantity"], cost, None))
    equity, held_at = [], set()
    cash, value = int(books["start"]), dict.fromkeys(range(len(lots)), 0)
    for event, time in enumerate(market.time):
        for n, (code, entry, exit_, quantity, cost, trip) in enumerate(lots):
            if code != market.symbol[event] or not entry <= event <= exit_:
                continue
            held_at.add(time)
            cash -= cost if event == entry else 0
            if event < exit_:
                value[n] = math.floor(market.close[event] * quantity * 1e6 + 0.5)
            else:
                value[n] = 0
                cash += int(trip["profit"]) + cost
        if event + 1 == len(market.time) or market.time[event + 1] != time:
            equity.append(cash + sum(value.values()))
    return equity, len(held_at)


@pytest.mark.parametrize("seed", range(24))
def test_equity_exposure_and_drawdown_are_those_of_the_trades(seed: int) -> None:
    run = random_run(seed)
    equity, exposed = recounted(run)
    assert run.outcome.equity.tolist() == [amount / 1e6 for amount in equity]
    metrics = run.score.metrics
    assert metrics["exposure_percent"] == 100.0 * exposed / len(equity)
    whole = np.array([5000 * 10**6, *equity], np.float64)
    drawdown = 1.0 - whole / np.maximum.accumulate(whole)
    assert metrics["max_drawdown_percent"] == 100.0 * drawdown.max()
    assert metrics["total_return_percent"] == 100.0 * (run.outcome.equity[-1] / 5000.0 - 1.0)


@pytest.mark.parametrize("seed", range(0, 24, 3))
def test_sums_are_those_of_the_returns_to_the_last_bit(seed: int) -> None:
    run = random_run(seed)
    whole = [5000 * 10**6, *recounted(run)[0]]
    edges = block_edges(len(whole) - 1, BLOCKS)
    for block in range(BLOCKS):
        sums = [0.0] * 4
        for step in range(edges[block], edges[block + 1]):
            change = (whole[step + 1] - whole[step]) / whole[step]
            square = change * change
            for n, power in enumerate((change, square, square * change, square * square)):
                sums[n] += power
        assert run.outcome.measures.sums[0, block].tolist() == sums
        assert run.score.blocks[block].tolist() == sums[:2]


def test_moments_are_those_of_two_passes_over_the_returns() -> None:
    run = backtest(noise(3, bars=4000), {"trade_capital_percent": 50})
    equity = np.concatenate([[10_000.0], run.outcome.equity])
    close_to_two_passes(np.diff(equity) / equity[:-1], run.score.moments, tolerance=1e-7)


def close_to_two_passes(returns: Any, moments: Any, *, tolerance: float) -> None:
    count, mean = len(returns), math.fsum(returns) / len(returns)
    second, third, fourth = (
        math.fsum((value - mean) ** n for value in returns) / count for n in (2, 3, 4)
    )
    expected = (count, mean, math.sqrt(second * count / (count - 1)), third / second**1.5)
    expected = (*expected, fourth / second**2)
    np.testing.assert_allclose(moments, expected, rtol=tolerance, atol=1e-12)


@settings(max_examples=tries(100), deadline=None)
@given(
    returns=st.lists(st.floats(-0.02, 0.02), min_size=3, max_size=60),
    flat=st.integers(0, 50),
    scale=st.sampled_from([1.0, 1e-3, 1e-6]),
)
def test_one_pass_is_as_good_as_two(returns: list[float], flat: int, scale: float) -> None:
    values = np.array([*returns, *[0.0] * flat]) * scale
    powers = np.stack([values, values**2, values**3, values**4], axis=1)
    sums = np.zeros((1, 2, 4))
    half = len(values) // 2
    sums[0, 0], sums[0, 1] = powers[:half].sum(axis=0), powers[half:].sum(axis=0)
    moments = moments_of(sums, len(values))[0]
    if values.std() > 0.05 * np.abs(values).max() and np.abs(values).max() > 1e-12:
        close_to_two_passes(values, moments, tolerance=1e-9)
    elif not values.any():
        assert moments.tolist() == [len(values), 0.0, 0.0, 0.0, 3.0]


def test_returns_that_are_all_alike_have_no_deviation() -> None:
    value = 1e-4 / 3.0
    sums = np.array([[[value * 1000, value**2 * 1000, value**3 * 1000, value**4 * 1000]]])
    assert moments_of(sums, 1000)[0, 2] == 0.0


def test_a_run_without_trades_has_figures_and_no_warnings() -> None:
    for bars in (1, 2, 20):
        run = backtest(noise(1, bars=bars), Parameters())
        assert run.score.metrics["trades"] == 0
        assert run.score.metrics["total_return_percent"] == 0.0
        assert math.isnan(run.score.metrics["sharpe"])
        assert run.score.moments.deviation == 0.0


def test_the_best_row_has_a_trade_and_a_value():
    metrics = np.full((4, len(METRICS)), np.nan)
    metrics[:, METRICS.index("trades")] = [3, 0, 2, 5]
    metrics[:, METRICS.index("net_profit")] = [1.0, 9.0, 4.0, 4.0]
    metrics[:, METRICS.index("fees")] = [2.0, 0.0, 3.0, 1.0]
    assert best_row(metrics, "net_profit") == 2  # the first of two that are equal
    assert best_row(metrics, "fees") == 3
    assert best_row(metrics, "sharpe") is None
    with pytest.raises(ConfigError, match="metric is 'luck'"):
        best_row(metrics, "luck")
