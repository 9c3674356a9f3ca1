"""The grid of a sweep: checked values of each parameter, and the sets they make."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from toolkit.core.parameters import Parameters, Value
from toolkit.errors import ConfigError

MAX_SETS = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """`axes` maps full names to values; set number n counts the last axis fastest."""

    base: Parameters
    axes: dict[str, tuple[Value, ...]]

    @property
    def size(self) -> int:
        """The number of sets."""
        return math.prod(len(values) for values in self.axes.values())

    def values(self, number: int) -> dict[str, Value]:
        """Return the values of one set."""
        chosen: dict[str, Value] = {}
        for name, values in reversed(self.axes.items()):
            number, at = divmod(number, len(values))
            chosen[name] = values[at]
        return {name: chosen[name] for name in self.axes}

    def parameters(self, number: int) -> Parameters:
        """Return one set with the base where the grid says nothing."""
        return self.base.replace(self.values(number))

    def groups(self) -> Iterator[tuple[Parameters, list[tuple[int, dict[str, Any]]]]]:
        """Yield each distinct decision setting with the sets that share it.

        A set is its number and its values of the risk group.
        """
        risk = [name for name in self.axes if name.startswith("risk.")]
        decision = [name for name in self.axes if name not in risk]
        weights = self._weights()
        for deciding in self._choices(decision):
            parameters = self.base.replace({name: value for name, (_, value) in deciding.items()})
            sets = []
            for risky in self._choices(risk):
                both = {**deciding, **risky}
                number = sum(weights[name] * at for name, (at, _) in both.items())
                values = {name.partition(".")[2]: value for name, (_, value) in risky.items()}
                sets.append((number, values))
            yield parameters, sets

    def _choices(self, names: Sequence[str]) -> Iterator[dict[str, tuple[int, Value]]]:
        for choice in product(*(enumerate(self.axes[name]) for name in names)):
            yield dict(zip(names, choice, strict=True))

    def _weights(self) -> dict[str, int]:
        weights, weight = {}, 1
        for name, values in reversed(self.axes.items()):
            weights[name] = weight
            weight *= len(values)
        return weights


def grid_of(grid: Mapping[str, Sequence[Any]], base: Parameters) -> Grid:
    """Check names, values and size; raises ConfigError that names field and allowed values."""
    if not grid:
        raise _error("grid", {}, "at least one parameter, as in {'ema_period': [5, 9, 20]}")
    axes: dict[str, tuple[Value, ...]] = {}
    for name, values in grid.items():
        info = Parameters.info(name)
        if info.name in axes:
            raise _error(info.name, name, "each parameter once")
        if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
            raise _error(info.name, values, f"a list of values from {info.minimum:g} on")
        checked = [info.check(_plain(value)) for value in values]
        if not checked:
            raise _error(info.name, [], "at least one value")
        axes[info.name] = tuple(dict.fromkeys(checked))
    result = Grid(base=base, axes=axes)
    if result.size > MAX_SETS:
        raise _error("grid", f"{result.size} sets", f"up to {MAX_SETS} sets; take wider steps")
    return result


def _plain(value: Any) -> Any:
    """Return numpy's numbers as Python's."""
    return value.item() if hasattr(value, "item") else value


def _error(field: str, value: Any, allowed: str) -> ConfigError:
    message = f"{field} is {value!r}; allowed: {allowed}"
    return ConfigError(message, field=field, value=repr(value), allowed=allowed)
