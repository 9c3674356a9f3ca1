"""What goes wrong at Alpaca, in our words."""

from __future__ import annotations

import json

import pytest
import requests
import urllib3

from tests.alpaca.reaching import answer
from toolkit.alpaca.errors import broker_error, data_error, is_transient
from toolkit.errors import (
    BrokerError,
    DataError,
    FeedRefused,
    NotConnected,
    OrderRejected,
    UnknownOrderState,
)


def refusal(status: int, message: str, **facts) -> Exception:
    return answer(status, json.dumps({"message": message, **facts}))


UNREADABLE = ["", "<html>504</html>", "[]", '"text"', "null", '{"code": 1', '{"message": 7}']


@pytest.mark.parametrize("body", UNREADABLE)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 502, 503, 504])
def test_no_body_is_too_odd(status, body):
    """`APIError.code` and `.message` raise KeyError or ValueError on some bodies."""
    for change in (True, False):
        error = broker_error(answer(status, body), what="buy AAPL", change=change)
        assert error.message.startswith("buy AAPL: ")
        assert error.data["status"] == status
        json.dumps(error.to_dict())


@pytest.mark.parametrize(
    ("error", "changes", "asks"),
    [
        (refusal(422, "client_order_id must be unique"), OrderRejected, BrokerError),
        (refusal(403, "insufficient buying power", code=40310000), OrderRejected, BrokerError),
        (refusal(429, "too many requests."), NotConnected, NotConnected),
        (answer(500, "oops"), UnknownOrderState, NotConnected),
        (answer(503, ""), UnknownOrderState, NotConnected),
        (answer(504, "<html>"), UnknownOrderState, NotConnected),
        (requests.ReadTimeout(), UnknownOrderState, NotConnected),
        (requests.ConnectTimeout(), NotConnected, NotConnected),
        (TimeoutError(), UnknownOrderState, NotConnected),
        (requests.ConnectionError(ConnectionResetError()), UnknownOrderState, NotConnected),
        (requests.exceptions.ChunkedEncodingError(), UnknownOrderState, NotConnected),
        (requests.exceptions.SSLError("bad record"), UnknownOrderState, NotConnected),
        (
            requests.exceptions.SSLError(Exception("certificate verify failed: expired")),
            NotConnected,
            NotConnected,
        ),
        (requests.exceptions.ProxyError("no proxy"), NotConnected, NotConnected),
        (requests.JSONDecodeError("bad", "", 0), UnknownOrderState, NotConnected),
        (KeyError("status"), UnknownOrderState, NotConnected),
    ],
)
def test_whether_it_was_done_is_told_apart(error, changes, asks):
    assert type(broker_error(error, what="x", change=True)) is changes
    assert type(broker_error(error, what="x", change=False)) is asks


def test_a_name_that_is_not_found_sent_nothing():
    failed = urllib3.exceptions.NameResolutionError("host", None, OSError("no such name"))
    lost = urllib3.exceptions.MaxRetryError(None, "/v2/orders", failed)
    error = broker_error(requests.ConnectionError(lost), what="buy AAPL", change=True)
    assert type(error) is NotConnected
    assert "check the network" in error.message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": "soon"}, None),
        ({}, None),
        (
            {"Date": "Mon, 05 Jan 2026 15:00:52 GMT", "X_RateLimit_Reset": "1767625255"},
            3.0,
        ),
    ],
)
def test_429_says_when_to_come_back(headers, seconds):
    """`Retry-After` is ignored by the SDK."""
    error = broker_error(answer(429, "{}", **headers), what="account", change=False)
    assert error.data["retry_after"] == seconds
    assert is_transient(error)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("insufficient day trading buying power", "buying_power"),
        ("insufficient qty available for order (requested: 5, available: 2)", "quantity"),
        ("insufficient balance for BTC (requested: 1, available: 0)", "quantity"),
        ("insufficient balance for USDT (requested: 1, available: 0)", "quantity"),
        ('asset "XYZ" is not tradable', "not_tradable"),
        ('asset "XYZ" is not active', "not_tradable"),
        ("trade denied due to pattern day trading protection", "day_trade"),
        ("potential wash trade detected. use complex orders", "wash_trade"),
        ("market is closed", "market_closed"),
        ('asset "NOSUCH" not found', "unknown_symbol"),
        ("something new", "rejected"),
    ],
)
def test_refusals_have_a_reason_and_keep_alpacas_words(message, reason):
    error = broker_error(refusal(403, message, code=40310000), what="sell AAPL", change=True)
    assert error.data["reason"] == reason
    assert error.message.startswith(f"sell AAPL: {message}")
    assert not is_transient(error)


def test_the_numbers_of_a_refusal_stand_in_its_message():
    facts = {"available": "2", "existing_qty": "10", "held_for_orders": "8", "code": 40310000}
    error = broker_error(refusal(403, "insufficient qty", **facts), what="sell", change=True)
    assert "(available 2, held_for_orders 8)" in error.message
    assert error.data["existing_qty"] == "10"


def test_data_errors_tell_refusals_from_troubles():
    sip = refusal(403, "subscription does not permit querying recent SIP data")
    plan = refusal(403, "subscription does not permit that feed")
    kinds = {
        type(data_error(error, what="bars"))
        for error in (plan, refusal(403, "forbidden."), refusal(401, "unauthorized."))
    }
    assert kinds == {FeedRefused}
    assert type(data_error(sip, what="bars")) is DataError
    assert type(data_error(answer(500, ""), what="bars")) is DataError
