"""What is wrong with a packet of Engine.IO and Socket.IO, before either sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from toolkit.errors import WireError

# python-engineio refuses more packets in one long-polling body.
MAX_PACKETS = 16
# What we could just read, deeper in the stack Engine.IO could not.
MAX_DEPTH = 32
_MESSAGE = re.compile(r"4([0-3])(?:(/[^,]*),)?([0-9]{0,15})(.*)", re.DOTALL)
_CONTROL = re.compile(r"[1356]|[23](probe)?")
# python-socketio would take these for its own.
RESERVED = frozenset({"connect", "disconnect", "*"})
# Engine.IO ends the session for these, and waits in vain for somebody to be told.
POLLING_REFUSES = frozenset({"2", "6"})
CONNECT, DISCONNECT, EVENT, ACK = "0", "1", "2", "3"


def frame_problem(text: str, *, max_size: int) -> WireError | None:
    """Return what is wrong with one Engine.IO packet, None when nothing is."""
    if len(text) > max_size or len(text.encode("utf-8", "replace")) > max_size:
        return too_large(max_size)
    if _CONTROL.fullmatch(text):
        return None
    match = _MESSAGE.fullmatch(text)
    if match is None:
        return WireError("this is no Engine.IO packet with a Socket.IO message", field="message")
    kind, namespace, number, body = match.groups()
    if namespace not in (None, "/") and kind != CONNECT:
        return WireError(f"namespace is {namespace[:100]!r}; allowed: /", field="namespace")
    try:
        data = json.loads(body, parse_constant=_refused, parse_int=_integer) if body else None
    except (ValueError, RecursionError):
        return WireError("the message's data is not valid JSON", field="message")
    if _has_half_characters(body, data):
        return WireError("the data holds half of a surrogate pair", field="message")
    if _is_deep(body, data):
        return WireError(f"the data is nested deeper than {MAX_DEPTH} levels", field="message")
    return _data_problem(kind, number, data)


def body_problem(body: bytes, *, max_size: int) -> WireError | None:
    """Return what is wrong with the body of a long-polling POST, None when nothing is."""
    if len(body) > max_size:
        return too_large(max_size)
    try:
        packets = body.decode().split("\x1e")
    except UnicodeDecodeError:
        return WireError("the body is not UTF-8 text", field="message")
    if len(packets) > MAX_PACKETS:
        return WireError(f"more than {MAX_PACKETS} packets in one body", field="message")
    if any(packet[:1] in POLLING_REFUSES for packet in packets):
        return WireError("a ping, its probe or a noop is not posted by a client", field="message")
    problems = (frame_problem(packet, max_size=max_size) for packet in packets)
    return next((problem for problem in problems if problem), None)


def ack_number(text: str) -> str | None:
    """Return the number under which the sender of an event awaits the answer, None without one."""
    match = _MESSAGE.match(text)
    return match[3] or None if match and match[1] == EVENT else None


def too_large(limit: int) -> WireError:
    """Return the refusal of a message over `limit` bytes."""
    return WireError(
        f"the message is too large; allowed: {limit} bytes", field="message", allowed=limit
    )


def _data_problem(kind: str, number: str, data: Any) -> WireError | None:
    if kind == DISCONNECT and (number or data is not None):
        return WireError("a goodbye carries nothing", field="message")
    if kind == CONNECT and not (data is None or isinstance(data, dict)):
        return WireError("auth must be an object: {token, last_seen?}", field="auth")
    if kind == EVENT and not (isinstance(data, list) and data and isinstance(data[0], str)):
        return WireError("an event must be a list that begins with its name", field="event")
    if kind == EVENT and data[0] in RESERVED:
        return WireError(f"no client may send the event {data[0]!r}", field="event")
    if kind == ACK and not (isinstance(data, list) and number):
        return WireError("an ack needs a number and a list", field="ack")
    return None


def _has_half_characters(text: str, data: Any) -> bool:
    # Only an escape can make one; it could not be sent back in any answer.
    if "\\ud" not in text.lower():
        return False
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _is_deep(text: str, data: Any) -> bool:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    level = [data]
    for _ in range(MAX_DEPTH):
        level = [child for value in level for child in _children(value)]
    return bool(level)


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _refused(name: str) -> None:
    raise ValueError(name)


def _integer(digits: str) -> int:
    # Engine.IO refuses longer ones with a traceback.
    if len(digits) > 100:
        raise ValueError("integer is too large")
    return int(digits)
