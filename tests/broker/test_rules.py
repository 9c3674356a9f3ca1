"""What Alpaca would refuse is refused before it is sent; what it takes goes out on its grid."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.broker.truth import PLAN, request
from toolkit.alpaca.port import Asset
from toolkit.broker.rules import check_replacement, ticket_of
from toolkit.core.types import OrderClass, OrderType, Side, TimeInForce
from toolkit.errors import OrderRejected

D = Decimal
STOCK = Asset(
    symbol="AAPL",
    crypto=False,
    tradable=True,
    fractionable=True,
    shortable=True,
    min_quantity=None,
    quantity_increment=None,
    price_increment=None,
)
WHOLE = replace(STOCK, fractionable=False)
COIN = Asset(
    symbol="BTC/USD",
    crypto=True,
    tradable=True,
    fractionable=False,
    shortable=False,
    min_quantity=D("0.0001"),
    quantity_increment=D("0.0001"),
    price_increment=D("0.01"),
)


def ticket(asset: Asset = STOCK, *, market_open: bool = True, **fields: Any):
    meant = request(symbol=asset.symbol, **{"exits": None, **fields})
    return ticket_of(meant, asset, market_open=market_open)


LIMIT = {"order_type": OrderType.LIMIT, "limit_price": D(100)}
BRACKET = {
    "order_class": OrderClass.BRACKET,
    "take_profit_price": D(110),
    "stop_loss_price": D(90),
}
OCO = {"order_class": OrderClass.OCO, "side": Side.SELL, **LIMIT}
REFUSED: list[tuple[Asset, dict[str, Any], str]] = [
    (replace(STOCK, tradable=False), {}, "not tradable"),
    (STOCK, {"name": "x" * 43}, "43 characters, not 1 to 42"),
    (STOCK, {"name": "x" * 49, "side": Side.SELL}, "49 characters, not 1 to 48"),
    (STOCK, {"quantity": "0.0000000001"}, "above 0"),
    (WHOLE, {"quantity": "0.7"}, "only whole shares"),
    (WHOLE, {"quantity": "0", "notional": D(50)}, "orders in dollars are not taken"),
    (STOCK, {"quantity": "0", "notional": D("0.5")}, "least is 1 dollar"),
    (STOCK, {"quantity": "0", "notional": D("10.001")}, "two decimals"),
    (STOCK, {"quantity": "1.5", "time_in_force": TimeInForce.GTC}, "for the day only"),
    (STOCK, {"quantity": "1.5", **BRACKET}, "cannot be bracket"),
    (
        STOCK,
        {"quantity": "1.5", "order_type": OrderType.TRAILING_STOP, "trail_percent": D(1)},
        "cannot be trailing",
    ),
    (STOCK, {"quantity": "0.005", **LIMIT}, "must cost 1 dollar"),
    (STOCK, {"order_type": OrderType.LIMIT}, "needs a limit_price"),
    (STOCK, {"order_type": OrderType.STOP}, "needs a stop_price"),
    (STOCK, {"limit_price": D(1)}, "has no limit_price"),
    (STOCK, {"order_type": OrderType.LIMIT, "limit_price": D(-1)}, "must be above 0"),
    (STOCK, {"trail_percent": D(1)}, "only trailing stops"),
    (STOCK, {"order_type": OrderType.TRAILING_STOP}, "needs trail_percent or trail_price"),
    (
        STOCK,
        {"order_type": OrderType.TRAILING_STOP, "trail_percent": D(1), "trail_price": D(1)},
        "needs trail_percent or trail_price",
    ),
    (STOCK, {"take_profit_price": D(1)}, "have legs"),
    (STOCK, {**BRACKET, "stop_loss_price": None}, "needs take_profit_price and stop_loss_price"),
    (STOCK, {**BRACKET, "time_in_force": TimeInForce.IOC}, "day or gtc"),
    (STOCK, {**BRACKET, "take_profit_price": D(80)}, "swapped"),
    (STOCK, {**BRACKET, **LIMIT, "stop_loss_price": D(100)}, "at least 0.01"),
    (STOCK, {**BRACKET, "order_type": OrderType.STOP, "stop_price": D(99)}, "market or limit"),
    (STOCK, {**OCO, "take_profit_price": D(90), "stop_loss_price": D(110)}, "swapped"),
    (STOCK, {"order_class": OrderClass.OTO}, "one exit"),
    (STOCK, {**BRACKET, "exits": PLAN}, "leave `exits` out"),
    (STOCK, {"extended_hours": True}, "extended hours"),
    (STOCK, {"extended_hours": True, **LIMIT, "time_in_force": TimeInForce.GTC}, "extended"),
    (COIN, {**BRACKET}, "crypto has no bracket"),
    (COIN, {"order_type": OrderType.STOP, "stop_price": D(1)}, "crypto has no stop orders"),
    (COIN, {"time_in_force": TimeInForce.DAY}, "gtc or ioc"),
    (COIN, {"quantity": "0.00001"}, "above 0"),
    (COIN, {"extended_hours": True, **LIMIT}, "of stocks"),
]


@pytest.mark.parametrize(("asset", "fields", "why"), REFUSED, ids=[r[2] for r in REFUSED])
def test_refused_before_sending(asset: Asset, fields: dict[str, Any], why: str):
    with pytest.raises(OrderRejected, match=why) as caught:
        ticket(asset, **fields)
    assert caught.value.data["symbol"] == asset.symbol


TAKEN: list[dict[str, Any]] = [
    {},
    {"quantity": "0.123456789"},
    {"quantity": "0", "notional": D("12.34")},
    {**LIMIT, "time_in_force": TimeInForce.GTC},
    {**LIMIT, "extended_hours": True},
    {"order_type": OrderType.STOP, "stop_price": D(101)},
    {"order_type": OrderType.STOP_LIMIT, "stop_price": D(101), "limit_price": D(102)},
    {"order_type": OrderType.TRAILING_STOP, "trail_percent": D("1.5")},
    {"order_type": OrderType.TRAILING_STOP, "trail_price": D(2)},
    {**BRACKET},
    {**BRACKET, **LIMIT, "stop_loss_limit_price": D(89)},
    {**OCO, "take_profit_price": D(110), "stop_loss_price": D(90)},
    {"order_class": OrderClass.OTO, "stop_loss_price": D(90)},
]


@pytest.mark.parametrize("fields", TAKEN, ids=str)
def test_every_kind_of_order_can_be_sent(fields: dict[str, Any]):
    made = ticket(**fields)
    assert made.client_order_id == "s-AAPL-1"
    assert (made.quantity is None) == (made.notional is not None)


def test_without_a_time_in_force_stocks_are_for_the_day_and_crypto_until_cancelled():
    assert ticket().time_in_force is TimeInForce.DAY
    assert ticket(COIN).time_in_force is TimeInForce.GTC


def test_quantities_are_rounded_down():
    assert ticket(WHOLE, quantity="3.9").quantity == 3
    assert ticket(COIN, quantity="1.23456").quantity == D("1.2345")


def test_limits_are_never_worse_than_asked_for():
    assert ticket(order_type=OrderType.LIMIT, limit_price=D("100.019")).limit_price == D("100.01")
    sell = {"side": Side.SELL, "order_type": OrderType.LIMIT, "limit_price": D("100.011")}
    assert ticket(**sell).limit_price == D("100.02")
    cheap = ticket(order_type=OrderType.LIMIT, limit_price=D("0.12345"))
    assert cheap.limit_price == D("0.1234")


def test_a_market_order_waits_for_no_open_unless_told_so():
    with pytest.raises(OrderRejected, match="market is closed"):
        ticket(market_open=False)
    assert ticket(market_open=False, time_in_force=TimeInForce.OPG)
    assert ticket(COIN, market_open=False)


@pytest.mark.parametrize(
    ("asset", "fields", "why"),
    [
        (COIN, {"limit_price": D(1)}, "cancel and send"),
        (STOCK, {}, "nothing is changed"),
        (STOCK, {"quantity": D("1.5")}, "whole shares"),
    ],
)
def test_replacements_that_alpaca_does_not_do(asset: Asset, fields: dict[str, Any], why: str):
    usual = {"quantity": None, "limit_price": None, "stop_price": None}
    with pytest.raises(OrderRejected, match=why):
        check_replacement(asset, **{**usual, **fields})
