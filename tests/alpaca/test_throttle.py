"""Who goes first when requests are scarce."""

from __future__ import annotations

import asyncio

import pytest

from toolkit.alpaca.resilience import Priority, TokenBucket
from toolkit.alpaca.throttle import Throttle
from toolkit.errors import NotConnected


def throttle_of(*, per_minute: int, patience: float = 5.0) -> Throttle:
    loop = asyncio.get_running_loop()
    bucket = TokenBucket(per_minute=per_minute, now=loop.time())
    return Throttle(bucket, patience=patience, monotonic=loop.time)


async def test_exits_go_before_entries_and_entries_before_polling():
    throttle, order = throttle_of(per_minute=6000), []
    throttle.pause(0.05)

    async def enter(priority: Priority, number: int) -> None:
        await throttle.enter(priority)
        order.append((priority, number))

    asked = [(priority, number) for number in range(5) for priority in reversed(Priority)]
    await asyncio.gather(*(enter(*one) for one in asked))
    assert order == sorted(asked)


async def test_who_waits_too_long_is_told_and_takes_no_token():
    throttle = throttle_of(per_minute=10, patience=0.02)
    for _ in range(5):
        await throttle.enter(Priority.EXIT)
    with pytest.raises(TimeoutError):
        await throttle.enter(Priority.EXIT)
    assert 0.0 <= throttle._bucket._tokens < 1.0


async def test_who_gave_up_is_passed_over():
    throttle = throttle_of(per_minute=6000)
    throttle.pause(0.03)
    gone = asyncio.create_task(throttle.enter(Priority.EXIT))
    waits = asyncio.create_task(throttle.enter(Priority.BACKGROUND))
    await asyncio.sleep(0)
    gone.cancel()
    await waits
    assert gone.cancelled()


async def test_who_waits_at_the_end_is_told_so_and_not_cancelled():
    throttle = throttle_of(per_minute=6000)
    throttle.pause(60.0)
    waits = asyncio.create_task(throttle.enter(Priority.EXIT))
    await asyncio.sleep(0)
    throttle.close()
    with pytest.raises(NotConnected, match="closed"):
        await waits
