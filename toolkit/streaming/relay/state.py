"""What a newcomer must know, built from messages alone: the same on every worker of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import orjson

from toolkit.core.types import OrderStatus
from toolkit.streaming.relay.port import Entry, Message, Pulse, entry_from_list
from toolkit.streaming.wire import Payload, Stream, parse_time

# The order in which the bot's own snapshot lists them.
_RANKS = ("health", "parameters", "bar", "quote", "forming", "account", "position", "order")
_LAST = len(_RANKS)


def place(item: Payload) -> tuple[str | None, tuple[str, ...]]:
    """Return what the message is the latest state of, None if of nothing, and what it ends."""
    kind, data = item.kind, item.data
    match kind:
        case "bar" if data.get("revision"):
            return None, ()  # a correction tells of a bar that may not be the last
        case "bar" if data["final"]:
            return f"bar:{item.symbol}", (f"forming:{item.symbol}",)
        case "bar":
            return f"forming:{item.symbol}", ()
        case "quote":
            return f"quote:{item.symbol}", ()
        case "position":
            return _while(float(data["quantity"]) != 0, f"position:{item.symbol}")
        case "order":
            return _while(OrderStatus(data["status"]).is_open, f"order:{data['id']}")
        case "account" | "parameters" | "performance" | "health":
            return kind, ()
    return None, ()


def _while(lasting: bool, slot: str) -> tuple[str | None, tuple[str, ...]]:
    return (slot, ()) if lasting else (None, (slot,))


class State:
    """All messages of one epoch up to `number`, as far as a newcomer needs them.

    Pure. `seq` is the last number of each stream, `last` that of each stream and symbol,
    `lossless` that of each stream's last message that must not be lost.
    """

    def __init__(self) -> None:
        self.number = 0
        self.seq = dict.fromkeys(Stream, 0)
        self.lossless = dict.fromkeys(Stream, 0)
        self.last: dict[tuple[Stream, str | None], int] = {}
        self.controls: dict[str, Any] = {}
        self._slots: dict[str, Message] = {}
        self._payloads: dict[str, Payload] = {}

    def apply(self, entry: Entry) -> None:
        """Follow the next entry of the log."""
        self.number = entry.number
        if isinstance(entry, Pulse):
            self.controls = dict(entry.controls)
            return
        if not entry.quiet:
            self._count(entry)
        for slot in entry.ends:
            self._slots.pop(slot, None)
            self._payloads.pop(slot, None)
        if entry.slot is not None:
            self._slots[entry.slot] = entry
            self._payloads.pop(entry.slot, None)

    def _count(self, entry: Message) -> None:
        frame = entry.frame
        assert frame.stream is not None, "the log holds messages of streams"
        self.seq[frame.stream] = self.last[frame.stream, frame.symbol] = frame.seq
        if entry.lossless is not None:
            self.lossless[entry.lossless] = frame.seq

    def payloads(self) -> list[Payload]:
        """Return the state as of now, in the order of the bot's own snapshot."""
        slots = sorted(self._slots, key=_rank)
        return [self._payload(slot) for slot in slots]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form that `from_dict` reads."""
        return {
            "number": self.number,
            "seq": {stream.value: seq for stream, seq in self.seq.items()},
            "lossless": {stream.value: seq for stream, seq in self.lossless.items()},
            "last": [[stream.value, symbol, seq] for (stream, symbol), seq in self.last.items()],
            "controls": self.controls,
            "slots": [message.to_list() for message in self._slots.values()],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave."""
        state = cls()
        state.number = values["number"]
        state.seq |= _by_stream(values["seq"])
        state.lossless |= _by_stream(values["lossless"])
        state.last = {(Stream(name), symbol): seq for name, symbol, seq in values["last"]}
        state.controls = dict(values["controls"])
        for message in map(entry_from_list, values["slots"]):
            if isinstance(message, Message) and message.slot is not None:
                state._slots[message.slot] = message
        return state

    def _payload(self, slot: str) -> Payload:
        if slot not in self._payloads:
            self._payloads[slot] = _read(self._slots[slot])
        return self._payloads[slot]


def _by_stream(values: Mapping[str, int]) -> dict[Stream, int]:
    return {Stream(name): seq for name, seq in values.items()}


def _rank(slot: str) -> int:
    kind = slot.partition(":")[0]
    return _RANKS.index(kind) if kind in _RANKS else _LAST


def _read(message: Message) -> Payload:
    _name, body = orjson.loads(message.frame.text[1:])
    data: dict[str, Any] = body["data"]
    if data["kind"] == "parameters":
        # A newcomer learns the values in force, not who changed them last.
        data |= {"who": "snapshot", "old": {}, "new": {}}
    return Payload(
        stream=Stream(body["stream_type"]),
        symbol=body["symbol"],
        kind=data["kind"],
        timestamp=parse_time(body["timestamp"]),
        data=data,
        conflate=message.conflate,
    )
