"""The relay's contract, the same for the adapter in memory and for Redis; then Redis alone."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.streaming.fakes import START, account, quote
from tests.streaming.redis_server import RedisServer, redis_server
from toolkit.errors import ConfigError, RelayError
from toolkit.streaming.hub.sequencer import Sequencer
from toolkit.streaming.relay.memory import MemoryRelay
from toolkit.streaming.relay.port import Batch, Message, Packed, Pulse, Relay
from toolkit.streaming.relay.redis_streams import RedisRelay, masked
from toolkit.streaming.wire import Stream, payload


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(params=["memory", "redis"])
async def relay(request: pytest.FixtureRequest) -> AsyncIterator[Relay]:
    if request.param == "memory":
        yield MemoryRelay(size=100)
        return
    url = request.getfixturevalue("server").url
    async with connected(url) as found:
        yield found


@asynccontextmanager
async def connected(url: str, *, name: str = "", key: bytes = b"k") -> AsyncIterator[RedisRelay]:
    relay = RedisRelay(url, name=name or secrets.token_hex(4), key=key, size=100)
    try:
        yield relay
    finally:
        await relay.close()


def packed(*numbers: int) -> list[Packed]:
    """Even numbers are quotes, odd ones accounts, which must not be lost."""
    sequencer = Sequencer(epoch="e1", clock=lambda: START)
    events = {n: account(n) if n % 2 else quote(price=n) for n in numbers}
    return [
        Packed.of(Message(number=n, frame=sequencer.frame(payload(event)), before=0))
        for n, event in events.items()
    ]


def numbers(batches: list[Batch]) -> list[int]:
    return [entry.number for batch in batches for entry in batch.entries]


async def fill(relay: Relay, *batches: tuple[int, ...], keep_from: int = 0) -> None:
    after = 0
    for batch in batches:
        assert await relay.append(packed(*batch), after=after, keep_from=keep_from) == batch[-1]
        after = batch[-1]


async def test_an_empty_log_ends_at_zero(relay: Relay):
    assert await relay.end() == 0
    assert await relay.read(after=0, wait=0.01) == []
    assert await relay.kept(after=0) == []


async def test_what_is_appended_is_read_in_order_from_any_place(relay: Relay):
    await fill(relay, (1, 2, 3), (4,), (5, 6))
    batches = await relay.read(after=0, wait=1)
    assert numbers(batches) == [1, 2, 3, 4, 5, 6]
    assert [(b.after, b.end) for b in batches] == [(0, 3), (3, 4), (4, 6)]
    assert numbers(await relay.read(after=4, wait=1)) == [5, 6]
    assert numbers(await relay.read(after=1, wait=1)) == [1, 2, 3, 4, 5, 6]
    assert await relay.end() == 6


async def test_entries_come_back_as_they_were(relay: Relay):
    sequencer = Sequencer(epoch="e1", clock=lambda: START)
    sent = [
        Message(number=1, frame=sequencer.frame(payload(quote())), before=0, slot="quote:AAPL"),
        Message(number=2, frame=sequencer.frame(payload(account())), before=5, ends=("a", "b")),
    ]
    await relay.append([Packed.of(message) for message in sent], after=0, keep_from=0)
    pulse = Pulse(number=3, lossless={Stream.ORDERS: 7}, controls={"streaming": False})
    await relay.append([Packed.of(pulse)], after=2, keep_from=0)
    found = [entry for batch in await relay.read(after=0, wait=1) for entry in batch.entries]
    assert [e.to_list() for e in found] == [*(m.to_list() for m in sent), pulse.to_list()]
    assert found[2] == pulse


async def test_an_append_at_the_wrong_place_adds_nothing_and_says_where_the_log_ends(relay: Relay):
    await fill(relay, (1, 2))
    assert await relay.append(packed(1, 2), after=0, keep_from=0) == 2
    assert await relay.append(packed(9), after=8, keep_from=0) == 2
    assert numbers(await relay.read(after=0, wait=1)) == [1, 2]


async def test_lossless_entries_stay_readable_after_the_log_has_moved_on(relay: Relay):
    await fill(relay, *((n,) for n in range(1, 4)))
    await relay.append(packed(500_000), after=3, keep_from=1)
    assert numbers(await relay.kept(after=0)) == [1, 3]
    assert numbers(await relay.kept(after=1)) == [3]
    assert (await relay.kept(after=1))[-1].end == 3


async def test_kept_entries_come_in_pages(relay: Relay):
    await fill(relay, *((n,) for n in range(1, 250)))
    found: list[int] = []
    while page := await relay.kept(after=found[-1] if found else 0):
        found += numbers(page)
    assert found == list(range(1, 250, 2))


async def test_a_reader_is_woken_by_an_append(relay: Relay):
    reading = asyncio.create_task(relay.read(after=0, wait=5))
    await asyncio.sleep(0)
    await relay.append(packed(1), after=0, keep_from=0)
    assert numbers(await reading) == [1]


async def test_boxes_are_emptied_by_their_reader_and_apart(relay: Relay):
    receiving = asyncio.create_task(relay.receive("w1", wait=5))
    await asyncio.sleep(0)
    await relay.send("w2", b"other")
    await relay.send("w1", b"a")
    first = await receiving
    await relay.send("w1", b"b")
    await relay.send("w1", b"c")
    rest = await relay.receive("w1", wait=1)
    assert first + rest == [b"a", b"b", b"c"]
    assert await relay.receive("w1", wait=0.01) == []
    assert await relay.receive("w2", wait=1) == [b"other"]


async def test_a_full_box_loses_its_oldest(relay: Relay):
    for n in range(1_003):
        await relay.send("w1", str(n).encode())
    found = await relay.receive("w1", wait=1)
    assert (len(found), found[0], found[-1]) == (1_000, b"3", b"1002")


async def test_clearing_leaves_nothing(relay: Relay):
    await fill(relay, (1, 2))
    await relay.send("w1", b"a")
    await relay.clear()
    assert await relay.end() == 0
    assert await relay.kept(after=0) == []
    assert await relay.receive("w1", wait=0.01) == []


async def test_names_do_not_mix(server: RedisServer):
    async with connected(server.url) as one, connected(server.url) as two:
        await fill(one, (1, 2))
        assert await two.end() == 0
        await two.clear()
        assert await one.end() == 2


async def test_a_log_that_was_lost_alone_takes_the_kept_ones_with_it(server: RedisServer):
    async with connected(server.url) as relay:
        await fill(relay, (1,), (2, 3))
        await relay._redis.delete(relay._log)
        await fill(relay, (1,), (2, 3))
        assert numbers(await relay.kept(after=0)) == [1, 3]


async def test_a_redis_that_is_away_is_a_relay_error_and_is_found_again(tmp_path):
    with redis_server(tmp_path) as server:
        async with connected(server.url) as relay:
            await relay.check()
            await fill(relay, (1, 2))
            server.kill()
            with pytest.raises(RelayError, match=str(server.port)):
                await relay.append(packed(3), after=2, keep_from=0)
            with pytest.raises(RelayError):
                await relay.read(after=0, wait=0.01)
            server.start()
            assert await relay.append(packed(3), after=2, keep_from=0) == 0
            await fill(relay, (1, 2), (3,))


async def test_a_frozen_redis_is_a_relay_error_and_adds_nothing_twice(tmp_path, monkeypatch):
    monkeypatch.setattr("toolkit.streaming.relay.redis_streams.ANSWER_SECONDS", 0.2)
    with redis_server(tmp_path) as server:
        async with connected(server.url) as relay:
            await fill(relay, (1,))
            server.freeze()
            with pytest.raises(RelayError):
                await relay.append(packed(2, 3), after=1, keep_from=0)
            server.thaw()
            assert await relay.append(packed(2, 3), after=1, keep_from=0) == 3
            assert numbers(await relay.read(after=0, wait=1)) == [1, 2, 3]


async def test_what_others_write_is_not_taken_for_ours(server: RedisServer, caplog):
    async with (
        connected(server.url, name="one") as ours,
        connected(server.url, name="one", key=b"other") as theirs,
    ):
        await theirs.send("owner", b"flatten")
        await ours.send("owner", b"status")
        assert await ours.receive("owner", wait=1) == [b"status"]
        assert "somebody else" in caplog.text
        await fill(ours, (1,))
        await theirs.append(packed(2), after=1, keep_from=0)
        with pytest.raises(RelayError, match="somebody else"):
            await ours.read(after=0, wait=1)


async def test_what_was_sent_to_one_box_is_not_taken_from_another(server: RedisServer, caplog):
    async with connected(server.url) as relay:
        await relay.send("worker 1", b"answer")
        await relay._redis.rename(relay._box("worker 1"), relay._box("owner"))
        assert await relay.receive("owner", wait=0.1) == []


async def test_a_call_that_is_cancelled_at_any_moment_ends(server: RedisServer):
    async with connected(server.url) as relay:
        for turns in range(60):
            calling = asyncio.create_task(_for_ever(relay))
            for _ in range(turns):
                await asyncio.sleep(0)
            calling.cancel()
            done, _ = await asyncio.wait({calling}, timeout=5)
            assert done, f"cancelled after {turns} turns of the loop"
        assert await relay.end() == 0


async def _for_ever(relay: Relay) -> None:
    while True:
        await relay.end()


async def test_a_password_stays_out_of_errors_logs_and_addresses(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    with redis_server(tmp_path, password="s3cret-pass") as server:
        async with connected(server.url) as relay:
            await relay.check()
            assert relay.address == f"redis://***@127.0.0.1:{server.port}/0"
        async with connected(server.url.replace("s3cret", "wr0ng")) as relay:
            with pytest.raises(ConfigError) as refused:
                await relay.check()
    said = f"{refused.value!r} {refused.value.to_dict()} {caplog.text}"
    assert "s3cret" not in said
    assert "wr0ng" not in said


@pytest.mark.parametrize("url", ["nonsense", "http://host", "redis://:top/s3cret@host:1/0"])
def test_an_address_that_is_none_is_refused_without_being_shown(url: str):
    with pytest.raises(ConfigError, match="redis://host:port") as refused:
        RedisRelay(url, name="n", key=b"k")
    assert "s3cret" not in str(refused.value.to_dict())


def test_masked_addresses_keep_what_helps():
    assert (
        masked("rediss://me:pw@db.example.com:6380/2?x=1") == "rediss://***@db.example.com:6380/2"
    )
    assert masked("redis://localhost:6379/0") == "redis://localhost:6379/0"
    assert masked("unix:///run/redis.sock?password=pw") == "unix:///run/redis.sock"


async def test_a_redis_that_does_not_answer_names_its_address_and_the_way_out():
    async with connected("redis://127.0.0.1:1/0") as relay:
        with pytest.raises(ConfigError, match=r"127\.0\.0\.1:1/0.*--redis"):
            await relay.check()
