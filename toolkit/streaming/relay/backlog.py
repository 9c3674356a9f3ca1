"""What the owner of a cluster keeps: entries not sent yet, and sent ones that may be lost again."""

from __future__ import annotations

from collections import deque
from itertools import islice

from toolkit.streaming.relay.port import Packed
from toolkit.streaming.wire import Stream


class Backlog:
    """Entries in order of their numbers, bounded; pure.

    Of each stream the last `lossless` messages that must not be lost are kept, of the others
    the latest of each key and at most `loose` that were replaced. `sent` is the number up to
    which the log is known to hold everything that was taken.
    """

    def __init__(self, *, lossless: int, loose: int) -> None:
        self._sizes = lossless, loose
        self._items: dict[int, Packed] = {}
        self._of_stream: dict[Stream, deque[int]] = {}
        self._latest: dict[str, int] = {}
        self._replaced: deque[int] = deque()
        self._waiting: deque[int] = deque()
        self.sent = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def waiting(self) -> int:
        """How many entries are not known to be in the log."""
        return sum(1 for number in self._waiting if number in self._items)

    @property
    def keep_from(self) -> int:
        """The number of the oldest message that must not be lost and is still kept."""
        return min((numbers[0] for numbers in self._of_stream.values() if numbers), default=0)

    def add(self, item: Packed) -> None:
        """Take the next entry; what there is no room for any more is dropped."""
        lossless, loose = self._sizes
        self._items[item.number] = item
        self._waiting.append(item.number)
        if item.stream is not None:
            numbers = self._of_stream.setdefault(item.stream, deque())
            numbers.append(item.number)
            if len(numbers) > lossless:
                del self._items[numbers.popleft()]
        elif item.conflate is not None:
            if (before := self._latest.get(item.conflate)) is not None:
                self._replaced.append(before)
            self._latest[item.conflate] = item.number
            if len(self._replaced) > loose:
                del self._items[self._replaced.popleft()]
        if len(self._waiting) > 2 * len(self._items):
            self._waiting = deque(number for number in self._waiting if number in self._items)

    def take(self, limit: int) -> list[Packed]:
        """Return the next entries to send, `limit` at most; they stay until `settle`."""
        found = (self._items[number] for number in self._waiting if number in self._items)
        return list(islice(found, limit))

    def settle(self, end: int) -> None:
        """Note that the log ends at `end`: go on after it, or send again what it has lost."""
        if end < self.sent:
            self._waiting = deque(number for number in self._items if number > end)
        while self._waiting and self._waiting[0] <= end:
            self._waiting.popleft()
        self.sent = end
