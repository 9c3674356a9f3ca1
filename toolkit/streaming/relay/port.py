"""What owner and workers of a cluster say to each other, and the port that carries it.

One log: the owner appends batches of numbered entries, every worker reads all of them in order.
Beside it, boxes: bounded queues of requests to the owner and of answers to one worker.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from toolkit.streaming.hub.frames import Frame
from toolkit.streaming.wire import Stream

OWNER = "owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A frame at its place in the log.

    `before` is the seq of the lossless frame before this one in its stream, so that a worker
    sees what it missed. `slot` is what the message is the latest state of, None for what a
    newcomer need not know; `ends` are slots that it makes obsolete. A `quiet` one is for
    newcomers only: it has no number of its own in its stream.
    """

    number: int
    frame: Frame
    before: int
    slot: str | None = None
    ends: tuple[str, ...] = ()
    quiet: bool = False

    @property
    def conflate(self) -> str | None:
        """Messages with the same key replace each other while the relay is away."""
        return self.frame.conflate

    @property
    def lossless(self) -> Stream | None:
        """The stream that must not lose this message."""
        return self.frame.stream if self.frame.conflate is None else None

    def to_list(self) -> list[Any]:
        """Return the JSON-ready form that `entry_from_list` reads."""
        frame = self.frame
        return [
            self.number,
            frame.stream.value if frame.stream else None,
            frame.symbol,
            frame.seq,
            frame.conflate,
            frame.created,
            frame.text,
            self.before,
            self.slot,
            self.ends,
            self.quiet,
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """The owner lives; `lossless` is the last such seq of each stream, `controls` are in force."""

    number: int
    lossless: Mapping[Stream, int]
    controls: Mapping[str, Any]
    conflate: str = "pulse"

    def to_list(self) -> list[Any]:
        """Return the JSON-ready form that `entry_from_list` reads."""
        lossless = {stream.value: seq for stream, seq in self.lossless.items()}
        return [self.number, lossless, dict(self.controls)]


Entry = Message | Pulse


def entry_from_list(values: Sequence[Any]) -> Entry:
    """Read what `to_list` gave."""
    if len(values) == 3:
        number, lossless, controls = values
        return Pulse(
            number=number,
            lossless={Stream(name): seq for name, seq in lossless.items()},
            controls=controls,
        )
    number, stream, symbol, seq, conflate, created, text, before, slot, ends, quiet = values
    frame = Frame(
        text=text,
        stream=Stream(stream),
        symbol=symbol,
        seq=seq,
        conflate=conflate,
        created=created,
    )
    return Message(
        number=number, frame=frame, before=before, slot=slot, ends=tuple(ends), quiet=quiet
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """An entry encoded once; `stream` is the one that must not lose it, None if it conflates.

    Entries with the same `conflate` replace each other while the relay is away.
    """

    number: int
    body: bytes
    stream: Stream | None
    conflate: str | None

    @classmethod
    def of(cls, entry: Entry) -> Packed:
        """Encode an entry."""
        return cls(
            number=entry.number,
            body=orjson.dumps(entry.to_list()),
            stream=entry.lossless if isinstance(entry, Message) else None,
            conflate=entry.conflate,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Entries that were appended at once: after the one numbered `after`, up to `end`."""

    after: int
    end: int
    body: bytes

    @property
    def entries(self) -> list[Entry]:
        """The entries, in order."""
        return [entry_from_list(values) for values in orjson.loads(self.body)]


def join(items: Collection[Packed]) -> bytes:
    """Return the body of a batch."""
    return b"[" + b",".join(item.body for item in items) + b"]"


class Relay(Protocol):
    """The way between owner and workers; every method raises RelayError while it is broken.

    Numbers begin at 1 and grow; an append happens whole or not at all.
    """

    async def append(self, items: Sequence[Packed], *, after: int, keep_from: int) -> int:
        """Add `items` if the log ends at `after`; return the number at which it ends now.

        A returned number that is not the last of `items` says that nothing was added: the log
        was elsewhere. Lossless entries from `keep_from` on stay readable by `kept`.
        """
        ...

    async def read(self, *, after: int, wait: float) -> list[Batch]:
        """Return batches that end after that number, oldest first; wait up to `wait` seconds."""
        ...

    async def kept(self, *, after: int) -> list[Batch]:
        """Return the next batches that end after that number, with their lossless entries only."""
        ...

    async def end(self) -> int:
        """Return the number of the log's last entry, 0 when it is empty."""
        ...

    async def send(self, box: str, body: bytes) -> None:
        """Put a request or an answer into a box; the oldest goes when there are too many."""
        ...

    async def receive(self, box: str, *, wait: float) -> list[bytes]:
        """Take what is in a box; wait up to `wait` seconds for something."""
        ...

    async def clear(self) -> None:
        """Delete the log and all boxes."""
        ...

    async def close(self) -> None:
        """Release the connection."""
        ...
