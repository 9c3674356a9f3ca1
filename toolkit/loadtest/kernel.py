"""Receives and checks messages in compiled code: WebSocket frames, order, loss, latency.

Knows as much of JSON as the wire schema needs: objects without white space whose keys are told
apart by length and first letter. Symbols are a letter and their index: `L042`. A message that is
byte for byte one that was read before, for another client, is not read again. First all messages
of a buffer are read, then all are accounted for: a compiled function counts references to each
array that it is handed, which costs more than a message, so none is called for each. All in one
file, for numba's cache does not notice changes in others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from toolkit.core.compiled import compiled, part
from toolkit.loadtest.latency import compiled_bucket_of
from toolkit.loadtest.wires import (
    CLOSED,
    DOUBTFUL,
    FINE,
    FRAGMENTED,
    KNOWN,
    KNOWN_SIZE,
    NOT_UNDERSTOOD,
    RECENT,
    TOO_LARGE,
    Wires,
)

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Message = tuple[int, int, int, int, int]

# From the C library, which Linux and macOS load into every process.
_recv = types.ExternalFunction(
    "recv", types.intp(types.int32, types.uintp, types.uintp, types.int32)
)
_memcmp = types.ExternalFunction("memcmp", types.int32(types.uintp, types.uintp, types.uintp))
_clock_gettime = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.uintp))
CLOCK_REALTIME = 0

TEXT, CLOSE = 0x81, 0x88
MASKED = 128
SINGLE = np.frombuffer(b'42["stream_data",', np.uint8)
BATCH = np.frombuffer(b'42["stream_batch",[', np.uint8)
# Where `seq` stands in a message: what tells one from another.
TELLING_FROM, TELLING_TO = 66, 78
QUOTE, BACKSLASH, COMMA, COLON, POINT = (ord(c) for c in '"\\,:.')
OPEN_BRACE, CLOSE_BRACE, OPEN_LIST, CLOSE_LIST = (ord(c) for c in "{}[]")
ZERO, NINE, PING = ord("0"), ord("9"), ord("2")
LETTER_P, LETTER_S, LETTER_Z = ord("p"), ord("s"), ord("Z")


@part
def _escaped(row: Bytes, i: int) -> bool:
    before = i - 1
    while before >= 0 and row[before] == BACKSLASH:
        before -= 1
    return (i - before) % 2 == 0


@part
def _string_end(row: Bytes, i: int, end: int) -> int:
    # Two loops, for the inner one is then five times as fast.
    while True:
        while i < end and row[i] != QUOTE:
            i += 1
        if i >= end or not _escaped(row, i):
            return i
        i += 1


@part
def _value_end(row: Bytes, i: int, end: int) -> int:
    if row[i] == QUOTE:
        return _string_end(row, i + 1, end) + 1
    depth = 0
    while i < end:
        byte = row[i]
        if byte == QUOTE:
            i = _string_end(row, i + 1, end)
        elif byte in (OPEN_BRACE, OPEN_LIST):
            depth += 1
        elif byte in (CLOSE_BRACE, CLOSE_LIST):
            if depth <= 1:
                return i + depth
            depth -= 1
        elif byte == COMMA and depth == 0:
            return i
        i += 1
    return i


@part
def _number(row: Bytes, i: int, end: int) -> tuple[int, int]:
    value = 0
    while i < end and ZERO <= row[i] <= NINE:
        value = value * 10 + (row[i] - ZERO)
        i += 1
    return value, i


@part
def _digits(row: Bytes, i: int, count: int) -> int:
    value = 0
    for k in range(i, i + count):
        value = value * 10 + (row[k] - ZERO)
    return value


@part
def _days(year: int, month: int, day: int) -> int:
    # Days since 1970-01-01; the year begins in March, so that a leap day is its last.
    if month < 3:
        year -= 1
        month += 12
    return (
        365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 719469
    )


@part
def _time(row: Bytes, i: int, end: int) -> int:
    # "2026-01-02T03:04:05.123456Z", fraction optional: microseconds since 1970, -1 if it is not.
    if end - i < 22 or row[i] != QUOTE:
        return -1
    days = _days(_digits(row, i + 1, 4), _digits(row, i + 6, 2), _digits(row, i + 9, 2))
    minutes = _digits(row, i + 12, 2) * 60 + _digits(row, i + 15, 2)
    micros = ((days * 1440 + minutes) * 60 + _digits(row, i + 18, 2)) * 1_000_000
    i += 20
    if row[i] == POINT:
        i, unit = i + 1, 100_000
        while i < end and ZERO <= row[i] <= NINE:
            micros += (row[i] - ZERO) * unit
            unit //= 10
            i += 1
    return micros if i < end and row[i] == LETTER_Z else -1


@part
def _message(row: Bytes, i: int, end: int) -> Message:
    # What follows the object that begins at `i` (-1: not understood), symbol, seq, prev, published.
    symbol = seq = prev = published = -1
    if i >= end or row[i] != OPEN_BRACE:
        return -1, symbol, seq, prev, published
    while i < end and row[i] != CLOSE_BRACE:
        key = i + 2
        colon = _string_end(row, key, end) + 1
        size, i = colon - 1 - key, colon + 1
        if i >= end or row[colon] != COLON:
            break
        first = row[key]
        if size == 3 and first == LETTER_S:
            seq, i = _number(row, i, end)
        elif size == 4 and first == LETTER_P:
            prev, i = _number(row, i, end)
        elif size == 6 and first == LETTER_S:
            symbol, i = _number(row, i + 2, end)
            i += 1
        elif size == 9 and first == LETTER_P:
            published = _time(row, i, end)
            i = _value_end(row, i, end)
        else:
            i = _value_end(row, i, end)
        if i < end and row[i] != COMMA and row[i] != CLOSE_BRACE:
            break
    whole = i < end and row[i] == CLOSE_BRACE and min(symbol, seq, prev, published) >= 0
    return (i + 1 if whole else -1), symbol, seq, prev, published


@part
def _account(wires: Wires, connection: int, count: int, now: int) -> None:
    tally, last, recent = wires.tally[0], wires.last, wires.recent
    slots, received, counts, found = wires.slots, wires.received, wires.counts, wires.found
    for k in range(count):
        symbol, seq, prev, published = found[k, 0], found[k, 1], found[k, 2], found[k, 3]
        slot = slots[connection, symbol] if symbol < slots.shape[1] else -1
        if slot < 0:
            tally.unasked += 1
            continue
        before = last[slot]
        if seq > before:
            if before >= 0 and prev != before:
                tally.broken += 1
            last[slot] = seq
        else:
            twice = False
            for place in range(RECENT):
                twice |= recent[slot, place] == seq
            if twice:
                tally.duplicated += 1
                continue
            tally.disordered += 1
        recent[slot, received[slot] % RECENT] = seq
        received[slot] += 1
        tally.received += 1
        counts[compiled_bucket_of(now - published)] += 1


@part
def _begins(row: Bytes, start: int, end: int, prefix: Bytes) -> bool:
    if end - start < prefix.size:
        return False
    for k in range(prefix.size):  # noqa: SIM110 - compiled to a plain loop
        if row[start + k] != prefix[k]:
            return False
    return True


@part
def _keep(found: Ints, count: int, message: Message) -> None:
    for k in range(4):
        found[count, k] = message[k + 1]


@part
def _packet(wires: Wires, start: int, end: int, count: int) -> tuple[int, int]:
    # Reads one packet; returns how many messages are found now, and the fault.
    row, found = wires.buffer, wires.found
    if _begins(row, start, end, SINGLE):
        message = _message(row, start + SINGLE.size, end)
        if message[0] != end - 1 or row[end - 1] != CLOSE_LIST:
            return count, NOT_UNDERSTOOD
        _keep(found, count, message)
        return count + 1, FINE
    if _begins(row, start, end, BATCH):
        i = start + BATCH.size
        while True:
            message = _message(row, i, end)
            if message[0] < 0:
                return count, NOT_UNDERSTOOD
            _keep(found, count, message)
            count, i = count + 1, message[0] + 1
            if i >= end or row[i - 1] != COMMA:
                break
        return count, FINE if i == end - 1 and row[i - 1] == CLOSE_LIST else NOT_UNDERSTOOD
    if end - start == 1 and row[start] == PING:
        wires.tally[0].pings += 1
    else:
        wires.tally[0].other += 1
    return count, FINE


@part
def _header(row: Bytes, at: int, filled: int) -> tuple[int, int]:
    # Where the payload begins and ends; (0, 0) while the header is not complete.
    length = row[at + 1]
    extra = 2 if length == 126 else 8 if length == 127 else 0
    body = at + 2 + extra
    if body > filled:
        return 0, 0
    if extra == 0:
        return body, body + length
    size = 0
    for k in range(at + 2, body):
        size = size * 256 + row[k]
    return body, body + size


@part
def _load(wires: Wires, connection: int) -> int:
    # One buffer for all is read into, for it stays in the processor's cache.
    filled = wires.filled[connection]
    for k in range(filled):
        wires.buffer[k] = wires.rests[connection, k]
    return int(filled)


@part
def _read(wires: Wires, filled: int) -> tuple[int, int, int]:
    # Reads all whole frames; returns where the rest begins, how many messages there are, the fault.
    row, found, known, fields = wires.buffer, wires.found, wires.known, wires.known_fields
    address, known_address = row.ctypes.data, known.ctypes.data
    at = count = 0
    while filled - at >= 2:
        body, end = _header(row, at, filled)
        if row[at + 1] >= MASKED:
            return at, count, FRAGMENTED
        if end < body or end - at > row.size:
            return at, count, TOO_LARGE
        if body == 0 or end > filled:
            break
        opcode, at, size = row[at], end, end - body
        if opcode != TEXT:
            return at, count, CLOSED if opcode == CLOSE else FRAGMENTED
        telling = TELLING_TO <= size <= KNOWN_SIZE
        place = size
        if telling:
            for k in range(body + TELLING_FROM, body + TELLING_TO):
                place = place * 31 + row[k]
        place %= KNOWN
        slot = known_address + place * KNOWN_SIZE
        if telling and fields[place, 0] == size and _memcmp(address + body, slot, size) == 0:
            for k in range(4):
                found[count, k] = fields[place, k + 1]
            count += 1
            continue
        before = count
        count, fault = _packet(wires, body, end, count)
        if fault != FINE:
            return at, count, fault
        if telling and count == before + 1:
            known[place, :size] = row[body:end]
            fields[place, 0] = size
            fields[place, 1:] = found[before]
    return at, count, FINE


@part
def _check(wires: Wires, connection: int, filled: int, now: int) -> int:
    wires.tally[0].pings = 0
    at, count, fault = _read(wires, filled)
    _account(wires, connection, count, now)
    pings = wires.tally[0].pings
    wires.pings[connection] += pings
    wires.tally[0].attention += pings
    for k in range(at, filled):
        wires.rests[connection, k - at] = wires.buffer[k]
    wires.filled[connection] = filled - at
    return fault


@compiled
def scan(wires: Wires, connection: int, now: int) -> int:
    """Check all complete frames of one connection's rest; `now` is wall time in microseconds.

    Returns the fault, FINE if there is none; what is incomplete stays for the next time.
    """
    return _check(wires, connection, _load(wires, connection), now)


@part
def _receive(wires: Wires, descriptor: int, connection: int) -> int:
    filled = _load(wires, connection)
    target = wires.buffer.ctypes.data + filled
    size = _recv(descriptor, target, wires.buffer.size - filled, 0)
    if size <= 0:
        return CLOSED if size == 0 else DOUBTFUL
    _clock_gettime(CLOCK_REALTIME, wires.clock.ctypes.data)
    wires.tally[0].bytes += size
    now = wires.clock[0] * 1_000_000 + wires.clock[1] // 1000
    return _check(wires, connection, filled + size, now)


@compiled
def drain(wires: Wires, descriptors: NDArray[np.int32]) -> int:
    """Read each of these descriptors once and check what came; unknown ones are left alone.

    Returns how often the owner has to look: at faults, and at pings to be answered.
    """
    wires.tally[0].attention = 0
    for descriptor in descriptors:
        connection = -1
        if descriptor < wires.connection_of.size:
            connection = wires.connection_of[descriptor]
        if connection >= 0 and wires.fault[connection] == FINE:
            fault = _receive(wires, descriptor, connection)
            if fault != FINE:
                wires.fault[connection] = fault
                wires.tally[0].attention += 1
    return int(wires.tally[0].attention)


def tally_of(wires: Wires) -> dict[str, int]:
    """Return the counts as plain numbers."""
    record: Any = wires.tally[0]
    names = wires.tally.dtype.names or ()
    return {name: int(record[name]) for name in names if name not in ("attention", "pings")}
