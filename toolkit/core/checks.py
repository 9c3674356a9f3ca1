"""What a bar must be before a strategy may see it."""

from __future__ import annotations

import math
from datetime import datetime

from toolkit.core.types import Bar
from toolkit.errors import DataError


def check_bar(bar: Bar, *, after: datetime | None) -> None:
    """Raise DataError unless the bar is sound and later than `after`."""
    for name in ("open", "high", "low", "close"):
        value = getattr(bar, name)
        if not (math.isfinite(value) and value > 0.0):
            raise _error(bar, name, value, "finite numbers above 0")
    if not (math.isfinite(bar.volume) and bar.volume >= 0.0):
        raise _error(bar, "volume", bar.volume, "finite numbers from 0")
    if bar.high < max(bar.open, bar.close, bar.low):
        raise _error(bar, "high", bar.high, "at least open, close and low")
    if bar.low > min(bar.open, bar.close):
        raise _error(bar, "low", bar.low, "at most open and close")
    if bar.timestamp.tzinfo is None:
        raise _error(bar, "timestamp", bar.timestamp, "UTC-aware times")
    if after is not None and bar.timestamp <= after:
        raise _error(bar, "timestamp", bar.timestamp, f"times after {after.isoformat()}")


def _error(bar: Bar, field: str, value: object, allowed: str) -> DataError:
    where = f"bar of {bar.symbol} at {bar.timestamp.isoformat()}"
    return DataError(
        f"{where}: {field} is {value}; allowed: {allowed}",
        symbol=bar.symbol,
        field=field,
        value=str(value),
        allowed=allowed,
    )
