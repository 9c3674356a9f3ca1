"""Monte Carlo of trades and bands of a run: against simulations of another kind."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.research.markets import noise, pulled_back
from toolkit.errors import ConfigError, DataError
from toolkit.research.backtest import BacktestRun, backtest
from toolkit.research.validation.bootstrap import bootstrap
from toolkit.research.validation.monte_carlo import monte_carlo, trade_returns
from toolkit.research.validation.segments import longest_trade

GOOD = {
    "ema.enabled": False,
    "rsi_length": 9,
    "stoch_rsi.lower_band": 20,
    "stop_loss": 0.4,
    "trade_capital_percent": 50,
}
LOOSE = {"ema.enabled": False, "stoch_rsi.lower_band": 60, "trade_capital_percent": 100}


@pytest.fixture(scope="module")
def run() -> BacktestRun:
    return backtest(pulled_back(1, bars=8000), GOOD)


@pytest.fixture(scope="module")
def lucky() -> BacktestRun:
    return backtest(noise(1), LOOSE)


def test_trade_returns_compound_to_the_profit(run: BacktestRun) -> None:
    changes = trade_returns(run)
    profit = float(run.outcome.trips["profit"].sum()) / 1e6
    assert run.capital * np.prod(1.0 + changes) == pytest.approx(run.capital + profit)


def test_another_order_ends_at_the_same_equity_by_another_way(run: BacktestRun) -> None:
    found = monte_carlo(run, draws=300, method="shuffle")
    assert np.ptp(found.paths[:, -1]) < 1e-9
    assert np.ptp(found.drawdowns) > 0.0
    assert found.paths[:, 0] == pytest.approx(1.0)


def test_resampled_ends_scatter_as_a_sum_of_logarithms(lucky: BacktestRun) -> None:
    found = monte_carlo(lucky, draws=4000)
    logs = np.log1p(found.changes)
    ends = np.log(found.paths[:, -1])
    many = math.sqrt(len(logs))
    assert ends.mean() == pytest.approx(logs.sum(), abs=4.0 * logs.std() * many / math.sqrt(4000))
    assert ends.std() == pytest.approx(logs.std() * many, rel=0.06)


def test_drawdown_and_ruin_are_as_probable_as_in_a_plain_simulation(lucky: BacktestRun) -> None:
    changes = trade_returns(lucky)
    rng, falls, lows = np.random.default_rng(9), [], []
    for _ in range(2000):
        path = np.concatenate([[1.0], np.cumprod(1.0 + rng.choice(changes, len(changes)))])
        falls.append((1.0 - path / np.maximum.accumulate(path)).max())
        lows.append(path.min())
    limit, floor = float(np.median(falls)), float(np.median(lows))
    found = monte_carlo(
        lucky, draws=4000, drawdown_percent=100.0 * limit, ruin_percent=100.0 * (1.0 - floor)
    )
    assert found.drawdown_probability == pytest.approx(0.5, abs=0.04)
    assert found.ruin_probability == pytest.approx(0.5, abs=0.04)


def test_bands_are_ordered_and_in_dollars(run: BacktestRun) -> None:
    bands = monte_carlo(run, draws=500).bands
    assert list(bands.columns) == ["p5", "p25", "p50", "p75", "p95"]
    assert bands.index[0] == 0 and bands.index[-1] == len(run.outcome.trips)
    assert (bands.iloc[0] == run.capital).all()
    assert (np.diff(bands.to_numpy(), axis=1) >= 0.0).all()


def test_the_frame_has_the_run_and_its_bands(run: BacktestRun) -> None:
    found = monte_carlo(run, draws=500, seed=3)
    frame = found.frame.set_index("metric")
    assert list(frame.columns) == ["value", "low", "high"]
    assert frame.loc["max_drawdown_percent", "low"] > 0.0
    assert frame.loc["end_equity", "low"] < frame.loc["end_equity", "value"]
    assert found.frame.equals(monte_carlo(run, draws=500, seed=3).frame)
    assert "in 90 % of the histories" in found.sentence
    assert found.sentence in repr(found)


def test_a_run_that_earns_has_bands_above_zero(run: BacktestRun, lucky: BacktestRun) -> None:
    sure, unsure = (bootstrap(r, draws=400, seed=1) for r in (run, lucky))
    assert sure.block >= longest_trade(run)
    assert sure.frame["low"][0] > 0.0
    assert unsure.frame["low"][0] < 0.0 < unsure.frame["high"][0] or unsure.values[0] < 0.0
    assert list(sure.frame["metric"]) == ["sharpe", "total_return_percent", "max_drawdown_percent"]
    assert sure.frame["value"][0] == run.score.metrics["sharpe"]
    assert "draws;" in sure.sentence


def test_the_longest_trade_is_counted_in_timestamps(run: BacktestRun) -> None:
    trips = run.outcome.trips  # one symbol: an event is a timestamp
    assert longest_trade(run) == (trips["exit"] - trips["entry"]).max() + 1


def test_nothing_to_draw_from_is_said() -> None:
    empty = backtest(noise(1, bars=20))
    with pytest.raises(DataError, match="no trades"):
        monte_carlo(empty)
    with pytest.raises(DataError, match="nothing moved"):
        bootstrap(empty)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 5}, "draws is 5; allowed: whole numbers from 100"),
        ({"draws": True}, "draws is True"),
        ({"ruin_percent": 0.0}, "ruin_percent is 0.0"),
        ({"drawdown_percent": 101.0}, "drawdown_percent is 101.0"),
        ({"method": "luck"}, "method is 'luck'; allowed: resample, shuffle"),
    ],
)
def test_wrong_options_are_named(run: BacktestRun, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        monte_carlo(run, **options)


@pytest.mark.parametrize("options", [{"level": 1.0}, {"block": 0.5}, {"block": 1e9}])
def test_wrong_bands_are_named(run: BacktestRun, options: dict) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(options))} is"):
        bootstrap(run, **options)
