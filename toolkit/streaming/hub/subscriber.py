"""What the hub knows of one client."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.streaming.hub.audience import Wishes
from toolkit.streaming.hub.cohort import Cohort
from toolkit.streaming.hub.interest import Interest
from toolkit.streaming.hub.mailbox import Mailbox
from toolkit.streaming.wire import Stream


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a client left a stream; not `known` when that was in another epoch."""

    seq: int
    known: bool


class Subscriber:
    """One client: its mailbox, what it wants, and where it wants to resume when it subscribes.

    `batch`: it reads many messages in one event. `cohort` is where it gets its messages from
    while it keeps up; without one, from its own mailbox.
    """

    __slots__ = (
        "batch",
        "cohort",
        "interests",
        "mailbox",
        "max_rate",
        "name",
        "resume",
        "wishes",
    )

    def __init__(self, name: str, mailbox: Mailbox, *, batch: bool) -> None:
        self.name = name
        self.mailbox = mailbox
        self.batch = batch
        self.interests: dict[Stream, Interest] = {}
        self.resume: dict[Stream, ResumePoint] = {}
        self.max_rate: float | None = None
        self.wishes: Wishes = frozenset()
        self.cohort: Cohort | None = None

    def wants(self, stream: Stream, symbol: str | None) -> bool:
        """Whether messages of `stream` and `symbol` are for this client."""
        interest = self.interests.get(stream)
        return interest is not None and interest.since(symbol) is not None

    def wish(self) -> Wishes:
        """Return what it wants now; equal for clients that want the same."""
        return frozenset((stream, interest.wish) for stream, interest in self.interests.items())
