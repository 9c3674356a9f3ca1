"""Order events through the SDK's pieces in our own loop, against the exchange double."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from tests.alpaca.reaching import (
    QUICK,
    exchange_of,
    reading,
    settings_of,
    ticket,
    trading_at,
    until,
)
from tests.exchange.serving import Served
from toolkit.alpaca.port import Link, OrderNews
from toolkit.alpaca.resilience import Backoff
from toolkit.alpaca.settings import AlpacaSettings
from toolkit.alpaca.streams import AlpacaOrderStream
from toolkit.core.types import OrderStatus
from toolkit.errors import ConfigError
from toolkit.exchange.faults import Kind
from toolkit.runtime import LoopThread


@pytest.fixture(scope="module")
def exchange() -> Iterator[Served]:
    with exchange_of() as exchange:
        yield exchange


def stream_at(exchange: Served, **fields) -> AlpacaOrderStream:
    return AlpacaOrderStream(settings_of(exchange, **fields))


def events(reader) -> list[str]:
    return [news.event for news in reader.events]


async def test_the_life_of_an_order_is_told_with_exact_numbers(exchange):
    """`TradeUpdate`'s qty and price are float in the SDK; `event` is a plain str."""
    stream = stream_at(exchange)
    async with reading(stream) as reader, trading_at(exchange) as trading:
        await reader.ups()
        quantity = Decimal("0.123456789")
        sent = await trading.submit(ticket("coin", symbol="BTC/USD", quantity=quantity))
        await until(lambda: events(reader)[-1:] == ["fill"])
        (fill,) = await trading.fills_since(sent.submitted_at)
        (position,) = await trading.positions()
    assert events(reader) == ["pending_new", "new", "fill"]
    news: OrderNews = reader.events[-1]
    assert (news.quantity, news.price) == (fill.quantity, fill.price)
    assert fill.id.endswith(f"::{news.execution_id}")
    assert news.position_quantity == position.quantity
    assert (news.order.id, news.order.client_order_id, news.order.status) == (
        sent.id,
        "coin",
        OrderStatus.FILLED,
    )
    assert [item.price for item in reader.events[:2]] == [None, None]
    assert stream.last_message is not None


async def test_wrong_keys_are_told_and_tried_again_slowly(exchange):
    async with reading(stream_at(exchange, secret_key="wrong")) as reader:
        assert "check APCA_API_KEY_ID" in await reader.refused(2)
    assert set(reader.links) == {Link.REFUSED}


def test_without_keys_there_is_no_stream(exchange):
    with pytest.raises(ConfigError, match="needs keys"):
        stream_at(exchange, key_id="")


async def test_after_a_drop_it_says_so_and_tells_what_comes_next(exchange):
    async with reading(stream_at(exchange)) as reader, trading_at(exchange) as trading:
        await reader.ups()
        exchange.inject(Kind.DROP, target="trading", count=1)
        await until(lambda: Link.DOWN in reader.links)
        await reader.ups(2)
        await trading.submit(ticket("after"))
        await until(lambda: "fill" in events(reader))
    assert reader.links == [Link.UP, Link.DOWN, Link.UP]


async def test_refused_handshakes_are_tried_again(exchange):
    exchange.inject(Kind.REFUSE, target="trading", count=2)
    async with reading(stream_at(exchange)) as reader:
        await reader.ups()
    assert "503" in reader.reasons[0]


async def test_an_event_that_nobody_knows_is_told_like_the_others(exchange):
    """Some events are not in the SDK's enum: a validation error must not end the stream."""
    async with reading(stream_at(exchange)) as reader, trading_at(exchange) as trading:
        await reader.ups()
        exchange.inject(Kind.UNKNOWN_MESSAGE, target="trading", count=1)
        await trading.submit(ticket("odd"))
        await until(lambda: "fill" in events(reader))
    assert events(reader) == ["phase_of_the_moon", "pending_new", "new", "fill"]
    assert reader.links == [Link.UP]


async def test_a_frame_that_cannot_be_read_is_a_loss(exchange):
    async with reading(stream_at(exchange)) as reader, trading_at(exchange) as trading:
        await reader.ups()
        exchange.inject(Kind.MALFORMED, target="trading", count=1)
        await trading.submit(ticket("broken"))
        await reader.ups(2)
    assert "cannot be read" in reader.reasons[1]


@pytest.mark.parametrize("kind", [Kind.DUPLICATE_FILLS, Kind.UNORDERED_FILLS, Kind.LATE_FILLS])
async def test_fills_come_as_alpaca_sends_them_each_with_its_execution(exchange, kind):
    """Twice, late and out of order: who keeps the books sorts it by the execution's id."""
    await exchange.pass_time(60)  # away from the orders of other tests
    exchange.inject(kind, count=1, amount=5.0)
    async with reading(stream_at(exchange)) as reader, trading_at(exchange) as trading:
        await reader.ups()
        since = (await trading.submit(ticket(f"one {kind}"))).submitted_at
        await exchange.pass_time(10)
        await trading.submit(ticket(f"two {kind}"))
        await exchange.pass_time(10)
        fills = {fill.id.partition("::")[2] for fill in await trading.fills_since(since)}
        await until(lambda: {news.execution_id for news in reader.events} - {None} == fills)
    executions = [news.execution_id for news in reader.events if news.execution_id]
    assert len(executions) - len(fills) == (kind is Kind.DUPLICATE_FILLS)


async def test_reconnect_drops_the_connection_of_a_mute_stream(exchange):
    stream = stream_at(exchange)
    async with reading(stream) as reader:
        await reader.ups()
        await stream.reconnect()
        await reader.ups(2)
        assert len(exchange.server.trading.clients) == 1
    assert reader.reasons == ["", "connected, and mute", ""]


def test_stop_and_start_twenty_times_leaves_one_connection_at_most():
    with exchange_of() as exchange, LoopThread("notebook") as loop:

        async def once() -> None:
            async with reading(stream_at(exchange)) as reader:
                await reader.ups()
                begun = time.monotonic()
            assert time.monotonic() - begun < 1.0

        for _ in range(20):
            loop.call(once())
            assert exchange.server.trading.clients == ()
        assert len(exchange.happened("stream.opens")) == 20
        assert all(entry["clean"] for entry in exchange.happened("stream.closes"))


Script = list[Any]


@asynccontextmanager
async def scripted(*answers: Script) -> AsyncIterator[AlpacaSettings]:
    """A stream that answers the login and the subscription, and then says what the test wants."""
    rounds = iter(answers)

    async def talk(connection: ServerConnection) -> None:
        for message in next(rounds, answers[-1]):
            await connection.recv() if message is None else await connection.send(message)
        await connection.wait_closed()

    async with serve(talk, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/stream"
        yield AlpacaSettings(**QUICK, key_id="k", secret_key="s", trading_stream_url=url)


def said(stream: str, **data: Any) -> bytes:
    return json.dumps({"stream": stream, "data": data}).encode()


WELCOME = [
    None,
    said("authorization", status="authorized"),
    None,
    said("listening", streams=["trade_updates"]),
]


@pytest.mark.parametrize(
    ("script", "link", "words"),
    [
        ([None, b"no json"], Link.DOWN, "login's answer cannot be read"),
        ([None, b"[]"], Link.DOWN, "login's answer cannot be read"),
        ([*WELCOME[:3], said("listening", streams=[])], Link.REFUSED, "does not tell of orders"),
        ([*WELCOME, b"{"], Link.DOWN, "a frame cannot be read"),
        ([*WELCOME, said("trade_updates", event="fill")], Link.DOWN, "event cannot be read"),
        ([*WELCOME, said("error", error="slow client")], Link.DOWN, "slow client"),
    ],
)
async def test_what_cannot_be_understood_is_told_and_the_connection_made_again(script, link, words):
    async with scripted(script) as settings, reading(AlpacaOrderStream(settings)) as reader:
        await until(lambda: link in reader.links)
        told = next(news for news in reader.heard if news.link is link)
    assert words in told.reason


async def test_messages_of_other_kinds_and_foreign_orders_are_passed_over():
    order = {"order_class": "mleg", "symbol": "", "side": "", "status": "new"}
    option = {"asset_class": "us_option", "symbol": "AAPL270115C00200000", "status": "new"}
    script = [
        *WELCOME,
        b"[1]",
        said("account_updates", status="ACTIVE"),
        said("trade_updates", event="new", order=order),
        said("trade_updates", event="fill", order=option),
        said("error", error="the end"),
    ]
    async with scripted(script) as settings, reading(AlpacaOrderStream(settings)) as reader:
        await until(lambda: Link.DOWN in reader.links)
    assert reader.events == []
    assert "the end" in reader.reasons[1]


async def test_a_bad_day_of_short_connections_is_not_met_with_a_storm_of_new_ones():
    """The backoff grows while connections are short, and begins again after a good one."""
    drawn: list[float] = []

    def highest(low: float, high: float) -> float:
        drawn.append(high)
        return high / 50

    async with scripted([*WELCOME, b"{"]) as settings:
        stream = AlpacaOrderStream(
            AlpacaSettings(
                key_id="k",
                secret_key="s",
                trading_stream_url=settings.trading_stream_url,
                close_timeout=0.2,
                reconnect_delay=0.01,
                reconnect_longest=0.08,
            ),
            backoff=Backoff(uniform=highest),
        )
        async with reading(stream) as reader:
            await reader.ups(6)
    assert drawn[:5] == [0.01, 0.02, 0.04, 0.08, 0.08]


async def test_a_good_connection_is_forgiven_though_nothing_came_over_it():
    """The SDK's backoff resets only when data arrives: a quiet trading stream waits longer."""
    drawn: list[float] = []

    def highest(low: float, high: float) -> float:
        drawn.append(high)
        return 0.0

    async with scripted([*WELCOME, b"{"]) as settings:
        quiet = AlpacaSettings(
            key_id="k",
            secret_key="s",
            trading_stream_url=settings.trading_stream_url,
            close_timeout=0.2,
            reconnect_delay=0.01,
            good_after=0.0,
        )
        async with reading(AlpacaOrderStream(quiet, backoff=Backoff(uniform=highest))) as reader:
            await reader.ups(5)
    assert set(drawn) == {0.01}


async def test_only_one_reader_at_a_time(exchange):
    stream = stream_at(exchange)
    async with reading(stream) as reader:
        await reader.ups()
        with pytest.raises(RuntimeError, match="read already"):
            await anext(stream.news())
