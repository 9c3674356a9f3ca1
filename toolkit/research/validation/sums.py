"""One sweep over the whole of time, kept as sums of returns per piece of it."""

from __future__ import annotations

import numpy as np

from toolkit.core.costs import Costs
from toolkit.core.layout import Ints
from toolkit.research.progress import Report
from toolkit.research.sweeps.sets import Sets
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
) -> Pieces:
    """Run every set once; `edges` are the timestamps at which pieces begin, and the end."""
    from dataclasses import replace

    from toolkit.core.kernel import Kernel
    from toolkit.core.layout import Rules
    from toolkit.research.scoring import score
    from toolkit.research.signals import Signals

    blocks = np.zeros((sets.size, len(edges) - 1, 2))
    kernel, signals = Kernel(tape.market, charges=tape.charges(costs)), Signals(tape)
    done = 0
    for parameters, members in sets.groups():
        decisions = signals.decisions(parameters)
        for number, changes in members:
            rules = Rules.of(replace(parameters.risk, **changes))
            outcome = kernel.run(decisions, rules, capital=capital)
            scored = score(
                outcome, capital=capital, periods_per_year=tape.periods_per_year, edges=edges
            )
            blocks[number] = scored.blocks
            done += 1
            report(done, sets.size)
    return Pieces(sets=sets, blocks=blocks, edges=edges)
