"""How the connections of one client process lie in memory for the kernel: arrays and records."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.loadtest.latency import BUCKETS

Ints = NDArray[np.int64]

# A frame that does not fit is a fault: no server here sends that much in one message.
ROW = 256 * 1024
# No message is that short, so a row holds at most ROW // SHORTEST of them.
SHORTEST = 64
RECENT = 16
# How many messages are remembered, and the longest one that is.
KNOWN, KNOWN_SIZE = 8192, 512
ANY = -1

FINE, DOUBTFUL, CLOSED, FRAGMENTED, TOO_LARGE, NOT_UNDERSTOOD = range(6)
FAULTS = {
    CLOSED: "closed by the server",
    FRAGMENTED: "a frame that is no whole text message",
    TOO_LARGE: f"a frame above {ROW} bytes",
    NOT_UNDERSTOOD: "a message that is not as the protocol says",
}

TALLY = np.dtype(
    [
        ("received", np.int64),  # each message once
        ("duplicated", np.int64),
        ("disordered", np.int64),
        ("broken", np.int64),  # `prev` is not the message received before
        ("unasked", np.int64),
        ("other", np.int64),  # other events and packets
        ("bytes", np.int64),
        ("pings", np.int64),  # in the buffer that was read last
        ("attention", np.int64),  # faults and pings the owner has to look at
    ]
)


class Wires(NamedTuple):
    """One row or entry for each connection; `last`, `recent`, `received` for each subscription."""

    buffer: NDArray[np.uint8]  # one for all: what is being read now
    rests: NDArray[np.uint8]  # of each connection, the beginning of a frame
    filled: Ints  # how long the rest is
    fault: Ints
    pings: Ints  # Engine.IO pings to answer
    connection_of: NDArray[np.int32]  # by file descriptor, -1 where it is none
    slots: NDArray[np.int32]  # subscription by connection and symbol, -1 where it was not asked
    last: Ints  # seq of the newest message, ANY before the first
    recent: NDArray[np.int64]  # the seq of the last messages, to tell duplicates from disorder
    received: Ints
    counts: Ints  # latencies
    tally: NDArray[Any]
    found: NDArray[np.int64]  # of each message in the buffer its symbol, seq, prev, published
    known: NDArray[np.uint8]  # messages that were read, to know them again
    known_fields: NDArray[np.int64]  # their size, and what was found
    clock: Ints  # seconds and nanoseconds of the wall clock


def make_wires(subscriptions: Sequence[Sequence[int]], *, symbols: int) -> Wires:
    """Lay out connections that ask for these symbols (by index); no descriptor is known yet."""
    connections, total = len(subscriptions), sum(len(wanted) for wanted in subscriptions)
    slots = np.full((connections, symbols), -1, np.int32)
    first = 0
    for connection, wanted in enumerate(subscriptions):
        slots[connection, list(wanted)] = np.arange(first, first + len(wanted))
        first += len(wanted)
    return Wires(
        buffer=np.zeros(ROW, np.uint8),
        rests=_untouched(connections),
        filled=np.zeros(connections, np.int64),
        fault=np.zeros(connections, np.int64),
        pings=np.zeros(connections, np.int64),
        connection_of=np.full(1, -1, np.int32),
        slots=slots,
        last=np.full(total, ANY, np.int64),
        recent=np.full((total, RECENT), ANY, np.int64),
        received=np.zeros(total, np.int64),
        counts=np.zeros(BUCKETS, np.int64),
        tally=np.zeros(1, TALLY),
        found=np.zeros((ROW // SHORTEST, 4), np.int64),
        known=np.zeros((KNOWN, KNOWN_SIZE), np.uint8),
        known_fields=np.zeros((KNOWN, 5), np.int64),
        clock=np.zeros(2, np.int64),
    )


def _untouched(connections: int) -> NDArray[np.uint8]:
    # Most rests are short: only the pages that are written to cost memory.
    memory = mmap.mmap(-1, connections * ROW)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.uint8).reshape(connections, ROW)


def forget(wires: Wires) -> None:
    """Begin a new window: counts from zero, and the next message of a symbol may be any."""
    wires.received[:] = 0
    wires.last[:] = ANY
    wires.recent[:] = ANY
    wires.counts[:] = 0
    wires.tally[:] = np.zeros(1, TALLY)
