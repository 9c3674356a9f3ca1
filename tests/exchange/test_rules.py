"""What is refused, with which status, code and words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.exchange.markets import Floor, new_york
from toolkit.exchange.funds import buying_power, day_trade_count
from toolkit.exchange.refusals import Refusal
from toolkit.exchange.rules import Configuration

EXITS = {"take_profit": {"limit_price": "105"}, "stop_loss": {"stop_price": "95"}}


def refused(floor: Floor, *args: Any, **fields: Any) -> Refusal:
    cash, events = floor.account.cash, len(floor.events)
    with pytest.raises(Refusal) as caught:
        floor.send(*args, **fields)
    assert (floor.account.cash, len(floor.events)) == (cash, events)
    return caught.value


@pytest.fixture
def floor() -> Floor:
    floor = Floor(cash="10000", multiplier=1)
    for symbol, price in (("AAPL", 100.0), ("MSFT", 400.0), ("BTC/USD", 60_000.0), ("WHOLE", 9.0)):
        floor.tick(symbol, price)
    return floor


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"side": "hold"}, "invalid side"),
        ({"type": "iceberg"}, "invalid type"),
        ({"time_in_force": "week"}, "invalid time_in_force"),
        ({"qty": "0"}, "qty must be > 0"),
        ({"qty": "many"}, "invalid qty"),
        ({"qty": "NaN"}, "invalid qty"),
        ({"notional": "10", "qty": "1"}, "only one of qty or notional is accepted"),
        ({"type": "limit"}, "limit orders require limit price"),
        ({"limit_price": "1"}, "market orders must not have limit_price"),
        ({"type": "stop"}, "stop orders require stop price"),
        ({"type": "trailing_stop"}, "specify one of trail_price or trail_percent"),
        ({"type": "limit", "limit_price": "100.123"}, "sub-penny increment"),
        ({"type": "limit", "limit_price": "0.12345"}, "sub-penny increment"),
        ({"extended_hours": True}, "extended hours order must be DAY limit orders"),
        ({"qty": "1.5", "time_in_force": "gtc"}, "fractional orders must be DAY orders"),
        ({"qty": "1.5", "order_class": "bracket", **EXITS}, "must be simple orders"),
        ({"qty": "1.0000000001"}, "at most 9 decimals"),
        ({"symbol": "NOSUCH"}, 'asset "NOSUCH" not found'),
        ({"symbol": "NOTRADE"}, 'asset "NOTRADE" is not tradable'),
        ({"order_class": "bracket"}, "bracket orders require take_profit.limit_price"),
        ({"order_class": "oto"}, "oto orders require one of take_profit or stop_loss"),
        ({"order_class": "oco", "type": "limit", **EXITS}, "oco orders must be exit orders"),
        ({"order_class": "bracket", "time_in_force": "ioc", **EXITS}, "must be DAY or GTC"),
        ({"client_order_id": "x" * 129}, "no more than 128 characters"),
    ],
)
def test_malformed_and_invalid_orders_are_unprocessable(floor, fields, message):
    refusal = refused(floor, **fields)
    assert refusal.status == 422
    assert refusal.number in (40010001, 42210000)
    assert message in refusal.message


def test_a_client_order_id_is_used_once_even_after_its_order_is_gone(floor):
    floor.send(client_order_id="mine", qty="1")
    refusal = refused(floor, client_order_id="mine", qty="1")
    assert (refusal.status, refusal.body()) == (
        422,
        {"code": 40010001, "message": "client_order_id must be unique"},
    )


@pytest.mark.parametrize(
    ("profit", "loss", "words"),
    [
        ("100.00", "95", "take_profit.limit_price must be >= base_price + 0.01"),
        ("105", "100.00", "stop_loss.stop_price must be <= base_price - 0.01"),
        ("94", "95", "take_profit.limit_price must be > stop_loss.stop_price"),
    ],
)
def test_exits_stand_on_their_sides_of_the_price(floor, profit, loss, words):
    refusal = refused(
        floor,
        order_class="bracket",
        take_profit={"limit_price": profit},
        stop_loss={"stop_price": loss},
    )
    assert (refusal.status, refusal.message) == (422, words)


def test_a_bracket_must_be_an_entry(floor):
    floor.send(qty="1")
    assert (
        "must be entry orders"
        in refused(floor, side="sell", qty="1", order_class="bracket", **EXITS).message
    )


def test_what_cannot_be_paid_is_forbidden_and_says_how_much_there_is(floor):
    refusal = refused(floor, qty="101")
    assert (refusal.status, refusal.number) == (403, 40310000)
    assert refusal.body() == {
        "buying_power": "10000",
        "cost_basis": "10100",
        "code": 40310000,
        "message": "insufficient buying power",
    }


def test_open_orders_reserve_what_they_may_cost(floor):
    floor.send(type="limit", limit_price="90", qty="100")
    assert buying_power(floor.book) == 1000
    assert refused(floor, "MSFT", qty="3").message == "insufficient buying power"


def test_crypto_is_bought_with_cash_not_margin():
    floor = Floor(cash="10000", multiplier=2)
    floor.tick("BTC/USD", 60_000.0)
    refusal = refused(floor, "BTC/USD", qty="0.2")
    assert refusal.status == 403
    assert refusal.message == "insufficient balance for USD (requested: 12000, available: 10000)"


def test_an_open_exit_holds_its_shares(floor):
    floor.send(qty="10")
    stop = floor.send(side="sell", type="stop", stop_price="90", time_in_force="gtc", qty="7")
    refusal = refused(floor, side="sell", qty="4")
    assert (refusal.status, refusal.number) == (403, 40310000)
    assert refusal.data == {
        "available": "3",
        "existing_qty": "10",
        "held_for_orders": "7",
        "related_orders": [stop.id],
        "symbol": "AAPL",
    }
    assert floor.send(side="sell", qty="3").status == "filled"


def test_the_two_exits_of_a_bracket_hold_their_shares_once(floor):
    floor.send(qty="10", order_class="bracket", **EXITS)
    assert refused(floor, side="sell", qty="1").data["held_for_orders"] == "10"


def test_no_order_turns_a_long_position_short():
    floor = Floor(multiplier=2)
    floor.tick("AAPL", 100.0)
    floor.send(qty="10")
    assert refused(floor, side="sell", qty="11").status == 403


def test_shorts_need_margin_whole_shares_and_permission(floor):
    assert refused(floor, side="sell", qty="1").message == "account is not allowed to short"
    margin = Floor(multiplier=2)
    margin.tick("AAPL", 100.0)
    assert "sold short" in refused(margin, side="sell", qty="0.5").message
    margin.send(side="sell", qty="10")
    assert margin.account.quantity("AAPL") == -10
    assert margin.account.cash == 101_000
    margin.tick("AAPL", 90.0)
    margin.send(side="buy", qty="10")
    assert margin.account.cash == 100_100


def test_crypto_knows_no_brackets_no_stops_and_no_day(floor):
    for fields in (
        {"order_class": "bracket", **EXITS},
        {"type": "stop", "stop_price": "50000"},
        {"time_in_force": "day"},
    ):
        assert refused(floor, "BTC/USD", qty="0.01", **fields).status == 422


def test_less_than_a_dollar_is_too_little(floor):
    assert (
        refused(floor, notional="0.99").message == "cost basis must be >= minimal amount of order 1"
    )
    assert refused(floor, "BTC/USD", qty="0.00001").status == 403


def test_whole_shares_only_where_the_asset_says_so(floor):
    refusal = refused(floor, "WHOLE", qty="0.5")
    assert (refusal.status, refusal.message) == (403, 'asset "WHOLE" is not fractionable')


@pytest.mark.parametrize(
    ("resting", "incoming", "kind"),
    [
        ({"side": "sell", "type": "stop", "stop_price": "90"}, {"qty": "1"}, "market/stop"),
        (
            {"side": "sell", "type": "stop", "stop_price": "90"},
            {"qty": "1", "type": "limit", "limit_price": "80"},
            "market/stop",
        ),
        (
            {"side": "sell", "type": "limit", "limit_price": "110"},
            {"qty": "1", "type": "limit", "limit_price": "110"},
            "limit",
        ),
    ],
)
def test_orders_that_could_trade_with_each_other_are_refused(floor, resting, incoming, kind):
    floor.send(qty="10")
    first = floor.send(qty="10", time_in_force="gtc", **resting)
    refusal = refused(floor, **incoming)
    assert (refusal.status, refusal.number) == (403, 40310000)
    assert refusal.data == {
        "existing_order_id": first.id,
        "reject_reason": f"opposite side {kind} order exists",
    }


def test_limits_that_cannot_meet_trailing_stops_and_brackets_are_no_wash_trade(floor):
    floor.send(qty="10")
    floor.send(side="sell", qty="5", type="limit", limit_price="120", time_in_force="gtc")
    floor.send(side="sell", qty="5", type="trailing_stop", trail_price="3", time_in_force="gtc")
    assert floor.send(qty="1", type="limit", limit_price="100.00").status == "filled"


def day_trader(**fields: Any) -> Floor:
    floor = Floor(cash="20000", multiplier=2, **fields)
    floor.tick("AAPL", 100.0)
    for _ in range(3):
        floor.send(qty="1")
        floor.send(side="sell", qty="1")
    return floor


def test_the_fourth_day_trade_is_denied():
    floor = day_trader()
    assert day_trade_count(floor.book, floor.now) == 3
    floor.send(qty="1")
    refusal = refused(floor, side="sell", qty="1")
    assert (refusal.status, refusal.number) == (403, 40310100)
    assert refused(floor, order_class="bracket", qty="1", **EXITS).number == 40310100


def test_what_was_bought_yesterday_may_be_sold_and_old_day_trades_are_forgotten():
    floor = day_trader()
    floor.send(qty="1")
    floor.until(new_york("2026-01-06 10:00"))
    floor.tick("AAPL", 100.0)
    assert floor.send(side="sell", qty="1").status == "filled"
    floor.until(new_york("2026-01-12 10:00"))
    assert day_trade_count(floor.book, floor.now) == 0


def test_day_trades_are_free_from_25000_dollars_on_and_where_the_check_is_off():
    rich = Floor(cash="30000", multiplier=2)
    rich.tick("AAPL", 100.0)
    for _ in range(5):
        rich.send(qty="1")
        rich.send(side="sell", qty="1")
    assert day_trade_count(rich.book, rich.now) == 5
    floor = day_trader(rules=Configuration(pdt_check="entry"))
    floor.send(qty="1")
    assert floor.send(side="sell", qty="1").status == "filled"


def test_a_suspended_account_takes_no_orders():
    floor = Floor(rules=Configuration(suspend_trade=True))
    floor.tick("AAPL", 100.0)
    assert refused(floor).status == 403


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "order parameters are not changed"),
        ({"limit_price": 90}, "order parameters are not changed"),
        ({"stop_price": 80}, "limit orders must not have stop_price"),
        ({"qty": 4}, "qty must be > filled_qty"),
        ({"limit_price": 90.001}, "sub-penny"),
    ],
)
def test_replacements_change_something_and_only_what_is_there(floor, change, words):
    floor.tick("AAPL", 90.0, size=4)
    order = floor.send(type="limit", limit_price="90")
    assert order.filled == 4
    with pytest.raises(Refusal, match=words) as caught:
        floor.desk.replace(order.id, change, floor.now)
    assert caught.value.status == 422


def test_what_is_over_can_be_neither_cancelled_nor_replaced(floor):
    order = floor.send(qty="1")
    for act in (
        lambda: floor.desk.cancel(order.id, floor.now),
        lambda: floor.desk.replace(order.id, {"qty": 2}, floor.now),
    ):
        with pytest.raises(Refusal, match="filled") as caught:
            act()
        assert caught.value.status == 422
    with pytest.raises(Refusal, match="order not found") as caught:
        floor.desk.cancel("nobody", floor.now)
    assert caught.value.status == 404


def test_a_crypto_sale_below_a_dollar_is_let_go(floor):
    floor.send("BTC/USD", qty="0.01")
    floor.send("BTC/USD", "sell", qty="0.009974")
    rest = floor.account.quantity("BTC/USD")
    assert rest == Decimal("0.000001")
    floor.send("BTC/USD", "sell", qty=str(rest))
    assert floor.account.quantity("BTC/USD") == 0
