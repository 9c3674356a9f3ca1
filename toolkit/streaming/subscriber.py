"""What the hub knows of one client."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.streaming.interest import Interest
from toolkit.streaming.mailbox import Mailbox
from toolkit.streaming.wire import Stream


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a client left a stream; not `known` when that was in another epoch."""

    seq: int
    known: bool


class Subscriber:
    """One client: its mailbox, what it wants, and where it wants to resume when it subscribes."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.interests: dict[Stream, Interest] = {}
        self.resume: dict[Stream, ResumePoint] = {}
        self.max_rate: float | None = None

    def wants(self, stream: Stream, symbol: str | None) -> bool:
        """Whether messages of `stream` and `symbol` are for this client."""
        interest = self.interests.get(stream)
        return interest is not None and interest.since(symbol) is not None
