"""Many tasks bring, one takes."""

from __future__ import annotations

import asyncio

import pytest

from tests.market.fakes import until
from toolkit.market.inbox import Inbox


async def test_whoever_brings_more_than_there_is_room_for_waits() -> None:
    inbox: Inbox[int] = Inbox(2)
    brought: list[int] = []

    async def bring() -> None:
        for number in range(4):
            await inbox.put(number)
            brought.append(number)

    task = asyncio.create_task(bring())
    await until(lambda: len(brought) == 2)
    assert [await inbox.get() for _ in range(4)] == [0, 1, 2, 3]
    await task


async def test_closing_frees_all_who_wait() -> None:
    inbox: Inbox[int] = Inbox(1)
    await inbox.put(0)
    waiting = asyncio.create_task(inbox.put(1))
    await inbox.close()
    await waiting
    assert await inbox.get() is None


async def test_an_error_comes_before_what_is_queued() -> None:
    inbox: Inbox[int] = Inbox(2)
    await inbox.put(0)
    await inbox.fail(ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        await inbox.get()
