"""A recording as it is played: its entries one by one, and what they say beside the market."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from toolkit.core.gates import Gate
from toolkit.core.types import Order, OrderUpdate, Position, RoundTrip, Signal
from toolkit.market.recording_codec import Entry

# What is applied wherever it stands; everything else has its place in the play.
_ASIDES = frozenset({"update", "positions", "orders", "signal", "trip"})
_SHOWN_DIFFERENCES = 20


class Script:
    """The entries in order, and the state that they have led to so far.

    `differences` says where the play left the recording, the first ones in words.
    """

    def __init__(self, entries: Iterator[Entry]) -> None:
        self._entries = entries
        self._ahead: deque[Entry] = deque()
        # Whether the bot is at the event that was played last, or waits for the next.
        self.in_turn = False
        self._gates: dict[tuple[Gate, str | None], str] = {}
        self.positions: tuple[Position, ...] = ()
        self.orders: tuple[Order, ...] = ()
        self.signals: deque[Signal] = deque()
        self.trips: deque[RoundTrip] = deque()
        self.on_update: Callable[[OrderUpdate], None] = lambda _update: None
        self.differences: list[str] = []
        self.done = 0
        first = self.peek()
        self.now = first.time if first is not None else datetime.fromtimestamp(0, UTC)

    @property
    def gates(self) -> Mapping[tuple[Gate, str | None], str]:
        """The gates that were closed here, with their reasons."""
        if self.in_turn:
            self._foresee()
        return self._gates

    def differs(self, text: str) -> None:
        """Note that the play and the recording disagree."""
        if len(self.differences) < _SHOWN_DIFFERENCES:
            self.differences.append(f"{self.now.isoformat()}: {text}")

    def peek(self) -> Entry | None:
        """Return the next entry and leave it there; None at the end."""
        if not self._ahead:
            found = next(self._entries, None)
            if found is None:
                return None
            self._ahead.append(found)
        return self._ahead[0]

    def take(self) -> Entry | None:
        """Return the next entry, and set the clock to it."""
        entry = self.peek()
        if entry is not None:
            self._ahead.popleft()
            self.now = entry.time
            self.done += 1
        return entry

    def is_aside(self, entry: Entry) -> bool:
        """Whether an entry is applied where it stands."""
        return entry.what in _ASIDES or (entry.what == "note" and entry.value["kind"] != "command")

    def apply(self, entry: Entry) -> None:
        """Let an aside have its effect."""
        match entry.what:
            case "update":
                self.on_update(entry.value)
            case "positions":
                self.positions = tuple(entry.value)
            case "orders":
                self.orders = tuple(entry.value)
            case "signal":
                self.signals.append(entry.value)
            case "trip":
                self.trips.append(entry.value)
            case "note" if is_gate(entry):
                self._on_gate(entry.value["data"])

    def apply_asides(self) -> Entry | None:
        """Apply what stands before the next entry that has its place; returns that one."""
        while (entry := self.peek()) is not None and self.is_aside(entry):
            self.take()
            self.apply(entry)
        return entry

    def apply_until_seen(self) -> None:
        """Apply what a broker did while it looked at a bar or tick, if it did anything."""
        place = 0
        while (entry := self._at(place)) is not None and self.is_aside(entry):
            place += 1
        if entry is not None and entry.what == "seen":
            self.apply_asides()
            self.take()

    def _foresee(self) -> None:
        """Let the gates that the bot found at this event be as it found them.

        It looks at them in its turn, and what it found was noted after that.
        """
        found: list[Mapping[str, object]] = []
        place, decided = 0, False
        while (entry := self._at(place)) is not None:
            if entry.what == "taken":
                for data in found:
                    self._on_gate(data)
                return
            if entry.what == "market":
                return
            decided |= entry.what == "submit"
            if is_gate(entry) and not decided:
                found.append(entry.value["data"])
            place += 1

    def _at(self, place: int) -> Entry | None:
        while len(self._ahead) <= place:
            found = next(self._entries, None)
            if found is None:
                return None
            self._ahead.append(found)
        return self._ahead[place]

    def _on_gate(self, data: Mapping[str, object]) -> None:
        symbol = data.get("symbol")
        key = (Gate(str(data["gate"])), None if symbol is None else str(symbol))
        if data.get("closed"):
            self._gates[key] = str(data.get("reason", ""))
        else:
            self._gates.pop(key, None)


def is_gate(entry: Entry) -> bool:
    """Whether an entry says that a gate closed or opened."""
    return entry.what == "note" and entry.value["kind"] == "gate"
