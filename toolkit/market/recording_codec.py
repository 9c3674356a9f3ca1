"""Our types as bytes and back, bit for bit, also when a type has got a field since.

A value is written as its type's number and its fields in order; the list of types and fields
stands at the head of every segment. Fields that a reader does not know are left out, those that
a recording does not have get their defaults.
"""

from __future__ import annotations

import struct
import typing
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from operator import attrgetter
from typing import Any

import msgpack

from toolkit.core.types import (
    Bar,
    ExitPlan,
    Fill,
    Indicators,
    MarketGap,
    Order,
    OrderRequest,
    Position,
    Quote,
    RoundTrip,
    Signal,
    Trade,
)
from toolkit.errors import DataError

FORMAT = 1
TYPES: tuple[type, ...] = (
    Bar,
    Quote,
    Trade,
    MarketGap,
    Order,
    Fill,
    OrderRequest,
    ExitPlan,
    Position,
    Indicators,
    Signal,
    RoundTrip,
)
PLAIN = -1
_DECIMAL, _OBJECT = 1, 2
_FRAME = struct.Struct("<II")  # length and CRC-32 of what follows


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that came in: `what` it is, when (nanoseconds since 1970, our clock), and it."""

    what: str
    received: int
    value: Any

    @property
    def time(self) -> datetime:
        """When it came in, cut to microseconds."""
        seconds, nanoseconds = divmod(self.received, 1_000_000_000)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000)


class Encoder:
    """Turns entries into frames; for one thread at a time."""

    def __init__(self) -> None:
        self._rows: dict[type, tuple[int, Callable[[Any], tuple[Any, ...]]]] = {
            kind: (number, attrgetter(*_names(kind))) for number, kind in enumerate(TYPES)
        }
        self._packer = msgpack.Packer(default=self._default, datetime=True)

    @property
    def schema(self) -> list[list[Any]]:
        """The types by number: `[name, [field, ...]]`."""
        return [[kind.__name__, list(_names(kind))] for kind in TYPES]

    def frame(self, what: str, received: int, value: Any) -> bytes:
        """Return one entry with its length and checksum; raises TypeError for foreign types."""
        row = self._rows.get(type(value))
        if row is None:
            payload = self._packer.pack((what, received, PLAIN, value))
        else:
            number, values = row
            payload = self._packer.pack((what, received, number, *values(value)))
        framed: bytes = _FRAME.pack(len(payload), zlib.crc32(payload)) + payload
        return framed

    def _default(self, value: Any) -> Any:
        row = self._rows.get(type(value))
        if row is not None:
            number, values = row
            return msgpack.ExtType(_OBJECT, self._pack((number, *values(value))))
        if isinstance(value, Decimal):
            return msgpack.ExtType(_DECIMAL, str(value).encode())
        if isinstance(value, datetime) and value.tzinfo is not None:
            exact = value.astimezone(UTC)
            return datetime.combine(exact.date(), exact.time(), UTC)
        if isinstance(value, Mapping):
            return dict(value)
        raise TypeError(f"{type(value).__name__} cannot be recorded")

    def _pack(self, values: Any) -> bytes:
        packed: bytes = msgpack.packb(values, default=self._default, datetime=True)
        return packed


class Decoder:
    """Reads frames back by the schema of their segment; raises DataError for unknown types."""

    def __init__(self, schema: Sequence[Sequence[Any]]) -> None:
        known = {kind.__name__: kind for kind in TYPES}
        self._makers = [
            _maker(known[name], names) if name in known else _unknown(name)
            for name, names in schema
        ]

    def entry(self, payload: bytes) -> Entry:
        """Return one entry."""
        what, received, number, *values = self._unpack(payload)
        value = values[0] if number == PLAIN else self._makers[number](values)
        return Entry(what=what, received=received, value=value)

    def _unpack(self, data: bytes) -> Any:
        return msgpack.unpackb(data, ext_hook=self._extension, timestamp=3, strict_map_key=False)

    def _extension(self, code: int, data: bytes) -> Any:
        if code == _DECIMAL:
            return Decimal(data.decode())
        number, *values = self._unpack(data)
        return self._makers[number](values)


def frames(data: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    """Yield (end, payload) of every whole and sound frame; ends before the first other one."""
    position = start
    while position + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, position)
        begin = position + _FRAME.size
        payload = data[begin : begin + length]
        if len(payload) < length or zlib.crc32(payload) != checksum:
            return
        position = begin + length
        yield position, payload


def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _maker(kind: type, names: Sequence[str]) -> Callable[[Sequence[Any]], Any]:
    known = set(_names(kind))
    hints = typing.get_type_hints(kind)
    places = [(place, name) for place, name in enumerate(names) if name in known]
    enums = [(name, enum) for _, name in places if (enum := _enum(hints[name]))]

    def make(values: Sequence[Any]) -> Any:
        found = {name: values[place] for place, name in places}
        for name, enum in enums:
            if found[name] is not None:
                found[name] = enum(found[name])
        try:
            return kind(**found)
        except TypeError as error:
            raise DataError(
                f"this recording's {kind.__name__} cannot be read by this version: {error}; "
                "read it with the version that made it",
                field=kind.__name__,
            ) from None

    return make


def _unknown(name: str) -> Callable[[Sequence[Any]], Any]:
    def make(_values: Sequence[Any]) -> Any:
        raise DataError(
            f"this recording holds {name}, which this version does not know; update the toolkit",
            field=name,
        )

    return make


def _enum(hint: Any) -> type[Enum] | None:
    options = typing.get_args(hint) or (hint,)
    return next((o for o in options if isinstance(o, type) and issubclass(o, Enum)), None)
