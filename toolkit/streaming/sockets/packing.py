"""From frames to the bytes of WebSocket messages, made once for all clients that get them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from toolkit.streaming.hub.frames import STREAM_DATA, Frame

# Bytes; smaller messages are never compressed.
THRESHOLD = 1024
WINDOW_BITS = 15
# Level 6 saves another eighth of a history of bars and takes four times as long.
LEVEL = 2
# What is written at once, and what one `stream_batch` carries at most.
CHUNK_BYTES = 65_536
BATCH_FRAMES = 128
_FINAL_TEXT, _COMPRESSED = 0x81, 0x40
_EMPTY_BLOCK = b"\x00\x00\xff\xff"
_OPENING, _CLOSING = len(f'2["{STREAM_DATA}",'), len("]")


class Chunk(NamedTuple):
    """Complete WebSocket messages that carry so many frames."""

    data: bytes
    carried: int


def pack(frames: Sequence[Frame], *, batch: bool, deflates: bool) -> list[Chunk]:
    """Return what to write: chunks of about CHUNK_BYTES, in order.

    `batch`: messages of streams that follow each other travel in one `stream_batch`;
    `deflates`: messages above THRESHOLD may be compressed.
    """
    if len(frames) == 1:
        return [Chunk(_single(frames[0], deflates=deflates), 1)]
    messages = _batched(frames, deflates=deflates) if batch else _each(frames, deflates=deflates)
    chunks: list[Chunk] = []
    parts: list[bytes] = []
    size = count = 0
    for message, carried in messages:
        parts.append(message)
        size += len(message)
        count += carried
        if size >= CHUNK_BYTES:
            chunks.append(Chunk(b"".join(parts), count))
            parts, size, count = [], 0, 0
    if parts:
        chunks.append(Chunk(b"".join(parts), count))
    return chunks


def text_message(payload: bytes, *, compressed: bool = False) -> bytes:
    """Return one WebSocket message as a server sends it, the same for every client."""
    first = _FINAL_TEXT | _COMPRESSED if compressed else _FINAL_TEXT
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def deflated(payload: bytes) -> bytes:
    """Return one compressed message (RFC 7692), which needs nothing of the ones before it."""
    encoder = zlib.compressobj(LEVEL, wbits=-WINDOW_BITS)
    data = encoder.compress(payload) + encoder.flush(zlib.Z_SYNC_FLUSH)
    return text_message(data.removesuffix(_EMPTY_BLOCK), compressed=True)


def _each(frames: Sequence[Frame], *, deflates: bool) -> Iterator[tuple[bytes, int]]:
    for frame in frames:
        yield _single(frame, deflates=deflates), 1


def _single(frame: Frame, *, deflates: bool) -> bytes:
    if not frame.packed:
        frame.packed = text_message(b"4" + frame.text.encode())
    if not deflates or len(frame.packed) <= THRESHOLD:
        return frame.packed
    if not frame.deflated:
        frame.deflated = deflated(b"4" + frame.text.encode())
    return frame.deflated


def _batched(frames: Sequence[Frame], *, deflates: bool) -> Iterator[tuple[bytes, int]]:
    for kind, run in groupby(frames, key=_kind):
        if kind is None:
            yield from _each(list(run), deflates=deflates)
            continue
        for part in _split(run):
            if len(part) == 1:
                yield _single(part[0], deflates=deflates), 1
            else:
                # Live messages are never compressed: ticks would pay for it in latency.
                yield _batch(part, deflates=deflates and kind == "past"), len(part)


def _kind(frame: Frame) -> str | None:
    if frame.stream is None:
        return None
    return "live" if frame.created else "past"


def _split(frames: Iterator[Frame]) -> Iterator[list[Frame]]:
    part: list[Frame] = []
    size = 0
    for frame in frames:
        if part and (len(part) == BATCH_FRAMES or size + len(frame.text) > CHUNK_BYTES):
            yield part
            part, size = [], 0
        part.append(frame)
        size += len(frame.text)
    yield part


def _batch(frames: Sequence[Frame], *, deflates: bool) -> bytes:
    bodies = ",".join([frame.text[_OPENING:-_CLOSING] for frame in frames])
    payload = f'42["stream_batch",[{bodies}]]'.encode()
    return deflated(payload) if deflates and len(payload) > THRESHOLD else text_message(payload)
