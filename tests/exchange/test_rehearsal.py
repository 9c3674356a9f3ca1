"""The exchange beside a notebook: served from this process, and gone after stop."""

from __future__ import annotations

import threading

import pytest

from toolkit.errors import ConfigError
from toolkit.exchange.rehearsal import Rehearsal


def test_it_says_where_to_trade_knows_the_truth_and_ends_whole():
    before = threading.active_count()
    with Rehearsal(["AAPL"], speed="step", cash=5_000) as exchange:
        assert exchange.environment["ALPACA_TRADING_URL"].startswith("http://127.0.0.1:")
        assert exchange.environment["APCA_API_KEY_ID"]
        assert (float(exchange.state()["cash"]), exchange.state()["orders"]) == (5_000.0, [])
        exchange.inject("mute", target="market", length=60)
        with pytest.raises(ConfigError, match="nonsense"):
            exchange.inject("nonsense")
    exchange.stop()
    assert threading.active_count() == before


def test_a_wrong_wish_leaves_no_thread():
    before = threading.active_count()
    with pytest.raises(ConfigError):
        Rehearsal(["AAPL"], speed="quick")
    assert threading.active_count() == before
