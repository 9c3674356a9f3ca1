"""What users hand over, checked: symbols, capital, parameters, costs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.core.costs import Costs
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError

SYMBOL = re.compile(r"[A-Z0-9]{1,8}(\.[A-Z])?|[A-Z0-9]{2,10}/[A-Z0-9]{2,6}")


def parameters_from(values: Parameters | Mapping[str, Any] | None) -> Parameters:
    """Return parameters from an object, a mapping of names, or nothing; raises ConfigError."""
    if isinstance(values, Parameters):
        return values
    if values is not None and not isinstance(values, Mapping):
        raise ConfigError(
            f"parameters is {values!r}; allowed: names and values, as in {{'ema_period': 12}}",
            field="parameters",
            value=repr(values),
            allowed="Parameters or a mapping",
        )
    return Parameters.from_dict(values or {})


def costs_from(values: Costs | Mapping[str, Any] | None) -> Costs:
    """Return costs from an object, a mapping of names, or nothing; raises ConfigError."""
    if isinstance(values, Costs):
        return values
    if values is not None and not isinstance(values, Mapping):
        raise ConfigError(
            f"costs is {values!r}; allowed: tk.Costs(slippage_bps=1) and the like",
            field="costs",
            value=repr(values),
            allowed="Costs",
        )
    return Costs.from_dict(values or {})


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


def checked_symbols(symbols: Sequence[str]) -> tuple[str, ...]:
    """Return the symbols, upper case; raises ConfigError that names the bad one."""
    if isinstance(symbols, str):
        symbols = [symbols]
    cleaned = tuple(str(symbol).strip().upper() for symbol in symbols)
    for symbol in cleaned:
        if not SYMBOL.fullmatch(symbol):
            raise ConfigError(
                f"{symbol!r} is no symbol; allowed: such as AAPL, BRK.B, BTC/USD "
                "(a file ends in .parquet, .csv or .feather)",
                field="symbols",
                value=symbol,
                allowed="AAPL, BRK.B, BTC/USD",
            )
    if not cleaned or len(set(cleaned)) != len(cleaned):
        raise ConfigError("symbols must hold at least one symbol, and each once", field="symbols")
    return cleaned
