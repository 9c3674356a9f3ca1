"""Messages of the market data streams in our words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from toolkit.core.types import Bar, Quote, Trade

Json = Mapping[str, Any]


class Channel(StrEnum):
    """What can be subscribed to."""

    TRADES = "trades"
    QUOTES = "quotes"
    BARS = "bars"
    UPDATED_BARS = "updatedBars"
    DAILY_BARS = "dailyBars"


TRADE, QUOTE, BAR, UPDATED_BAR, DAILY_BAR = "t", "q", "b", "u", "d"
SUBSCRIPTION, ERROR = "subscription", "error"


def event_of(message: Json, *, feed: str) -> Bar | Quote | Trade | None:
    """Read a message of the market, None where it is of another kind.

    A bar is marked with its feed; an updated one has revision 1. Raises KeyError, TypeError,
    ValueError or AttributeError for what cannot be read.
    """
    kind = message["T"]
    if kind == QUOTE:
        return Quote(
            symbol=message["S"],
            timestamp=message["t"].to_datetime(),
            bid=float(message["bp"]),
            ask=float(message["ap"]),
            bid_size=float(message["bs"]),
            ask_size=float(message["as"]),
        )
    if kind == TRADE:
        return Trade(
            symbol=message["S"],
            timestamp=message["t"].to_datetime(),
            price=float(message["p"]),
            size=float(message["s"]),
        )
    if kind in (BAR, UPDATED_BAR, DAILY_BAR):
        return Bar(
            symbol=message["S"],
            timestamp=message["t"].to_datetime(),
            open=float(message["o"]),
            high=float(message["h"]),
            low=float(message["l"]),
            close=float(message["c"]),
            volume=float(message["v"]),
            final=kind != DAILY_BAR,
            feed=feed,
            revision=1 if kind == UPDATED_BAR else 0,
        )
    return None
