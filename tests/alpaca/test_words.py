"""Alpaca's JSON in our words, and tickets in theirs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from alpaca.trading.enums import OrderStatus as TheirStatus
from hypothesis import given
from hypothesis import strategies as st

from tests.alpaca.reaching import ticket
from toolkit.alpaca.paging import order_page
from toolkit.alpaca.words import (
    account_of,
    body_of,
    fee_of,
    fill_of,
    moment,
    news_of,
    order_of,
    our_symbol,
    position_of,
    replacement_body,
)
from toolkit.core.types import OrderClass, OrderStatus, OrderType, Side

ORDER = {
    "id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
    "client_order_id": "mine",
    "created_at": "2026-01-05T15:00:00.123456789Z",
    "updated_at": "2026-01-05T10:00:01-05:00",
    "submitted_at": "2026-01-05T15:00:00.123456789Z",
    "symbol": "AAPL",
    "asset_class": "us_equity",
    "notional": None,
    "qty": "1.123456789",
    "filled_qty": "0",
    "filled_avg_price": None,
    "order_class": "",
    "type": "market",
    "side": "buy",
    "time_in_force": "day",
    "limit_price": None,
    "stop_price": None,
    "status": "new",
    "legs": None,
}


def test_an_order_is_read_exactly_and_in_utc():
    order = order_of(ORDER)
    assert order.quantity == Decimal("1.123456789")
    assert order.order_class is OrderClass.SIMPLE
    assert order.submitted_at == datetime(2026, 1, 5, 15, 0, 0, 123456, tzinfo=UTC)
    assert order.updated_at == datetime(2026, 1, 5, 15, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize("status", [status.value for status in TheirStatus])
def test_every_status_of_the_sdk_is_known(status):
    order = order_of({**ORDER, "status": status})
    assert order.status is not OrderStatus.UNKNOWN
    assert order.raw_status == status
    over = {"filled", "canceled", "expired", "replaced", "rejected"}
    assert order.status.is_open == (status not in over)


def test_a_status_that_nobody_knows_is_unknown_and_a_part_is_a_part():
    assert order_of({**ORDER, "status": "levitating"}).status is OrderStatus.UNKNOWN
    held = order_of({**ORDER, "status": "pending_cancel", "filled_qty": "0.5"})
    assert held.status is OrderStatus.PARTIALLY_FILLED


def test_orders_about_options_are_left_out_and_still_counted():
    mleg = {**ORDER, "order_class": "mleg", "symbol": "", "side": "", "type": ""}
    option = {**ORDER, "asset_class": "us_option", "symbol": "AAPL270115C00200000"}
    page = order_page([mleg, option, ORDER])
    assert (page.size, [order.symbol for order in page.orders]) == (3, ["AAPL"])


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("BTCUSD", "BTC/USD"),
        ("BTC/USD", "BTC/USD"),
        ("USDTUSD", "USDT/USD"),
        ("ETHUSDT", "ETH/USDT"),
        ("ETHBTC", "ETH/BTC"),
        ("SHIBUSDC", "SHIB/USDC"),
        ("OPUSD", "OP/USD"),
        ("AAPL", "AAPL"),
        ("BRK.B", "BRK.B"),
        ("USD", "USD"),
        ("IBTC", "IBTC"),
        ("AAPL270115C00200000", "AAPL270115C00200000"),
    ],
)
def test_pairs_in_one_word_are_written_in_two(theirs, ours):
    """Crypto: `BTC/USD` in orders and data, but `BTCUSD` in positions."""
    assert our_symbol(theirs) == ours
    assert our_symbol(theirs, crypto=False) == theirs


def test_news_of_an_execution_are_exact_whether_sent_as_text_or_number():
    raw = {"event": "partial_fill", "order": ORDER, "timestamp": "2026-01-05T15:00:02Z"}
    facts = {"price": "179.08", "qty": 0.1, "position_qty": "0.1", "execution_id": "e1"}
    news = news_of(json.loads(json.dumps({**raw, **facts}), parse_float=Decimal))
    assert (news.price, news.quantity, news.position_quantity) == (
        Decimal("179.08"),
        Decimal("0.1"),
        Decimal("0.1"),
    )
    assert (news.execution_id, news.timestamp.second) == ("e1", 2)
    canceled = news_of({"event": "canceled", "order": ORDER, "price": "1", "qty": "1"})
    assert (canceled.price, canceled.execution_id) == (None, None)
    assert canceled.timestamp == canceled.order.updated_at


def test_a_short_sale_is_a_sale():
    raw = {
        "id": "20260105150000000::x",
        "order_id": "o",
        "symbol": "AAPL",
        "side": "sell_short",
        "price": "1.5",
        "qty": "2",
        "transaction_time": "2026-01-05T15:00:00.5Z",
    }
    assert fill_of(raw).side is Side.SELL
    assert fill_of(raw).timestamp.microsecond == 500_000


@pytest.mark.parametrize(
    ("raw", "at"),
    [
        ({"id": "20260105150000250::x", "date": "2026-01-05"}, (15, 0, 0, 250_000)),
        ({"id": "fee-7", "date": "2026-01-05"}, (0, 0, 0, 0)),
    ],
)
def test_a_fee_has_the_time_of_its_id_or_only_a_day(raw, at):
    fee = fee_of({**raw, "net_amount": "-0.02", "symbol": "BTCUSD", "qty": None})
    assert fee.timestamp == datetime(2026, 1, 5, *at, tzinfo=UTC)
    assert (fee.symbol, fee.amount, fee.quantity) == ("BTC/USD", Decimal("-0.02"), 0)


def test_positions_and_accounts_do_without_what_alpaca_may_leave_out():
    position = position_of(
        {"symbol": "BTCUSD", "asset_class": "crypto", "qty": "0.5", "avg_entry_price": "60000"}
    )
    assert (position.symbol, position.available, position.current_price) == (
        "BTC/USD",
        Decimal("0.5"),
        None,
    )
    account = account_of({"id": "a", "status": "ACTIVE", "cash": "5", "account_blocked": True})
    assert (account.cash, account.equity, account.trading_blocked) == (Decimal(5), 0, True)


@given(
    quantity=st.decimals(min_value="0.000000001", max_value="999999999", places=9),
    price=st.decimals(min_value="0.0001", max_value="999999", places=4),
)
def test_numbers_reach_alpaca_as_they_were_meant(quantity, price):
    """At most 9 decimals; the SDK's requests would make floats of them."""
    sent = body_of(ticket("x", quantity=quantity, limit_price=price, order_type=OrderType.LIMIT))
    text = json.loads(json.dumps(sent))
    assert (Decimal(text["qty"]), Decimal(text["limit_price"])) == (quantity, price)
    assert "E" not in text["qty"] + text["limit_price"]


def test_what_is_not_set_is_not_sent():
    assert body_of(ticket("x")) == {
        "client_order_id": "x",
        "symbol": "AAPL",
        "side": "buy",
        "type": "market",
        "time_in_force": "day",
        "qty": "10",
        "order_class": "simple",
    }
    nothing = {"quantity": None, "limit_price": None, "stop_price": None}
    assert replacement_body(client_order_id="y", **nothing) == {"client_order_id": "y"}


def test_naive_moments_are_utc():
    """Naive datetimes mean UTC."""
    assert moment("2026-01-05T15:00:00") == datetime(2026, 1, 5, 15, tzinfo=UTC)
