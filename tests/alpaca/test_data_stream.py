"""Market data through the SDK's pieces in our own loop, against the exchange double."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import groupby

import msgpack
import pytest
from alpaca.data.live import StockDataStream
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

from tests.alpaca.reaching import QUICK, exchange_of, reading, settings_of, until
from tests.exchange.serving import Served
from toolkit.alpaca.port import Link
from toolkit.alpaca.settings import AlpacaSettings
from toolkit.alpaca.sockets import socket_options
from toolkit.alpaca.streams import AlpacaDataStream, Channel
from toolkit.core.types import Bar, Quote, Trade
from toolkit.errors import ConfigError, DataError, FeedRefused
from toolkit.exchange.faults import Kind
from toolkit.runtime import LoopThread

START = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
BARS_ONLY = (Channel.BARS, Channel.UPDATED_BARS)


@pytest.fixture
def exchange() -> Iterator[Served]:
    with exchange_of(revision_rate=1.0) as exchange:
        yield exchange


@pytest.fixture(scope="module")
def shared() -> Iterator[Served]:
    """One exchange for tests that look only at their own stream."""
    with exchange_of() as exchange:
        yield exchange


def stream_at(exchange: Served, feed: str = "iex", **fields) -> AlpacaDataStream:
    options = {name: fields.pop(name) for name in ("channels", "on_daily_bar") if name in fields}
    return AlpacaDataStream(
        settings_of(exchange, **fields), feed=None if feed == "iex" else feed, **options
    )


def sessions(exchange: Served) -> list[str]:
    """Openings (+) and closings of the streams, as the exchange saw them."""
    marks = {"stream.opens": "+", "stream.closes": "-"}
    return [marks[e["what"]] for e in exchange.happened("stream.") if e["what"] in marks]


def errors(exchange: Served) -> list[int]:
    return [entry["code"] for entry in exchange.happened("stream.error")]


def bars(events) -> list[tuple[int, int]]:
    return [(b.timestamp.minute, b.revision) for b in events if isinstance(b, Bar)]


async def test_trades_quotes_bars_and_revised_bars_come_in_our_words(exchange):
    stream = stream_at(exchange)
    await stream.subscribe(["AAPL"])
    async with reading(stream) as reader:
        await reader.ups()
        await exchange.pass_time(95)
        await until(lambda: len(bars(reader.events)) == 4)
    found = [event for event in reader.events if isinstance(event, Bar)]
    # a bar comes about a second after its minute and is revised some 30 s later
    assert bars(found) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert {(b.symbol, b.feed, b.final, b.adjustment) for b in found} == {
        ("AAPL", "iex", True, "raw")
    }
    assert found[1] != found[0]
    quotes = [event for event in reader.events if isinstance(event, Quote)]
    trades = [event for event in reader.events if isinstance(event, Trade)]
    assert len(quotes) == len(trades) > 10
    assert {event.timestamp.tzinfo for event in (*quotes, *trades, *found)} == {UTC}
    assert all(0 < quote.bid <= quote.ask for quote in quotes)
    assert stream.last_message is not None
    assert reader.links == [Link.UP]


async def test_crypto_has_a_stream_and_a_feed_of_its_own(shared):
    stream = stream_at(shared, "crypto", channels=BARS_ONLY)
    await stream.subscribe(["BTC/USD"])
    async with reading(stream) as reader:
        await reader.ups()
        await shared.pass_time(62)
        await until(lambda: reader.events)
    assert {(bar.symbol, bar.feed) for bar in reader.events} == {("BTC/USD", "crypto")}


async def test_sip_on_a_plan_that_has_it_is_marked_as_sip():
    with exchange_of(plan="algo_trader_plus") as exchange:
        url = exchange.server.environment["ALPACA_STOCK_STREAM_URL"].replace("/iex", "/sip")
        settings = settings_of(exchange, feed="sip", stock_stream_url=url)
        stream = AlpacaDataStream(settings, channels=BARS_ONLY)
        await stream.subscribe(["AAPL"])
        async with reading(stream) as reader:
            await reader.ups()
            await exchange.pass_time(62)
            await until(lambda: reader.events)
        assert {bar.feed for bar in reader.events} == {"sip"}


async def test_a_daily_bar_goes_to_who_asked_for_it_and_never_among_the_minutes(exchange):
    daily = []
    stream = stream_at(exchange, channels=BARS_ONLY, on_daily_bar=daily.append)
    await stream.subscribe(["AAPL"])
    async with reading(stream) as reader:
        await reader.ups()
        await exchange.pass_time(130)
        await until(lambda: daily and len(reader.events) >= 3)
    assert {(bar.timestamp.date(), bar.final) for bar in daily} == {(START.date(), False)}
    assert {bar.timestamp.hour for bar in reader.events} == {15}


async def test_subscriptions_change_while_it_runs(shared):
    stream = stream_at(shared, channels=BARS_ONLY)
    await stream.subscribe(["AAPL"])
    async with reading(stream) as reader:
        await reader.ups()
        await stream.subscribe(["MSFT", "AAPL"])
        (client,) = shared.server.market.streams
        assert client.subscribed["bars"] == {"AAPL", "MSFT"}
        await stream.unsubscribe(["AAPL", "never subscribed"])  # the SDK raises KeyError
        assert client.subscribed["bars"] == client.subscribed["updatedBars"] == {"MSFT"}
        await asyncio.gather(stream.subscribe(["AAPL"]), stream.unsubscribe(["MSFT"]))
        assert client.subscribed["bars"] == {"AAPL"}
        await stream.unsubscribe(["AAPL"])
        assert client.subscribed["bars"] == set()
        await stream.subscribe(["AAPL"])
        shared.inject(Kind.DROP, target="market", count=1)
        await reader.ups(2)
        (client,) = shared.server.market.streams
        assert client.subscribed["bars"] == {"AAPL"}
    assert reader.links == [Link.UP, Link.DOWN, Link.UP]


async def test_a_subscription_made_during_the_handshake_is_not_forgotten(shared):
    """The SDK sends one made between its message and its flag at the next reconnect only."""
    stream = stream_at(shared, channels=BARS_ONLY)
    await stream.subscribe(["AAPL"])
    wire = stream._wire
    send = wire._send_change

    async def send_and_change(gone):
        await send(gone)
        if wire.wanted == {"AAPL"}:
            await stream.subscribe(["MSFT"])

    wire._send_change = send_and_change
    async with reading(stream) as reader:
        await reader.ups()
        (client,) = shared.server.market.streams
        assert client.subscribed["bars"] == {"AAPL", "MSFT"}
    assert reader.links == [Link.UP]


async def test_nothing_is_connected_and_no_core_is_burnt_before_the_first_subscription(exchange):
    """Before the first subscription the SDK's `DataStream` burns a whole core."""
    stream = stream_at(exchange)
    async with reading(stream) as reader:
        used = time.process_time()
        await asyncio.sleep(0.1)
        assert time.process_time() - used < 0.05
        assert sessions(exchange) == []
        await stream.subscribe(["AAPL"])
        await reader.ups()


async def test_too_many_symbols_for_the_plan_are_refused_at_once_and_the_rest_goes_on():
    with exchange_of(stream_symbols=2) as exchange:
        stream = stream_at(exchange)
        await stream.subscribe(["AAPL"])
        async with reading(stream) as reader:
            await reader.ups()
            with pytest.raises(FeedRefused, match="fewer symbols") as caught:
                await stream.subscribe(["MSFT"])
            assert caught.value.data["status"] == 405
            await exchange.pass_time(62)
            await until(lambda: bars(reader.events))
            exchange.inject(Kind.DROP, target="market", count=1)
            await reader.ups(2)
        assert {event.symbol for event in reader.events} == {"AAPL"}


async def test_too_many_symbols_at_the_start_are_refused_until_there_are_fewer():
    with exchange_of(stream_symbols=2) as exchange:
        stream = stream_at(exchange, refused_delay=600.0, refused_longest=600.0)
        await stream.subscribe(["AAPL", "MSFT"])
        async with reading(stream) as reader:
            assert "fewer symbols" in await reader.refused()
            await stream.unsubscribe(["MSFT"])
            await reader.ups()


@pytest.mark.parametrize(
    ("fields", "words", "code"),
    [
        ({"key_id": "wrong"}, "check APCA_API_KEY_ID", 402),
        ({"feed": "sip"}, "use feed iex", 409),
    ],
)
async def test_what_the_login_refuses_is_told_and_tried_again_slowly(exchange, fields, words, code):
    """Wrong keys are retried for ever with log lines, and 409 ends `run()` without a word."""
    if "feed" in fields:
        url = exchange.server.environment["ALPACA_STOCK_STREAM_URL"].replace("/iex", "/sip")
        fields = {**fields, "stock_stream_url": url}
    stream = AlpacaDataStream(settings_of(exchange, **fields))
    await stream.subscribe(["AAPL"])
    async with reading(stream) as reader:
        assert words in await reader.refused(2)
    assert set(reader.links) == {Link.REFUSED}
    assert set(errors(exchange)) == {code}


async def test_a_second_program_on_the_one_connection_is_told_what_to_do(exchange):
    first, second = stream_at(exchange), stream_at(exchange)
    await first.subscribe(["AAPL"])
    await second.subscribe(["AAPL"])
    async with reading(first) as reader:
        await reader.ups()
        async with reading(second) as other:
            assert "stop the other program" in await other.refused(2)
            await first.stop()
            await other.ups()
    assert set(errors(exchange)) == {406}


async def test_refused_handshakes_are_tried_again_until_they_are_taken(shared):
    shared.inject(Kind.REFUSE, target="market", count=3)
    shared.inject(Kind.CONNECTION_LIMIT, target="market", count=1)
    stream = stream_at(shared)
    await stream.subscribe(["AAPL"])
    async with reading(stream) as reader:
        await reader.ups()
    # of the same kind in a row, unread, the last one counts
    assert [link for link in reader.links if link is not Link.DOWN] == [Link.REFUSED, Link.UP]
    assert "503" in reader.reasons[0]


async def test_after_a_drop_it_says_so_and_comes_back(shared):
    stream = stream_at(shared, channels=BARS_ONLY)
    await stream.subscribe(["AAPL"])
    async with reading(stream) as reader:
        await reader.ups()
        shared.inject(Kind.DROP, target="market", count=1)
        await reader.ups(2)
        await shared.pass_time(62)
        await until(lambda: reader.events)
    assert reader.links == [Link.UP, Link.DOWN, Link.UP]
    assert "lost" in reader.reasons[1]


async def test_a_frame_that_cannot_be_read_is_a_loss_and_not_passed_over(shared):
    """The SDK swallows it, with the rest of the frame's messages."""
    stream = stream_at(shared, channels=BARS_ONLY)
    await stream.subscribe(["AAPL"])
    async with reading(stream) as reader:
        await reader.ups()
        shared.inject(Kind.MALFORMED, target="market", count=1)
        await shared.pass_time(62)
        await reader.ups(2)
    assert "cannot be read" in reader.reasons[1]


async def test_a_message_that_nobody_knows_is_passed_over(shared):
    stream = stream_at(shared, channels=BARS_ONLY)
    await stream.subscribe(["AAPL"])
    async with reading(stream) as reader:
        await reader.ups()
        shared.inject(Kind.UNKNOWN_MESSAGE, target="market", count=2)
        await shared.pass_time(130)
        await until(lambda: len(bars(reader.events)) >= 2)
    assert reader.links == [Link.UP]


async def test_a_mute_feed_stops_the_last_messages_time_and_the_watchdog_may_reconnect(shared):
    """Mute but connected: `data_timeout` is off by default, and `TradingStream` has none."""
    stream = stream_at(shared, channels=BARS_ONLY)
    await stream.subscribe(["AAPL"])
    async with reading(stream) as reader:
        await reader.ups()
        await shared.pass_time(62)
        await until(lambda: reader.events)
        heard = stream.last_message
        shared.inject(Kind.MUTE, target="market", length=120.0)
        await shared.pass_time(100)
        assert (stream.last_message, len(shared.server.market.streams)) == (heard, 1)
        await stream.reconnect()
        await reader.ups(2)
        await shared.pass_time(120)
        await until(lambda: stream.last_message != heard)
    assert reader.reasons == ["", "connected, and mute", ""]


async def test_a_reader_that_is_too_slow_hears_of_it_and_of_everything_before(exchange):
    """407, or our own queue: never silence."""
    stream = stream_at(exchange, queue_size=20)
    await stream.subscribe(["AAPL"])
    heard = []
    news = stream.news()
    heard.append(await anext(news))
    await exchange.pass_time(120)
    await until(lambda: sessions(exchange) == ["+", "-"])
    async for item in news:
        heard.append(item)
        if getattr(item, "link", None) is Link.UP:
            break
    await news.aclose()
    assert [item.link for item in heard if hasattr(item, "link")] == [Link.UP, Link.DOWN, Link.UP]
    assert "too slow" in heard[-2].reason
    assert len(heard) == 23
    assert sessions(exchange) == ["+", "-", "+", "-"]


@pytest.mark.parametrize(
    ("code", "link", "words"),
    [
        (400, Link.REFUSED, "did not understand"),
        (405, Link.REFUSED, "fewer symbols"),
        (407, Link.DOWN, "too slowly"),
        (410, Link.REFUSED, "such a channel"),
        (404, Link.DOWN, "too long"),
        (401, Link.DOWN, "not authenticated (401)"),
    ],
)
async def test_errors_on_a_running_stream_are_told(shared, code, link, words):
    """Subscription errors (400, 405, 410) and 407 are only logged by the SDK."""
    stream = stream_at(shared)
    await stream.subscribe(["AAPL"])
    async with reading(stream) as reader:
        await reader.ups()
        (client,) = shared.server.market.streams
        shared.ask(lambda: client.error(code))
        await reader.ups(2)
    assert (reader.links[1], words in reader.reasons[1]) == (link, True)


@pytest.mark.parametrize(
    ("status", "link", "words"),
    [
        (401, Link.REFUSED, "check APCA_API_KEY_ID"),
        (429, Link.REFUSED, "stop other programs"),
        (502, Link.DOWN, "502"),
    ],
)
async def test_a_handshake_that_http_refuses_is_told_with_what_to_do(status, link, words):
    def refuse(connection: ServerConnection, _: object) -> Response:
        return connection.respond(status, "no")

    async with serve(wait_closed, "127.0.0.1", 0, process_request=refuse) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v2/iex"
        stream = AlpacaDataStream(alone(url))
        await stream.subscribe(["AAPL"])
        async with reading(stream) as reader:
            await until(lambda: reader.links)
    assert (reader.links[0], words in reader.reasons[0]) == (link, True)


async def test_a_session_that_alpaca_still_holds_is_waited_for():
    """A stale session is said to be held for about 90 s."""
    with exchange_of(session_hold=0.15) as exchange:
        stream = stream_at(exchange, channels=BARS_ONLY)
        await stream.subscribe(["AAPL"])
        async with reading(stream) as reader:
            await reader.ups()
            exchange.inject(Kind.DROP, target="market", count=1)
            await reader.ups(2)
        links = [link for link, _ in groupby(reader.links)]
        assert links == [Link.UP, Link.DOWN, Link.REFUSED, Link.UP]
        assert "held for up to 90 s" in reader.reasons[-2]


async def test_who_reads_may_subscribe_and_stop_from_inside(shared):
    """From inside a handler, the SDK's `stop()` blocks 5 s, and `subscribe_*` deadlocks."""
    stream = stream_at(shared, channels=BARS_ONLY)
    await stream.subscribe(["AAPL"])
    seen = []
    async for item in stream.news():
        seen.append(item)
        if len(seen) == 1:
            await stream.subscribe(["MSFT"])
            (client,) = shared.server.market.streams
            assert client.subscribed["bars"] == {"AAPL", "MSFT"}
            await stream.unsubscribe(["AAPL"])
            await stream.stop()
    assert len(seen) == 1


async def test_stop_while_it_closes_for_a_reconnect_leaves_a_clean_end(exchange):
    stream = stream_at(exchange, channels=BARS_ONLY)
    await stream.subscribe(["AAPL"])
    async with reading(stream) as reader:
        await reader.ups()
        begun, done, sdk = asyncio.Event(), asyncio.Event(), stream._wire._sdk
        close = sdk.close

        async def close_slowly() -> None:
            begun.set()
            await asyncio.sleep(0.02)
            await close()
            done.set()

        sdk.close = close_slowly
        await stream.reconnect()
        await begun.wait()
    assert done.is_set()
    await until(lambda: sessions(exchange)[-1] == "-")
    assert all(entry["clean"] for entry in exchange.happened("stream.closes"))


def test_our_options_name_all_that_the_sdk_would_have_set(shared):
    """`websocket_params` replaces the defaults, it is not merged."""
    defaults = StockDataStream("k", "s")._websocket_params
    assert set(defaults) <= set(socket_options(settings_of(shared)))


async def test_stopping_with_a_backlog_is_quick_and_clean():
    """With an inbound backlog the SDK's `close()` takes about 30 s: set `close_timeout`."""
    sent, codes = 0, []

    async def flood(connection: ServerConnection) -> None:
        nonlocal sent
        await connection.send(packed(T="success", msg="connected"))
        await connection.recv()
        await connection.send(packed(T="success", msg="authenticated"))
        lists = msgpack.unpackb(await connection.recv())
        await connection.send(packed(**{**lists, "T": "subscription"}))
        with suppress(ConnectionClosed):
            while sent < 20_000:
                await connection.send(packed(T="zz", text="x" * 500))
                sent += 1
        await connection.wait_closed()
        codes.append(connection.close_code)

    async with serve(flood, "127.0.0.1", 0, close_timeout=60.0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v2/iex"
        stream = AlpacaDataStream(alone(url, close_timeout=10.0))
        await stream.subscribe(["AAPL"])
        stream._wire.read = asyncio.Event().wait  # our loop reads nothing
        async with reading(stream) as reader:
            await reader.ups()
            await stalled(lambda: sent)
            begun = time.monotonic()
            await stream.stop()
            assert time.monotonic() - begun < 5.0
        await until(lambda: codes)
    assert codes == [1000]


async def stalled(count: Callable[[], int]) -> None:
    """Wait until a count has stood still for a while: the peer's buffers are full."""
    before = -1
    while count() != before:
        before = count()
        await asyncio.sleep(0.05)


def packed(**message) -> bytes:
    return msgpack.packb([message])


async def wait_closed(connection: ServerConnection) -> None:
    await connection.wait_closed()


async def test_a_peer_that_is_gone_without_a_word_is_closed_in_its_time():
    async with mute_server() as url:
        stream = AlpacaDataStream(alone(url, handshake_timeout=600.0, close_timeout=0.05))
        await stream.subscribe(["AAPL"])
        async with reading(stream):
            await until(lambda: getattr(stream._wire._sdk, "_ws", None))
            stream._wire._sdk._ws.transport.pause_reading()  # as if the network were cut
            begun = time.monotonic()
        assert time.monotonic() - begun < 2.0


async def test_a_silent_server_ends_the_handshake_in_time():
    """No timeout on the SDK's handshake: a silent server hangs it."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        urls = [f"ws://127.0.0.1:{deaf.getsockname()[1]}/v2/iex"]
        async with mute_server() as url:
            for place in (*urls, url):
                stream = AlpacaDataStream(alone(place, handshake_timeout=0.05))
                await stream.subscribe(["AAPL"])
                async with reading(stream) as reader:
                    await until(lambda reader=reader: reader.links)
                assert reader.reasons[0] == "no answer within 0.05 s"


async def test_a_silent_server_does_not_hold_up_stop():
    async with mute_server() as url:
        stream = AlpacaDataStream(alone(url, handshake_timeout=600.0))
        await stream.subscribe(["AAPL"])
        async with reading(stream):
            await until(lambda: getattr(stream._wire._sdk, "_ws", None))
            begun = time.monotonic()
        assert time.monotonic() - begun < 1.0


@asynccontextmanager
async def mute_server() -> AsyncIterator[str]:
    """A server that opens WebSockets and says nothing on them."""

    async with serve(wait_closed, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v2/iex"


def alone(url: str, **fields) -> AlpacaSettings:
    keys = {"key_id": "k", "secret_key": "s", "stock_stream_url": url}
    return AlpacaSettings(**{**QUICK, **keys, **fields})


def test_stop_and_start_twenty_times_as_a_notebook_does():
    """Never a 406, never more than one connection; in the loop that the toolkit runs in."""
    with exchange_of(session_hold=30.0) as exchange, LoopThread("notebook") as loop:

        async def once() -> list[Link]:
            stream = stream_at(exchange, channels=BARS_ONLY)
            await stream.subscribe(["AAPL"])
            async with reading(stream) as reader:
                await reader.ups()
                return reader.links

        for _ in range(20):
            assert loop.call(once()) == [Link.UP]
        assert errors(exchange) == []
        assert "".join(sessions(exchange)) == "+-" * 20
        closings = exchange.happened("stream.closes")
        assert all(entry["clean"] for entry in closings)


async def test_one_stream_can_be_stopped_and_read_again(exchange):
    stream = stream_at(exchange, channels=BARS_ONLY)
    await stream.subscribe(["AAPL"])
    for _ in range(3):
        async with reading(stream) as reader:
            await reader.ups()
    await stream.stop()
    assert "".join(sessions(exchange)) == "+-" * 3


async def test_a_cancelled_reader_leaves_no_connection_behind(exchange):
    """Cancelling the SDK's task leaves the socket open: error 406 follows."""
    stream = stream_at(exchange)
    await stream.subscribe(["AAPL"])
    async with reading(stream) as reader:
        await reader.ups()
        reader.task.cancel()
        await asyncio.wait((reader.task,))
        await until(lambda: sessions(exchange) == ["+", "-"])
        reader.task = asyncio.create_task(asyncio.sleep(0))


async def test_what_goes_wrong_in_our_own_code_is_raised_to_the_reader(exchange):
    """An exception in a handler is swallowed by the SDK."""

    def broken(_: Bar) -> None:
        raise ZeroDivisionError("a bug")

    stream = stream_at(exchange, channels=BARS_ONLY, on_daily_bar=broken)
    await stream.subscribe(["AAPL"])
    reading_on = asyncio.create_task(_read_to_the_end(stream))
    await until(lambda: exchange.server.market.streams)
    await until(lambda: exchange.server.market.streams[0].subscribed["bars"])
    await exchange.pass_time(70)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        await reading_on
    await until(lambda: sessions(exchange) == ["+", "-"])


async def _read_to_the_end(stream: AlpacaDataStream) -> None:
    async for _ in stream.news():
        pass


def test_what_cannot_work_is_refused_before_anything_is_sent(shared):
    with pytest.raises(ConfigError, match="needs keys"):
        AlpacaDataStream(settings_of(shared, secret_key=""))
    with pytest.raises(DataError, match="not mixed"):
        AlpacaDataStream(settings_of(shared), feed="sip")


async def test_a_symbol_of_the_other_kind_is_refused(shared):
    with pytest.raises(DataError, match="a stream of its own"):
        await stream_at(shared).subscribe(["BTC/USD"])
    with pytest.raises(DataError, match="AAPL is not on the stream of crypto"):
        await stream_at(shared, "crypto").subscribe(["AAPL"])
