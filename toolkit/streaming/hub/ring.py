"""The messages of one stream that must not be lost, as many as fit."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import takewhile

from toolkit.streaming.hub.frames import Frame


class Ring:
    """The last `size` lossless frames of one stream, in order of seq."""

    def __init__(self, size: int) -> None:
        self._frames: deque[Frame] = deque(maxlen=size)
        self.expired = 0

    def append(self, frame: Frame) -> None:
        """Keep `frame`; the oldest one expires when there is no room."""
        if len(self._frames) == self._frames.maxlen:
            self.expired = self._frames[0].seq
        self._frames.append(frame)

    def forget(self, seq: int) -> None:
        """Drop all frames; what came up to `seq` counts as expired."""
        self._frames.clear()
        self.expired = seq

    def after(self, seq: int) -> Iterator[Frame]:
        """Return what is kept of the frames after `seq`; see `expired` for what is not."""
        newest_first = takewhile(lambda frame: frame.seq > seq, reversed(self._frames))
        return reversed(list(newest_first))

    def __len__(self) -> int:
        return len(self._frames)
