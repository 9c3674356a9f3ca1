"""What pictures expect of a frame, and how they name and write what is in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from toolkit.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd


def require_columns(name: str, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise ConfigError that names the first of `columns` that `frame` lacks."""
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ConfigError(
            f"{name} lacks the column {missing[0]!r}; it has: {', '.join(map(str, frame.columns))}",
            field=missing[0],
            allowed=list(columns),
        )


def require_rows(name: str, frame: pd.DataFrame | pd.Series[Any]) -> None:
    """Raise ConfigError where there is nothing to draw."""
    if frame.empty:
        raise ConfigError(f"{name} is empty", field=name, allowed="one row at least")


def words(name: str) -> str:
    """Return a parameter's or figure's name as people say it: `ema.ema_period`, `ema period`."""
    group, _, short = name.rpartition(".")
    shown = short if not group or short.startswith(group) else f"{group} {short}"
    return shown.removesuffix("_percent").replace("_", " ") + (
        ", %" if shown.endswith("_percent") else ""
    )


def compact(value: Any) -> str:
    """Return a value in six digits at most."""
    return f"{value:.6g}" if isinstance(value, (int, float)) else str(value)


def exact(value: float) -> str:
    """Return a figure with four decimals; a profit factor without losses is infinite."""
    if math.isnan(value):
        return "\N{EN DASH}"
    return "∞" if math.isinf(value) else f"{value:,.4f}"
