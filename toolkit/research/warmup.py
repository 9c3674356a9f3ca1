"""How many bars the strategy needs before it can speak."""

from __future__ import annotations

from toolkit.core.parameters import Parameters


def warm_up_bars(parameters: Parameters) -> int:
    """Return how many bars of a symbol must exist before all its enabled groups can speak."""
    p, needed = parameters, [1]
    if p.stoch_rsi.enabled:
        g = p.stoch_rsi
        needed.append(g.rsi_length + g.stoch_length + g.k + g.d - 2)
    if p.stochastic.enabled:
        needed.append(p.stochastic.k_length + p.stochastic.smooth_k)
    return max(needed)
