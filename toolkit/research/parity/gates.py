"""The gates of a session as they were told: which were closed, and since when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from toolkit.core.gates import Gate
from toolkit.research.parity.session import Cause

AWAY = frozenset({Gate.FEED, Gate.BROKER, Gate.ORDERS})
Span = tuple[datetime, datetime, str]


class GateLog:
    """Follows notes of gates; what FEED, BROKER and ORDERS close is an outage."""

    def __init__(self) -> None:
        self._closed: dict[tuple[Gate, str | None], str] = {}
        self._since: tuple[datetime, str] | None = None
        self._spans: list[Span] = []

    def take(self, data: Mapping[str, Any], *, at: datetime) -> None:
        """Take a note: `gate`, `closed`, `symbol`, `reason`; gates of newer versions are left."""
        try:
            gate = Gate(str(data["gate"]))
        except ValueError:
            return
        symbol = data.get("symbol")
        key = (gate, None if symbol is None else str(symbol))
        if data.get("closed"):
            self._closed[key] = str(data.get("reason", ""))
        else:
            self._closed.pop(key, None)
        away = [reason for (gate, _), reason in self._closed.items() if gate in AWAY]
        if away and self._since is None:
            self._since = (at, away[0])
        elif not away and self._since is not None:
            begin, why = self._since
            self._spans.append((begin, at, why))
            self._since = None

    def reason(self, symbol: str) -> tuple[Cause | None, str]:
        """Return why no entry could be made in a symbol; (None, "") where one could."""
        for gate in Gate:
            for key in ((gate, None), (gate, symbol)):
                if key in self._closed:
                    cause = Cause.OUTAGE if gate in AWAY else Cause.GATE_CLOSED
                    return cause, f"gate {gate.value}: {self._closed[key]}"
        return None, ""

    def outages(self, *, until: datetime) -> tuple[Span, ...]:
        """Return the spans of outages; one that lasts ends `until`."""
        lasting = [(self._since[0], until, self._since[1])] if self._since is not None else []
        return tuple(span for span in (*self._spans, *lasting) if span[0] <= span[1])

    def was_away(self, begin: datetime, end: datetime) -> bool:
        """Whether there was an outage between two times."""
        return any(first <= end and last >= begin for first, last, _ in self.outages(until=end))
