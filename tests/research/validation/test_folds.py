"""Stretches of time: those of skfolio, and nothing that a test could leak into."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from toolkit.errors import ConfigError, DataError
from toolkit.research.validation.folds import Combinations, combinations_of, walk


def numbers(spans: list[tuple[int, int]]) -> list[int]:
    return [number for first, last in spans for number in range(first, last)]


@settings(max_examples=40, deadline=None)
@given(
    steps=st.integers(60, 400),
    folds=st.integers(3, 6),
    test_folds=st.integers(2, 4),
    purge=st.integers(0, 6),
    embargo=st.integers(0, 6),
)
def test_what_chooses_and_what_judges_is_what_skfolio_says(
    steps: int, folds: int, test_folds: int, purge: int, embargo: int
) -> None:
    from skfolio.model_selection import CombinatorialPurgedCV  # seconds that each worker would pay

    assume(test_folds < folds and 2 * purge + embargo < steps // folds - 1)
    plan = combinations_of(steps, folds=folds, test_folds=test_folds, purge=purge, embargo=embargo)
    theirs = CombinatorialPurgedCV(folds, test_folds, purged_size=purge, embargo_size=embargo)
    splits = list(theirs.split(np.empty((steps, 1))))
    assert len(plan.tests) == len(splits)
    for split, (training, tests) in enumerate(splits):
        assert numbers(plan.training(split)) == training.tolist()
        for fold, judged in zip(plan.tests[split].tolist(), tests, strict=True):
            assert np.arange(*plan.edges[fold : fold + 2]).tolist() == judged.tolist()
    edges = set(plan.piece_edges.tolist())
    assert all(
        {first, last} <= edges for s in range(len(splits)) for first, last in plan.training(s)
    )


def test_every_path_has_every_fold_once() -> None:
    plan = combinations_of(100, folds=6, test_folds=2, purge=0, embargo=0)
    for path in range(int(plan.paths.max()) + 1):
        splits, places = np.nonzero(plan.paths == path)
        assert sorted(plan.tests[splits, places].tolist()) == list(range(6))


@settings(max_examples=60, deadline=None)
@given(
    steps=st.integers(40, 3000),
    folds=st.integers(1, 12),
    train=st.none() | st.integers(10, 400),
    anchored=st.booleans(),
)
def test_a_walk_tests_all_that_is_behind_its_first_training(
    steps: int, folds: int, train: int | None, anchored: bool
) -> None:
    test = (steps - train) // folds if train else steps // (folds + 3)
    assume(test >= 10)
    found = walk(steps, folds=folds, train=train, anchored=anchored)
    assert len(found) >= folds
    assert steps - found[-1].test_end < test
    for fold in found:
        assert fold.train_start < fold.train_end == fold.test_start < fold.test_end <= steps
        assert (fold.train_start == 0) == (anchored or fold is found[0])
    for before, after in itertools.pairwise(found):
        assert after.test_start == before.test_end


def test_lengths_are_taken_as_given() -> None:
    found = walk(1000, train=300, test=100)
    assert [(f.train_start, f.train_end, f.test_end) for f in found][:2] == [
        (0, 300, 400),
        (100, 400, 500),
    ]
    assert len(found) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 0}, "folds is 0"),
        ({"folds": True}, "folds is True"),
        ({"folds": 2.0}, "folds is 2.0"),
        ({"train": 5}, "train is 5; allowed: whole numbers from 10 to 1000"),
        ({"test": 2000}, "test is 2000"),
        ({"folds": 3, "test": 100}, "folds or test, not both"),
    ],
)
def test_a_wrong_walk_is_named(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        walk(1000, **options)


@pytest.mark.parametrize("options", [{"folds": 50}, {"train": 95}, {"train": 50, "test": 60}])
def test_a_walk_without_room_says_so(options: dict) -> None:
    with pytest.raises(DataError, match="100 timestamps are too few"):
        walk(100, **options)


def combine(**options: int) -> Combinations:
    values = {"folds": 5, "test_folds": 2, "purge": 0, "embargo": 0, **options}
    return combinations_of(500, **values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 2}, "folds is 2; allowed: whole numbers from 3 to 50"),
        ({"test_folds": 1}, "test_folds is 1; allowed: whole numbers from 2 to 4"),
        ({"test_folds": 5}, "test_folds is 5"),
        ({"purge": -1}, "purge is -1"),
        ({"folds": 30, "test_folds": 10}, "splits; allowed: up to 5,000"),
    ],
)
def test_wrong_combinations_are_named(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        combine(**options)


def test_a_purge_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="too few for a purge of 50"):
        combine(purge=50)
