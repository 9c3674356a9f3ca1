"""The closed gates of a health message as people read them; pure functions of the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from toolkit.core.gates import Gate
from toolkit.streaming.wire import parse_time

Data = Mapping[str, Any]

TITLES: Mapping[str, str] = {
    Gate.HALT: "Halt",
    Gate.ERROR: "Error",
    Gate.COMMAND: "Stopped",
    Gate.RECONCILIATION: "Reconciliation",
    Gate.ORDERS: "Orders",
    Gate.BROKER: "Broker",
    Gate.FEED: "Feed",
    Gate.CLOCK: "Clock",
    Gate.MARKET: "Market",
    Gate.LOSS: "Loss limit",
    Gate.EXPOSURE: "Exposure limit",
    Gate.RATE: "Order rate",
}
GRAVE = frozenset({Gate.HALT, Gate.ERROR, Gate.RECONCILIATION, Gate.ORDERS, Gate.LOSS})
"""Gates that want a person's eye; the others open by themselves as a rule."""

_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLine:
    """One thing that keeps entries out; no `symbols` means all. `since` is UTC."""

    gate: str
    title: str
    reason: str
    since: datetime
    symbols: tuple[str, ...] = ()

    @property
    def grave(self) -> bool:
        """Whether a person should look."""
        return self.gate in GRAVE

    @property
    def sentence(self) -> str:
        """The reason, with the symbols where it does not name them."""
        if not self.symbols or self.symbols[0] in self.reason:
            return self.reason
        return f"{listed(self.symbols)}: {self.reason}"


def gate_lines(health: Data | None, symbol: str | None = None) -> list[GateLine]:
    """Return what keeps entries out, gravest first; with a `symbol`, only what concerns it.

    Symbols that a gate holds back for the same reason share one line.
    """
    groups: dict[tuple[str, str], list[Data]] = {}
    for gate in (health or {}).get("gates", ()):
        own = gate.get("symbol")
        if symbol is None or own in (None, symbol):
            told = str(gate["reason"]).replace(own, "{}") if own else str(gate["reason"])
            groups.setdefault((gate["gate"], told), []).append(gate)
    return [_line(group) for group in groups.values()]


def has_gate(health: Data | None, *gates: Gate) -> bool:
    """Whether one of these gates is closed for all symbols."""
    closed = (health or {}).get("gates", ())
    return any(gate["gate"] in gates and gate.get("symbol") is None for gate in closed)


def listed(names: Iterable[str]) -> str:
    """Return names with commas, the first few of many."""
    names = list(names)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED + 1 else ""
    return ", ".join(names[:_NAMED] if more else names) + more


def since_text(since: datetime, *, now: datetime | None = None) -> str:
    """Return a time of today as `14:02:11 UTC`, of another day with its date."""
    today = (now or datetime.now(UTC)).date()
    form = "%H:%M:%S UTC" if since.date() == today else "%d %b %H:%M UTC"
    return since.strftime(form)


def _line(group: list[Data]) -> GateLine:
    first = group[0]
    symbols = tuple(str(gate["symbol"]) for gate in group if gate.get("symbol"))
    reason = str(first["reason"])
    if len(symbols) > 1:
        reason = reason.replace(symbols[0], listed(symbols))
    return GateLine(
        gate=str(first["gate"]),
        title=TITLES.get(first["gate"], str(first["gate"]).capitalize()),
        reason=reason,
        since=min(parse_time(gate["since"]) for gate in group),
        symbols=symbols,
    )
