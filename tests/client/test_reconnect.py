"""Broken wires and restarted servers: nothing lost without a word, nothing twice."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.client.clients import connected
from tests.client.network import wired
from tests.streaming.fakes import FakeBot, evaluation, position, quote
from tests.streaming.serving import TRADE, VIEW, serving
from toolkit.errors import NotConnected
from toolkit.streaming.wire import Stream

ENDLESS = {"reconnect_attempts": None, "reconnect_delay": 0.0005}


async def test_a_cut_wire_costs_nothing() -> None:
    async with (
        serving() as served,
        wired(served.server.port) as wire,
        connected(f"http://127.0.0.1:{wire.port}", VIEW) as heard,
    ):
        await heard.client.subscribe(["positions"], ["AAPL"])
        served.hub.publish(position())
        await heard.until(lambda: heard.seqs)
        wire.cut()
        for symbol in ("AAPL", "MSFT", "AAPL"):
            served.hub.publish(position(symbol))
        await heard.until(lambda: len(heard.all("connected")) == 2)
        served.hub.publish(position())
        await heard.until(lambda: len(heard.seqs) == 4)
        assert heard.seqs == [1, 2, 4, 5]
        assert heard.all("gap") == []
        assert len(heard.all("disconnected")) == 1


async def test_wires_cut_in_the_middle_of_frames() -> None:
    chance = random.Random(5)
    async with (
        serving() as served,
        wired(served.server.port) as wire,
        connected(f"http://127.0.0.1:{wire.port}", VIEW, **ENDLESS) as heard,
    ):
        await heard.client.subscribe(["positions", "market_data"])
        for cycle in range(20):
            wire.cut_at = wire.carried + chance.randrange(1, 8_000)
            while wire.cut_at is not None:
                served.hub.publish(position(chance.choice(["AAPL", "MSFT"])))
                served.hub.publish(evaluation("AAPL", cycle))
                await asyncio.sleep(0.0005)
            await heard.until(lambda: heard.client.state != "connected")
            await heard.until(lambda: heard.client.state == "connected")
        await heard.until(
            lambda: (
                last(heard, "positions") == served.hub.seq(Stream.POSITIONS)
                and last(heard, "market_data") == served.hub.seq(Stream.MARKET_DATA)
            )
        )
        for stream in ("positions", "market_data"):
            seqs = [m.seq for m in heard.all("stream_data") if m.stream_type == stream]
            assert seqs == list(range(1, len(seqs) + 1)), stream
        assert heard.all("gap") == []


def last(heard: object, stream: str) -> int:
    messages = heard.all("stream_data")  # type: ignore[attr-defined]
    return max((m.seq for m in messages if m.stream_type == stream), default=0)


async def test_a_silent_server_is_noticed_by_its_missing_heartbeats() -> None:
    async with (
        serving(heartbeat_interval=0.05) as served,
        wired(served.server.port) as wire,
        connected(f"http://127.0.0.1:{wire.port}", VIEW, timeout=0.3) as heard,
    ):
        await heard.client.subscribe(["positions"])
        await heard.until(lambda: heard.all("heartbeat"))
        wire.flowing.clear()
        served.hub.publish(position())
        await heard.until(lambda: heard.all("disconnected"))
        assert "silent" in heard.all("disconnected")[0]["reason"]
        wire.flowing.set()
        await heard.until(lambda: heard.seqs)
        assert heard.seqs == [1]


async def test_a_restarted_server_is_a_gap_and_then_goes_on() -> None:
    async with serving(epoch="first") as served:
        port = served.server.port
        client_context = connected(served.url, VIEW, reconnect_attempts=50)
        heard = await client_context.__aenter__()
        await heard.client.subscribe(["positions"], ["AAPL"])
        for _ in range(3):
            served.hub.publish(position())
        await heard.until(lambda: len(heard.seqs) == 3)
    async with serving(epoch="second", port=port) as served:
        # The old one may have let the client in again while it was stopping.
        await heard.until(lambda: heard.all("connected")[-1]["epoch"] == "second")
        assert heard.client.epoch == "second"
        gap = heard.all("gap")[0]
        assert (gap.stream, gap.first, gap.last, gap.reason) == ("positions", 4, None, "restart")
        served.hub.publish(position("MSFT"))
        served.hub.publish(position("AAPL"))
        await heard.until(lambda: len(heard.seqs) == 4)
        assert heard.seqs == [1, 2, 3, 2]
        assert len(heard.all("gap")) == 1
        await client_context.__aexit__(None, None, None)


async def test_giving_up_is_said_and_ends_iterators() -> None:
    async with serving() as served:
        client_context = connected(served.url, VIEW, reconnect_attempts=2)
        heard = await client_context.__aenter__()
        messages = heard.client.stream("positions")
        waiting = asyncio.ensure_future(anext(messages))
        await heard.until(lambda: heard.client.subscriptions.covers("positions", None))
    with pytest.raises(NotConnected, match="gave up after 2 attempts"):
        await asyncio.wait_for(waiting, 10)
    assert heard.client.state == "disconnected"
    assert isinstance(heard.all("error")[0], NotConnected)
    with pytest.raises(NotConnected, match="gave up"):
        await heard.client.ping()
    with pytest.raises(NotConnected, match="gave up"):
        await asyncio.wait_for(heard.client.command("get_status"), 1)
    await client_context.__aexit__(None, None, None)


async def test_a_command_whose_answer_is_lost_is_executed_once() -> None:
    class Slow(FakeBot):
        async def command(self, name: str, args: object, *, who: str) -> object:  # type: ignore[override]
            self.calls.append((name, {}, who))
            called.set()
            await release.wait()
            return {"done": True}

    called, release = asyncio.Event(), asyncio.Event()
    bot = Slow()
    async with (
        serving(bot=bot) as served,
        wired(served.server.port) as wire,
        connected(f"http://127.0.0.1:{wire.port}", TRADE) as heard,
    ):
        pending = asyncio.create_task(heard.client.command("flatten"))
        await asyncio.wait_for(called.wait(), 5)
        wire.cut()
        await heard.until(lambda: len(heard.all("connected")) == 2)
        release.set()
        assert await asyncio.wait_for(pending, 5) == {"done": True}
        assert len(bot.calls) == 1


async def test_a_lagging_client_gets_a_gap_and_goes_on() -> None:
    async with (
        serving(queue_size=50) as served,
        connected(served.url, VIEW) as heard,
    ):
        await heard.client.subscribe(["positions"])
        for _ in range(500):
            served.hub.publish(position())
        await heard.until(lambda: heard.seqs and heard.seqs[-1] == 500)
        gap = heard.all("gap")[0]
        assert (gap.first, gap.last, gap.reason) == (1, 450, "slow")
        assert heard.seqs == list(range(451, 501))
        served.hub.publish(quote())
