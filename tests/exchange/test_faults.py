"""Each fault as alpaca-py sees it, and as the exchange writes it down."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.data.requests import StockBarsRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.requests import MarketOrderRequest

from tests.exchange.serving import Served, served
from tests.exchange.test_streams import (
    BAR_MINUTE,
    START,
    Raw,
    Seen,
    error,
    listening,
    ready,
    running,
    until,
)
from toolkit.errors import ConfigError
from toolkit.exchange.exchange import Exchange
from toolkit.exchange.faults import Fault, Kind
from toolkit.exchange.refusals import Refusal
from toolkit.exchange.settings import ExchangeSettings
from toolkit.exchange.source import SimulatedSource
from toolkit.exchange.values import MINUTE
from toolkit.exchange.weather import read_faults, weather


@pytest.fixture
def exchange() -> Iterator[Served]:
    with served(revision_rate=0.0) as exchange:
        exchange.advance(60)
        yield exchange


def order(name: str, **fields) -> MarketOrderRequest:
    usual = {"symbol": "AAPL", "qty": 10, "side": "buy", "time_in_force": "day"}
    return MarketOrderRequest(client_order_id=name, **{**usual, **fields})


def names(exchange: Served) -> list[str]:
    return [order["client_order_id"] for order in exchange.state()["orders"]]


def hits(exchange: Served, kind: Kind) -> list[dict]:
    return exchange.happened(f"fault.{kind}")


@pytest.mark.parametrize("kind", [Kind.RATE_LIMITED, Kind.TIMEOUT_BEFORE])
def test_429_and_504_are_repeated_by_the_sdk_until_it_goes_through(exchange, kind):
    exchange.inject(kind, target="POST /v2/orders", count=2)
    exchange.trading().submit_order(order("one"))
    assert names(exchange) == ["one"]
    assert [entry["order"] for entry in hits(exchange, kind)] == ["one", "one"]


def test_504_after_accepting_makes_the_sdk_send_twice_and_the_second_is_refused(exchange):
    exchange.inject(Kind.TIMEOUT_AFTER, target="POST /v2/orders", count=1)
    client = exchange.trading()
    with pytest.raises(APIError) as caught:
        client.submit_order(order("once"))
    assert (caught.value.status_code, caught.value.message) == (
        422,
        "client_order_id must be unique",
    )
    assert names(exchange) == ["once"]
    assert client.get_order_by_client_id("once").status == "filled"


def test_504_after_accepting_without_a_client_order_id_makes_two_orders(exchange):
    exchange.inject(Kind.TIMEOUT_AFTER, target="POST /v2/orders", count=1)
    exchange.trading().submit_order(order(None))
    assert len(names(exchange)) == 2


@pytest.mark.parametrize(("kind", "orders"), [(Kind.RESET_BEFORE, 0), (Kind.RESET_AFTER, 1)])
def test_a_reset_connection_leaves_the_outcome_open(exchange, kind, orders):
    exchange.inject(kind, target="POST /v2/orders", count=1)
    with pytest.raises(requests.ConnectionError):
        exchange.trading().submit_order(order("lost"))
    assert len(names(exchange)) == orders
    (entry,) = hits(exchange, kind)
    assert (entry["order"], entry["subject"]) == ("lost", "POST /v2/orders")


def test_500_is_an_error_at_once_and_nothing_was_done(exchange):
    exchange.inject(Kind.SERVER_ERROR, count=1)
    with pytest.raises(APIError) as caught:
        exchange.trading().submit_order(order("no"))
    assert caught.value.status_code == 500
    assert names(exchange) == []


def test_504_in_html_has_no_code_that_the_sdk_could_read(exchange):
    exchange.inject(Kind.TIMEOUT_BEFORE, target="GET /v2/account")
    client = exchange.trading()
    client._retry = 0
    with pytest.raises(APIError) as caught:
        client.get_account()
    assert caught.value.status_code == 504
    with pytest.raises(ValueError, match="Expecting value"):
        caught.value.code  # noqa: B018
    client.get_clock()  # other requests are left alone


def test_a_slow_answer_runs_into_the_clients_own_timeout_although_it_was_done(exchange):
    exchange.inject(Kind.SLOW, target="POST /v2/orders", count=1, amount=30.0)
    client = exchange.trading()
    session = client._session
    ask, session.request = session.request, lambda *a, **k: ask(*a, timeout=0.2, **k)
    with pytest.raises(requests.Timeout):
        client.submit_order(order("slow"))
    assert names(exchange) == ["slow"]


def test_a_skewed_clock_is_told_by_the_clock_and_by_every_answer(exchange):
    exchange.inject(Kind.CLOCK_SKEW, amount=-7.5, length=60.0)
    client, dates = exchange.trading(), []
    client._session.hooks["response"].append(lambda r, *_, **__: dates.append(r.headers["Date"]))
    assert (client.get_clock().timestamp - START).total_seconds() == 52.5
    assert dates == ["Mon, 05 Jan 2026 15:00:52 GMT"]
    exchange.advance(60)
    assert (client.get_clock().timestamp - START).total_seconds() == 120


def test_partial_fills_come_in_thirds(exchange):
    exchange.inject(Kind.PARTIAL_FILLS, length=600.0, target="AAPL")
    exchange.trading().submit_order(order("parts"))
    exchange.advance(60)
    assert [fill["qty"] for fill in exchange.state()["fills"]] == ["3", "3", "3", "1"]
    assert len(hits(exchange, Kind.PARTIAL_FILLS)) == 3


async def test_a_mute_feed_stays_connected_and_loses_what_was_sent(exchange):
    seen, stream = Seen(), exchange.stream("iex")
    stream.subscribe_bars(seen.take, "AAPL")
    async with running(stream):
        await ready(exchange, "bars")
        exchange.inject(Kind.MUTE, length=300.0, target="market")
        await exchange.pass_time(600)
        await until(lambda: bool(seen) and seen[-1].timestamp.minute == 9)
        assert len(exchange.server.market.streams) == 1
    assert [bar.timestamp.minute for bar in seen] == [5, 6, 7, 8, 9]
    ask = StockBarsRequest(
        symbol_or_symbols="AAPL", timeframe=TimeFrame.Minute, feed="iex", start=START
    )
    bars = await asyncio.to_thread(exchange.stocks().get_stock_bars, ask)
    assert [bar.timestamp.minute for bar in bars["AAPL"]] == list(range(10))


async def test_after_a_drop_the_sdk_comes_back_by_itself_and_the_gap_is_lost(exchange):
    seen, stream = Seen(), exchange.stream("iex")
    stream.subscribe_bars(seen.take, "AAPL")
    async with running(stream):
        await ready(exchange, "bars")
        await exchange.pass_time(BAR_MINUTE - 60)
        await until(lambda: len(seen) == 1)
        exchange.inject(Kind.DROP, target="market", count=1)
        await exchange.pass_time(300)
        await until(lambda: len(exchange.happened("stream.closes")) == 1)
        await ready(exchange, "bars")
        await exchange.pass_time(60)
        await until(lambda: len(seen) > 1)
    assert [bar.timestamp.minute for bar in seen] == [0, 6]


async def test_a_dropped_trading_stream_never_tells_of_the_fills_in_between(exchange):
    seen, stream = Seen(), exchange.updates()
    stream.subscribe_trade_updates(seen.take)
    async with running(stream):
        await listening(exchange)
        exchange.inject(Kind.DROP, target="trading", count=1)
        await until(lambda: not exchange.server.trading.clients)
        exchange.trading().submit_order(order("unseen"))
        await listening(exchange)
        exchange.trading().submit_order(order("seen"))
        await until(lambda: any(update.event == "fill" for update in seen))
    assert {update.order.client_order_id for update in seen} == {"seen"}


async def test_refused_handshakes_are_retried(exchange, caplog):
    exchange.inject(Kind.REFUSE, target="market", count=3)
    stream = exchange.stream("iex")
    stream._reconnect_max_backoff = 0.01
    stream.subscribe_bars(Seen().take, "AAPL")
    with caplog.at_level(logging.WARNING):
        async with running(stream):
            await ready(exchange, "bars")
    assert len([r for r in caplog.records if "HTTP 503" in r.message]) == 3


async def test_the_connection_limit_is_met_with_406_and_retried_for_ever(exchange, caplog):
    exchange.inject(Kind.CONNECTION_LIMIT, target="market", count=2)
    async with Raw(exchange, "/v2/iex") as raw:
        assert await raw.login() == error(406, "connection limit exceeded")
    stream = exchange.stream("iex")
    stream.subscribe_bars(Seen().take, "AAPL")
    with caplog.at_level(logging.ERROR):
        async with running(stream):
            await ready(exchange, "bars")
    assert [r for r in caplog.records if "connection limit exceeded" in r.message]


@pytest.mark.parametrize("kind", [Kind.MALFORMED, Kind.UNKNOWN_MESSAGE])
async def test_nonsense_on_the_market_stream_is_survived(exchange, kind, caplog):
    seen, stream = Seen(), exchange.stream("iex")
    stream.subscribe_bars(seen.take, "AAPL")
    async with running(stream):
        await ready(exchange, "bars")
        exchange.inject(kind, target="market", count=1)
        await exchange.pass_time(120)
        await until(lambda: len(seen) == 2)
    assert len(hits(exchange, kind)) == 1
    assert any("error during" in r.message for r in caplog.records) == (kind is Kind.MALFORMED)


@pytest.mark.parametrize("kind", [Kind.MALFORMED, Kind.UNKNOWN_MESSAGE])
async def test_nonsense_on_the_trading_stream_is_survived(exchange, kind):
    seen, stream = Seen(), exchange.updates()
    stream.subscribe_trade_updates(seen.take)
    async with running(stream):
        await listening(exchange)
        exchange.inject(kind, target="trading", count=1)
        exchange.trading().submit_order(order("odd"))
        await until(lambda: bool(seen) and seen[-1].event == "fill")
    events = [update.event for update in seen]
    odd = ["phase_of_the_moon"] if kind is Kind.UNKNOWN_MESSAGE else []
    assert events == [*odd, "pending_new", "new", "fill"]


@pytest.mark.parametrize(
    ("kind", "fields", "arrives"),
    [
        (Kind.MISSING_BARS, {"count": 2}, [2, 3, 4]),
        (Kind.DUPLICATE_BARS, {"count": 1}, [0, 0, 1, 2, 3, 4]),
        (Kind.UNORDERED_BARS, {"count": 1}, [1, 0, 2, 3, 4]),
        (Kind.LATE_BARS, {"count": 1, "amount": 90.0}, [1, 0, 2, 3, 4]),
    ],
)
async def test_bars_go_missing_come_twice_late_or_out_of_order(exchange, kind, fields, arrives):
    seen, stream = Seen(), exchange.stream("iex")
    stream.subscribe_bars(seen.take, "AAPL")
    async with running(stream):
        await ready(exchange, "bars")
        exchange.inject(kind, target="AAPL", **fields)
        await exchange.pass_time(300)
        await until(lambda: len(seen) == len(arrives))
    assert [bar.timestamp.minute for bar in seen] == arrives


async def test_in_a_hole_nothing_trades_and_the_history_has_a_gap(exchange):
    exchange.inject(Kind.HOLE, length=30 * 60.0, target="AAPL")
    await exchange.pass_time(40 * 60)
    ask = StockBarsRequest(
        symbol_or_symbols=["AAPL", "MSFT"], timeframe=TimeFrame.Minute, feed="iex", start=START
    )
    bars = await asyncio.to_thread(exchange.stocks().get_stock_bars, ask)
    assert [bar.timestamp.minute for bar in bars["AAPL"]] == [0, *range(31, 40)]
    assert len(bars["MSFT"]) == 40


async def test_every_bar_can_be_made_to_be_revised(exchange):
    first, second, stream = Seen(), Seen(), exchange.stream("iex")
    stream.subscribe_bars(first.take, "AAPL")
    stream.subscribe_updated_bars(second.take, "AAPL")
    async with running(stream):
        await ready(exchange, "bars", "updatedBars")
        exchange.inject(Kind.REVISED_BARS, target="AAPL")
        await exchange.pass_time(240)
        await until(lambda: len(second) == 4)
    for bar, revised in zip(first, second, strict=True):
        assert (bar.timestamp, bar != revised) == (revised.timestamp, True)


@pytest.mark.parametrize(
    ("kind", "fields", "fills"),
    [
        (Kind.DUPLICATE_FILLS, {"count": 1}, ["a", "a", "b"]),
        (Kind.LATE_FILLS, {"count": 1, "amount": 30.0}, ["b", "a"]),
        (Kind.UNORDERED_FILLS, {"count": 1}, ["a", "b"]),
    ],
)
async def test_fills_come_twice_late_or_after_what_followed_them(exchange, kind, fields, fills):
    seen, stream = Seen(), exchange.updates()
    stream.subscribe_trade_updates(seen.take)
    async with running(stream):
        await listening(exchange)
        exchange.inject(kind, **fields)
        for name in ("a", "b"):
            exchange.trading().submit_order(order(name))
        await exchange.pass_time(30)
        await until(lambda: len([u for u in seen if u.event == "fill"]) == len(fills))
    shown = [u.order.client_order_id for u in seen if u.event == "fill"]
    assert shown == fills
    ids = [u.execution_id for u in seen if u.event == "fill"]
    assert len(set(ids)) == 2
    if kind is Kind.UNORDERED_FILLS:
        events = [(u.order.client_order_id, u.event) for u in seen]
        assert events.index(("b", "pending_new")) < events.index(("a", "fill"))
    assert {entry["order"] for entry in hits(exchange, kind)} == {"a"}


def test_the_same_seed_gives_the_same_storm_and_another_one_another():
    symbols = ("AAPL", "BTC/USD")
    first, again, other = (weather("storm", seed=s, symbols=symbols) for s in (7, 7, 8))
    assert first == again != other
    assert {fault.kind for fault in first} == set(Kind)
    assert all(a.start <= b.start for a, b in pairwise(first))
    assert weather("calm", seed=7, symbols=symbols) == []
    mild = weather("hiccups", seed=7, symbols=symbols)
    assert 0 < len(mild) < len(first) / 4


def test_faults_of_a_file_are_those_that_were_written(tmp_path):
    faults = weather("storm", seed=3, symbols=("AAPL",), length=3600.0)
    path = tmp_path / "faults.json"
    path.write_text(json.dumps([fault.to_dict() for fault in faults]))
    assert read_faults(path) == faults
    assert weather(str(path), seed=0, symbols=()) == faults
    path.write_text('[{"kind": "boredom", "start": 1}]')
    with pytest.raises(ConfigError, match="boredom"):
        read_faults(path)
    with pytest.raises(ConfigError, match="allowed: calm, hiccups, storm"):
        weather("tempest", seed=0, symbols=())


def test_a_fault_begins_and_ends_in_time_and_says_how_often_it_hit():
    source = SimulatedSource(["AAPL"])
    fault = Fault(kind=Kind.MISSING_BARS, start=120.0, length=180.0)
    exchange = Exchange(source, ExchangeSettings(revision_rate=0.0), faults=[fault])
    got = []
    exchange.wanted = lambda channel, symbol: channel == "bars"
    exchange.post.to_market = got.append
    exchange.advance(source.start + 10 * MINUTE)
    assert [(m.at - source.start) // MINUTE for m in got] == [0, 4, 5, 6, 7, 8]
    times = {e["what"]: e["time"] for e in exchange.log.entries("fault.")}
    assert times["fault.begins"] == "2026-01-05T15:02:00Z"
    assert times["fault.ends"] == "2026-01-05T15:05:00Z"
    assert exchange.log.entries("fault.ends")[0]["hits"] == 3


def test_two_exchanges_of_the_same_seed_live_the_same_day():
    def day() -> tuple[list, list]:
        source = SimulatedSource(["AAPL", "BTC/USD"])
        faults = weather("storm", seed=11, symbols=source.symbols)
        exchange = Exchange(source, ExchangeSettings(seed=11), faults=faults)
        exchange.wanted = lambda channel, symbol: channel in ("bars", "updatedBars")
        got: list = []
        exchange.post.to_market = got.append
        for number in range(60):
            exchange.advance(source.start + number * MINUTE)
            body = {"symbol": "AAPL", "qty": 5, "type": "market", "time_in_force": "day"}
            side = "sell" if exchange.account.quantity("AAPL") >= 5 else "buy"
            exchange.desk.submit({**body, "side": side}, exchange.now)
        return exchange.log.entries(), got

    assert day() == day()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_weather_makes_or_loses_money(seed):
    source = SimulatedSource(["AAPL", "BTC/USD"], seed=seed, ticks_per_bar=4)
    faults = weather("storm", seed=seed, symbols=source.symbols)
    exchange = Exchange(source, ExchangeSettings(seed=seed, latency=2.0), faults=faults)
    for number in range(300):
        exchange.advance(source.start + number * MINUTE)
        symbol, kept = (("AAPL", "day"), ("BTC/USD", "gtc"))[number % 2]
        held = exchange.account.quantity(symbol)
        body = {"symbol": symbol, "type": "market", "time_in_force": kept}
        with suppress(Refusal):
            if number % 3 and held:
                exchange.desk.close(symbol, exchange.now)
            else:
                exchange.desk.submit({**body, "qty": 1, "side": "buy"}, exchange.now)
    fills = exchange.account.executions
    assert len(fills) > 50
    assert exchange.account.cash == 100_000 + sum(fill.cash for fill in fills)
    told = {entry["order"] for entry in exchange.log.entries("order.fill")}
    filled = [order for order in exchange.book.orders.values() if order.status == "filled"]
    assert told == {order.ticket.client_order_id for order in filled}
