"""What users hand to a study, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError


def parameters_from(values: Parameters | Mapping[str, Any] | None) -> Parameters:
    """Return parameters from an object, a mapping of names, or nothing; raises ConfigError."""
    if isinstance(values, Parameters):
        return values
    return Parameters.from_dict(values or {})


def checked_capital(capital: float) -> float:
    """Return the start capital in dollars; raises ConfigError outside 1 to 1e9."""
    number = isinstance(capital, (int, float)) and not isinstance(capital, bool)
    if not (number and math.isfinite(capital) and 1.0 <= capital <= 1e9):
        raise ConfigError(
            f"capital is {capital!r}; allowed: 1 to 1e9 dollars",
            field="capital",
            value=repr(capital),
            allowed="1 to 1e9",
        )
    return float(capital)


def warm_up_bars(parameters: Parameters) -> int:
    """Return how many bars of a symbol must exist before all its enabled groups can speak."""
    p, needed = parameters, [1]
    if p.stoch_rsi.enabled:
        g = p.stoch_rsi
        needed.append(g.rsi_length + g.stoch_length + g.k + g.d - 2)
    if p.stochastic.enabled:
        needed.append(p.stochastic.k_length + p.stochastic.smooth_k)
    return max(needed)
