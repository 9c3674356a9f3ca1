"""Numbers the messages of all streams and encodes each of them once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime

from toolkit.streaming.hub.frames import STREAM_DATA, Frame, event_text
from toolkit.streaming.wire import Payload, Stream, format_time


class Sequencer:
    """Per-stream gapless numbers of one `epoch`, which names this start of the publisher.

    `clock` gives the wall time, UTC-aware; `monotonic` seconds for measuring latency.
    """

    def __init__(
        self,
        *,
        epoch: str,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.epoch = epoch
        self._clock = clock
        self._monotonic = monotonic
        self._seq = dict.fromkeys(Stream, 0)
        self._last: dict[tuple[Stream, str | None], int] = {}

    def seq(self, stream: Stream) -> int:
        """Return the number of the stream's latest message, 0 before the first."""
        return self._seq[stream]

    def frame(self, item: Payload) -> Frame:
        """Give `item` the next number of its stream and encode it."""
        key = (item.stream, item.symbol)
        prev = self._last.get(key, 0)
        seq = self._seq[item.stream] = self._last[key] = self._seq[item.stream] + 1
        return self._encode(item, seq=seq, prev=prev)

    def skip(self, item: Payload) -> None:
        """Give `item` its number without encoding it: nobody wants it."""
        seq = self._seq[item.stream] = self._seq[item.stream] + 1
        self._last[item.stream, item.symbol] = seq

    def follow(self, frame: Frame) -> None:
        """Go on from a frame that was numbered elsewhere in the same epoch."""
        assert frame.stream is not None, "control events carry no number"
        self._seq[frame.stream] = self._last[frame.stream, frame.symbol] = frame.seq

    def begin(
        self, seq: Mapping[Stream, int], last: Mapping[tuple[Stream, str | None], int]
    ) -> None:
        """Go on after these numbers: of each stream, and of each stream and symbol."""
        self._seq = {**dict.fromkeys(Stream, 0), **seq}
        self._last = dict(last)

    def snapshot(self, item: Payload) -> Frame:
        """Encode the state as of now: it carries the number up to which it is current."""
        prev = self._last.get((item.stream, item.symbol), 0)
        return self._encode(item, seq=self._seq[item.stream], prev=prev, snapshot=True)

    def _encode(self, item: Payload, *, seq: int, prev: int, snapshot: bool = False) -> Frame:
        message = {
            "stream_type": item.stream.value,
            "symbol": item.symbol,
            "seq": seq,
            "prev": prev,
            "epoch": self.epoch,
            "timestamp": format_time(item.timestamp),
            "published": format_time(self._clock()),
            "data": item.data,
        }
        if snapshot:
            message["snapshot"] = True
        return Frame(
            text=event_text(STREAM_DATA, message),
            stream=item.stream,
            symbol=item.symbol,
            seq=seq,
            conflate=None if snapshot else item.conflate,
            created=0.0 if snapshot else self._monotonic(),
        )
