"""Clients that want the same and share one mailbox."""

from __future__ import annotations

from toolkit.streaming.hub.audience import Wishes
from toolkit.streaming.hub.mailbox import Mailbox


class Cohort:
    """The members' names, what they want, and the mailbox that they share."""

    __slots__ = ("batch", "mailbox", "members", "wishes")

    def __init__(self, wishes: Wishes, mailbox: Mailbox, *, batch: bool) -> None:
        self.wishes = wishes
        self.batch = batch
        self.mailbox = mailbox
        self.members: dict[str, None] = {}
