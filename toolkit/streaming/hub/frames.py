"""Socket.IO events as text, encoded once and shared by every client that gets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from toolkit.streaming.wire import Stream

STREAM_DATA = "stream_data"


@dataclass(slots=True, kw_only=True, eq=False)
class Frame:
    """One event as the text of a Socket.IO packet, and what the hub must know to deliver it.

    `stream` is None for control events (`connected`, `gap`, `error`...); an `urgent` one of
    them goes out even while streaming is stopped. `created` is the monotonic time of publishing,
    in seconds; 0 for what is not measured. Made once and never changed, but for what the express
    way remembers: the bytes of the WebSocket message, `packed`, and those `deflated`.
    """

    text: str
    stream: Stream | None = None
    symbol: str | None = None
    seq: int = 0
    conflate: str | None = None
    created: float = 0.0
    urgent: bool = False
    packed: bytes = field(default=b"", init=False, repr=False)
    deflated: bytes = field(default=b"", init=False, repr=False)


def event_text(name: str, data: Mapping[str, Any]) -> str:
    """Return the Socket.IO packet of one event in the default namespace."""
    return f'2["{name}",{orjson.dumps(data).decode()}]'


def control(name: str, data: Mapping[str, Any], *, urgent: bool = False) -> Frame:
    """Return a frame that belongs to no stream."""
    return Frame(text=event_text(name, data), urgent=urgent)


def gap(stream: Stream, first: int, last: int | None, reason: str) -> Frame:
    """Return the announcement that messages `first` to `last` of a stream will not come.

    `reason`: `slow` (this client's queue was full), `expired` (older than the replay ring),
    `restart` (another epoch; `last` is then None, for nobody knows it), `outage` (the server's
    workers could not be reached for longer than its backlog lasts).
    """
    return control("gap", {"stream": stream.value, "from": first, "to": last, "reason": reason})
