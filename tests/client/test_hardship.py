"""StreamClient against a server that behaves badly, and a machine that sleeps."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest

from tests.client.clients import connected
from tests.client.doubles import double, message
from tests.client.network import wired
from toolkit.client import Clocks, StreamClient
from toolkit.client.connection import MAX_GARBAGE
from toolkit.errors import AuthError, NotConnected, WireError

TOKEN = "token-0123456789"
EXPIRED = {"code": "auth_error", "message": "the token has expired"}
FULL = {"code": "auth_error", "message": "10 clients are connected; try later", "retry_after": 0.01}


async def test_garbage_is_reported_and_the_connection_goes_on() -> None:
    async with double() as server, connected(server.url, TOKEN) as heard:
        await heard.client.subscribe(["orders"])
        guest = await server.guest()
        await guest.say("hello?")
        await guest.say(b"\x00\x01")
        await guest.say('42["stream_data",{"seq":"x"}]')
        await guest.send("stream_data", "text")
        await guest.send("gap")
        await guest.send("an_event_of_the_future", 1)
        await guest.say("43999[]")
        await guest.send("stream_data", message(1))
        await heard.until(lambda: heard.seqs)
        assert heard.seqs == [1]
        assert len(heard.all("error")) == 5
        assert all(isinstance(error, WireError) for error in heard.all("error"))
        assert heard.all("disconnected") == []


async def test_a_message_without_sense_is_not_taken_for_received() -> None:
    async with double() as server, connected(server.url, TOKEN) as heard:
        await heard.client.subscribe(["orders"])
        guest = await server.guest()
        await guest.send("stream_data", message(1))
        await guest.send("stream_data", {**message(2), "prev": "x"})
        await guest.send("stream_data", message(3))
        await heard.until(lambda: len(heard.seqs) == 2)
        assert [(g.first, g.last, g.reason) for g in heard.all("gap")] == [(2, 2, "missing")]


async def test_too_much_garbage_renews_the_connection() -> None:
    async with double() as server, connected(server.url, TOKEN) as heard:
        guest = await server.guest()
        for _ in range(MAX_GARBAGE):
            await guest.say("garbage")
        await server.guest(2)
        await heard.until(lambda: len(heard.all("connected")) == 2)
        assert "nobody understands" in heard.all("disconnected")[0]["reason"]


async def test_a_batch_is_as_its_messages_one_by_one() -> None:
    async with double() as server, connected(server.url, TOKEN) as heard:
        await heard.client.subscribe(["orders"])
        guest = await server.guest()
        assert guest.auth["batch"] is True
        await guest.send("stream_batch", [message(1), message(2), message(2), {}, message(3)])
        await guest.send("stream_data", message(4))
        await heard.until(lambda: len(heard.seqs) == 4)
        assert heard.seqs == [1, 2, 3, 4]
        assert len(heard.all("error")) == 1


async def test_an_event_that_wants_an_ack_gets_one() -> None:
    acked: asyncio.Queue[str] = asyncio.Queue()
    async with double() as server, connected(server.url, TOKEN) as heard:
        guest = await server.guest()
        answer = server.answer

        async def note(other: Any, text: str) -> None:
            acked.put_nowait(text)
            await answer(other, text)

        server.answer = note  # type: ignore[method-assign]
        await guest.say('4217["heartbeat",{}]')
        await guest.say("2")
        await heard.until(lambda: heard.all("heartbeat"))
        found: set[str] = set()
        async with asyncio.timeout(5):
            while not {"4317[]", "3"} <= found:
                found.add(await acked.get())


async def test_a_token_that_expires_ends_it_with_the_reason() -> None:
    async with double() as server, connected(server.url, TOKEN) as heard:
        await heard.client.subscribe(["orders"])
        stream = heard.client.stream("orders")
        waiting = asyncio.ensure_future(anext(stream))
        await heard.client.ping()
        guest = await server.guest()
        await guest.send("error", EXPIRED)
        await guest.say("41")
        with pytest.raises(AuthError, match="has expired"):
            await asyncio.wait_for(waiting, 5)
        await heard.until(lambda: heard.client.state == "disconnected")
        assert heard.all("disconnected") == [{"reason": "the token has expired"}]
        assert heard.client.reason == "the token has expired"
        assert len(server.attempts) == 1


async def test_a_fresh_token_is_asked_for_at_each_connect() -> None:
    tokens = iter(["first", "second"])

    async def fresh() -> str:
        return next(tokens)

    async with double() as server:
        client = StreamClient(server.url, token=fresh, reconnect_delay=0.01)
        async with client:
            guest = await server.guest()
            await guest.send("error", EXPIRED)
            await guest.say("41")
            await server.guest(2)
        assert [attempt["token"] for attempt in server.attempts] == ["first", "second"]


async def test_a_token_that_cannot_be_had_is_tried_again() -> None:
    tokens = iter([OSError("no network yet"), "good"])

    def fresh() -> str:
        found = next(tokens)
        if isinstance(found, Exception):
            raise found
        return found

    async with double() as server:
        client = StreamClient(server.url, token=fresh, reconnect_delay=0.01)
        await client.connect(retry=True)
        assert server.attempts[0]["token"] == "good"
        await client.close()


async def test_a_server_that_throws_us_out_again_and_again_is_given_up() -> None:
    async with double() as server:
        client = StreamClient(
            server.url, token=lambda: TOKEN, reconnect_attempts=3, reconnect_delay=0.05
        )
        ended = asyncio.Event()
        client.on("error", lambda _: client.state == "disconnected" and ended.set())
        await client.connect()
        for number in range(1, 5):
            guest = await server.guest(number)
            await guest.send("error", EXPIRED)
            await guest.say("41")
        await asyncio.wait_for(ended.wait(), 5)
        assert "gave up after 3 attempts" in client.reason
        assert len(server.guests) == 4
        await client.close()


async def test_a_full_server_is_tried_again_and_a_wrong_token_is_not() -> None:
    async with double(refusals=[FULL, FULL]) as server:
        with pytest.raises(AuthError, match="try later"):
            await StreamClient(server.url).connect()
        client = StreamClient(server.url, reconnect_delay=0.01)
        await client.connect(retry=True)
        assert len(server.attempts) == 3
        server.refusals += [FULL, {"code": "auth_error", "message": "wrong token"}]
        ended = asyncio.Event()
        client.on("error", lambda _: ended.set())
        await (await server.guest()).cut()
        await asyncio.wait_for(ended.wait(), 5)
        assert client.reason == "wrong token"
        assert len(server.attempts) == 5
        await client.close()


async def test_after_giving_up_one_may_connect_again() -> None:
    async with double() as server:
        client = StreamClient(server.url, token=TOKEN)
        await client.connect()
        guest = await server.guest()
        await guest.send("error", EXPIRED)
        ended = asyncio.Event()
        client.on("error", lambda _: client.state == "disconnected" and ended.set())
        await guest.cut()
        await asyncio.wait_for(ended.wait(), 5)
        await client.connect()
        assert client.state == "connected"
        await client.close()


async def test_an_address_that_has_no_name_is_tried_again() -> None:
    client = StreamClient(
        "http://no-such-host.invalid:9765", reconnect_attempts=2, reconnect_delay=0.001
    )
    with pytest.raises(NotConnected, match=r"gave up after 2 attempts.*no streaming server"):
        await client.connect(retry=True)


@pytest.mark.parametrize(
    ("status", "error", "says", "waits"),
    [
        ("404 Not Found", NotConnected, "not as a streaming server", None),
        ("403 Forbidden", AuthError, "does not let this client in", None),
        ("503 Service Unavailable\r\nRetry-After: 7", NotConnected, "no place now", 7.0),
    ],
)
async def test_an_answer_of_http_is_said(
    status: str, error: type[Exception], says: str, waits: float | None
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(error, match=f"answers with HTTP {status[:3]}.*{says}") as refused:
        await StreamClient(url).connect()
    assert refused.value.data.get("retry_after") == waits  # type: ignore[attr-defined]
    server.close()


async def test_a_listener_that_never_speaks_is_left_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(NotConnected, match="no streaming server answers"):
            await asyncio.wait_for(StreamClient(url, timeout=0.2).connect(), 5)


async def test_a_question_too_large_for_the_server_is_not_sent() -> None:
    async with double() as server, connected(server.url, TOKEN) as heard:
        with pytest.raises(WireError, match="at most 32768"):
            await heard.client.command("set_parameters", values={"x": "y" * 40_000})
        assert [name for name, _ in server.guests[0].asked if name == "command"] == []


async def test_symbols_that_the_server_has_no_longer_are_said_and_the_others_go_on() -> None:
    config = {"symbols": ["AAPL", "MSFT"], "heartbeat_interval": 5.0}
    async with double(config=config) as server, connected(server.url, TOKEN) as heard:
        await heard.client.subscribe(["orders"], ["AAPL", "MSFT"])
        await heard.client.subscribe(["positions"], ["MSFT"])
        server.config = {**config, "symbols": ["AAPL"]}
        await (await server.guest()).cut()
        again = await server.guest(2)
        await heard.until(lambda: len(heard.all("connected")) == 2)
        asked = [body for name, body in again.asked if name == "subscribe"]
        assert asked == [{"stream_types": ["orders"], "symbols": ["AAPL"]}]
        assert "MSFT" in heard.all("error")[0].message


async def test_a_refused_resubscription_is_said_and_a_busy_server_is_tried_again() -> None:
    busy = {"code": "wire_error", "message": "too many messages", "retry_after": 0.01}
    async with double() as server, connected(server.url, TOKEN) as heard:
        await heard.client.subscribe(["orders"])
        answers = [{"ok": False, "error": busy}, {"ok": False, "error": {"message": "not now"}}]
        server.answers["subscribe"] = lambda _: answers.pop(0)
        await (await server.guest()).cut()
        await server.guest(3)
        await heard.until(lambda: len(heard.all("connected")) == 2)
        assert [error.message for error in heard.all("error")] == ["not now"]


async def test_a_new_epoch_is_a_gap_even_if_the_server_has_no_time_to_say_so() -> None:
    async with double() as server, connected(server.url, TOKEN) as heard:
        await heard.client.subscribe(["orders"])
        await (await server.guest()).send("stream_data", message(1))
        await heard.until(lambda: heard.seqs)
        server.epoch = "e2"
        server.answers["subscribe"] = lambda _: {"ok": True, "seq": {"orders": 7}}
        await (await server.guest()).cut()
        again = await server.guest(2)
        await heard.until(lambda: len(heard.all("connected")) == 2)
        restart = {"stream": "orders", "from": 2, "to": None, "reason": "restart"}
        await again.send("gap", restart)
        await again.send("stream_data", message(8, 7, epoch="e2"))
        await heard.until(lambda: heard.seqs == [1, 8])
        assert heard.all("gap") == [restart]


async def test_an_unsubscribed_symbol_stays_away_while_all_is_asked_for_again() -> None:
    async with double() as server, connected(server.url, TOKEN) as heard:
        await heard.client.subscribe(["orders"])
        await heard.client.unsubscribe(["orders"], ["MSFT"])
        guest = await server.guest()
        await guest.send("stream_data", message(1, 0, symbol="MSFT"))
        await guest.send("stream_data", message(2, 0))
        await heard.until(lambda: heard.seqs)
        assert heard.seqs == [2]


async def test_the_offset_is_the_servers_and_latency_is_one_way() -> None:
    async with double(ahead=3600.0) as server:
        client = StreamClient(server.url)
        updates: asyncio.Queue[Any] = asyncio.Queue()
        client.on("latency_update", updates.put_nowait)
        async with client:
            await asyncio.wait_for(updates.get(), 5)
            assert client.clock is not None
            known = client.clock
            assert abs(known.offset_ms - 3_600_000.0) <= known.uncertainty_ms + 0.01
            await client.subscribe(["orders"])
            guest = await server.guest()
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(server.now() + 1.0))
            await guest.send("stream_data", message(1, published=f"{stamp}Z"))
            await client.ping()
            assert client.latency()["orders"]["count"] == 1
            assert client.latency()["orders"]["max"] < 1000.0
            await client.ping()
            reports = [body["latency"] for name, body in guest.asked if "latency" in body]
            assert reports[-1]["count"] == 1


async def test_a_server_that_tells_no_time_leaves_latency_unknown() -> None:
    async with double() as server:
        server.answers["ping"] = lambda _: {}
        client = StreamClient(server.url)
        async with client:
            updates: list[Any] = []
            client.on("latency_update", updates.append)
            round_trip = await client.ping()
            assert client.clock is None
            assert updates[-1]["current"] == round_trip / 2
            assert not [body for _, body in server.guests[0].asked if "latency" in body]


async def test_after_a_sleep_a_dead_connection_is_noticed_at_once() -> None:
    asleep = 0.0
    clocks = Clocks(wall=lambda: time.time() + asleep)
    config = {"symbols": ["AAPL"], "heartbeat_interval": 0.3}
    async with (
        double(config=config) as server,
        wired(server.port) as wire,
        connected(f"http://127.0.0.1:{wire.port}", TOKEN, clocks=clocks, timeout=1.0) as heard,
    ):
        await heard.until(lambda: heard.all("latency_update"))
        wire.flowing.clear()
        asleep = 3600.0
        await heard.until(lambda: heard.all("disconnected"))
        assert "slept" in heard.all("disconnected")[0]["reason"]
        wire.flowing.set()
        await heard.until(lambda: len(heard.all("connected")) == 2)


async def test_after_a_sleep_a_living_connection_stays_and_the_clock_is_measured_anew() -> None:
    asleep = 0.0
    clocks = Clocks(wall=lambda: time.time() + asleep)
    config = {"symbols": ["AAPL"], "heartbeat_interval": 0.3}
    async with (
        double(config=config) as server,
        connected(server.url, TOKEN, clocks=clocks) as heard,
    ):
        client = heard.client
        await heard.until(lambda: client.clock is not None and abs(client.clock.offset_ms) < 1e3)
        asleep = 3600.0
        await heard.until(lambda: client.clock is not None and client.clock.offset_ms < -3e6)
        assert heard.all("disconnected") == []


async def test_a_kernel_that_stood_still_does_not_blame_the_server() -> None:
    stood = 0.0
    clocks = Clocks(wall=lambda: time.time() + stood, monotonic=lambda: time.monotonic() + stood)
    config = {"symbols": ["AAPL"], "heartbeat_interval": 0.3}
    async with (
        double(config=config) as server,
        connected(server.url, TOKEN, clocks=clocks) as heard,
    ):
        await heard.until(lambda: heard.all("latency_update"))
        stood = 60.0
        seen = len(heard.all("latency_update"))
        await heard.until(lambda: len(heard.all("latency_update")) >= seen + 2)
        assert heard.all("disconnected") == []


async def test_the_servers_advice_on_reconnecting_is_taken() -> None:
    config = {"symbols": ["AAPL"], "reconnect_attempts": 0, "reconnect_delay": 0.01}
    async with double(config=config) as server:
        client = StreamClient(server.url, reconnect_delay=0.001)
        ended = asyncio.Event()
        client.on("error", lambda _: ended.set())
        await client.connect()
        guest = await server.guest()
        await client.ping()
        await guest.cut()
        await asyncio.wait_for(ended.wait(), 5)
        await client.close()
    assert server.attempts


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_compression_is_taken_up_and_not_needed(compression: str | None) -> None:
    text = "a long snapshot " * 500
    async with (
        double(compression=compression) as server,
        connected(server.url, TOKEN) as heard,
    ):
        await heard.client.subscribe(["orders"])
        guest = await server.guest()
        assert bool(guest.socket.protocol.extensions) is (compression is not None)
        await guest.send("stream_data", message(1, data={"kind": "order", "note": text}))
        await guest.send("stream_data", message(2))
        await heard.until(lambda: len(heard.seqs) == 2)
        assert heard.all("stream_data")[0].data["note"] == text
