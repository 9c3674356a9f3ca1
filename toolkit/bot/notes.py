"""What a bot writes down besides orders: commands, parameters, gates, errors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from toolkit.core.gates import GateReason
from toolkit.core.types import Bar, MarketGap, Signal

log = logging.getLogger(__name__)

Note = Callable[[str, str, Mapping[str, Any]], None]


class Notes:
    """Writes through `note(kind, who, data)`, None where there is no journal.

    A journal that fails is told to `on_failure(reason)`, once until it writes again.
    """

    def __init__(self, note: Note | None, *, on_failure: Callable[[str], None]) -> None:
        self._note, self._on_failure = note, on_failure
        self._failed = False
        self._told: tuple[GateReason, ...] = ()

    def close(self) -> None:
        """Write nothing more: the journal is let go."""
        self._note = None

    def write(self, kind: str, who: str, data: Mapping[str, Any]) -> None:
        """Write something down."""
        if self._note is None:
            return
        try:
            self._note(kind, who, data)
        except Exception as error:
            log.exception("the journal failed")
            if not self._failed:
                self._failed = True
                self._on_failure(f"the journal failed: {error}")
        else:
            self._failed = False

    def gates(self, closed: tuple[GateReason, ...]) -> None:
        """Write down what has changed since the last call."""
        before, self._told = self._told, closed
        for gate in closed:
            if gate not in before:
                self.write("gate", "bot", _data(gate, closed=True))
        still = {(gate.gate, gate.symbol) for gate in closed}
        for gate in before:
            if (gate.gate, gate.symbol) not in still:
                self.write("gate", "bot", _data(gate, closed=False))


def gap_note(gap: MarketGap) -> dict[str, Any]:
    """Return what is written down of bars that were given up."""
    return {
        "symbol": gap.symbol,
        "after": gap.after.isoformat(),
        "before": gap.before.isoformat(),
        "missing": gap.missing,
    }


def refusal_note(signal: Signal) -> dict[str, Any]:
    """Return what is written down of an entry that was not made; `bar` was decided on."""
    return {
        "symbol": signal.symbol,
        "bar": signal.timestamp.isoformat(),
        "reason": signal.refusal,
        "price": signal.price,
    }


def revision_note(bar: Bar, *, seen: Bar | None, decided: bool) -> dict[str, Any]:
    """Return what is written down of a bar that came again: as it was seen first, and is now.

    `seen` None: it came after its successor, or too long ago.
    """
    return {
        "symbol": bar.symbol,
        "bar": bar.timestamp.isoformat(),
        "decided": decided,
        "close": bar.close,
        "revision": bar.revision,
        "seen": _prices(seen) if seen is not None else None,
        "now": _prices(bar),
    }


def _prices(bar: Bar) -> dict[str, float]:
    names = ("open", "high", "low", "close", "volume")
    return {name: getattr(bar, name) for name in names}


def _data(gate: GateReason, *, closed: bool) -> dict[str, Any]:
    return {"gate": gate.gate.value, "closed": closed, "symbol": gate.symbol, "reason": gate.reason}
