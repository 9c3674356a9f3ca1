"""A connection that is kept up, over a wire that the test holds in its hands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosedError

from tests.alpaca.reaching import Reader, reading, until
from toolkit.alpaca.link import KeptLink
from toolkit.alpaca.port import Link, LinkNews
from toolkit.alpaca.resilience import Backoff
from toolkit.alpaca.settings import AlpacaSettings
from toolkit.alpaca.sockets import StreamLost, StreamRefused

AT_ONCE = AlpacaSettings(handshake_timeout=0.01, queue_size=5)
FATES = {
    "lost": StreamLost("lost"),
    "refused": StreamRefused("refused"),
    "closed": ConnectionClosedError(None, None),
    "network": OSError("no route"),
}


class FakeWire:
    """Goes through rounds: how the handshake ends, the frames, and what ends the connection."""

    def __init__(self, rounds: Sequence[tuple[str, list[int], str]]) -> None:
        self.rounds = list(rounds)
        self.open_now = 0
        self.opened = 0
        self.sent: list[int] = []
        self._number = 0
        self._frames: list[int] = []
        self._end = "hang"

    async def ready(self) -> None:
        await asyncio.sleep(0)

    async def open(self) -> None:
        self.open_now += 1
        self.opened += 1
        assert self.open_now == 1, "two connections"
        last = ("good", [], "hang")
        opening, self._frames, self._end = self.rounds.pop(0) if self.rounds else last
        await self._meet(opening)

    async def read(self) -> Sequence[int]:
        if not self._frames:
            await self._meet(self._end)
            return ()
        await asyncio.sleep(0)
        first = self._number
        self._number += self._frames.pop(0)
        found = list(range(first, self._number))
        self.sent += found
        return found

    async def hang_up(self) -> None:
        await asyncio.sleep(0)
        self.open_now = 0

    async def _meet(self, fate: str) -> None:
        await asyncio.sleep(0)
        if fate in FATES:
            raise FATES[fate]
        if fate == "hang":
            await asyncio.Event().wait()


ROUNDS = st.lists(
    st.tuples(
        st.sampled_from(["good", "good", "hang", *FATES]),
        st.lists(st.integers(1, 4), max_size=4),
        st.sampled_from([*FATES]),
    ),
    max_size=8,
)


def link_over(wire: Any, **fields: Any) -> KeptLink[int]:
    return KeptLink(wire, settings=AT_ONCE, backoff=Backoff(uniform=lambda *_: 0.0), **fields)


@given(rounds=ROUNDS, slow=st.booleans())
@settings(max_examples=60, deadline=None)
def test_nothing_is_lost_unless_it_is_said_and_there_is_never_a_second_connection(rounds, slow):
    async def run() -> None:
        wire = FakeWire(rounds)
        link = link_over(wire)
        heard: list[Any] = []
        news = link.news()
        while not (wire.opened > len(rounds) and heard and _is_up(heard[-1])):
            heard.append(await anext(news))
            if slow:
                await asyncio.sleep(0)
        await link.stop()
        heard += [item async for item in news]
        assert wire.open_now == 0
        _check(heard, wire.sent)

    asyncio.run(run())


def _is_up(item: Any) -> bool:
    return isinstance(item, LinkNews) and item.link is Link.UP


def _check(heard: list[Any], sent: list[int]) -> None:
    """Events come in order, only while up; between an UP and its end only the last may miss."""
    up, last = False, -1
    excused = True
    for item in heard:
        if isinstance(item, LinkNews):
            assert not (up and item.link is Link.UP), "an UP after an UP"
            up, excused = item.link is Link.UP, True
            continue
        assert up, "an event while down"
        assert item == last + 1 or (excused and item > last)
        last, excused = item, False
    assert {item for item in heard if isinstance(item, int)} <= set(sent)


async def test_an_error_of_ours_ends_the_news_with_it_and_closes_the_connection():
    class Broken(FakeWire):
        async def read(self) -> Sequence[int]:
            raise ZeroDivisionError("a bug")

    wire = Broken([])
    link = link_over(wire)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        async for _ in link.news():
            pass
    assert wire.open_now == 0


async def test_stop_is_for_all_who_call_it_and_before_it_began():
    link = link_over(FakeWire([]))
    await link.stop()
    async with reading(link) as reader:
        await reader.ups()
        await asyncio.gather(link.stop(), link.stop())
    assert reader.links == [Link.UP]


async def test_stop_during_the_pause_does_not_wait_for_it():
    wire = FakeWire([("refused", [], "lost")] * 3)
    link = KeptLink(wire, settings=AT_ONCE, backoff=Backoff(uniform=lambda *_: 3600.0))
    async with reading(link) as reader:
        assert await reader.refused() == "refused"
    assert wire.opened == 1


async def test_reconnect_cuts_the_pause_short():
    wire = FakeWire([("lost", [], "lost")])
    link = KeptLink(wire, settings=AT_ONCE, backoff=Backoff(uniform=lambda *_: 3600.0))
    async with reading(link) as reader:
        await until(lambda: reader.links == [Link.DOWN])
        await link.reconnect("at once")
        await reader.ups()


async def test_a_reader_that_has_stopped_reading_is_not_connected_for():
    wire = FakeWire([("good", [9], "hang")])
    link = link_over(wire)
    news = link.news()
    await anext(news)
    await until(lambda: wire.open_now == 0)
    for _ in range(20):
        await asyncio.sleep(0)
    assert wire.opened == 1
    for _ in range(4):
        await anext(news)
    await until(lambda: wire.opened == 2)
    await news.aclose()
    assert wire.open_now == 0


async def test_it_can_be_read_again_while_the_old_reader_goes_home():
    link = link_over(FakeWire([]))
    first = Reader(link)
    await first.ups()
    await link.stop()
    second = Reader(link)
    await second.ups()
    await first.task
    assert not second.task.done()
    await link.stop()
    await second.task
