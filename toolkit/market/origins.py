"""Where bars come from: feed and adjustment, kept with every table and never mixed unnoticed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.core.types import is_crypto
from toolkit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

DEFAULTS = {"feed": "", "adjustment": "raw"}


def origin_columns(frame: pd.DataFrame) -> dict[str, pd.Series[str]]:
    """Return the optional columns `feed` and `adjustment` as text, empty where unknown."""
    found = {}
    for name, default in DEFAULTS.items():
        if name in frame.columns:
            found[name] = frame[name].astype("str").where(frame[name].notna(), default)
    return found


def origin_attrs(attrs: dict[Any, Any]) -> dict[str, str]:
    """Return what a frame's `attrs` say about all of its rows."""
    return {name: str(attrs.get(name, default)) for name, default in DEFAULTS.items()}


def mixed_origins(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Return which feeds or adjustments are mixed, e.g. `{"feed": ["iex", "sip"]}`; empty: none.

    Stocks and crypto have a feed each.
    """
    crypto = frame["symbol"].map(is_crypto).astype(bool)
    mixed: dict[str, list[str]] = {}
    for name in DEFAULTS:
        if name not in frame.columns:
            continue
        kinds = [sorted(part.unique()) for _, part in frame[name].groupby(crypto)]
        found = sorted({value for kind in kinds if len(kind) > 1 for value in kind})
        if found:
            mixed[name] = found
    return mixed


def refuse_mixed(frame: pd.DataFrame, source: str) -> None:
    """Raise DataError where bars of several feeds or adjustments are in one table."""
    for name, values in mixed_origins(frame).items():
        shown = ", ".join(value or "unknown" for value in values)
        raise DataError(
            f"{source} mixes bars of {name} {shown}, whose prices and volumes cannot be compared;"
            f" keep the rows of one {name}",
            field=name,
            value=shown,
            allowed=f"one {name}",
        )
