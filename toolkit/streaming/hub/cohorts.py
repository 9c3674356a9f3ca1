"""Clients that want the same and keep up share one mailbox: a message is put there once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from toolkit.streaming.hub.audience import Audiences, Wishes
from toolkit.streaming.hub.cohort import Cohort
from toolkit.streaming.hub.frames import Frame
from toolkit.streaming.hub.mailbox import Mailbox
from toolkit.streaming.hub.subscriber import Subscriber

ALL = 1 << 30


class Parcel(NamedTuple):
    """What is to be written, in this order, to each of some clients; `batch` as they read it."""

    frames: list[Frame]
    members: tuple[str, ...]
    batch: bool


class Cohorts:
    """All cohorts, by what their members want and how they read it.

    A client joins when nothing waits for it, and leaves with all that its cohort has not
    handed over yet, so that nothing is lost, doubled or reordered. `new_mailbox` makes one that
    calls what it is given whenever something is put into it.
    """

    def __init__(
        self, audiences: Audiences, new_mailbox: Callable[[Callable[[], None]], Mailbox]
    ) -> None:
        self._audiences = audiences
        self._new_mailbox = new_mailbox
        self._cohorts: dict[tuple[bool, Wishes], Cohort] = {}
        self._outstanding: dict[Cohort, None] = {}
        self.wake: Callable[[], None] = lambda: None

    def __iter__(self) -> Iterator[Cohort]:
        return iter(self._cohorts.values())

    def join(self, client: Subscriber) -> bool:
        """Take the client in; False while something waits, for it alone or for its cohort."""
        if client.cohort is not None:
            return True
        if len(client.mailbox) or client.mailbox.interval:
            return False
        cohort = self._cohorts.get((client.batch, client.wishes))
        if cohort is None:
            cohort = self._open(client)
        elif len(cohort.mailbox):
            return False
        self._audiences.remove(client.mailbox, client.wishes)
        cohort.members[client.name] = None
        cohort.mailbox.receivers = len(cohort.members)
        client.cohort = cohort
        return True

    def leave(self, client: Subscriber, undelivered: Sequence[Frame] = ()) -> None:
        """Give the client back its own mailbox: first `undelivered`, then what waits."""
        cohort = client.cohort
        if cohort is None:
            return
        client.cohort = None
        for frame in undelivered:
            client.mailbox.push(frame)
        client.mailbox.take_over(cohort.mailbox)
        self._audiences.add(client.mailbox, client.wishes)
        del cohort.members[client.name]
        cohort.mailbox.receivers = len(cohort.members)
        if not cohort.members:
            self._close(cohort)

    def collect(self) -> Iterator[Parcel]:
        """Remove and return what is to be written now."""
        outstanding, self._outstanding = self._outstanding, {}
        for cohort in outstanding:
            if frames := cohort.mailbox.take(ALL):
                yield Parcel(frames, tuple(cohort.members), cohort.batch)

    def _open(self, client: Subscriber) -> Cohort:
        def wake() -> None:
            if not self._outstanding:
                self.wake()
            self._outstanding[cohort] = None

        cohort = Cohort(client.wishes, self._new_mailbox(wake), batch=client.batch)
        self._cohorts[cohort.batch, cohort.wishes] = cohort
        self._audiences.add(cohort.mailbox, cohort.wishes)
        return cohort

    def _close(self, cohort: Cohort) -> None:
        del self._cohorts[cohort.batch, cohort.wishes]
        self._outstanding.pop(cohort, None)
        self._audiences.remove(cohort.mailbox, cohort.wishes)
