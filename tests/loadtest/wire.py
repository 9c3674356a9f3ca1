"""Bytes as a server sends them, for the kernel's tests."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from toolkit.loadtest.kernel import scan
from toolkit.loadtest.wires import Wires

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = 1_767_364_200_123_456  # 2026-01-02T14:30:00.123456Z


def rfc3339(micros: int) -> str:
    return (EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")


def message(
    seq: int, prev: int, *, symbol: int = 0, published: int = NOW, note: str = ""
) -> dict[str, Any]:
    name = f"L{symbol:03d}"
    return {
        "stream_type": "market_data",
        "symbol": name,
        "seq": seq,
        "prev": prev,
        "epoch": "0123456789abcdef",
        "timestamp": rfc3339(published),
        "published": rfc3339(published),
        "data": {"symbol": name, "price": 100.25, "seq": 7, "note": note, "list": [1, {"a": "]"}]},
    }


def text_of(name: str, value: Any) -> bytes:
    return b"42" + json.dumps([name, value], separators=(",", ":")).encode()


def frame(payload: bytes, *, first: int = 0x81) -> bytes:
    size = len(payload)
    if size < 126:
        return struct.pack(">BB", first, size) + payload
    if size < 1 << 16:
        return struct.pack(">BBH", first, 126, size) + payload
    return struct.pack(">BBQ", first, 127, size) + payload


def single(body: dict[str, Any]) -> bytes:
    return frame(text_of("stream_data", body))


def batch(bodies: Sequence[dict[str, Any]]) -> bytes:
    return frame(text_of("stream_batch", list(bodies)))


def feed(wires: Wires, data: bytes, *, connection: int = 0, now: int = NOW) -> int:
    """Let the kernel see these bytes after what it has not finished."""
    filled = int(wires.filled[connection])
    wires.rests[connection, filled : filled + len(data)] = np.frombuffer(data, np.uint8)
    wires.filled[connection] = filled + len(data)
    return int(scan(wires, connection, now))
