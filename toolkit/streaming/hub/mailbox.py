"""One client's bounded queue: order, conflation, the rate limit and the gaps."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from toolkit.streaming.hub.frames import Frame, gap
from toolkit.streaming.wire import Stream

CONTROL_LIMIT = 256


@dataclass(slots=True)
class Counters:
    """What happened to messages, summed over all clients since the start."""

    published: int = 0
    delivered: int = 0
    conflated: int = 0
    dropped: int = 0
    gaps: int = 0


class _Span(NamedTuple):
    """Messages that were dropped; their gap takes the place of the first of them."""

    order: int
    stream: Stream
    first: int
    last: int


class Mailbox:
    """What waits for one client, or for the `receivers` of a cohort.

    Lossless frames: at most `size`; when one more comes, the oldest goes and a `gap` takes its
    place. Conflatable frames replace their predecessor once the client lags (an eighth of
    `size` waits) or has a rate limit, so that of them at most `size / 8` wait, and one of each
    key. Control frames: at most CONTROL_LIMIT; urgent ones beyond it are dropped, for others
    ask `congested` first. Within a stream nothing overtakes.

    As long as no rule has anything to do (no lag, no rate limit, no control frame, not paused),
    frames are just appended to a list; the first that needs a rule moves them into the books.
    """

    __slots__ = (
        "_control",
        "_counters",
        "_gaps",
        "_interval",
        "_lag",
        "_latest",
        "_lossless",
        "_monotonic",
        "_next_release",
        "_order",
        "_paused",
        "_recent",
        "_released",
        "_released_of",
        "_ruled",
        "_size",
        "_urgent",
        "_waiting",
        "_wake",
        "receivers",
    )

    def __init__(
        self,
        *,
        size: int,
        wake: Callable[[], None],
        monotonic: Callable[[], float],
        counters: Counters,
    ) -> None:
        self.receivers = 1
        self._interval = 0.0
        self._paused = False
        self._ruled = False
        self._recent: list[Frame] = []
        self._size = size
        self._lag = max(1, size // 8)
        self._wake = wake
        self._monotonic = monotonic
        self._counters = counters
        self._order = 0
        self._waiting: OrderedDict[int, Frame] = OrderedDict()
        self._lossless: OrderedDict[int, None] = OrderedDict()
        self._latest: dict[str, int] = {}
        self._control = 0
        self._urgent = 0
        self._gaps: dict[Stream, _Span] = {}
        # Frames up to these orders may go: of all streams, and of each (a lossless frame
        # takes along what was held before it).
        self._released = 0
        self._released_of: dict[Stream | None, int] = {}
        self._next_release = 0.0

    def __len__(self) -> int:
        return len(self._recent) + len(self._waiting)

    @property
    def interval(self) -> float:
        """Seconds that lie at least between two releases of conflatable frames; 0 = none."""
        return self._interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        self._interval = seconds
        self._rules_changed()

    @property
    def paused(self) -> bool:
        """Whether only urgent frames may go."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._paused = paused
        self._rules_changed()

    @property
    def congested(self) -> bool:
        """Whether so many control frames wait that nothing more should be asked."""
        return self._control >= CONTROL_LIMIT

    def push(self, frame: Frame) -> None:
        """Add one frame; never blocks, never raises."""
        recent = self._recent
        if self._ruled or frame.stream is None or len(recent) >= self._lag:
            self._push_by_the_books(frame)
            return
        recent.append(frame)
        if len(recent) == 1:
            self._wake()

    def take(self, limit: int) -> list[Frame]:
        """Remove and return what may go now, gaps in their place, at most about `limit` frames."""
        if self._recent:
            recent, self._recent = self._recent[:limit], self._recent[limit:]
            self._counters.delivered += len(recent) * self.receivers
            return recent
        if not self._ruled:
            return []
        self._release()
        gaps = [] if self._paused else sorted(self._gaps.values())
        frames: list[Frame] = []
        ready: list[tuple[int, Frame]] = []
        for order, frame in self._waiting.items():
            if len(ready) >= limit:
                break
            if self._may_go(order, frame):
                frames += self._announce(gaps, before=order)
                frames.append(frame)
                ready.append((order, frame))
        else:
            frames += self._announce(gaps, before=self._order + 1)
        for order, frame in ready:
            self._remove(order, frame)
        self._counters.delivered += sum(1 for frame in frames if frame.stream) * self.receivers
        self._close_books()
        return frames

    def due_in(self) -> float | None:
        """Seconds until `take` has something; 0 for now, None when nothing waits."""
        if self._recent:
            return 0.0
        if self._paused:
            return 0.0 if self._urgent else None
        if self._gaps or self._lossless or self._control:
            return 0.0
        if not self._waiting:
            return None
        if self._interval == 0 or next(iter(self._waiting)) <= self._released:
            return 0.0
        return max(0.0, self._next_release - self._monotonic())

    def take_over(self, other: Mailbox) -> None:
        """Add all that waits in `other`, and the gaps it has to announce; `other` keeps them."""
        gaps = sorted(other._gaps.values())
        for order, frame in [*enumerate(other._recent), *other._waiting.items()]:
            while gaps and gaps[0].order < order:
                self._note_gap(gaps.pop(0))
            self.push(frame)
        for span in gaps:
            self._note_gap(span)

    def discard(self, unwanted: Callable[[Frame], bool]) -> None:
        """Throw away frames of streams that are no longer wanted."""
        self._open_books()
        for order, frame in list(self._waiting.items()):
            if frame.stream is not None and unwanted(frame):
                self._remove(order, frame)
        self._close_books()

    def _rules_changed(self) -> None:
        self._open_books()
        self._close_books()
        if len(self):
            self._wake()

    def _push_by_the_books(self, frame: Frame) -> None:
        if frame.urgent and self.congested:
            self._counters.dropped += self.receivers
            return
        self._open_books()
        self._enter(frame)
        self._wake()

    def _open_books(self) -> None:
        self._ruled = True
        recent, self._recent = self._recent, []
        for frame in recent:
            self._enter(frame)

    def _close_books(self) -> None:
        self._ruled = bool(self._waiting or self._gaps or self._paused or self._interval)

    def _enter(self, frame: Frame) -> None:
        self._order += 1
        if frame.stream is None:
            self._control += 1
            self._urgent += frame.urgent
        elif frame.conflate is None:
            self._push_lossless(frame.stream)
        else:
            self._push_loose(frame.conflate)
        self._waiting[self._order] = frame

    def _push_lossless(self, stream: Stream) -> None:
        if len(self._lossless) >= self._size:
            self._drop_oldest()
        self._lossless[self._order] = None
        self._released_of[stream] = self._order

    def _push_loose(self, key: str) -> None:
        before = self._latest.get(key)
        if before is not None and (self._interval > 0 or len(self._waiting) >= self._lag):
            del self._waiting[before]
            self._counters.conflated += self.receivers
        self._latest[key] = self._order

    def _announce(self, gaps: list[_Span], *, before: int) -> list[Frame]:
        due = [span for span in gaps if span.order < before]
        del gaps[: len(due)]
        for span in due:
            del self._gaps[span.stream]
        return [gap(span.stream, span.first, span.last, "slow") for span in due]

    def _may_go(self, order: int, frame: Frame) -> bool:
        if self._paused:
            return frame.urgent
        if frame.conflate is None:
            return True
        return order <= self._released or order <= self._released_of.get(frame.stream, 0)

    def _release(self) -> None:
        if self._interval == 0:
            self._released = self._order
        elif len(self._waiting) > len(self._lossless) + self._control:
            now = self._monotonic()
            if now >= self._next_release:
                self._released = self._order
                self._next_release = now + self._interval

    def _remove(self, order: int, frame: Frame) -> None:
        del self._waiting[order]
        if frame.stream is None:
            self._control -= 1
            self._urgent -= frame.urgent
        elif frame.conflate is None:
            del self._lossless[order]
        elif self._latest[frame.conflate] == order:
            del self._latest[frame.conflate]

    def _drop_oldest(self) -> None:
        oldest, _ = self._lossless.popitem(last=False)
        frame = self._waiting.pop(oldest)
        self._counters.dropped += self.receivers
        if frame.stream is not None:
            self._extend_gap(_Span(oldest, frame.stream, frame.seq, frame.seq))

    def _note_gap(self, span: _Span) -> None:
        self._open_books()
        self._extend_gap(span._replace(order=self._order))

    def _extend_gap(self, span: _Span) -> None:
        known = self._gaps.get(span.stream)
        if known is None:
            self._counters.gaps += self.receivers
            self._gaps[span.stream] = span
        else:
            first, last = min(known.first, span.first), max(known.last, span.last)
            self._gaps[span.stream] = known._replace(first=first, last=last)
