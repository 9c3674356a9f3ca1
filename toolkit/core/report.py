"""How a round trip is printed: one form for backtest, sweep and live replay."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from toolkit.core.types import RoundTrip

# The keys of `trade_dict`, as they head a table.
TRADE_FIELDS = (
    "symbol",
    "entry_time",
    "entry_price",
    "exit_time",
    "exit_price",
    "quantity",
    "pnl",
    "return_percent",
    "fees",
    "exit_reason",
)


def trade_dict(trip: RoundTrip) -> dict[str, Any]:
    """Return one round trip as JSON-ready values that keep every bit.

    Times are RFC 3339 with a trailing Z; `pnl` and `fees` in dollars, `quantity` in units,
    `return_percent` of the cost.
    """
    return {
        "symbol": trip.symbol,
        "entry_time": rfc3339(trip.entry_time),
        "entry_price": trip.entry_price,
        "exit_time": rfc3339(trip.exit_time),
        "exit_price": trip.exit_price,
        "quantity": float(trip.quantity),
        "pnl": float(trip.pnl),
        "return_percent": trip.return_percent,
        "fees": float(trip.fees),
        "exit_reason": trip.exit_reason.value,
    }


def rfc3339(time: datetime) -> str:
    """Return a time in UTC, with a trailing Z."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
