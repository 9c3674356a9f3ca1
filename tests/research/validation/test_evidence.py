"""What a sweep says about a set: every trial counts, wherever it was made."""

from __future__ import annotations

import math

import numpy as np
import pytest

from toolkit.core.parameters import Parameters
from toolkit.research.store.trials import Trials
from toolkit.research.sweeps.grid import grid_of
from toolkit.research.validation.evidence import Tried, merged, weigh

PARTS, LENGTH = 48, 50


def tried(sets: int = 20, *, edge: float = 0.0, seed: int = 1) -> Tried:
    """Sets without skill, but for the first, whose returns lean by `edge` deviations."""
    returns = np.random.default_rng(seed).normal(0.0, 1e-3, (sets, PARTS, LENGTH))
    returns[0] += edge * 1e-3
    flat = returns.reshape(sets, -1)
    moments = np.stack(
        [
            np.full(sets, float(PARTS * LENGTH)),
            flat.mean(axis=1),
            flat.std(axis=1, ddof=1),
            np.zeros(sets),
            np.full(sets, 3.0),
        ],
        axis=1,
    )
    return Tried(
        sets=grid_of({"ema_period": list(range(1, sets + 1))}, Parameters()),
        blocks=np.stack([returns.sum(axis=2), (returns**2).sum(axis=2)], axis=-1),
        counts=np.full(PARTS, LENGTH),
        moments=moments,
        trades=np.full(sets, 100),
        periods_per_year=98_280.0,
    )


def trials(count: int) -> Trials:
    ratios = np.random.default_rng(2).normal(0.0, 1.0 / math.sqrt(PARTS * LENGTH), count)
    return Trials(count=count, sharpes=ratios)


def test_a_strong_edge_is_supported_and_noise_is_not() -> None:
    assert weigh(tried(edge=0.12), 0).supported
    assert not weigh(tried(), 0).supported


def test_every_trial_raises_the_bar() -> None:
    sweep = tried(edge=0.07)
    found = [weigh(sweep, 0, known=trials(n)).overfitting for n in (20, 200, 5000)]
    assert [o.trials for o in found] == [20, 200, 5000]
    assert [o.sets for o in found] == [20, 20, 20]
    luck = [o.sharpe_by_luck for o in found]
    assert luck == sorted(luck) and luck[2] > luck[0]
    assert found[2].deflated_sharpe < found[0].deflated_sharpe
    assert found[2].snooping > found[0].snooping
    assert found[2].minimum_bars > found[0].minimum_bars


def test_trials_elsewhere_can_take_the_evidence_away() -> None:
    sweep = tried(edge=0.09)
    assert weigh(sweep, 0).supported
    verdict = weigh(sweep, 0, known=trials(50_000))
    assert not verdict.supported
    assert "after 50,000 trials" in verdict.sentence


def test_an_empty_ledger_changes_nothing() -> None:
    sweep = tried(edge=0.09)
    alone, none = weigh(sweep, 0), weigh(sweep, 0, known=trials(0))
    assert alone.overfitting == none.overfitting


def test_the_verdict_is_a_table_too() -> None:
    frame = weigh(tried(edge=0.12), 0).frame.set_index("figure")
    assert frame.loc["trades", "needed"] == "at least 30"
    assert frame.loc["minimum_bars", "needed"] == f"at most {PARTS * LENGTH}"
    assert frame["passed"].dropna().all()
    assert frame.loc["deflated_sharpe", "value"] > 0.95


@pytest.mark.parametrize("parts", [48, 50, 13, 12, 5])
def test_merged_blocks_keep_their_sums(parts: int) -> None:
    blocks = np.random.default_rng(3).normal(0.0, 1.0, (4, parts, 2))
    counts = np.arange(1, parts + 1)
    joined, of = merged(blocks, counts, 12)
    assert joined.shape[1] == len(of) == min(parts, 12)
    assert of.sum() == counts.sum()
    np.testing.assert_allclose(joined.sum(axis=1), blocks.sum(axis=1))
