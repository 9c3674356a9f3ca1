"""The trading API through the real SDK, against the exchange double."""

from __future__ import annotations

import asyncio
import socket
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.alpaca.reaching import exchange_of, settings_of, ticket, trading_at, until
from tests.exchange.serving import Served
from toolkit.alpaca.resilience import BreakerState
from toolkit.alpaca.settings import AlpacaSettings
from toolkit.alpaca.trading import AlpacaTrading
from toolkit.core.types import OrderClass, OrderStatus, OrderType, Side, TimeInForce
from toolkit.errors import (
    BrokerError,
    ConfigError,
    NotConnected,
    OrderRejected,
    UnknownOrderState,
)
from toolkit.exchange.faults import Kind

START = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
ORDERS = "POST /v2/orders"


@pytest.fixture
def exchange() -> Iterator[Served]:
    with exchange_of() as exchange:
        yield exchange


@pytest.fixture(scope="module")
def shared() -> Iterator[Served]:
    """One exchange for tests that leave nothing behind but orders of their own."""
    with exchange_of() as exchange:
        yield exchange


@pytest.fixture
def name() -> str:
    """A client_order_id that no other test sends."""
    return str(uuid.uuid4())


def names(exchange: Served) -> list[str]:
    return [order["client_order_id"] for order in exchange.state()["orders"]]


async def test_account_clock_calendar_and_assets_in_our_words(exchange):
    async with trading_at(exchange) as trading:
        account = await trading.account()
        assert (account.cash, account.buying_power, account.status) == (
            Decimal(100_000),
            Decimal(200_000),
            "ACTIVE",
        )
        assert not account.trading_blocked
        clock = await trading.clock()
        assert clock.is_open
        assert clock.next_close == datetime(2026, 1, 5, 21, 0, tzinfo=UTC)
        (day,) = await trading.calendar(start=date(2026, 7, 6), end=date(2026, 7, 6))
        # `Calendar.open/close` are naive New York time: here they are UTC, in summer too
        assert day.open == datetime(2026, 7, 6, 13, 30, tzinfo=UTC)
        coin, stock = await trading.asset("BTC/USD"), await trading.asset("AAPL")
        assert (coin.symbol, coin.crypto, coin.quantity_increment) == (
            "BTC/USD",
            True,
            Decimal("0.000000001"),
        )
        assert (stock.crypto, stock.tradable, stock.min_quantity) == (False, True, None)


async def test_the_clock_tells_how_far_ours_is_off_without_the_way_of_the_answer(exchange):
    trading = AlpacaTrading(settings_of(exchange), now=lambda: START + timedelta(seconds=58))
    exchange.inject(Kind.SLOW, target="GET /v2/clock", count=1, amount=0.2)
    assert (await trading.clock()).offset == pytest.approx(60 - 58 - 0.1, abs=0.05)
    exchange.inject(Kind.CLOCK_SKEW, amount=-7.5, length=60.0)
    clock = await trading.clock()
    assert (clock.timestamp, round(clock.offset, 1)) == (START + timedelta(seconds=52.5), -5.5)
    await trading.close()


async def test_an_asset_is_asked_for_once_an_hour_and_an_unknown_one_is_refused(exchange):
    now = [1000.0]
    trading = AlpacaTrading(settings_of(exchange), monotonic=lambda: now[0])
    first = await trading.asset("AAPL")
    assert await trading.asset("AAPL") is first
    now[0] += 3601
    assert await trading.asset("AAPL") is not first
    with pytest.raises(OrderRejected, match="does not know the symbol NOSUCH") as caught:
        await trading.asset("NOSUCH")
    assert caught.value.data["reason"] == "unknown_symbol"
    await trading.close()


async def test_an_order_is_found_by_both_ids_and_fills_and_fees_are_exact(exchange):
    """`Order.qty`, `filled_qty` and prices are str: nothing passes through a float."""
    async with trading_at(exchange) as trading:
        quantity = Decimal("0.123456789")
        sent = await trading.submit(ticket("coin", symbol="BTC/USD", quantity=quantity))
        assert (sent.symbol, sent.quantity, sent.status) == (
            "BTC/USD",
            quantity,
            OrderStatus.ACCEPTED,
        )
        order = await trading.order_by_client_id("coin")
        assert order is not None
        assert (order.status, order.filled_quantity) == (OrderStatus.FILLED, quantity)
        assert await trading.order(sent.id) == order
        (fill,) = await trading.fills_since(START)
        (fee,) = await trading.fees_since(START)
        (position,) = await trading.positions()
        assert (fill.order_id, fill.symbol, fill.quantity) == (sent.id, "BTC/USD", quantity)
        # `BTC/USD` in orders and data, but `BTCUSD` in positions; the fee is taken in coins
        assert (fee.symbol, position.symbol) == ("BTC/USD", "BTC/USD")
        assert position.quantity == quantity + fee.quantity < quantity
        assert await trading.fills_since(fill.timestamp) == [fill]
        assert await trading.fills_since(fill.timestamp + timedelta(microseconds=1)) == []


async def test_what_alpaca_does_not_know_is_none(shared):
    async with trading_at(shared) as trading:
        assert await trading.order_by_client_id("never sent") is None
        assert await trading.order("11111111-2222-3333-4444-555555555555") is None
        assert await trading.order("no id at all") is None
        assert await trading.cancel("11111111-2222-3333-4444-555555555555") is False


async def test_every_kind_of_order_reaches_alpaca_as_it_was_meant(exchange):
    async with trading_at(exchange) as trading:
        price = (await trading.submit(ticket("a"))).average_price
        await trading.submit(ticket("fraction", quantity=Decimal("1.5")))
        await trading.submit(ticket("dollars", notional=Decimal("25.50")))
        kinds = {
            "limit": {"order_type": OrderType.LIMIT, "limit_price": Decimal("100.25")},
            "night": {
                "order_type": OrderType.LIMIT,
                "limit_price": Decimal(99),
                "extended_hours": True,
            },
            "gtc": {
                "order_type": OrderType.LIMIT,
                "limit_price": Decimal(98),
                "time_in_force": TimeInForce.GTC,
            },
            "bracket": {
                "order_type": OrderType.LIMIT,
                "limit_price": Decimal(100),
                "order_class": OrderClass.BRACKET,
                "take_profit": Decimal(120),
                "stop_loss": Decimal(90),
                "stop_loss_limit": Decimal(89),
            },
            "oto": {
                "order_type": OrderType.LIMIT,
                "limit_price": Decimal(100),
                "order_class": OrderClass.OTO,
                "stop_loss": Decimal(90),
            },
        }
        for name, fields in kinds.items():
            await trading.submit(ticket(name, **fields))
        orders = {order.client_order_id: order for order in await trading.open_orders()}
        assert price is None
        assert orders["limit"].limit_price == Decimal("100.25")
        assert orders["gtc"].time_in_force is TimeInForce.GTC
        bracket, oto = orders["bracket"], orders["oto"]
        assert {(leg.order_type, leg.limit_price, leg.stop_price) for leg in bracket.legs} == {
            (OrderType.LIMIT, Decimal(120), None),
            (OrderType.STOP_LIMIT, Decimal(89), Decimal(90)),
        }
        assert [leg.stop_price for leg in oto.legs] == [Decimal(90)]
        assert exchange.state()["orders"][2]["notional"] == "25.5"


async def test_legs_whose_parent_is_filled_are_open_orders_too(exchange):
    async with trading_at(exchange) as trading:
        await trading.submit(
            ticket(
                "entry",
                order_class=OrderClass.BRACKET,
                take_profit=Decimal(900),
                stop_loss=Decimal(9),
            )
        )
        parent = await trading.order_by_client_id("entry")
        assert parent is not None
        assert parent.status is OrderStatus.FILLED
        found = await trading.open_orders()
        assert {order.id for order in found} == {leg.id for leg in parent.legs}
        assert len(found) == 2


async def test_trailing_stops_oco_and_replacements(exchange):
    async with trading_at(exchange) as trading:
        await trading.submit(ticket("long", quantity=Decimal(20)))
        sell = {"side": Side.SELL, "quantity": Decimal(5)}
        trail = {"order_type": OrderType.TRAILING_STOP, "trail_percent": Decimal("2.5")}
        await trading.submit(ticket("trail", **sell, **trail))
        oco = {
            "order_type": OrderType.LIMIT,
            "order_class": OrderClass.OCO,
            "take_profit": Decimal(900),
            "stop_loss": Decimal(9),
        }
        await trading.submit(ticket("oco", **sell, **oco))
        stop = await trading.submit(
            ticket("stop", **sell, order_type=OrderType.STOP, stop_price=Decimal(50))
        )
        new = await trading.replace(
            stop.id, client_order_id="stop-2", quantity=4, stop_price=Decimal("60.5")
        )
        assert (new.replaces, new.quantity, new.stop_price) == (
            stop.id,
            Decimal(4),
            Decimal("60.5"),
        )
        old = await trading.order(stop.id)
        assert old is not None
        assert (old.status, old.raw_status, old.replaced_by) == (
            OrderStatus.CANCELED,
            "replaced",
            new.id,
        )
        with pytest.raises(OrderRejected) as caught:
            await trading.replace(stop.id, client_order_id="stop-3", quantity=3)
        assert caught.value.data["reason"] == "conflict"


async def test_cancel_says_whether_there_was_anything_to_cancel():
    with exchange_of(latency=1.0) as exchange:
        async with trading_at(exchange) as trading:
            limit = {"order_type": OrderType.LIMIT, "limit_price": Decimal(100)}
            order = await trading.submit(ticket("resting", **limit))
            await exchange.pass_time(2)
            assert await trading.cancel(order.id) is True
            assert await trading.cancel(order.id) is True  # asked already, and not yet done
            await exchange.pass_time(2)
            assert await trading.cancel(order.id) is False


async def test_an_order_that_is_being_replaced_cannot_be_cancelled_and_is_not_over():
    with exchange_of(latency=1.0) as exchange:
        async with trading_at(exchange) as trading:
            limit = {"order_type": OrderType.LIMIT, "limit_price": Decimal(100)}
            order = await trading.submit(ticket("old", **limit))
            await exchange.pass_time(2)
            await trading.replace(order.id, client_order_id="new", limit_price=Decimal(101))
            with pytest.raises(OrderRejected, match="pending_replace"):
                await trading.cancel(order.id)


@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        ({"quantity": Decimal(10**6)}, "buying_power", "insufficient buying power"),
        (
            {"symbol": "BTC/USD", "quantity": Decimal(100)},
            "buying_power",
            "insufficient balance for USD",
        ),
        ({"symbol": "NOTRADE"}, "not_tradable", "not tradable"),
        ({"symbol": "WHOLE", "quantity": Decimal("0.5")}, "not_fractionable", "whole number"),
        ({"symbol": "NOSUCH"}, "unknown_symbol", "check the spelling"),
        (
            {"symbol": "BTC/USD", "side": Side.SELL, "quantity": Decimal(1)},
            "quantity",
            "cancel them first",
        ),
        ({"time_in_force": TimeInForce.OPG}, "market_closed", "next open"),
        ({"quantity": Decimal(-1)}, "rejected", "qty"),
    ],
)
async def test_a_refusal_is_one_clear_message_with_what_to_do(shared, name, fields, reason, words):
    async with trading_at(shared) as trading:
        with pytest.raises(OrderRejected, match=words) as caught:
            await trading.submit(ticket(name, **fields))
        assert caught.value.data["reason"] == reason
        assert name not in names(shared)


async def test_pattern_day_trading_is_refused_in_words():
    with exchange_of(cash="20000") as exchange:
        async with trading_at(exchange) as trading:
            for number in range(3):
                for side in (Side.BUY, Side.SELL):
                    await trading.submit(ticket(f"{number}{side}", side=side, quantity=Decimal(1)))
            await trading.submit(ticket("fourth", quantity=Decimal(1)))
            with pytest.raises(OrderRejected, match="25,000 dollars") as caught:
                await trading.submit(ticket("out", side=Side.SELL, quantity=Decimal(1)))
        assert caught.value.data["reason"] == "day_trade"


async def test_a_client_order_id_that_was_used_is_told_apart(exchange):
    async with trading_at(exchange) as trading:
        await trading.submit(ticket("once"))
        with pytest.raises(OrderRejected, match="look the order up") as caught:
            await trading.submit(ticket("once"))
        assert (caught.value.data["duplicate"], caught.value.data["status"]) == (True, 422)


@pytest.mark.parametrize("field", ["key_id", "secret_key"])
async def test_wrong_keys_are_said_and_not_tried_again(shared, name, field):
    before = len(shared.happened("request.refused"))
    async with trading_at(shared, **{field: "wrong"}) as trading:
        with pytest.raises(BrokerError, match="check APCA_API_KEY_ID") as caught:
            await trading.account()
        assert caught.value.data["reason"] == "keys"
        assert len(shared.happened("request.refused")) == before + 1
        with pytest.raises(OrderRejected, match="check APCA_API_KEY_ID"):
            await trading.submit(ticket(name))


async def test_no_keys_are_a_setting_that_is_missing(shared):
    with pytest.raises(ConfigError, match="APCA_API_KEY_ID"):
        AlpacaTrading(settings_of(shared, key_id=""))


@pytest.mark.parametrize(
    ("kind", "done"),
    [
        (Kind.TIMEOUT_BEFORE, False),
        (Kind.TIMEOUT_AFTER, True),
        (Kind.RESET_BEFORE, False),
        (Kind.RESET_AFTER, True),
        (Kind.SERVER_ERROR, False),
    ],
)
async def test_an_order_whose_outcome_is_unknown_is_never_sent_again(shared, name, kind, done):
    """`POST /orders` is repeated on 504 by the SDK; not here. Look it up, then decide."""
    shared.inject(kind, target=ORDERS, count=1)
    async with trading_at(shared) as trading:
        with pytest.raises(UnknownOrderState, match="whether it was done is not known"):
            await trading.submit(ticket(name))
        hits = [hit["order"] for hit in shared.happened(f"fault.{kind}")]
        assert hits.count(name) == 1
        found = await trading.order_by_client_id(name)
        assert (found is not None) == done
        assert names(shared).count(name) == done


async def test_a_slow_answer_to_an_order_leaves_its_outcome_unknown(exchange):
    """No timeout at all in the SDK: ours ends the wait."""
    exchange.inject(Kind.SLOW, target=ORDERS, count=1, amount=0.4)
    async with trading_at(exchange, request_timeout=0.1) as trading:
        with pytest.raises(UnknownOrderState, match="no answer in time"):
            await trading.submit(ticket("slow"))
        assert names(exchange) == ["slow"]


async def test_a_drip_of_bytes_is_ended_by_the_whole_answers_time():
    """A read timeout counts from byte to byte; a whole answer has a time of its own."""
    stop = threading.Event()

    def drip(server: socket.socket) -> None:
        talk, _ = server.accept()
        with talk:
            talk.recv(65536)
            talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not stop.wait(0.02):
                talk.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        port = server.getsockname()[1]
        trading = AlpacaTrading(_lonely(port, connect_timeout=0.05, request_timeout=0.1))
        try:
            with pytest.raises(UnknownOrderState, match="no answer in time"):
                await trading.submit(ticket("drip"))
        finally:
            stop.set()
            thread.join()
            await trading.close()


@pytest.mark.parametrize(
    "kind", [Kind.TIMEOUT_BEFORE, Kind.RESET_BEFORE, Kind.SERVER_ERROR, Kind.RATE_LIMITED]
)
async def test_questions_are_asked_again_until_they_are_answered(shared, kind, monkeypatch):
    monkeypatch.setattr("toolkit.alpaca.calling.QUIET", 0.01)
    before = len(shared.happened(f"fault.{kind}"))
    shared.inject(kind, target="GET /v2/account", count=2)
    async with trading_at(shared) as trading:
        trading._caller._sleep = _no_sleep
        assert (await trading.account()).status == "ACTIVE"
        assert len(shared.happened(f"fault.{kind}")) == before + 2


async def test_a_cancel_is_repeated_for_twice_is_the_same_as_once(exchange):
    async with trading_at(exchange) as trading:
        trading._caller._sleep = _no_sleep
        limit = {"order_type": OrderType.LIMIT, "limit_price": Decimal(100)}
        order = await trading.submit(ticket("resting", **limit))
        exchange.inject(Kind.TIMEOUT_AFTER, target="DELETE /v2/orders", count=1)
        assert await trading.cancel(order.id) is False  # the first asking did it
        found = await trading.order(order.id)
        assert found is not None
        assert found.status is OrderStatus.CANCELED


async def test_429_on_an_order_means_that_nothing_was_done(shared, name):
    shared.inject(Kind.RATE_LIMITED, target=ORDERS, count=1)
    async with trading_at(shared) as trading:
        with pytest.raises(NotConnected, match="too many requests") as caught:
            await trading.submit(ticket(name))
        assert caught.value.data["reason"] == "rate_limited"
        assert name not in names(shared)


async def test_after_a_429_what_became_of_an_order_is_asked_soon(shared):
    now = [0.0]
    trading = AlpacaTrading(settings_of(shared, patience=0.05), monotonic=lambda: now[0])
    trading._caller._throttle.pause(60.0)
    now[0] = 3.0
    assert await trading.order_by_client_id("never sent") is None
    with pytest.raises(NotConnected, match="too many requests"):
        await trading.account()
    await trading.close()


async def test_a_connection_that_was_never_made_sent_nothing():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    trading = AlpacaTrading(_lonely(port))
    trading._caller._sleep = _no_sleep
    with pytest.raises(NotConnected, match="check the network") as caught:
        await trading.submit(ticket("no"))
    assert caught.value.data["reason"] == "network"
    with pytest.raises(NotConnected):
        await trading.account()
    await trading.close()


async def test_an_api_that_does_not_answer_is_left_alone_but_exits_go_out(exchange):
    exchange.inject(Kind.SERVER_ERROR, target="GET")
    told = []
    trading = AlpacaTrading(
        settings_of(exchange), on_breaker=lambda state, reason: told.append((state, reason))
    )
    trading._caller._sleep = _no_sleep
    for _ in range(2):
        with pytest.raises(NotConnected):
            await trading.account()
    with pytest.raises(NotConnected, match="did not answer before") as caught:
        await trading.positions()
    assert caught.value.data["reason"] == "resting"
    assert [state for state, _ in told] == [BreakerState.OPEN]
    with pytest.raises(NotConnected, match="did not answer before"):
        await trading.submit(ticket("entry"))
    with pytest.raises(OrderRejected):  # it was sent, and Alpaca had something against it
        await trading.submit(ticket("exit", side=Side.SELL, quantity=Decimal("0.5")))
    assert told[-1] == (BreakerState.CLOSED, "")
    await trading.close()


async def test_lists_longer_than_a_page_are_complete(exchange, monkeypatch):
    """`get_orders`: 50 by default, 500 at most, no paging."""
    async with trading_at(exchange) as trading:
        monkeypatch.setattr("toolkit.alpaca.paging.ORDERS", 4)
        monkeypatch.setattr("toolkit.alpaca.paging.ACTIVITIES", 3)
        limit = {"order_type": OrderType.LIMIT, "limit_price": Decimal(100)}
        for number in range(11):
            await trading.submit(ticket(f"open {number}", quantity=Decimal(1), **limit))
            await trading.submit(ticket(f"done {number}", quantity=Decimal(1)))
            await exchange.pass_time(0.5)
        since = START + timedelta(seconds=62)
        orders = await trading.orders_since(since)
        assert [order.client_order_id for order in orders] == [
            f"{kind} {number}" for number in range(4, 11) for kind in ("open", "done")
        ]
        assert len(await trading.open_orders()) == 11
        fills = await trading.fills_since(since)
        assert len(fills) == len({fill.id for fill in fills}) == 7


async def test_more_orders_of_one_instant_than_a_page_holds_are_an_error_not_a_loss(
    exchange, monkeypatch
):
    async with trading_at(exchange) as trading:
        monkeypatch.setattr("toolkit.alpaca.paging.ORDERS", 2)
        for number in range(3):
            await trading.submit(ticket(str(number), quantity=Decimal(1)))
        with pytest.raises(BrokerError, match="cannot list more"):
            await trading.orders_since(START)


async def test_after_close_nothing_is_sent_and_no_thread_is_left(exchange):
    before = set(threading.enumerate())
    trading = AlpacaTrading(settings_of(exchange))
    await asyncio.gather(*(trading.account() for _ in range(6)))
    await trading.submit(ticket("one"))
    await trading.close()
    await trading.close()
    with pytest.raises(NotConnected, match="closed"):
        await trading.submit(ticket("two"))
    await until(lambda: not (set(threading.enumerate()) - before))
    assert names(exchange) == ["one"]


async def _no_sleep(_: float) -> None:
    await asyncio.sleep(0)


def _lonely(port: int, **fields):
    url = f"http://127.0.0.1:{port}"
    return AlpacaSettings(key_id="k", secret_key="s", trading_url=url, **fields)
