"""What a user asks a sweep to vary, checked: lists of values, ranges, and the grid they make."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from toolkit.core.layout import Ints
from toolkit.core.parameters import FieldInfo, Parameters, Value
from toolkit.errors import ConfigError
from toolkit.research.sweeps.sets import Sets

MAX_SETS = 200_000
Axes = dict[str, tuple[Value, ...]]


def grid_of(grid: Mapping[str, Sequence[Any]], base: Parameters) -> Sets:
    """Return every combination, the last axis fastest; those without any condition are left out.

    Raises ConfigError that names field and allowed values.
    """
    axes = axes_of(grid)
    size = combinations(axes)
    if size > MAX_SETS:
        raise _error(
            "grid",
            f"{size} sets",
            f"up to {MAX_SETS} sets; take wider steps, or method='random' or 'optuna'",
        )
    return sound(Sets(base=base, axes=axes, codes=all_codes(axes)))


def axes_of(grid: Mapping[str, Sequence[Any]]) -> Axes:
    """Return the values of each parameter by its full name; raises ConfigError.

    A tuple `(low, high)` is a range in steps of the parameter, from the lower end on; anything else
    that can be walked through is a list of values.
    """
    if not grid or not isinstance(grid, Mapping):
        raise _error("grid", grid, "at least one parameter, as in {'ema_period': [5, 9, 20]}")
    axes: Axes = {}
    for name, values in grid.items():
        info = Parameters.info(name)
        if info.name in axes:
            raise _error(info.name, name, "each parameter once")
        axes[info.name] = _values(info, values)
    return axes


def combinations(axes: Axes) -> int:
    """Return how many sets the axes make."""
    return math.prod(len(values) for values in axes.values())


def all_codes(axes: Axes) -> Ints:
    """Return the codes of every combination, shape (sets, axes)."""
    shape = [len(values) for values in axes.values()]
    return np.stack(np.unravel_index(np.arange(math.prod(shape)), shape), axis=1)


def sound(sets: Sets) -> Sets:
    """Return the sets in which some condition is switched on; raises ConfigError for none."""
    valid = sets.valid()
    if not valid.any():
        sets.parameters(0)  # says what is wrong
    return sets if valid.all() else sets.where(valid)


def _values(info: FieldInfo, values: Any) -> tuple[Value, ...]:
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        allowed = f"a list of values or a tuple (low, high) from {info.minimum:g} on"
        raise _error(info.name, values, allowed)
    checked = [info.check(_plain(value)) for value in values]
    if not checked:
        raise _error(info.name, [], "at least one value")
    if isinstance(values, tuple) and len(checked) == 2 and info.kind is not bool:
        return _range(info, *checked)
    return tuple(dict.fromkeys(checked))


def _range(info: FieldInfo, low: Value, high: Value) -> tuple[Value, ...]:
    if low > high:
        raise _error(info.name, (low, high), "a tuple (low, high), the lower end first")
    steps = math.floor((high - low) / info.step + 1e-9)
    return tuple(info.check(info.kind(round(low + at * info.step, 10))) for at in range(steps + 1))


def _plain(value: Any) -> Any:
    """Return numpy's numbers as Python's."""
    return value.item() if hasattr(value, "item") else value


def _error(field: str, value: Any, allowed: str) -> ConfigError:
    message = f"{field} is {value!r}; allowed: {allowed}"
    return ConfigError(message, field=field, value=repr(value), allowed=allowed)
