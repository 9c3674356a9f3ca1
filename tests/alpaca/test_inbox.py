"""What a stream heard, until it is read."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from toolkit.alpaca.inbox import Inbox
from toolkit.alpaca.port import Link, LinkNews

AT = datetime(2026, 1, 5, tzinfo=UTC)
SIZE = 4


def news(link: Link, reason: str = "") -> LinkNews:
    return LinkNews(link=link, timestamp=AT, reason=reason)


class InboxMachine(RuleBasedStateMachine):
    """Events come out once, in order; what found no room was said to be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.inbox: Inbox[int] = Inbox(SIZE)
        self.model: list[int | LinkNews] = []
        self.number = 0

    @rule()
    def put(self) -> None:
        self.number += 1
        taken = self.inbox.put(self.number)
        assert taken == (len(self.model) < SIZE)
        if taken:
            self.model.append(self.number)

    @rule(link=st.sampled_from(Link), reason=st.sampled_from("ab"))
    def tell(self, link: Link, reason: str) -> None:
        told = news(link, reason)
        last = self.model[-1] if self.model else None
        if isinstance(last, LinkNews) and last.link is link:
            self.model.pop()
        self.model.append(told)
        self.inbox.tell(told)

    @precondition(lambda self: self.model)
    @rule()
    def get(self) -> None:
        async def one() -> int | LinkNews | None:
            return await self.inbox.get()

        assert asyncio.run(one()) == self.model.pop(0)

    @invariant()
    def there_is_room_when_half_is_read(self) -> None:
        if not self.inbox._drained.is_set():
            assert len(self.model) > SIZE // 2


InboxMachine.TestCase.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
TestInbox = InboxMachine.TestCase


async def test_the_end_comes_after_what_is_left():
    inbox: Inbox[int] = Inbox(SIZE)
    inbox.put(1)
    inbox.end()
    assert [await inbox.get(), await inbox.get(), await inbox.get()] == [1, None, None]


async def test_an_error_comes_after_what_is_left_and_to_who_waits():
    inbox: Inbox[int] = Inbox(SIZE)
    waits = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.end(ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        await waits
