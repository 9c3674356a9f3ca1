"""Which stretches of time choose a set and which judge it, as skfolio cuts them.

Stretches are numbered timestamps, the first included and the last not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from toolkit.core.layout import Ints
from toolkit.errors import ConfigError, DataError

FOLDS = 5
MAX_FOLDS = 500
MAX_SPLITS = 5000
TRAIN_FOLDS = 3  # how many test stretches long the training is where nobody says
SHORTEST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One step of a walk: choose on `train_start` to `train_end`, judge on the rest."""

    train_start: int
    train_end: int
    test_start: int
    test_end: int

    @property
    def edges(self) -> tuple[int, int, int, int]:
        """Where its stretches begin and end."""
        return self.train_start, self.train_end, self.test_start, self.test_end


def walk(
    steps: int,
    *,
    folds: int | None = None,
    train: int | None = None,
    test: int | None = None,
    anchored: bool = False,
) -> list[Fold]:
    """Return the folds of a walk over `steps` timestamps, oldest first.

    `train` and `test` are lengths in timestamps. Without `test` there are `folds` tests, 5 unless
    said, over all that is behind the first training, three tests long unless said. An anchored
    training begins at the first timestamp. Raises ConfigError and DataError.
    """
    if folds is not None and test is not None:
        raise ConfigError("give folds or test, not both", field="folds", allowed="folds or test")
    for name, value, most in (("folds", folds, MAX_FOLDS), ("train", train, 0), ("test", test, 0)):
        if value is not None:
            _check_whole(name, value, 1 if most else SHORTEST, most or steps)
    if test is None:
        number = folds or FOLDS
        test = (steps - train) // number if train else steps // (number + TRAIN_FOLDS)
        train = train or steps - number * test
    train = train or TRAIN_FOLDS * test
    if test < SHORTEST or train + test > steps:
        raise DataError(
            f"{steps} timestamps are too few for training on {train} and testing on {test}; take"
            f" more bars, or shorter or fewer folds (at least {SHORTEST} timestamps each)",
            field="bars",
            value=steps,
        )
    from skfolio.model_selection import WalkForward

    splitter = WalkForward(test_size=test, train_size=train, expand_train=anchored)
    return [
        Fold(
            train_start=int(training[0]),
            train_end=int(training[-1]) + 1,
            test_start=int(testing[0]),
            test_end=int(testing[-1]) + 1,
        )
        for training, testing in splitter.split(np.empty((steps, 1)))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Combinations:
    """All ways to judge on `test_folds` of the folds and choose on the others.

    `edges` cut time into the folds. `tests[split]` are the folds that judge; `paths[split]` says
    for each of them to which path it belongs, so that every path has every fold once.
    """

    edges: Ints
    tests: Ints
    paths: Ints
    purge: int
    embargo: int

    @property
    def folds(self) -> int:
        """How many folds there are."""
        return len(self.edges) - 1

    @property
    def piece_edges(self) -> Ints:
        """The edges of the folds and of what is purged or embargoed beside them."""
        starts, ends = self.edges[:-1], self.edges[1:]
        parts = [starts, starts + self.purge + self.embargo, ends - self.purge]
        return np.unique(np.append(np.concatenate(parts), self.edges[-1]))

    def training(self, split: int) -> list[tuple[int, int]]:
        """Return the stretches that choose in one split."""
        judged = set(self.tests[split].tolist())
        spans = []
        for fold in range(self.folds):
            first, last = self.edges[fold : fold + 2].tolist()
            if fold in judged:
                continue
            if fold - 1 in judged:
                first += self.purge + self.embargo
            if fold + 1 in judged:
                last -= self.purge
            spans.append((first, last))
        return spans


def combinations_of(
    steps: int, *, folds: int, test_folds: int, purge: int, embargo: int
) -> Combinations:
    """Cut `steps` timestamps into folds; raises ConfigError and DataError.

    `purge` timestamps on either side of a judging stretch and `embargo` more behind it choose
    nothing.
    """
    check_folds(folds, test_folds)
    _check_whole("purge", purge, 0, steps)
    _check_whole("embargo", embargo, 0, steps)
    length = steps // folds
    if length < SHORTEST or 2 * purge + embargo >= length:
        raise DataError(
            f"{steps} timestamps make folds of {length}, too few for a purge of {purge} and an"
            f" embargo of {embargo}; take more bars or fewer folds",
            field="bars",
            value=steps,
        )
    splits = math.comb(folds, test_folds)
    if splits > MAX_SPLITS:
        raise ConfigError(
            f"folds={folds} and test_folds={test_folds} make {splits:,} splits; allowed: up to"
            f" {MAX_SPLITS:,}",
            field="folds",
            value=folds,
            allowed=f"up to {MAX_SPLITS} splits",
        )
    from skfolio.model_selection import CombinatorialPurgedCV

    splitter = CombinatorialPurgedCV(n_folds=folds, n_test_folds=test_folds)
    edges = np.append(np.arange(folds) * length, steps)
    return Combinations(
        edges=edges,
        tests=np.asarray(splitter.test_set_index, np.int64),
        paths=np.asarray(splitter.get_path_ids(), np.int64),
        purge=purge,
        embargo=embargo,
    )


def check_folds(folds: int, test_folds: int) -> None:
    """Raise ConfigError unless `test_folds` of `folds` can judge."""
    _check_whole("folds", folds, 3, 50)
    _check_whole("test_folds", test_folds, 2, folds - 1)


def _check_whole(field: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(
            f"{field} is {value!r}; allowed: whole numbers from {low} to {high}",
            field=field,
            value=repr(value),
            allowed=f"{low} to {high}",
        )
