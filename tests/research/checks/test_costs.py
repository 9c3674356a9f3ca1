"""check costs: where an edge of known size dies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.research.markets import noise, pulled_back
from toolkit.core.costs import Costs
from toolkit.errors import DataError
from toolkit.research.backtest import backtest
from toolkit.research.checks.costs import CostsCheck, check_costs
from toolkit.research.vbt.signals import backtest_signals

FREE = Costs.paper()
HOLD = {"stop_loss": 0, "take_profit": 0, "trailing_stop": 0, "cooldown": 0}


def checked(*args: Any, **options: Any) -> CostsCheck:
    return check_costs(*args, progress=False, **options)


def rising(percent: float) -> tuple[pd.DataFrame, Any, Any]:
    """Bars whose every second minute gains so much, and signals that hold just that minute."""
    bars = noise(1, bars=400)
    low, high = 100.0, 100.0 * (1 + percent / 100)
    up = bars.index % 2 == 0
    bars = bars.assign(low=low, high=high)
    bars["open"], bars["close"] = np.where(up, low, high), np.where(up, high, low)
    odd = pd.Series(bars.index % 2 == 1, bars.index)
    return bars, odd, ~odd


@pytest.mark.parametrize("percent", [0.05, 0.4])
def test_a_known_edge_dies_where_it_must(percent: float) -> None:
    """A round trip gains `percent`; fees of f on both fills cost 2 f, slippage much the same."""
    bars, entries, exits = rising(percent)
    run: Any = backtest_signals(bars, entries, exits, parameters=HOLD, costs=FREE)
    found = checked(run)
    half = percent * 100 / 2
    assert found.ok is (half > 1.0)
    assert found.fee_break_even == pytest.approx(half, rel=0.01)
    assert found.slippage_break_even == pytest.approx(half, rel=0.01)
    assert found.turnover == pytest.approx(2 * 500, rel=0.05)
    assert f"{found.fee_break_even:.2f} bps of each fill" in found.sentence


def test_the_profit_is_gone_at_the_break_even_and_not_before() -> None:
    bars = pulled_back(3)
    chosen = {"take_profit": 0.1, "stop_loss": 1.0, "trailing_stop": 0}
    found = checked(bars, chosen, costs=FREE)
    end = found.slippage_break_even
    assert 0 < end < math.inf

    def profit(bps: float) -> float:
        run = backtest(bars, chosen, costs=Costs.paper(slippage_bps=bps))
        return float(run.equity.iloc[-1]) - run.capital

    assert profit(max(end - 0.002, 0.0)) > 0.0 >= profit(end)


def test_other_costs_stay_as_they_are() -> None:
    bars, entries, exits = rising(0.4)
    run: Any = backtest_signals(
        bars, entries, exits, parameters=HOLD, costs=Costs.paper(slippage_bps=8)
    )
    found = checked(run)
    assert found.assumed.slippage_bps == 8
    assert found.fee_break_even == pytest.approx(12, rel=0.02)
    assert found.free.profit > found.assumed.profit > 0


def test_no_edge_is_said_plainly() -> None:
    bars, entries, exits = rising(0.4)
    run: Any = backtest_signals(bars, exits, entries, parameters=HOLD, costs=FREE)
    found = checked(run)
    assert not found.ok
    assert found.fee_break_even == found.slippage_break_even == 0.0
    assert found.sentence.startswith("no edge: -$")


def test_an_edge_that_is_dead_at_the_costs_given_says_which_one_kills_it() -> None:
    bars, entries, exits = rising(0.4)
    run: Any = backtest_signals(
        bars, entries, exits, parameters=HOLD, costs=Costs.paper(stock_fee_bps=30)
    )
    found = checked(run)
    assert not found.ok
    assert found.slippage_break_even == 0.0
    assert "the fee given it is dead without any slippage" in found.sentence


def test_the_curve_covers_what_is_assumed_and_where_it_dies() -> None:
    bars, entries, exits = rising(0.4)
    run: Any = backtest_signals(bars, entries, exits, parameters=HOLD, costs=FREE)
    frame = checked(run).frame
    assert len(frame) == 81
    assert frame["fee_bps"].max() == pytest.approx(40, rel=0.02)
    at_no_fee = frame[frame["fee_bps"] == 0.0].set_index("slippage_bps")["profit"]
    assert at_no_fee.is_monotonic_decreasing
    assert at_no_fee.iloc[0] > 0 > at_no_fee.iloc[-1]


def test_few_trades_are_told_to_be_luck() -> None:
    found = checked(noise(2, bars=500), costs=FREE)
    assert "too little to tell from luck" in found.sentence or "no edge" in found.sentence


def test_without_trades_there_is_nothing_to_check() -> None:
    with pytest.raises(DataError, match="the indicators need 32 bars, 20 are there"):
        checked(noise(1, bars=20))


def test_json_has_the_break_evens_and_no_infinity() -> None:
    bars, entries, exits = rising(0.4)
    run: Any = backtest_signals(bars, entries, exits, parameters=HOLD, costs=FREE)
    found = checked(run)
    values = found.to_json()
    assert values["fee_break_even"] == found.fee_break_even
    assert len(values["rows"]) == 81
    assert np.isfinite(values["turnover"])
