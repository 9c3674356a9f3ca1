"""Combinatorial purged cross-validation: histories of tests that did not choose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.research.markets import noise, pulled_back
from toolkit.core.costs import Costs
from toolkit.errors import ConfigError, DataError
from toolkit.research.tape import tape_of
from toolkit.research.validation.combinatorial import CombinatorialPurged, cross_validate
from toolkit.research.validation.segments import Segments

GRID: dict[str, Any] = {
    "rsi_length": [5, 9, 14],
    "stoch_rsi.lower_band": [20, 50],
    "stop_loss": [0.1, 0.4],
}
BASE = {"ema.enabled": False}


def crossed(bars: pd.DataFrame, **options: Any) -> CombinatorialPurged:
    return cross_validate(bars, GRID, base=BASE, progress=False, **options)


@pytest.fixture(scope="module")
def edge() -> CombinatorialPurged:
    return crossed(pulled_back(1, bars=8000), folds=6)


def test_fifteen_splits_make_five_histories(edge: CombinatorialPurged) -> None:
    assert len(edge.splits) == 15
    assert edge.frame["path"].tolist() == [1, 2, 3, 4, 5]
    assert list(edge.frame.columns) == [
        "path",
        "sharpe",
        "total_return_percent",
        "max_drawdown_percent",
    ]
    assert edge.paths.shape == (8000, 5)
    assert edge.paths.index.is_monotonic_increasing


def test_a_history_is_what_its_splits_traded(edge: CombinatorialPurged) -> None:
    segments = Segments(tape_of(pulled_back(1, bars=8000)), capital=10_000.0, costs=Costs())
    edges, level = edge.plan.edges.tolist(), 1.0
    for fold in range(6):
        split, place = np.argwhere((edge.plan.paths == 2) & (edge.plan.tests == fold))[0]
        parameters = edge.pieces.sets.parameters(int(edge.chosen[split]))
        equity = segments.run(parameters, edges[fold], edges[fold + 1]).outcome.equity * level
        found = edge.paths[3].to_numpy()[edges[fold] : edges[fold + 1]]
        np.testing.assert_allclose(found, equity, rtol=1e-12)
        level = equity[-1] / 10_000.0
        assert edge.plan.tests[split, place] == fold


def test_what_judges_does_not_choose() -> None:
    """Bars of the judging folds may be anything: the choice of that split stays."""
    bars = noise(2, bars=1200)
    before = crossed(bars, folds=4, purge=20, embargo=40)
    split = next(s for s, tests in enumerate(before.plan.tests.tolist()) if tests == [2, 3])
    changed = bars.copy()
    for name in ("open", "high", "low", "close"):
        changed.loc[600:, name] = bars[name][600:] * np.linspace(1.0, 2.0, 600)
    after = crossed(changed, folds=4, purge=20, embargo=40)
    assert after.chosen[split] == before.chosen[split]
    assert after.in_sample[split] == before.in_sample[split]
    assert not np.array_equal(after.in_sample, before.in_sample)


def test_purge_and_embargo_are_those_of_trades_and_warm_up(edge: CombinatorialPurged) -> None:
    assert edge.plan.embargo == 14 + 14 + 3 + 3 - 2
    assert 1 <= edge.plan.purge <= 8000 // 6 // 10


def test_an_edge_wins_in_every_history_and_noise_does_not(edge: CombinatorialPurged) -> None:
    assert edge.loss_probability == 0.0 and edge.sharpe > 0.0
    assert "0 % of the histories lose" in edge.sentence
    lost = [crossed(noise(seed, bars=1500), folds=5).loss_probability for seed in range(5)]
    assert np.mean(lost) > 0.3


def test_without_a_trade_the_histories_are_flat() -> None:
    found = cross_validate(
        noise(3, bars=300),
        {"stop_loss": [0.1, 0.2]},
        base={"stoch_rsi.lower_band": 0},
        folds=4,
        progress=False,
    )
    assert (found.paths == 10_000.0).all(axis=None)
    assert found.loss_probability == 0.0
    assert found.sharpe == 0.0


def test_too_few_bars_and_wrong_options_are_said() -> None:
    with pytest.raises(DataError, match="take more bars or fewer folds"):
        crossed(noise(1, bars=40))
    with pytest.raises(ConfigError, match="folds is 1"):
        crossed(noise(1, bars=400), folds=1)
    with pytest.raises(ConfigError, match="folds is 'x'"):
        crossed(noise(1, bars=400), folds="x")
    with pytest.raises(ConfigError, match="metric is 'luck'"):
        crossed(noise(1, bars=400), metric="luck")
