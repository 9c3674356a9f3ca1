"""One sweep over the whole of time, kept as sums of returns per piece of it."""

from __future__ import annotations

import numpy as np

from toolkit.core.costs import Costs
from toolkit.core.layout import Ints
from toolkit.research.progress import Report
from toolkit.research.sweeps.sets import Sets
from toolkit.research.sweeps.work import Alone, Crew, Hand, Study
from toolkit.research.tape import Tape
from toolkit.research.validation.choosing import Pieces


def pieces_of(
    tape: Tape,
    sets: Sets,
    *,
    edges: Ints,
    capital: float,
    costs: Costs,
    report: Report,
    crew: Crew | None = None,
) -> Pieces:
    """Run every set once; `edges` are the timestamps at which pieces begin, and the end.

    Time before the first edge and behind the last one is run too, and not kept.
    """
    steps = len(tape.steps())
    whole = np.unique([0, *edges.tolist(), steps])
    blocks = np.zeros((sets.size, len(whole) - 1, 2))
    hand, done = Hand(Study(tape=tape, capital=capital, costs=costs, edges=whole)), 0
    for rows in (crew or Alone()).map(hand, sets.groups(most=hand.most)):
        blocks[rows.number] = rows.blocks
        done += len(rows.number)
        report(done, sets.size)
    return Pieces(sets=sets, blocks=blocks, edges=whole)
