"""The heatmap of `tk.sweep` tells the same story as its table."""

from __future__ import annotations

import pytest

from tests.research.markets import noise
from toolkit.session.study import sweep

AXES = ("ema_period", "lookback")
GRID = {"ema_period": [5, 9], "lookback": [1, 3], "risk.stop_loss": [0.1, 0.2, 0.5]}


@pytest.mark.parametrize(
    ("value", "best"),
    [("max_drawdown_percent", "lowest"), ("fees", "lowest"), ("sharpe", "highest")],
)
def test_the_heatmap_shows_the_means_of_the_pivot_and_frames_its_best(value, best):
    table = sweep(noise(1, bars=600), GRID, progress=False)
    figure = table.heatmap(*AXES, value).layout
    cells = figure.select_one({"name": "cells"}).data_source.data
    pivot = table.pivot(*AXES, value)
    assert sorted(cells["value"]) == pytest.approx(sorted(pivot.to_numpy().ravel()))
    assert f": {best} " in figure.title.text
    frame = figure.select_one({"name": "best"}).data_source.data
    chosen = pivot.loc[int(frame["y"][0]), int(frame["x"][0])]
    wanted = pivot.min(axis=None) if best == "lowest" else pivot.max(axis=None)
    assert chosen == pytest.approx(wanted)
