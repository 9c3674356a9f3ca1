"""StreamClient against a real server."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.client.clients import Heard, connected
from tests.streaming.fakes import FakeBot, evaluation, position, quote
from tests.streaming.serving import VIEW, serving
from toolkit.client import Gap, Message, StreamClient, TradingBotWebSocketClient
from toolkit.client.inbox import Inbox
from toolkit.errors import AuthError, ConfigError, NotConnected, WireError
from toolkit.streaming.wire import Stream


async def test_connecting_tells_role_symbols_and_state() -> None:
    async with serving() as served, connected(served.url, VIEW) as heard:
        client = heard.client
        assert (client.state, client.role, client.reason) == ("connected", "view", "")
        assert client.symbols == ("AAPL", "MSFT")
        assert heard.all("connected")[0]["connectionId"]
    assert client.state == "closed"
    assert heard.all("disconnected") == [{"reason": "closed by this client"}]


async def test_a_wrong_token_is_an_auth_error_at_once() -> None:
    async with serving() as served:
        client = StreamClient(served.url, token="nonsense", reconnect_delay=20)
        with pytest.raises(AuthError, match="wrong token"):
            await asyncio.wait_for(client.connect(retry=True), 3)
        assert client.state == "disconnected"
        assert "wrong token" in client.reason


async def test_no_server_is_said_with_the_way_out() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(NotConnected, match=r"no streaming server answers.*toolkit serve"):
            await StreamClient(url, token=VIEW).connect()
        client = StreamClient(url, token=VIEW, reconnect_attempts=3, reconnect_delay=0.001)
        with pytest.raises(NotConnected, match="gave up after 3 attempts"):
            await client.connect(retry=True)


async def test_handlers_hear_stream_and_symbol_events() -> None:
    async with serving() as served, connected(served.url, VIEW) as heard:
        stream: list[Message] = []
        symbol: list[Message] = []
        heard.client.on("stream_market_data", stream.append)
        remove = heard.client.on("symbol_AAPL", symbol.append)
        await heard.client.subscribe(["market_data"])
        served.hub.publish(quote("AAPL", 101.0))
        served.hub.publish(quote("MSFT", 50.0))
        await heard.until(lambda: len(stream) == 2)
        assert symbol[0].data["price"] == symbol[0]["data"]["price"] == pytest.approx(101.0)
        assert [m.symbol for m in symbol] == ["AAPL"]
        remove()
        remove()
        served.hub.publish(quote("AAPL"))
        await heard.until(lambda: len(stream) == 3)
        assert len(symbol) == 1


async def test_the_same_handler_added_twice_is_removed_once() -> None:
    client = StreamClient("http://127.0.0.1:1")
    calls: list[object] = []
    first = client.on("heartbeat", calls.append)
    client.on("heartbeat", calls.append)
    first()
    client._dispatcher.emit("heartbeat", 1)
    assert calls == [1]


async def test_a_handler_that_raises_is_reported_and_harms_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as served, connected(served.url, VIEW) as heard:
        heard.client.on("stream_positions", lambda message: message["no such key"])
        await heard.client.subscribe(["positions"])
        served.hub.publish(position())
        served.hub.publish(position())
        await heard.until(lambda: len(heard.all("error")) == 2 and len(heard.seqs) == 2)
        assert "no such key" in str(heard.all("error")[0])
        assert "no such key" in caplog.text


def test_only_events_that_exist_and_plain_functions() -> None:
    client = StreamClient("http://127.0.0.1:1")

    async def coroutine(_: object) -> None:
        raise AssertionError

    with pytest.raises(ConfigError, match="stream_market_data"):
        client.on("stream_marketdata", print)
    with pytest.raises(ConfigError, match="async for"):
        client.on("heartbeat", coroutine)  # type: ignore[arg-type]


async def test_wrong_requests_raise_what_the_server_says() -> None:
    async with serving() as served, connected(served.url, VIEW) as heard:
        with pytest.raises(WireError, match="market_data") as refused:
            await heard.client.subscribe(["prices"])
        assert refused.value.data["field"] == "stream_types"
        with pytest.raises(WireError, match="give a list"):
            await heard.client.subscribe("orders")
        with pytest.raises(AuthError, match="needs the role tune"):
            await heard.client.command("set_parameters", values={"ema_period": 5})


async def test_commands_return_the_result_and_raise_the_bots_error() -> None:
    async with serving() as served, connected(served.url, served.token) as heard:
        confirmed = await heard.client.command("set_parameters", values={"ema_period": 5})
        assert confirmed["new"] == {"ema.ema_period": 5}
        with pytest.raises(ConfigError, match="whole numbers from 1 to 500") as refused:
            await heard.client.command("set_parameters", values={"ema_period": 501})
        assert refused.value.data["field"] == "ema.ema_period"


async def test_ping_measures_the_round_trip() -> None:
    async with serving() as served, connected(served.url, VIEW) as heard:
        round_trip = await heard.client.ping()
        assert 0 < round_trip < 1000
        assert heard.all("latency_update")[-1]["round_trip_ms"] == round_trip


async def test_stats_join_both_sides() -> None:
    async with serving() as served, connected(served.url, VIEW) as heard:
        told: list[dict[str, object]] = []
        heard.client.on("performance_stats", told.append)
        await heard.client.subscribe(["positions"])
        served.hub.publish(position())
        await heard.until(lambda: heard.seqs)
        stats = await heard.client.stats()
        assert (stats["messages_received"], stats["messages_delivered"]) == (1, 1)
        assert stats["messagesReceived"] == 1
        assert stats["connectionUptime"] == stats["connection_uptime"] > 0
        assert stats["avgLatency"] == stats["average_latency"]
        assert told[-1] == stats
        assert (stats["gaps"], stats["reconnects"]) == (0, 0)


async def test_latency_and_statistics_come_by_themselves_with_each_ping() -> None:
    async with serving(heartbeat_interval=0.05) as served, connected(served.url, VIEW) as heard:
        heard.client.on("performance_stats", lambda stats: heard.events.append(("own", stats)))
        await heard.until(lambda: len(heard.all("latency_update")) >= 3 and heard.all("own"))
        assert heard.all("latency_update")[-1]["round_trip_ms"] > 0
        assert set(heard.all("own")[0]) >= {"avgLatency", "messagesReceived", "connectionUptime"}


async def test_on_one_machine_the_clocks_agree_and_the_way_is_short() -> None:
    async with serving(heartbeat_interval=0.05) as served, connected(served.url, VIEW) as heard:
        await heard.client.subscribe(["positions"])
        await heard.until(lambda: heard.client.clock)
        known = heard.client.clock
        assert known is not None
        assert abs(known.offset_ms) <= known.uncertainty_ms + 0.01
        served.hub.publish(position())
        await heard.until(heard.client.latency)
        assert 0 <= heard.client.latency()["positions"]["max"] < 10_000
        sent = len(heard.all("latency_update"))
        await heard.until(lambda: len(heard.all("latency_update")) > sent)
        assert heard.all("latency_update")[-1]["count"] == 1


async def test_much_at_once_comes_in_batches_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    take = Inbox._batch

    def note(self: Inbox, items: list[dict[str, object]]) -> None:
        sizes.append(len(items))
        take(self, items)

    monkeypatch.setattr(Inbox, "_batch", note)
    async with serving() as served, connected(served.url, VIEW) as heard:
        await heard.client.subscribe(["positions"])
        for _ in range(300):
            served.hub.publish(position())
        await heard.until(lambda: len(heard.seqs) == 300)
        assert heard.seqs == list(range(1, 301))
        assert max(sizes) > 1


async def test_the_javascript_clients_name_calls_and_options() -> None:
    async with serving() as served:
        options = {"token": VIEW, "reconnectAttempts": 3, "reconnectDelay": 20, "latencyTarget": 5}
        client = TradingBotWebSocketClient(served.url, options, name="desk")
        heard = Heard(client)
        await client.connect()
        await client.subscribe(["market_data"], ["AAPL"])
        served.hub.publish(quote("AAPL", 101.0))
        await heard.until(lambda: heard.seqs)
        assert heard.all("connected")[0]["connectionId"]
        assert client.latency_target == 5
        assert client._link._backoff.delay == 0.02
        await client.disconnect()
        assert client.state == "closed"
    with pytest.raises(ConfigError, match="reconnectAttempts"):
        TradingBotWebSocketClient("http://127.0.0.1:1", {"retries": 3})


async def test_a_frame_in_asyncio_code() -> None:
    bot = FakeBot()
    bot.bars = [evaluation("AAPL", minute) for minute in range(3)]
    async with serving(bot=bot) as served, connected(served.url, VIEW) as heard:
        frame = await heard.client.frame("market_data", "AAPL")
        assert len(frame) == 3
        assert await heard.client.frame("market_data", "AAPL") is frame
        with pytest.raises(WireError, match="allowed"):
            await heard.client.frame("prices")


async def test_iterating_subscribes_filters_and_ends_with_the_client() -> None:
    bot = FakeBot()
    bot.events = [position("AAPL")]
    async with serving(bot=bot) as served, connected(served.url, VIEW) as heard:
        found: list[Message | Gap] = []

        async def follow() -> None:
            async for message in heard.client.stream("positions", "AAPL"):
                found.append(message)
                heard._news.set()

        task = asyncio.create_task(follow())
        await heard.until(lambda: found)
        for symbol in ("AAPL", "MSFT", "AAPL"):
            served.hub.publish(position(symbol))
        await heard.until(lambda: len(found) == 3)
        await heard.client.close()
        await asyncio.wait_for(task, 5)
        assert [m["symbol"] for m in found] == ["AAPL"] * 3


async def test_an_iterator_that_lags_gets_a_gap() -> None:
    async with serving() as served, connected(served.url, VIEW) as heard:
        await heard.client.subscribe(["positions"])
        messages = heard.client.stream("positions", size=5)
        first = asyncio.ensure_future(anext(messages))
        await asyncio.sleep(0)
        served.hub.publish(position())
        start = (await first)["seq"]
        for _ in range(20):
            served.hub.publish(position())
        last = served.hub.seq(Stream.POSITIONS)
        await heard.until(lambda: heard.seqs[-1] == last)
        gap = await anext(messages)
        assert isinstance(gap, Gap)
        assert (gap.reason, gap.first) == ("lagging", start + 1)
        assert gap.last is not None
        rest = [(await anext(messages))["seq"] for _ in range(5)]
        assert rest == list(range(gap.last + 1, last + 1))
        await messages.aclose()  # type: ignore[attr-defined]


async def test_max_rate_limits_quotes_and_final_bars_come_at_once() -> None:
    async with serving() as served, connected(served.url, VIEW) as heard:
        await heard.client.subscribe(["market_data"], max_rate=1.0)
        for minute in range(20):
            served.hub.publish(quote("AAPL", float(minute)))
        for minute in range(20):
            served.hub.publish(evaluation("AAPL", minute))
        await heard.until(lambda: kinds(heard).count("bar") == 20)
        assert kinds(heard).count("quote") < 20


def kinds(heard: Heard) -> list[str]:
    return [message.data["kind"] for message in heard.all("stream_data")]


async def test_who_asks_faster_than_the_server_allows_waits_and_gets_every_answer() -> None:
    async with (
        serving(messages_per_second=200, message_burst=5) as served,
        connected(served.url, VIEW) as heard,
    ):
        answers = [await heard.client.stats() for _ in range(60)]
        assert len(answers) == 60
        assert served.server._stats.clients
