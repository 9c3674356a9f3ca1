"""Frames as bytes of WebSocket messages, read back by websockets' own parser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.streaming.fakes import START, quote
from tests.streaming.harness import events_of, texts_of
from toolkit.streaming.hub.frames import Frame, control
from toolkit.streaming.hub.sequencer import Sequencer
from toolkit.streaming.sockets.packing import (
    BATCH_FRAMES,
    CHUNK_BYTES,
    THRESHOLD,
    Chunk,
    deflated,
    pack,
    text_message,
)
from toolkit.streaming.wire import payload


class Press:
    """Makes frames: live ones, ones of a snapshot, control ones."""

    def __init__(self) -> None:
        self.numbers = Sequencer(epoch="e1", clock=lambda: START, monotonic=lambda: 1.0)

    def live(self) -> Frame:
        return self.numbers.frame(payload(quote()))

    def past(self) -> Frame:
        return self.numbers.snapshot(payload(quote()))

    def control(self) -> Frame:
        return control("pong", {"timestamp": "now"})


def joined(chunks: list[Chunk]) -> bytes:
    return b"".join(chunk.data for chunk in chunks)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_a_message_of_any_size_is_read_as_it_was_written(size: int) -> None:
    payload = b"4" * size
    assert texts_of(text_message(payload)) == [payload.decode()]
    assert texts_of(deflated(payload)) == [payload.decode()]


@given(st.lists(st.sampled_from(["live", "past", "control"]), max_size=400), st.booleans())
def test_packing_keeps_every_frame_and_their_order(kinds: list[str], deflates: bool) -> None:
    press = Press()
    frames = [getattr(press, kind)() for kind in kinds]
    single = events_of(joined(pack(frames, batch=False, deflates=deflates)))
    batched = events_of(joined(pack(frames, batch=True, deflates=deflates)))
    assert len(single) == len(frames)
    flat = []
    for name, body in batched:
        messages = body if name == "stream_batch" else [body]
        assert name != "stream_batch" or 2 <= len(messages) <= BATCH_FRAMES
        flat += [("stream_data" if name == "stream_batch" else name, m) for m in messages]
    assert flat == single


def test_chunks_are_bounded_and_count_their_frames() -> None:
    press = Press()
    frames = [press.live() for _ in range(1000)]
    for batch in (False, True):
        chunks = pack(frames, batch=batch, deflates=False)
        assert len(chunks) > 3
        assert sum(chunk.carried for chunk in chunks) == 1000
        assert max(len(chunk.data) for chunk in chunks) < 2 * CHUNK_BYTES


def test_ticks_are_never_compressed_and_snapshots_are_when_they_are_large() -> None:
    press = Press()
    live, past = [press.live() for _ in range(50)], [press.past() for _ in range(50)]
    for frames, batch in ((live, True), (live, False), (past, False)):
        plain = joined(pack(frames, batch=batch, deflates=False))
        assert joined(pack(frames, batch=batch, deflates=True)) == plain
    small = joined(pack(past, batch=True, deflates=True))
    large = joined(pack(past, batch=True, deflates=False))
    assert len(small) < len(large) / 5
    assert events_of(small) == events_of(large)


def test_a_large_message_is_compressed_once_and_only_for_those_who_read_it() -> None:
    frame = control("answer", {"text": "bars " * THRESHOLD})
    (plain,) = pack([frame], batch=False, deflates=False)
    (first,) = pack([frame], batch=False, deflates=True)
    assert len(first.data) < len(plain.data) / 10
    assert events_of(first.data) == events_of(plain.data)
    assert frame.deflated == first.data
