"""Sets of a sweep: numbered, grouped by decision setting, found again."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError
from toolkit.research.store.trials import vector_of
from toolkit.research.sweeps.grid import axes_of, grid_of
from toolkit.research.sweeps.sets import Sets

AXES = {
    "ema.ema_period": (5, 9, 20),
    "risk.stop_loss": (0.1, 0.2),
    "rules.lookback": (1, 3),
    "risk.atr_stop": (False, True),
}


def drawn(numbers: list[int], axes: dict[str, tuple[float, ...]]) -> Sets:
    every = np.array(list(product(*(range(len(values)) for values in axes.values()))))
    return Sets(base=Parameters(), axes=axes, codes=every[[n % len(every) for n in numbers]])


@given(
    st.lists(st.integers(0, 23), min_size=1, max_size=40),
    st.sets(st.sampled_from(list(AXES)), min_size=1),
    st.integers(1, 5),
    st.integers(0, 5),
)
def test_groups_hold_every_set_from_the_start_on_once(numbers, names, most, start) -> None:
    sets = drawn(numbers, {name: AXES[name] for name in AXES if name in names})
    seen = {}
    for parameters, members in sets.groups(start=start, most=most):
        assert 1 <= len(members) <= most
        for number, changes in members:
            risk = {f"risk.{name}": value for name, value in changes.items()}
            seen[number] = parameters.replace(risk)
    assert seen == {n: sets.parameters(n) for n in range(start, sets.size)}


def test_one_group_for_each_decision_setting_and_the_last_axis_is_fastest() -> None:
    sets = grid_of({name: list(values) for name, values in AXES.items()}, Parameters())
    assert sets.size == 24
    groups = list(sets.groups())
    assert len(groups) == 6 and all(len(members) == 4 for _, members in groups)
    assert sets.values(0) == {name: values[0] for name, values in AXES.items()}
    assert sets.values(1)["risk.atr_stop"] is True


def test_a_set_is_found_by_its_values() -> None:
    sets = drawn([3, 17, 8], AXES)
    assert [sets.find(sets.parameters(n)) for n in range(3)] == [0, 1, 2]
    assert sets.find(sets.values(2)) == 2
    assert sets.find({**sets.values(2), "ema_period": 6}) is None
    assert sets.find({**sets.values(2), "cooldown": 61}) is None
    assert sets.find({**sets.values(2), "lookback": 3, "ema_period": 5}) is None


def test_columns_and_vectors_say_the_same_as_parameters() -> None:
    sets = drawn([3, 17, 8], AXES)
    columns = sets.columns()
    for n in range(3):
        assert {name: column[n].item() for name, column in columns.items()} == sets.values(n)
        np.testing.assert_array_equal(sets.vectors()[n], vector_of(sets.parameters(n)))


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ((5, 8), (5, 6, 7, 8)),
        ([5, 8], (5, 8)),
        ((5, 9, 20), (5, 9, 20)),
        ((5, 5), (5,)),
        (range(5, 12, 3), (5, 8, 11)),
    ],
)
def test_a_tuple_of_two_is_a_range_and_the_rest_are_values(values, wanted) -> None:
    assert axes_of({"ema_period": values}) == {"ema.ema_period": wanted}


def test_a_range_of_fractions_has_the_steps_that_one_would_write() -> None:
    assert axes_of({"stop_loss": (0.1, 0.3)})["risk.stop_loss"] == (0.1, 0.15, 0.2, 0.25, 0.3)
    assert axes_of({"atr_stop": (True, False)})["risk.atr_stop"] == (True, False)
    with pytest.raises(ConfigError, match="the lower end first"):
        axes_of({"stop_loss": (0.3, 0.1)})


def test_sets_without_any_condition_are_left_out() -> None:
    switches = {"ema.enabled": [True, False], "stoch_rsi.enabled": [True, False]}
    sets = grid_of(switches, Parameters())
    assert sets.size == 3
    assert {"ema.enabled": False, "stoch_rsi.enabled": False} not in map(sets.values, range(3))
