"""Plateaus: who the neighbours are, and how many keep the metric."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from toolkit.errors import ConfigError
from toolkit.research.validation.plateau import Plateau, plateau_of


def square(values: list[list[float]]) -> pd.DataFrame:
    rows = [
        {"a": 10 * x, "b": 0.1 * y, "sharpe": value}
        for x, row in enumerate(values)
        for y, value in enumerate(row)
    ]
    return pd.DataFrame(rows)


def of(frame: pd.DataFrame, chosen: int, **options: object) -> Plateau:
    values = {"metric": "sharpe", **options}
    return plateau_of(frame, ["a", "b"], chosen, **values)  # type: ignore[arg-type]


FLAT = [[0.9, 0.9, 0.9], [0.9, 1.0, 0.9], [0.9, 0.9, 0.9]]
PEAK = [[0.1, 0.1, 0.1], [0.1, 1.0, 0.9], [0.1, 0.1, 0.1]]


def test_a_flat_neighbourhood_is_a_plateau_and_a_lone_point_a_peak() -> None:
    flat, peak = of(square(FLAT), 4), of(square(PEAK), 4)
    assert (flat.width, flat.neighbours) == (1.0, 8)
    assert peak.width == pytest.approx(1 / 8)
    assert flat.sentence.endswith("a plateau.")
    assert "12 % of its 8 neighbours within one step" in peak.sentence
    assert "a peak" in peak.sentence


def test_a_corner_has_fewer_neighbours_and_more_steps_more() -> None:
    frame = square([[1.0] * 5] * 5)
    assert of(frame, 0).neighbours == 3
    assert of(frame, 0, steps=2).neighbours == 8
    assert of(frame, 12, steps=2).neighbours == 24


def test_the_frame_starts_with_the_chosen_set() -> None:
    frame = of(square(PEAK), 4).frame
    assert list(frame.columns) == ["a", "b", "distance", "metric", "share", "kept"]
    assert frame.index[0] == 4
    assert frame["distance"].tolist() == [0.0] + [1.0] * 8
    assert frame.loc[5, "share"] == pytest.approx(0.9)


def test_lower_is_better_for_drawdowns() -> None:
    low = square([[10.0, 1.1], [1.0, 3.0]]).rename(columns={"sharpe": "max_drawdown_percent"})
    found = of(low, 2, metric="max_drawdown_percent", lower_is_better=("max_drawdown_percent",))
    assert found.frame["kept"].sum() == 2  # itself and 1.1


def test_a_metric_below_zero_has_no_share_and_still_neighbours() -> None:
    found = of(square([[-1.0, -1.1], [-2.0, -1.15]]), 0)
    assert found.frame["share"].isna().all()
    assert found.width == pytest.approx(2 / 3)


def test_switches_are_not_turned() -> None:
    frame = pd.DataFrame({"on": [True, True, False, False], "a": [1, 2, 1, 2], "sharpe": 1.0})
    assert plateau_of(frame, ["on", "a"], 0, metric="sharpe").neighbours == 1


def test_an_axis_of_many_values_is_measured_in_twentieths() -> None:
    frame = pd.DataFrame({"a": range(101), "sharpe": 1.0})
    assert plateau_of(frame, ["a"], 50, metric="sharpe").neighbours == 10


def test_values_in_any_order_are_neighbours_by_size() -> None:
    frame = pd.DataFrame({"a": [50, 5, 20, 9], "sharpe": 1.0})
    near = plateau_of(frame, ["a"], 3, metric="sharpe").frame["a"]
    assert sorted(near) == [5, 9, 20]


def test_a_lone_set_leaves_it_open() -> None:
    found = plateau_of(pd.DataFrame({"a": [1], "sharpe": [1.0]}), ["a"], 0, metric="sharpe")
    assert math.isnan(found.width)
    assert found.sentence.startswith("No neighbour")


@pytest.mark.parametrize("options", [{"steps": 0}, {"steps": True}, {"within": 0.0}])
def test_wrong_options_are_named(options: dict) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(options))} is"):
        of(square(FLAT), 4, **options)
