"""Requests in threads, in turn and in time. The requests here are functions of the test."""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.alpaca.reaching import answer, until
from toolkit.alpaca.calling import WORKERS, Caller
from toolkit.alpaca.errors import broker_error
from toolkit.alpaca.resilience import BreakerState, Priority
from toolkit.alpaca.sdk import TradingClient
from toolkit.alpaca.settings import AlpacaSettings
from toolkit.errors import NotConnected, UnknownOrderState


@asynccontextmanager
async def caller_of(**fields: Any) -> AsyncIterator[Caller[TradingClient]]:
    settings = AlpacaSettings(**{"request_timeout": 0.05, "connect_timeout": 0.01, **fields})
    caller = Caller(lambda: TradingClient("k", "s"), settings=settings, translate=broker_error)
    try:
        yield caller
    finally:
        await caller.close()


class Jam:
    """Requests that are stuck until they are let go."""

    def __init__(self) -> None:
        self.began = 0
        self._go = threading.Event()

    def __call__(self, _: Any) -> str:
        self.began += 1
        self._go.wait(10)
        return "late"

    def let_go(self) -> None:
        self._go.set()


async def test_one_client_is_used_by_one_thread_at_a_time():
    """`requests.Session` is not guaranteed thread-safe: one client per thread."""
    in_use: set[int] = set()
    clashes: list[int] = []
    seen: set[int] = set()

    def use(line: Any) -> None:
        key = id(line)
        if key in in_use:
            clashes.append(key)
        in_use.add(key)
        seen.add(key)
        time.sleep(0.001)
        in_use.discard(key)

    async with caller_of(requests_per_minute=0, request_timeout=5.0) as caller:
        asks = [caller.ask("x", use) for _ in range(40)]
        changes = [caller.change("x", use, repeatable=False) for _ in range(40)]
        await asyncio.gather(*asks, *changes)
    assert clashes == []
    assert 1 < len(seen) <= 2 * WORKERS


async def test_questions_that_are_stuck_do_not_hold_up_an_order():
    jam = Jam()
    async with caller_of(request_timeout=5.0) as caller:
        stuck = [asyncio.create_task(caller.ask("x", jam)) for _ in range(3 * WORKERS)]
        await until(lambda: jam.began == WORKERS)
        assert await caller.change("buy", lambda _: "sent", repeatable=False) == "sent"
        jam.let_go()
        assert set(await asyncio.gather(*stuck)) == {"late"}


async def test_what_began_is_unknown_and_what_waited_for_a_thread_was_not_sent():
    jam = Jam()
    async with caller_of() as caller:
        tasks = [
            asyncio.create_task(caller.change("buy", jam, repeatable=False))
            for _ in range(WORKERS + 2)
        ]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        kinds = [type(result) for result in results]
        assert kinds == [UnknownOrderState] * WORKERS + [NotConnected] * 2
        assert "earlier requests" in str(results[-1])
        jam.let_go()
    assert jam.began == WORKERS


async def test_an_order_that_is_cancelled_before_its_turn_is_never_sent():
    jam, sent = Jam(), []
    async with caller_of(request_timeout=5.0) as caller:
        stuck = [
            asyncio.create_task(caller.change("x", jam, repeatable=False)) for _ in range(WORKERS)
        ]
        await until(lambda: jam.began == WORKERS)
        waits = asyncio.create_task(caller.change("buy", sent.append, repeatable=False))
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.wait((waits,))
        jam.let_go()
        await asyncio.gather(*stuck)
    assert sent == []


async def test_closing_waits_for_what_is_under_way_but_not_for_ever():
    jam = Jam()
    async with caller_of(request_timeout=0.05) as caller:
        stuck = asyncio.create_task(caller.ask("x", jam))
        await until(lambda: jam.began)
        begun = time.monotonic()
        await caller.close()
        assert time.monotonic() - begun < 2.0
        jam.let_go()
        assert await stuck == "late"


async def test_a_failed_change_is_repeated_only_where_that_is_harmless():
    async with caller_of(requests_per_minute=0) as caller:
        caller._sleep = _at_once
        for repeatable, attempts in ((False, 1), (True, 4)):
            tries: list[int] = []
            with pytest.raises(UnknownOrderState):
                await caller.change("x", _failing(tries), repeatable=repeatable)
            assert len(tries) == attempts
        assert caller.breaker.state is BreakerState.OPEN


async def test_a_wait_that_alpaca_asks_for_is_heeded_when_it_is_short_enough():
    """`Retry-After` is ignored by the SDK, which blocks for 3 s instead."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    for asked, attempts in ((5.0, 4), (60.0, 1)):
        tries: list[int] = []
        error = answer(429, "{}", Retry_After=str(asked))
        async with caller_of(requests_per_minute=0) as caller:
            caller._sleep, caller._throttle.pause = sleep, lambda _: None
            with pytest.raises(NotConnected):
                await caller.ask("x", _failing(tries, error), priority=Priority.ENTRY)
        assert len(tries) == attempts
    assert slept == [5.0] * 3


def test_importing_the_sdk_warns_of_nothing(monkeypatch):
    """All of `alpaca.trading` imports `websockets.legacy`: a DeprecationWarning."""
    again = ("websockets.legacy", "alpaca.trading.stream", "toolkit.alpaca.sdk")
    for name in [name for name in sys.modules if name.startswith(again)]:
        monkeypatch.delitem(sys.modules, name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        importlib.import_module("toolkit.alpaca.sdk")
        assert "websockets.legacy" in sys.modules


async def _at_once(_: float) -> None:
    return None


def _failing(tries: list[int], error: Exception | None = None) -> Callable[[Any], None]:
    def fail(_: Any) -> None:
        tries.append(1)
        raise error or TimeoutError

    return fail
