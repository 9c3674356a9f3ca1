"""From the hub to connections: written once per turn, in order, to those that take it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import orjson
import pytest

from tests.streaming.fakes import account, evaluation, position, quote
from tests.streaming.harness import FakeConnection, Harness
from toolkit.streaming.wire import Stream

MARKET, POSITIONS, ACCOUNT = Stream.MARKET_DATA, Stream.POSITIONS, Stream.ACCOUNT


async def test_messages_of_one_turn_are_one_write_shared_by_equal_clients() -> None:
    harness = Harness()
    one, two = FakeConnection(), FakeConnection()
    async with harness.websocket("one", one), harness.websocket("two", two):
        for name in ("one", "two"):
            harness.hub.subscribe(name, [MARKET])
        await harness.turn()
        one.writes.clear()
        two.writes.clear()
        for price in range(5):
            harness.hub.publish(quote("AAPL", float(price)))
        await harness.turn()
        assert len(one.writes) == len(two.writes) == 1
        assert one.writes[0] is two.writes[0]
        assert [m["seq"] for m in one.messages] == [1, 2, 3, 4, 5]
        assert [record.delivered for record in harness.records.values()] == [5, 5]
        assert harness.hub.counters.delivered == 10


async def test_nothing_goes_out_before_the_connect_answer() -> None:
    harness = Harness()
    connection = FakeConnection()
    async with harness.websocket("c", connection, greet=False):
        harness.hub.send("c", "connected", {})
        await harness.turn()
        assert connection.writes == []


async def test_a_client_that_reads_batches_gets_the_same_messages_in_one_event() -> None:
    harness = Harness()
    stock, ours = FakeConnection(), FakeConnection()
    async with harness.websocket("s", stock), harness.websocket("o", ours, batch=True):
        for name in ("s", "o"):
            harness.hub.subscribe(name, [MARKET, POSITIONS])
        await harness.turn()
        harness.hub.publish(quote())
        await harness.turn()
        harness.hub.publish(quote())
        harness.hub.publish(position())
        harness.hub.broadcast("heartbeat", {})
        harness.hub.publish(quote())
        harness.hub.publish(evaluation())
        await harness.turn()
    names = [name for name, _ in ours.events]
    batches = ["stream_data", "stream_batch", "heartbeat", "stream_batch"]
    assert names == ["subscription_confirmed", *batches]
    flat = [m for _, body in ours.events for m in (body if isinstance(body, list) else [body])]
    assert flat == [body for _, body in stock.events]


async def test_a_full_client_keeps_what_must_not_be_lost_and_conflates_the_rest() -> None:
    harness = Harness(queue_size=80)
    slow, quick = FakeConnection(room=400), FakeConnection()
    async with harness.websocket("slow", slow), harness.websocket("quick", quick):
        for name in ("slow", "quick"):
            harness.hub.subscribe(name, [MARKET])
        await harness.turn()
        slow.take()
        for minute in range(30):
            harness.hub.publish(quote("AAPL", float(minute)))
            harness.hub.publish(evaluation("AAPL", minute))
            await harness.turn()
        assert slow.full
        written = len(slow.writes)
        assert len(quick.messages) == 60
        slow.room = 1 << 30
        slow.take()
        await harness.turn()
        assert len(slow.writes) == written + 1
        bars = [m["seq"] for m in slow.messages if m["data"]["kind"] == "bar"]
        quotes = [m for m in slow.messages if m["data"]["kind"] == "quote"]
        assert bars == list(range(2, 61, 2))
        assert len(quotes) < 15
        assert quotes[-1]["seq"] == 59
        assert [m["seq"] for m in slow.messages] == sorted(m["seq"] for m in slow.messages)


async def test_a_client_that_took_everything_shares_again() -> None:
    harness = Harness()
    slow, quick = FakeConnection(room=400), FakeConnection()
    async with harness.websocket("slow", slow), harness.websocket("quick", quick):
        for name in ("slow", "quick"):
            harness.hub.subscribe(name, [POSITIONS])
        await harness.turn()
        for _ in range(4):
            harness.hub.publish(position())
        await harness.turn()
        assert slow.full
        slow.room = 1 << 30
        slow.take()
        await harness.turn()
        harness.hub.publish(position())
        await harness.turn()
        assert slow.writes[-1] is quick.writes[-1]
        assert [m["seq"] for m in slow.messages] == [1, 2, 3, 4, 5]


async def test_a_long_backlog_is_written_as_far_as_it_is_taken() -> None:
    harness = Harness()
    slow = FakeConnection(room=100_000)
    async with harness.websocket("slow", slow):
        harness.hub.subscribe("slow", [POSITIONS])
        await harness.turn()
        for _ in range(1200):
            harness.hub.publish(position())
        await harness.turn()
        assert slow.full
        assert slow.waiting < 3 * 65_536
        while slow.full:
            slow.take()
            await harness.turn()
        assert [m["seq"] for m in slow.messages] == list(range(1, 1201))
        assert harness.records["slow"].delivered == harness.hub.counters.delivered == 1200


async def test_a_client_that_takes_nothing_is_cut_off() -> None:
    harness = Harness(stall_timeout=0.01)
    connection = FakeConnection(room=0)
    async with harness.websocket("c", connection):
        harness.hub.send("c", "connected", {})
        async with asyncio.timeout(5):
            while not connection.cuts:
                connection.news.clear()
                await connection.news.wait()


async def test_a_client_that_takes_a_little_is_not_cut_off() -> None:
    harness = Harness(stall_timeout=60.0)
    connection = FakeConnection(room=0)
    async with harness.websocket("c", connection):
        harness.hub.send("c", "connected", {})
        await harness.turn()
        lane = harness.delivery._lanes["c"]
        cuts = []
        for taken in (1, 0):
            connection.waiting -= taken
            lane._check()
            cuts.append(connection.cuts)
        assert cuts == [0, 1]


async def test_a_closed_connection_counts_nothing() -> None:
    harness = Harness()
    connection, other = FakeConnection(), FakeConnection()
    async with harness.websocket("c", connection), harness.websocket("o", other):
        for name in ("c", "o"):
            harness.hub.subscribe(name, [ACCOUNT])
        await harness.turn()
        connection.closed = True
        for _ in range(3):
            harness.hub.publish(account())
            await harness.turn()
        assert harness.records["c"].delivered == 0
        assert harness.records["o"].delivered == harness.hub.counters.delivered == 3


async def test_a_rate_limit_holds_back_and_lets_go_by_itself() -> None:
    harness = Harness()
    connection = FakeConnection()
    async with harness.websocket("c", connection):
        harness.hub.subscribe("c", [MARKET], max_rate=50.0)
        for price in (1.0, 2.0):
            harness.hub.publish(quote("AAPL", price))
            await harness.turn()
        async with asyncio.timeout(5):
            while len(connection.messages) < 2:
                connection.news.clear()
                await connection.news.wait()
        assert [m["data"]["price"] for m in connection.messages] == pytest.approx([1.0, 2.0])


async def test_what_breaks_beneath_one_client_sends_it_the_plain_way(
    caplog: pytest.LogCaptureFixture,
) -> None:
    harness = Harness()
    broken, fine = FakeConnection(), FakeConnection()
    async with harness.websocket("broken", broken), harness.websocket("fine", fine):
        for name in ("broken", "fine"):
            harness.hub.subscribe(name, [POSITIONS])
        await harness.turn()
        broken.failure = RuntimeError("no such attribute")
        harness.hub.publish(position())
        harness.hub.publish(position())
        async with asyncio.timeout(5):
            while len(harness.engine.sent) < 2:
                harness.engine.news.clear()
                await harness.engine.news.wait()
        assert harness.delivery.way("broken") == "plain"
        assert harness.delivery.way("fine") == "express"
        assert [m["seq"] for m in fine.messages] == [1, 2]
        sent = [orjson.loads(text[1:])[1]["seq"] for text in harness.engine.sent]
        assert sent == [1, 2]
    assert "the express way to broken broke" in caplog.text


async def test_what_was_written_before_a_break_is_not_written_again() -> None:
    harness = Harness()
    broken, fine = FakeConnection(), FakeConnection()
    async with harness.websocket("broken", broken), harness.websocket("fine", fine):
        for name in ("broken", "fine"):
            harness.hub.subscribe(name, [POSITIONS])
        await harness.turn()
        broken.failure, broken.works = RuntimeError("no such attribute"), 1
        for _ in range(400):
            harness.hub.publish(position())
        await harness.turn()
        before = [m["seq"] for m in broken.messages]
        assert 0 < len(before) < 400
        async with asyncio.timeout(5):
            while len(harness.engine.sent) < 400 - len(before):
                harness.engine.news.clear()
                await harness.engine.news.wait()
        after = [orjson.loads(text[1:])[1]["seq"] for text in harness.engine.sent]
        assert before + after == [m["seq"] for m in fine.messages] == list(range(1, 401))
        delivered = [record.delivered for record in harness.records.values()]
        assert delivered == [400, 400]
        assert harness.hub.counters.delivered == 800


async def test_what_a_client_alone_was_to_get_survives_the_break() -> None:
    harness = Harness()
    broken = FakeConnection(failure=RuntimeError("no such attribute"))
    async with harness.websocket("broken", broken):
        for number in range(3):
            harness.hub.send("broken", "pong", {"number": number})
        async with asyncio.timeout(5):
            while len(harness.engine.sent) < 3:
                harness.engine.news.clear()
                await harness.engine.news.wait()
        numbers = [orjson.loads(text[1:])[1]["number"] for text in harness.engine.sent]
        assert numbers == [0, 1, 2]


async def test_clients_that_come_and_go_leave_nothing_behind() -> None:
    harness = Harness()
    async with AsyncExitStack() as stack:
        for number in range(20):
            connection = FakeConnection()
            await stack.enter_async_context(harness.websocket(f"c{number}", connection))
            harness.hub.subscribe(f"c{number}", [MARKET], ["AAPL"])
            harness.hub.publish(quote())
            await harness.turn()
    harness.hub.publish(quote())
    await harness.turn()
    assert list(harness.hub.collect()) == []
    assert not harness.hub._audiences.wanted(MARKET, "AAPL")
    assert list(harness.hub._cohorts) == []
    assert not harness.delivery._lanes
    assert not harness.delivery._clients
