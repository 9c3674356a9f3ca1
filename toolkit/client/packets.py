"""Socket.IO v5 on a websocket, as text: what came becomes a Packet, what leaves becomes text.

Pure. Only what our protocol uses: JSON events and acks in the default namespace.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, NamedTuple

import orjson

from toolkit.errors import WireError

SHOWN = 60
# An ack's number has at most so many digits; more is garbage.
MAX_DIGITS = 15


class Kind(Enum):
    OPEN = auto()
    CLOSE = auto()
    PING = auto()
    IGNORED = auto()
    CONNECT = auto()
    CONNECT_ERROR = auto()
    DISCONNECT = auto()
    EVENT = auto()
    ACK = auto()


_ENGINE = {"0": Kind.OPEN, "1": Kind.CLOSE, "2": Kind.PING, "3": Kind.IGNORED, "6": Kind.IGNORED}
_SOCKET = {
    "0": Kind.CONNECT,
    "1": Kind.DISCONNECT,
    "2": Kind.EVENT,
    "3": Kind.ACK,
    "4": Kind.CONNECT_ERROR,
}
_LISTS = (Kind.EVENT, Kind.ACK)
_WRITE = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY

DISCONNECT = "41"


class Packet(NamedTuple):
    """`data` is the list `[name, ...]` of an event, the list of an ack, else the JSON value.

    `id` is the number of an ack, or the one under which an event wants its ack.
    """

    kind: Kind
    data: Any = None
    id: int | None = None


def decode(text: str) -> Packet:
    """Read one websocket text message; raises WireError for what is none of the protocol."""
    try:
        if text.startswith("42["):
            return _checked(Packet(Kind.EVENT, orjson.loads(text[2:])), text)
        if not text.startswith("4"):
            return _engine(text)
        kind, id_, body = _split(text)
        return _checked(Packet(kind, orjson.loads(body) if body else None, id_), text)
    except (ValueError, KeyError, IndexError):
        raise _garbage(text) from None


def connect(auth: Mapping[str, Any]) -> str:
    """Return the text that asks to be let in."""
    return f"40{_json(auth)}"


def event(name: str, body: Mapping[str, Any], *, ack: int) -> str:
    """Return the text of an event that wants the ack number `ack`; raises WireError."""
    return f"42{ack}{_json([name, body])}"


def ack(number: int) -> str:
    """Return the text of an empty ack."""
    return f"43{number}[]"


def pong(ping: str) -> str:
    """Return the text that answers an Engine.IO ping."""
    return f"3{ping[1:]}"


def _engine(text: str) -> Packet:
    kind = _ENGINE[text[0]]
    return Packet(kind, orjson.loads(text[1:]) if kind is Kind.OPEN else None)


def _split(text: str) -> tuple[Kind, int | None, str]:
    kind, end = _SOCKET[text[1]], 2
    while end < len(text) and "0" <= text[end] <= "9" and end < MAX_DIGITS + 3:
        end += 1
    return kind, int(text[2:end]) if end > 2 else None, text[end:]


def _checked(packet: Packet, text: str) -> Packet:
    data = packet.data
    if packet.kind in _LISTS and not isinstance(data, list):
        raise _garbage(text)
    if packet.kind is Kind.EVENT and not (data and isinstance(data[0], str)):
        raise _garbage(text)
    if packet.kind is Kind.ACK and packet.id is None:
        raise _garbage(text)
    return packet


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value, option=_WRITE).decode()
    except TypeError as error:
        raise WireError(f"this cannot be sent as JSON: {error}", field="body") from error


def _garbage(text: str) -> WireError:
    return WireError(f"the server sent {text[:SHOWN]!r}, which is no packet of Socket.IO")
