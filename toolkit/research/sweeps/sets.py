"""The sets of a sweep: a base, the values of each swept parameter, and which set has which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from toolkit.core.layout import Bools, Floats, Ints
from toolkit.core.parameters import Parameters, Value

Group = tuple[Parameters, list[tuple[int, dict[str, Any]]]]
SWITCHES = ("stoch_rsi.enabled", "ema.enabled", "stochastic.enabled")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sets:
    """Numbered sets over a base; all of a grid, or any part of one.

    `axes` maps full names to values. `codes[n]` has the position of set n's value on each axis,
    shape (sets, axes); do not change it.
    """

    base: Parameters
    axes: dict[str, tuple[Value, ...]]
    codes: Ints

    @property
    def size(self) -> int:
        """The number of sets."""
        return len(self.codes)

    def values(self, number: int) -> dict[str, Value]:
        """Return the swept values of one set."""
        codes = self.codes[number].tolist()
        pairs = zip(self.axes.items(), codes, strict=True)
        return {name: values[at] for (name, values), at in pairs}

    def parameters(self, number: int) -> Parameters:
        """Return one set, with the base where nothing was swept."""
        return self.base.replace(self.values(number))

    def columns(self) -> dict[str, Any]:
        """Return an array of values for each swept parameter, one element per set."""
        return {
            name: np.array(values)[self.codes[:, at]]
            for at, (name, values) in enumerate(self.axes.items())
        }

    def vectors(self) -> Floats:
        """Return all parameters of all sets as numbers, shape (sets, parameters)."""
        names = [info.name for info in Parameters.fields()]
        vectors = np.tile(np.array(list(self.base.to_dict().values()), np.float64), (self.size, 1))
        for name, values in self.columns().items():
            vectors[:, names.index(name)] = values
        return vectors

    def find(self, parameters: Parameters | Mapping[str, Any]) -> int | None:
        """Return the number of a set; a mapping is over the base. None where there is none."""
        chosen = parameters
        wanted = chosen if isinstance(chosen, Parameters) else self.base.replace(chosen)
        codes = []
        for name, values in self.axes.items():
            if wanted[name] not in values:
                return None
            codes.append(values.index(wanted[name]))
        if any(name not in self.axes for name in self.base.difference(wanted)):
            return None
        found = np.flatnonzero((self.codes == np.array(codes, np.int64)).all(axis=1))
        return int(found[0]) if len(found) else None

    def where(self, chosen: Bools) -> Self:
        """Return the sets for which `chosen` is true, numbered anew."""
        return replace(self, codes=self.codes[chosen])

    def with_more(self, codes: Ints) -> Self:
        """Return these sets and others after them."""
        return replace(self, codes=np.concatenate([self.codes, codes]))

    def valid(self) -> Bools:
        """Tell for each set whether any of the three groups of conditions is switched on."""
        columns = self.columns()
        on = [columns.get(name, np.full(self.size, self.base[name])) for name in SWITCHES]
        return np.asarray(np.logical_or.reduce(on), np.bool_)

    def groups(self, *, start: int = 0, most: int | None = None) -> Iterator[Group]:
        """Yield each distinct decision setting with the sets that share it, from `start` on.

        A set is its number and its values of the risk group; `most` sets at a time. What is dear
        to compute changes least often.
        """
        columns = [(name, values, self.codes[:, at]) for at, (name, values) in self._numbered()]
        risk = [column for column in columns if column[0].startswith("risk.")]
        decision = sorted(columns, key=lambda column: _dearness(column[0]))
        decision = [column for column in decision if not column[0].startswith("risk.")]
        for members in _alike([codes[start:] for _, _, codes in decision], self.size - start):
            numbers = members + start
            first = numbers[0]
            parameters = self.base.replace(
                {n: values[codes[first]] for n, values, codes in decision}
            )
            for begin in range(0, len(numbers), most or len(numbers)):
                part = numbers[begin : begin + (most or len(numbers))]
                changes = [
                    [(name.partition(".")[2], values[at]) for at in codes[part].tolist()]
                    for name, values, codes in risk
                ]
                rows = zip(*changes, strict=True) if changes else ((),) * len(part)
                yield (
                    parameters,
                    [(n, dict(row)) for n, row in zip(part.tolist(), rows, strict=True)],
                )

    def _numbered(self) -> enumerate[tuple[str, tuple[Value, ...]]]:
        return enumerate(self.axes.items())


def _alike(columns: list[Ints], size: int) -> list[Ints]:
    """Return the rows that are equal in all columns, groups in the order of the columns."""
    if size <= 0:
        return []
    if not columns:
        return [np.arange(size)]
    _, inverse = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    order = np.argsort(inverse.ravel(), kind="stable")
    return np.split(order, np.cumsum(np.bincount(inverse.ravel()))[:-1])


def _dearness(name: str) -> int:
    """Return the place of a parameter's group in the order of what its indicators cost."""
    order = ("stoch_rsi", "rules", "stochastic", "ema", "risk")
    return order.index(name.partition(".")[0])
