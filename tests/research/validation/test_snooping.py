"""The reality check: right as often as it says, however much the sets have in common."""

from __future__ import annotations

import math

import numpy as np
import pytest

from toolkit.research.validation.snooping import reality_check


def blocks_of(sums: np.ndarray) -> np.ndarray:
    return np.stack([sums, sums * sums], axis=-1)


def shared_luck(seed: int, *, sets: int, share: float, parts: int = 24) -> np.ndarray:
    """Sums of returns of sets with the correlation `share`."""
    rng = np.random.default_rng(seed)
    common = rng.normal(0.0, 1.0, (1, parts))
    own = rng.normal(0.0, 1.0, (sets, parts))
    return math.sqrt(share) * common + math.sqrt(1.0 - share) * own


@pytest.mark.parametrize(("sets", "share"), [(1, 0.0), (2, 0.5), (40, 0.0), (40, 0.9)])
def test_noise_is_called_luck_as_often_as_it_should_be(sets: int, share: float) -> None:
    chances = [
        reality_check(blocks_of(shared_luck(seed, sets=sets, share=share)), draws=400)
        for seed in range(400)
    ]
    for level in (0.05, 0.2, 0.5):  # three standard errors
        slack = 3.0 * math.sqrt(level * (1.0 - level) / 400)
        assert np.mean(np.array(chances) <= level) == pytest.approx(level, abs=slack)


def test_sums_that_lean_one_way_are_no_luck() -> None:
    sums = shared_luck(1, sets=40, share=0.3, parts=48)
    sums[7] += 0.9
    assert reality_check(blocks_of(sums)) < 0.005


def test_losers_beside_the_best_do_not_help_it() -> None:
    best = shared_luck(2, sets=1, share=0.0) + 0.3
    losers = shared_luck(3, sets=30, share=0.0) - 5.0
    alone = reality_check(blocks_of(best))
    assert reality_check(blocks_of(np.concatenate([best, losers]))) >= alone


def test_the_same_question_has_the_same_answer() -> None:
    blocks = blocks_of(shared_luck(4, sets=10, share=0.5))
    assert reality_check(blocks) == reality_check(blocks)
    assert reality_check(blocks * 1e-6) == pytest.approx(reality_check(blocks))


def test_trials_elsewhere_count_as_independent_ones() -> None:
    """Against a simulation in which they are there."""
    rng = np.random.default_rng(7)
    for seed in range(8):
        sums = shared_luck(seed, sets=1, share=0.0, parts=48)
        chance = reality_check(blocks_of(sums), others=19)
        student = sums.mean() / sums.std(ddof=1) * math.sqrt(48)
        best = rng.normal(0.0, 1.0, (4000, 20)).max(axis=1)
        assert chance == pytest.approx(np.mean(best >= student), abs=0.04)
        assert reality_check(blocks_of(sums)) <= chance


def test_a_strong_edge_withstands_any_number_of_trials() -> None:
    sums = shared_luck(6, sets=2, share=0.0, parts=48) + 1.5
    assert reality_check(blocks_of(sums), others=100_000) < 0.025


def test_too_little_leaves_it_open() -> None:
    assert math.isnan(reality_check(blocks_of(np.ones((3, 7)))))
    assert math.isnan(reality_check(blocks_of(np.zeros((3, 24)))))


def test_many_sets_are_drawn_in_pieces() -> None:
    sums = shared_luck(5, sets=3000, share=0.5)
    assert 0.0 < reality_check(blocks_of(sums), draws=2000) <= 1.0
