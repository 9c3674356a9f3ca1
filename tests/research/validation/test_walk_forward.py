"""Walk-forward: the choice is that of the past, the test is traded alone, the future is unseen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.research.markets import noise, pulled_back
from toolkit.core.costs import Costs
from toolkit.errors import ConfigError, DataError
from toolkit.research.backtest import backtest
from toolkit.research.tape import tape_of
from toolkit.research.validation.segments import Segments, cut
from toolkit.research.validation.walk_forward import WalkForward, walk_forward

GRID: dict[str, Any] = {
    "rsi_length": [5, 9, 14],
    "stoch_rsi.lower_band": [20, 50],
    "stop_loss": [0.1, 0.4],
}
BASE = {"ema.enabled": False}
NAMES = ["stoch_rsi.rsi_length", "stoch_rsi.lower_band", "risk.stop_loss"]


def walked(bars: pd.DataFrame, **options: Any) -> WalkForward:
    return walk_forward(bars, GRID, base=BASE, progress=False, **options)


@pytest.fixture(scope="module")
def edge() -> WalkForward:
    return walked(pulled_back(1, bars=8000), folds=4)


@pytest.mark.parametrize("anchored", [False, True])
def test_each_fold_takes_the_set_that_was_best_before(anchored: bool) -> None:
    bars = noise(2, bars=1500)
    found = walked(bars, train=400, test=250, anchored=anchored)
    equities = {
        (a, b, c): backtest(
            bars, {**BASE, "rsi_length": a, "stoch_rsi.lower_band": b, "stop_loss": c}
        ).equity.to_numpy()
        for a in GRID["rsi_length"]
        for b in GRID["stoch_rsi.lower_band"]
        for c in GRID["stop_loss"]
    }
    times = pd.DatetimeIndex(bars["timestamp"])
    for row in found.frame.itertuples(index=False):
        first, last = times.get_loc(row.train_start), times.get_loc(row.train_end)
        assert (first == 0) == (anchored or row.fold == 1)

        def ratio(equity: np.ndarray, first: int = first, last: int = last) -> float:
            before = np.concatenate([[10_000.0], equity])[first : last + 1]
            returns = equity[first : last + 1] / before - 1.0
            return returns.mean() / returns.std(ddof=1) if returns.any() else -math.inf

        best = max(equities, key=lambda chosen: ratio(equities[chosen]))
        chosen = found.folds[row.fold - 1].parameters
        assert chosen is not None
        assert tuple(chosen[name] for name in NAMES) == best
        year = math.sqrt(252 * 390)
        assert row.in_sample_sharpe == pytest.approx(ratio(equities[best]) * year)


def test_a_test_is_traded_by_the_decisions_of_the_whole() -> None:
    """A run over the part, from flat, with indicators that know the bars before."""
    bars = noise(3, bars=1200)
    tape, costs = tape_of(bars), Costs()
    segments = Segments(tape, capital=10_000.0, costs=costs)
    chosen = backtest(bars, {**BASE, "stoch_rsi.lower_band": 60}).parameters
    whole = segments.run(chosen, 0, 1200)
    part = segments.run(chosen, 500, 900)
    np.testing.assert_array_equal(part.decisions.entry, whole.decisions.entry[500:900])
    assert part.tape.frame["timestamp"].tolist() == bars["timestamp"][500:900].tolist()
    trips = whole.outcome.trips
    later = set(trips["entry"][(trips["entry"] >= 520) & (trips["exit"] < 900)].tolist())
    again = set((part.outcome.trips["entry"] + 500).tolist())
    assert len(later & again) > 0.9 * len(later)


def test_nothing_behind_a_test_changes_it() -> None:
    bars = noise(4, bars=1500)
    before = walked(bars, train=400, test=250)
    changed = bars.copy()
    end = 400 + 2 * 250
    for name in ("open", "high", "low", "close"):
        changed.loc[end:, name] = bars[name][end:] * np.linspace(1.0, 3.0, len(bars) - end)
    after = walked(changed, train=400, test=250)
    pd.testing.assert_frame_equal(before.frame[:2], after.frame[:2])
    assert before.equity[: 2 * 250].equals(after.equity[: 2 * 250])
    assert not before.frame[2:].equals(after.frame[2:])


def test_the_tests_are_joined_and_their_profit_carried_on(edge: WalkForward) -> None:
    product = np.prod(1.0 + edge.frame["total_return_percent"] / 100.0)
    assert edge.equity.iloc[-1] == pytest.approx(edge.basis.capital * product)
    assert edge.equity.index[0] == edge.frame["test_start"][0]
    assert edge.equity.index[-1] == edge.frame["test_end"].iloc[-1]
    assert edge.equity.index.is_unique


def test_an_edge_survives_and_noise_does_not(edge: WalkForward) -> None:
    assert edge.sharpe > 0.0 and edge.probability > 0.95
    assert edge.efficiency == pytest.approx(edge.sharpe / edge.in_sample_sharpe)
    assert "4 of 4 folds earned" in edge.sentence
    lost = [walked(noise(s, bars=1500), folds=3) for s in range(6)]
    assert sum(found.probability < 0.9 for found in lost) >= 4


def test_the_frame_is_tidy(edge: WalkForward) -> None:
    assert list(edge.frame.columns) == [
        "fold", "train_start", "train_end", "test_start", "test_end", *NAMES,
        "in_sample_sharpe", "sharpe", "total_return_percent", "trades",
    ]  # fmt: skip
    assert str(edge.frame["test_start"].dt.tz) == "UTC"
    assert edge.frame["trades"].dtype == np.int64
    assert edge.sentence in repr(edge)


def test_the_total_return_can_choose_too() -> None:
    found = walked(noise(5, bars=1500), folds=3, metric="total_return_percent")
    assert found.metric == "total_return_percent"
    with pytest.raises(ConfigError, match="metric is 'trades'; allowed here: sharpe, total"):
        walked(noise(5, bars=1500), metric="trades")


def test_folds_in_which_nothing_traded_stay_flat() -> None:
    never = {"stoch_rsi.lower_band": 0}
    grid = {"stop_loss": [0.1, 0.2]}
    found = walk_forward(noise(6, bars=300), grid, base=never, folds=2, progress=False)
    assert found.frame["trades"].sum() == 0
    assert found.frame["risk.stop_loss"].isna().all()
    assert (found.equity == found.basis.capital).all()
    assert found.sentence == "Over 2 folds no chosen set traded out of sample."


def test_several_symbols_share_the_folds() -> None:
    both = pd.concat([noise(7, bars=900), noise(8, bars=900, symbol="MSFT")])
    found = walked(both, folds=3)
    assert len(found.equity) == 900 - found.folds[0].fold.test_start


def test_too_few_bars_are_said() -> None:
    with pytest.raises(DataError, match="too few for training"):
        walked(noise(1, bars=30))


def test_a_part_of_a_tape_is_a_tape() -> None:
    both = tape_of(pd.concat([noise(7, bars=50), noise(8, bars=50, symbol="MSFT")]))
    part = cut(both, 10, 30)
    assert len(part.steps()) == 20
    assert len(part.market.time) == 40
    assert part.span == (both.frame["timestamp"][20], both.frame["timestamp"][59])
    assert part.fingerprint != both.fingerprint
