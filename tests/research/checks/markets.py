"""Clean bars of stocks in New York's sessions, to plant faults in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from tests.research.markets import noise
from toolkit.market.sessions import sessions_between

START = datetime(2026, 1, 5, tzinfo=UTC)


def sessions(
    *, days: int = 5, start: datetime = START, symbol: str = "AAPL", seed: int = 1
) -> pd.DataFrame:
    """Minute bars of whole sessions, weekends and half days as they were."""
    found = sessions_between(start, start + timedelta(days=2 * days + 10))[:days]
    times = [
        time
        for each in found
        for time in pd.date_range(each.open, each.close, freq="min", inclusive="left")
    ]
    bars = noise(seed, bars=len(times), symbol=symbol)
    bars["timestamp"] = pd.DatetimeIndex(times).as_unit("us")
    bars["volume"] = 100.0 + bars.index % 7
    return bars


def always(*, count: int = 2000, symbol: str = "BTC/USD", seed: int = 2) -> pd.DataFrame:
    """Minute bars of crypto around the clock."""
    bars = noise(seed, bars=count, symbol=symbol)
    bars["volume"] = 1.0 + bars.index % 5
    return bars


def with_value(bars: pd.DataFrame, row: int, **values: Any) -> pd.DataFrame:
    """The bars with some values of one row changed."""
    changed = bars.copy()
    for name, value in values.items():
        if isinstance(value, str):
            changed[name] = changed[name].astype(object)
        changed.loc[row, name] = value
    return changed


def scaled(bars: pd.DataFrame, rows: slice, factor: float) -> pd.DataFrame:
    """The bars with the prices of some rows multiplied."""
    changed = bars.copy()
    names = ["open", "high", "low", "close"]
    changed.loc[changed.index[rows], names] *= factor
    return changed
