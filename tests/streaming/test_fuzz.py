"""Fuzzing a real server: an answer or a close, never a traceback, and nothing grows.

`python -m tests.soak.fuzz` sends many more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.streaming.fakes import FakeBot, evaluation
from tests.streaming.fuzzing import (
    Target,
    fuzz_http_bytes,
    fuzz_openapi,
    fuzz_polling,
    fuzz_websockets,
)
from tests.streaming.serving import Served, serving, stock
from tests.streaming.test_lifecycle import left_behind
from tests.streaming.test_roles import ENDPOINTS, token_of
from toolkit.streaming.wire import Role

# One address sends all of this; the limits have tests of their own.
# Engine.IO keeps a timer of each session until the next ping is due, so pings are frequent.
GENEROUS = {
    "messages_per_second": 10_000.0,
    "message_burst": 10_000,
    "penalty": 0.0,
    "handshake_timeout": 1.0,
    "ping_interval": 0.3,
}
# Engine.IO says each kind of mistake once, at this level.
MISTAKES = "further occurrences of this error"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    bot = FakeBot()
    bot.events = [evaluation("AAPL", 0)]
    async with serving(bot=bot, secret_file=tmp_path / "secret", **GENEROUS) as served:
        yield served


def target(served: Served) -> Target:
    return Target(port=served.server.port, token=served.token)


async def assert_calm(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """Wait until all strangers are gone; nothing unexpected was logged."""
    async with asyncio.timeout(10):
        while served.server._sio.eio.sockets or len(served.server._gate.door):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert served.server._stats.clients == {}
    presence, guard = served.server._gate.presence, served.server._gate._guard
    assert (presence._clients, presence._by_session, len(presence._places)) == ({}, {}, 0)
    assert guard is not None
    assert (guard._peers, len(guard._places)) == ({}, 0)
    loud = [r for r in caplog.records if r.levelno >= logging.ERROR or r.exc_info]
    said = [r.getMessage() for r in loud]
    assert [text for text in said if MISTAKES not in text] == []


@pytest.mark.parametrize(
    ("fuzz", "examples"), [(fuzz_websockets, 60), (fuzz_polling, 25), (fuzz_http_bytes, 40)]
)
async def test_whatever_comes_others_go_on_and_nothing_stays(
    served: Served, caplog: pytest.LogCaptureFixture, fuzz: Any, examples: int
) -> None:
    async with stock(served):
        await asyncio.to_thread(fuzz, target(served), examples=3)
    await assert_calm(served, caplog)
    # Threads are those of asyncio's pool, which grows to a size of its own.
    _, *before = left_behind()
    async with stock(served) as other:
        await asyncio.to_thread(fuzz, target(served), examples=examples)
        assert (await other.call("ping", {}))["ok"]
        assert not other.all("error")
    await assert_calm(served, caplog)
    async with asyncio.timeout(30):
        while any(n > b for n, b in zip(left_behind()[1:], before, strict=True)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("held", [None, *Role])
async def test_endpoints_answer_as_the_schema_says_and_only_to_whom_they_may(
    served: Served, caplog: pytest.LogCaptureFixture, held: Role | None
) -> None:
    def verify(case: Any, response: Any) -> None:
        needed = ENDPOINTS.get((case.method.lower(), case.operation.path))
        if needed is not None and (held is None or held < needed):
            assert response.status_code >= 400
            if response.status_code in (401, 403):
                assert response.json()["error"]["code"] == "auth_error"

    calls = await asyncio.to_thread(
        fuzz_openapi, target(served), token=token_of(held, served), examples=5, verify=verify
    )
    assert calls >= len(ENDPOINTS)
    if held is None:
        assert served.bot.calls == []
    await assert_calm(served, caplog)
