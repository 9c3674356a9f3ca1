"""All that a sweep says about one of its sets, put together for the verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from toolkit.core.layout import Floats, Ints
from toolkit.research.scoring import Moments, sharpes_of
from toolkit.research.store.trials import Trials
from toolkit.research.sweeps.sets import Sets
from toolkit.research.validation.overfitting import (
    cross_validate,
    expected_maximum,
    probabilistic_sharpe,
    sharpe_ratios,
)
from toolkit.research.validation.snooping import reality_check
from toolkit.research.validation.track_record import minimum_track_record
from toolkit.research.validation.verdict import (
    CONFIDENCE,
    OutOfSample,
    Overfitting,
    Verdict,
    judge,
)

SPLIT_PARTS = 12  # of which every half is tried against the other
IN_SAMPLE = 2.0 / 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tried:
    """What a sweep knows of the sets that it ran, one row each.

    `blocks` (sets, blocks of time, 2) are sums and sums of squares of the returns, `counts` the
    returns in each block, `moments` as in `scoring.Moments`.
    """

    sets: Sets
    blocks: Floats
    counts: Ints
    moments: Floats
    trades: Ints
    periods_per_year: float


def weigh(tried: Tried, number: int, *, known: Trials | None = None) -> Verdict:
    """Judge row `number`; `known` are all trials ever made on the data, these among them."""
    moments = _moments(tried, number)
    year = math.sqrt(tried.periods_per_year)
    ratios = np.nan_to_num(sharpes_of(tried.moments))
    if known is not None and known.count > len(ratios):
        ratios = np.nan_to_num(known.sharpes)
    luck = expected_maximum(ratios, periods=moments.periods)
    blocks, counts = merged(tried.blocks, tried.counts, SPLIT_PARTS)
    validation = cross_validate(blocks, counts)
    overfitting = Overfitting(
        trials=len(ratios),
        sets=tried.sets.size,
        sharpe=moments.sharpe * year,
        sharpe_by_luck=luck * year,
        deflated_sharpe=probabilistic_sharpe(moments, luck),
        snooping=reality_check(tried.blocks, others=len(ratios) - tried.sets.size),
        pbo=validation.pbo,
        loss_probability=validation.loss_probability,
        bars=moments.periods,
        minimum_bars=minimum_track_record(moments, benchmark=luck, confidence=CONFIDENCE),
        out_of_sample=_out_of_sample(tried),
    )
    return judge(
        overfitting,
        parameters=tried.sets.parameters(number),
        trades=int(tried.trades[number]),
    )


def merged(blocks: Floats, counts: Ints, parts: int) -> tuple[Floats, Ints]:
    """Put neighbouring blocks of time together until there are at most `parts`."""
    if blocks.shape[1] <= parts:
        return blocks, counts
    starts = np.linspace(0, blocks.shape[1], parts + 1).astype(np.int64)[:-1]
    return np.add.reduceat(blocks, starts, axis=1), np.add.reduceat(counts, starts)


def _moments(tried: Tried, number: int) -> Moments:
    periods, *others = tried.moments[number].tolist()
    return Moments(int(periods), *others)


def _out_of_sample(tried: Tried) -> OutOfSample:
    """Choose on the first two thirds of the blocks of time, look at the last third."""
    parts = len(tried.counts)
    first = np.zeros((1, parts))
    first[0, : round(parts * IN_SAMPLE)] = 1.0
    year = math.sqrt(tried.periods_per_year)
    if tried.counts.min() < 1 or parts < 3 or tried.counts.sum() < 3 * parts:
        return OutOfSample(parameters=None, in_sample_sharpe=math.nan, sharpe=math.nan)
    before = sharpe_ratios(tried.blocks, tried.counts, first)[0]
    after = sharpe_ratios(tried.blocks, tried.counts, 1.0 - first)[0]
    best = int(before.argmax())
    return OutOfSample(
        parameters=tried.sets.parameters(best),
        in_sample_sharpe=float(before[best]) * year,
        sharpe=float(after[best]) * year,
    )
