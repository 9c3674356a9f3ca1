"""One client's bounded queue: order, conflation, the rate limit and the gaps."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from toolkit.streaming.frames import Frame, gap
from toolkit.streaming.wire import Stream


@dataclass(slots=True)
class Counters:
    """What happened to messages, summed over all clients since the start."""

    published: int = 0
    delivered: int = 0
    conflated: int = 0
    dropped: int = 0
    gaps: int = 0


class Mailbox:
    """What waits for one client.

    Lossless frames: at most `size`; when one more comes, the oldest goes and a `gap` takes its
    place. Conflatable frames replace their predecessor once the client lags (an eighth of
    `size` waits) or has a rate limit, so that of them at most `size / 8` wait, and one of each
    key. Within a stream nothing overtakes.
    """

    def __init__(
        self,
        *,
        size: int,
        wake: Callable[[], None],
        monotonic: Callable[[], float],
        counters: Counters,
    ) -> None:
        self.interval = 0.0
        self._size = size
        self._lag = max(1, size // 8)
        self._wake = wake
        self._monotonic = monotonic
        self._counters = counters
        self._order = 0
        self._waiting: OrderedDict[int, Frame] = OrderedDict()
        self._lossless: deque[int] = deque()
        self._latest: dict[str, int] = {}
        self._gaps: dict[Stream, tuple[int, int]] = {}
        # Frames up to these orders may go: of all streams, and of each (a lossless frame
        # takes along what was held before it).
        self._released = 0
        self._released_of: dict[Stream | None, int] = {}
        self._next_release = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, frame: Frame) -> None:
        """Add one frame; never blocks, never raises."""
        self._order += 1
        if frame.conflate is None:
            if len(self._lossless) >= self._size:
                self._drop_oldest()
            self._lossless.append(self._order)
            self._released_of[frame.stream] = self._order
        else:
            before = self._latest.get(frame.conflate)
            if before is not None and (self.interval > 0 or len(self._waiting) >= self._lag):
                del self._waiting[before]
                self._counters.conflated += 1
            self._latest[frame.conflate] = self._order
        self._waiting[self._order] = frame
        self._wake()

    def take(self, limit: int) -> list[Frame]:
        """Remove and return what may go now, gaps first, at most about `limit` frames."""
        frames = [gap(stream, *span, "slow") for stream, span in self._gaps.items()]
        self._gaps.clear()
        self._release()
        ready: list[tuple[int, Frame]] = []
        for order, frame in self._waiting.items():
            if len(ready) >= limit:
                break
            if order <= self._released or order <= self._released_of.get(frame.stream, 0):
                ready.append((order, frame))
        for order, frame in ready:
            self._remove(order, frame)
        frames.extend(frame for _, frame in ready)
        self._counters.delivered += sum(1 for frame in frames if frame.stream)
        return frames

    def due_in(self) -> float | None:
        """Seconds until `take` has something; 0 for now, None when nothing waits."""
        if self._gaps or self._lossless:
            return 0.0
        if not self._waiting:
            return None
        if self.interval == 0 or next(iter(self._waiting)) <= self._released:
            return 0.0
        return max(0.0, self._next_release - self._monotonic())

    def discard(self, unwanted: Callable[[Frame], bool]) -> None:
        """Throw away conflatable frames that are no longer wanted."""
        for order, frame in list(self._waiting.items()):
            if frame.conflate is not None and unwanted(frame):
                self._remove(order, frame)

    def _release(self) -> None:
        if self.interval == 0:
            self._released = self._order
        elif len(self._waiting) > len(self._lossless):
            now = self._monotonic()
            if now >= self._next_release:
                self._released = self._order
                self._next_release = now + self.interval

    def _remove(self, order: int, frame: Frame) -> None:
        del self._waiting[order]
        if frame.conflate is None:
            self._lossless.popleft()
        elif self._latest[frame.conflate] == order:
            del self._latest[frame.conflate]

    def _drop_oldest(self) -> None:
        frame = self._waiting.pop(self._lossless.popleft())
        self._counters.dropped += 1
        if frame.stream is None:
            return
        first, last = self._gaps.get(frame.stream, (frame.seq, frame.seq))
        if frame.stream not in self._gaps:
            self._counters.gaps += 1
        self._gaps[frame.stream] = (min(first, frame.seq), max(last, frame.seq))
