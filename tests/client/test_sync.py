"""The synchronous client, used from the main thread while its loop runs in another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.streaming.fakes import FakeBot, bar, evaluation, position, quote
from tests.streaming.serving import Served, serving
from toolkit.client.async_client import StreamClient
from toolkit.client.sync import Client
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError, NotConnected, WireError
from toolkit.runtime import LoopThread


class Desk:
    """A server in one loop, a client in another, and a way to wait for messages."""

    def __init__(self, served: Served, server_loop: LoopThread, client: Client) -> None:
        self.served, self.server_loop, self.client = served, server_loop, client
        self._seen = threading.Condition()
        client.on("stream_data", self.notify)

    def publish(self, *events: Any) -> None:
        async def publish() -> None:
            for event in events:
                self.served.hub.publish(event)

        self.server_loop.call(publish())

    def until(self, true: Any) -> None:
        with self._seen:
            assert self._seen.wait_for(true, timeout=5)

    def notify(self, _: Any = None) -> None:
        with self._seen:
            self._seen.notify_all()


@pytest.fixture
def desk() -> Iterator[Desk]:
    bot = FakeBot()
    bot.bars = [evaluation(symbol, m) for m in range(5) for symbol in ("AAPL", "MSFT")]
    bot.events = [evaluation("AAPL", 4), evaluation("MSFT", 4)]
    with LoopThread("server") as server_loop, LoopThread("client") as client_loop:
        stack = AsyncExitStack()
        served = server_loop.call(stack.enter_async_context(serving(bot=bot)))
        stream = client_loop.call(opened(served))
        client = Client(stream, call=client_loop.call)
        try:
            yield Desk(served, server_loop, client)
        finally:
            client.close()
            server_loop.call(stack.aclose())


async def opened(served: Served) -> StreamClient:
    client = StreamClient(served.url, token=served.token, reconnect_delay=0.02)
    await client.connect()
    return client


def test_what_it_knows(desk: Desk) -> None:
    client = desk.client
    assert (client.state, client.role, client.reason) == ("connected", "admin", "")
    assert client.symbols == ("AAPL", "MSFT")
    assert client.url == desk.served.url
    assert client.parameters == Parameters()
    assert client.trades() == []
    assert client.ping() > 0
    assert client.stats()["messages_received"] == 0


def test_parameters_are_set_by_name_or_mapping(desk: Desk) -> None:
    confirmed = desk.client.set_parameters({"stoch_rsi.k": 4}, ema_period=12)
    assert confirmed["new"] == {"stoch_rsi.k": 4, "ema.ema_period": 12}
    assert desk.client.parameters["ema_period"] == 12
    with pytest.raises(ConfigError, match="allowed"):
        desk.client.set_parameters(ema_period=0)


def test_a_frame_begins_with_history_and_goes_on_live(desk: Desk) -> None:
    frame = desk.client.frame("market_data", "AAPL")
    assert len(frame) == 5
    desk.publish(quote("AAPL", minute=5), bar("AAPL", 5, final=False), evaluation("MSFT", 5))
    desk.until(lambda: len(frame) == 6)
    desk.publish(evaluation("AAPL", 5, price=111.0))
    desk.until(lambda: frame.close.iloc[-1] == 111.0)
    assert len(frame) == 6
    assert set(frame["symbol"]) == {"AAPL"}


def test_the_same_frame_is_given_again(desk: Desk) -> None:
    assert desk.client.frame("positions") is desk.client.frame("positions")
    assert len(desk.client.frame("market_data")) == 10


def test_wrong_names_are_refused(desk: Desk) -> None:
    with pytest.raises(WireError, match="allowed: market_data"):
        desk.client.frame("prices")
    with pytest.raises(WireError, match="allowed: AAPL, MSFT"):
        desk.client.frame("market_data", "XXX")
    with pytest.raises(ConfigError, match="limit"):
        desk.client.frame("market_data", "AAPL", limit=0)
    with pytest.raises(WireError):
        desk.client.subscribe(["prices"])


def test_a_handler_that_calls_back_is_refused_instead_of_waiting_for_itself(desk: Desk) -> None:
    caught: list[Exception] = []

    def handler(_: Any) -> None:
        try:
            desk.client.ping()
        except ConfigError as error:
            caught.append(error)

    desk.client.on("stream_positions", handler)
    desk.client.subscribe(["positions"])
    desk.publish(position(), position())
    desk.until(lambda: caught)
    assert "must not call its client" in str(caught[0])


def test_a_loop_over_messages_ends_with_the_client(desk: Desk) -> None:
    found: list[Any] = []
    ended = threading.Event()

    def follow() -> None:
        for message in desk.client.stream("positions", "AAPL"):
            found.append(message["symbol"])
            desk.notify()
        ended.set()

    thread = threading.Thread(target=follow)
    thread.start()
    desk.client.subscribe(["positions"])
    desk.publish(position("AAPL"), position("MSFT"), position("AAPL"))
    desk.until(lambda: len(found) == 2)
    desk.client.close()
    assert ended.wait(5)
    thread.join()
    assert found == ["AAPL", "AAPL"]


def test_latency_and_clock_are_there(desk: Desk) -> None:
    assert desk.client.latency() == {}
    desk.client.ping()
    assert desk.client.clock is None or desk.client.clock.uncertainty_ms >= 0


def test_unsubscribing(desk: Desk) -> None:
    desk.client.subscribe(["positions"])
    assert desk.client.unsubscribe(["positions"])["stream_types"] == ["positions"]


def test_many_threads_at_once(desk: Desk) -> None:
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda: results.append(desk.client.history("AAPL", limit=2)))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(result["bars"]) for result in results] == [2] * 10


def test_after_closing_calls_say_so(desk: Desk) -> None:
    frame = desk.client.frame("market_data", "AAPL")
    desk.client.close()
    desk.client.close()
    assert desk.client.state == "closed"
    assert len(frame) == 5
    with pytest.raises(NotConnected, match="closed by this client"):
        desk.client.ping()
