"""What a client hands to handlers and iterators: the wire's objects, with names for their parts."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from toolkit.streaming.wire import parse_time


class Message(dict[str, Any]):
    """One `stream_data` message as it came, `message["data"]["price"]`, or `message.data`."""

    __slots__ = ()

    @property
    def stream_type(self) -> str:
        """Name of the stream."""
        return str(self["stream_type"])

    @property
    def symbol(self) -> str | None:
        """Symbol, None for messages about everything."""
        symbol: str | None = self["symbol"]
        return symbol

    @property
    def seq(self) -> int:
        """Number within the stream; of a snapshot, the number it is current to."""
        return int(self["seq"])

    @property
    def prev(self) -> int:
        """Number of the message before it of the same stream and symbol, 0 for none."""
        return int(self["prev"])

    @property
    def data(self) -> dict[str, Any]:
        """The event itself; `data["kind"]` says which."""
        data: dict[str, Any] = self["data"]
        return data

    @property
    def timestamp(self) -> datetime:
        """Time of the event, UTC-aware (of a bar: its open)."""
        return parse_time(self["timestamp"])

    @property
    def snapshot(self) -> bool:
        """Whether this is the state at subscription rather than news."""
        return bool(self.get("snapshot"))


class Gap(dict[str, Any]):
    """Messages of one stream that will not come: `{stream, from, to, reason}`.

    `to` is None when nobody knows (a restarted server). Reasons: `slow`, `expired`, `restart`
    (said by the server), `missing` (seen by the client), `lagging` (an iterator fell behind).
    """

    __slots__ = ()

    @classmethod
    def of(cls, stream: str, first: int, last: int | None, reason: str) -> Self:
        """Return the gap from `first` to `last`, both included."""
        return cls({"stream": stream, "from": first, "to": last, "reason": reason})

    @property
    def stream(self) -> str:
        """Name of the stream."""
        return str(self["stream"])

    @property
    def first(self) -> int:
        """Number of the first message that is missing."""
        return int(self["from"])

    @property
    def last(self) -> int | None:
        """Number of the last message that is missing."""
        last: int | None = self["to"]
        return last

    @property
    def reason(self) -> str:
        """Why."""
        return str(self["reason"])
