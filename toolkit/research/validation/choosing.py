"""Choose the best set on some pieces of time, out of what each set did in every piece.

One sweep over the whole of time gives the sum and the sum of squares of each set's returns in each
piece; whatever pieces train, their Sharpe ratios are sums of those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.core.costs import Costs
from toolkit.core.layout import Floats, Ints
from toolkit.errors import ConfigError
from toolkit.research.store.trials import trial_digests
from toolkit.research.sweeps.sets import Sets
from toolkit.research.validation.overfitting import sharpe_ratios

CHOOSERS = ("sharpe", "total_return_percent")
Spans = Sequence[tuple[int, int]]  # of timestamps, the last not included


def check_chooser(metric: str) -> None:
    """Raise ConfigError unless pieces of time can be chosen by `metric`."""
    if metric not in CHOOSERS:
        raise ConfigError(
            f"metric is {metric!r}; allowed here: {', '.join(CHOOSERS)}",
            field="metric",
            value=repr(metric),
            allowed=list(CHOOSERS),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pieces:
    """What every set did in every piece of time: sums and sums of squares of its returns.

    `blocks` has shape (sets, pieces, 2); `edges` are the timestamps at which pieces begin, and the
    end.
    """

    sets: Sets
    blocks: Floats
    edges: Ints

    def best(self, spans: Spans, *, metric: str) -> tuple[int, float]:
        """Return the best set over whole pieces in `spans` and its Sharpe ratio of one period.

        Sets that did nothing there cannot be chosen; (-1, NaN) where none did anything.
        """
        mask, counts = self._within(spans), np.diff(self.edges)
        if mask[0] @ counts < 2:
            return -1, np.nan
        ratios = sharpe_ratios(self.blocks, counts, mask)[0]
        values = ratios if metric == "sharpe" else self.blocks[:, :, 0] @ mask[0]
        moved = self.blocks[:, :, 1] @ mask[0] > 0.0
        number = int(np.where(moved, values, -np.inf).argmax())
        return (number, float(ratios[number])) if moved[number] else (-1, np.nan)

    def trials(self, costs: Costs, hours: Mapping[str, Any]) -> tuple[list[str], Floats]:
        """Return digests and Sharpe ratios of one period over all of time, for the ledger.

        `hours` are sessions and flat_before_close.
        """
        everything = np.ones((1, len(self.edges) - 1))
        ratios = sharpe_ratios(self.blocks, np.diff(self.edges), everything)[0]
        return trial_digests(self.sets.vectors(), costs, **hours), ratios

    def _within(self, spans: Spans) -> Floats:
        starts, ends = self.edges[:-1], self.edges[1:]
        mask = np.zeros((1, len(starts)))
        for first, last in spans:
            mask[0, (starts >= first) & (ends <= last)] = 1.0
        return mask
