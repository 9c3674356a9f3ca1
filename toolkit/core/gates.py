"""Why no entries are made: one reason for each thing that may stand in the way. Exits always go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Gate(StrEnum):
    """What can close; in this order the first closed one names the reason."""

    HALT = "halt"  # the kill switch
    ERROR = "error"  # something unexpected: a person has to look
    COMMAND = "command"  # somebody stopped entries
    RECONCILIATION = "reconciliation"  # broker and journal differ
    ORDERS = "orders"  # the order stream is down, or an outcome is unknown
    BROKER = "broker"  # the broker's API does not answer
    FEED = "feed"  # the market data is mute or refused
    CLOCK = "clock"  # our clock is off
    MARKET = "market"  # the market is closed
    LOSS = "loss"  # daily loss or drawdown
    EXPOSURE = "exposure"  # position or exposure at its limit
    RATE = "rate"  # too many orders


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReason:
    """One closed gate; `symbol` None closes it for all."""

    gate: Gate
    reason: str
    since: datetime
    symbol: str | None = None


class Gates:
    """The gates of one bot. Each is opened by whoever closed it."""

    def __init__(self) -> None:
        self._closed: dict[tuple[Gate, str | None], GateReason] = {}

    def close(self, gate: Gate, reason: str, *, now: datetime, symbol: str | None = None) -> bool:
        """Close a gate; True when that, or its reason, is new."""
        key = (gate, symbol)
        known = self._closed.get(key)
        if known is not None and known.reason == reason:
            return False
        since = known.since if known is not None else now
        self._closed[key] = GateReason(gate=gate, reason=reason, since=since, symbol=symbol)
        return True

    def open(self, gate: Gate, *, symbol: str | None = None) -> bool:
        """Open a gate; True when it was closed."""
        return self._closed.pop((gate, symbol), None) is not None

    def set(self, gate: Gate, reason: str, *, now: datetime, symbol: str | None = None) -> bool:
        """Close for a reason, open for an empty one; True when something changed."""
        if reason:
            return self.close(gate, reason, now=now, symbol=symbol)
        return self.open(gate, symbol=symbol)

    def reason(self, symbol: str | None = None) -> str:
        """Return why no entry may be made in a symbol; empty when one may."""
        if not self._closed:
            return ""
        for gate in Gate:
            for key in ((gate, None), (gate, symbol)):
                if key in self._closed:
                    return self._closed[key].reason
        return ""

    @property
    def all_open(self) -> bool:
        """Whether nothing is closed."""
        return not self._closed

    @property
    def closed(self) -> tuple[GateReason, ...]:
        """All closed gates, gravest first."""
        order = list(Gate)
        found = sorted(self._closed.items(), key=lambda i: (order.index(i[0][0]), i[0][1] or ""))
        return tuple(reason for _, reason in found)

    @property
    def by_gate(self) -> Mapping[Gate, str]:
        """The reasons that hold for all symbols."""
        return {gate: r.reason for (gate, symbol), r in self._closed.items() if symbol is None}
