from __future__ import annotations

from collections import Counter, deque
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.loadtest.wire import NOW, batch, feed, frame, message, single, text_of
from toolkit.loadtest.kernel import tally_of
from toolkit.loadtest.latency import bucket_of
from toolkit.loadtest.wires import (
    CLOSED,
    FINE,
    FRAGMENTED,
    NOT_UNDERSTOOD,
    ROW,
    TOO_LARGE,
    Wires,
    forget,
    make_wires,
)

SYMBOLS = 4
ASKED = [0, 2, 3]


class Reference:
    """The same checks, written down plainly."""

    def __init__(self) -> None:
        self.tally: Counter[str] = Counter()
        self.latencies: Counter[int] = Counter()
        self.pings = 0
        self.last: dict[int, int] = {}
        self.recent = {symbol: deque[int](maxlen=16) for symbol in ASKED}

    def take(self, body: dict[str, Any], delay: int) -> None:
        symbol, seq = int(body["symbol"][1:]), body["seq"]
        if symbol not in ASKED:
            self.tally["unasked"] += 1
            return
        last = self.last.get(symbol)
        if last is None or seq > last:
            self.tally["broken"] += last is not None and body["prev"] != last
            self.last[symbol] = seq
        elif seq in self.recent[symbol]:
            self.tally["duplicated"] += 1
            return
        else:
            self.tally["disordered"] += 1
        self.recent[symbol].append(seq)
        self.tally["received"] += 1
        self.latencies[bucket_of(delay)] += 1


DELAYS = st.integers(-1_000, 5_000_000) | st.just(NOW % 1_000_000)
BODIES = st.builds(
    lambda seq, prev, symbol, delay, note: (
        message(seq, prev, symbol=symbol, published=NOW - delay, note=note),
        delay,
    ),
    st.integers(1, 40),
    st.integers(0, 40),
    st.sampled_from([*range(SYMBOLS), 9]),
    DELAYS,
    st.text(max_size=8) | st.sampled_from(['"', '\\"', "\\", '}],"seq":9', "\\\\"]),
)
ITEMS = st.one_of(
    BODIES.map(lambda one: ("single", [one])),
    st.lists(BODIES, min_size=1, max_size=4).map(lambda many: ("batch", many)),
    st.just(("ping", [])),
    st.sampled_from(["heartbeat", "gap", "x" * 70_000]).map(lambda name: (name, [])),
)


def encoded(kind: str, bodies: list[tuple[dict[str, Any], int]]) -> bytes:
    if kind == "single":
        return single(bodies[0][0])
    if kind == "batch":
        return batch([body for body, _ in bodies])
    return frame(b"2") if kind == "ping" else frame(text_of(kind, {"seq": 1}))


@given(st.lists(ITEMS, max_size=12), st.data())
def test_the_kernel_agrees_with_the_reference_however_the_bytes_are_split(
    items: list[tuple[str, list[tuple[dict[str, Any], int]]]], data: st.DataObject
):
    reference, wires = Reference(), make_wires([ASKED], symbols=SYMBOLS)
    stream = b""
    for kind, bodies in items:
        stream += encoded(kind, bodies)
        for body, delay in bodies:
            reference.take(body, delay)
        reference.pings += kind == "ping"
        reference.tally["other"] += kind not in ("single", "batch", "ping")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        assert feed(wires, stream[start:end]) == FINE
    found = tally_of(wires)
    found.pop("bytes")
    assert found == {name: reference.tally[name] for name in found}
    assert {int(b): int(wires.counts[b]) for b in np.flatnonzero(wires.counts)} == dict(
        reference.latencies
    )
    assert wires.pings[0] == reference.pings
    assert wires.filled[0] == 0


def found_in(*parts: bytes) -> tuple[dict[str, int], Wires]:
    wires = make_wires([[0, 1]], symbols=2)
    for part in parts:
        assert feed(wires, part) == FINE
    return tally_of(wires), wires


def test_a_chain_that_fits_is_received_without_a_word():
    found, wires = found_in(*(single(message(n, n - 1)) for n in range(1, 60)))
    assert found["received"] == 59
    assert not any(found[name] for name in ("duplicated", "disordered", "broken", "unasked"))
    assert list(wires.received) == [59, 0]


def test_a_lost_message_breaks_the_chain():
    found, _ = found_in(single(message(1, 0)), single(message(3, 2)))
    assert (found["received"], found["broken"]) == (2, 1)


def test_a_message_that_comes_twice_is_counted_once():
    found, wires = found_in(single(message(1, 0)), single(message(2, 1)), single(message(1, 0)))
    assert (found["received"], found["duplicated"], found["disordered"]) == (2, 1, 0)
    assert wires.received[0] == 2


def test_messages_that_change_places_are_out_of_order():
    found, _ = found_in(single(message(2, 1)), single(message(1, 0)))
    assert (found["received"], found["disordered"], found["duplicated"]) == (2, 1, 0)


def test_what_was_not_asked_for_is_no_delivery():
    wires = make_wires([[0]], symbols=3)
    feed(wires, single(message(1, 0, symbol=2)) + single(message(2, 0, symbol=500)))
    assert tally_of(wires)["unasked"] == 2
    assert not wires.counts.any()


def test_a_new_window_begins_with_any_message():
    _, wires = found_in(single(message(1, 0)))
    forget(wires)
    assert feed(wires, single(message(9, 8))) == FINE
    assert tally_of(wires)["broken"] == 0
    assert tally_of(wires)["received"] == 1


@given(st.lists(BODIES.map(lambda one: one[0]), min_size=1, max_size=6), st.data())
def test_a_message_that_another_client_got_too_is_read_as_if_it_were_the_first(
    bodies: list[dict[str, Any]], data: st.DataObject
):
    shared, alone = make_wires([ASKED] * 3, symbols=SYMBOLS), []
    for connection in range(3):
        order = data.draw(st.permutations(bodies))
        stream = b"".join(single(body) for body in order)
        assert feed(shared, stream, connection=connection) == FINE
        own = make_wires([ASKED], symbols=SYMBOLS)
        assert feed(own, stream) == FINE
        alone.append(tally_of(own))
    assert tally_of(shared) == {name: sum(one[name] for one in alone) for name in alone[0]}


def test_a_message_that_differs_in_one_byte_from_a_known_one_is_another_message():
    wires = make_wires([[0], [0]], symbols=1)
    known = single(message(1, 0))
    for connection in (0, 1):
        assert feed(wires, known, connection=connection) == FINE
    assert feed(wires, known[:-1] + b"!", connection=1) == NOT_UNDERSTOOD
    assert feed(wires, known.replace(b'"L000"', b'"L007"'), connection=0) == FINE
    assert (tally_of(wires)["received"], tally_of(wires)["unasked"]) == (2, 1)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (frame(b"", first=0x88), CLOSED),
        (frame(b'42["stream_data",', first=0x01), FRAGMENTED),
        (frame(b"x", first=0x80), FRAGMENTED),
        (frame(b"2", first=0xC1), FRAGMENTED),
        (b"\x81\x85\0\0\0\0hello", FRAGMENTED),
        (b"\x81\x7f" + (ROW + 1).to_bytes(8), TOO_LARGE),
        (b"\x81\x7f" + b"\xff" * 8, TOO_LARGE),
        (frame(b'42["stream_data",{"symbol":"L000"}]'), NOT_UNDERSTOOD),
        (frame(b'42["stream_data",{"seq":1,"prev":0,"symbol":"L000","published":"now"}]'), 5),
        (frame(b'42["stream_data",17]'), NOT_UNDERSTOOD),
        (frame(b'42["stream_data",{"seq'), NOT_UNDERSTOOD),
        (frame(b'42["stream_batch",[]]'), NOT_UNDERSTOOD),
        (single(message(1, 0))[:-1] + b"!", NOT_UNDERSTOOD),
    ],
)
def test_what_a_server_must_not_send_is_a_fault(data: bytes, fault: int):
    wires = make_wires([[0]], symbols=1)
    assert feed(wires, data) == fault
    assert tally_of(wires)["received"] == 0


@given(st.binary(max_size=200))
def test_garbage_in_a_message_harms_nothing(garbage: bytes):
    wires = make_wires([[0]], symbols=1)
    prefix = b'42["stream_data",'
    assert feed(wires, frame(prefix + garbage)) in (FINE, NOT_UNDERSTOOD)
    assert feed(wires, frame(b'42["stream_batch",[' + garbage)) in (FINE, NOT_UNDERSTOOD)
