"""How Alpaca is reached."""

from __future__ import annotations

import pytest
from alpaca.common.enums import BaseURL

from toolkit.alpaca.settings import AlpacaSettings
from toolkit.errors import ConfigError


@pytest.mark.parametrize("paper", [True, False])
def test_without_addresses_they_are_alpacas_own(paper):
    settings = AlpacaSettings(paper=paper, feed="sip")
    trading, stream = (
        (BaseURL.TRADING_PAPER, BaseURL.TRADING_STREAM_PAPER)
        if paper
        else (BaseURL.TRADING_LIVE, BaseURL.TRADING_STREAM_LIVE)
    )
    assert (settings.trading, settings.trading_stream) == (trading.value, stream.value)
    assert settings.data == BaseURL.DATA.value
    assert settings.stock_stream == f"{BaseURL.MARKET_DATA_STREAM.value}/v2/sip"
    assert settings.crypto_stream == f"{BaseURL.MARKET_DATA_STREAM.value}/v1beta3/crypto/us"


def test_only_the_live_account_at_alpaca_moves_real_money():
    assert AlpacaSettings(paper=False).is_live
    assert not AlpacaSettings().is_live
    for host in ("127.0.0.1:8000", "localhost", "[::1]:80"):
        assert not AlpacaSettings(paper=False, trading_url=f"http://{host}").is_live
    assert AlpacaSettings(paper=False, trading_url="https://proxy.example").is_live


@pytest.mark.parametrize(
    "fields",
    [
        {"paper": True, "trading_url": "https://api.alpaca.markets"},
        {"paper": True, "trading_stream_url": "wss://api.alpaca.markets/stream"},
        {"paper": False, "trading_url": "https://paper-api.alpaca.markets/"},
    ],
)
def test_real_money_is_never_traded_under_the_name_of_paper(fields):
    with pytest.raises(ConfigError, match="account was asked for"):
        AlpacaSettings(**fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"feed": "otc"}, "allowed: iex, sip"),
        ({"feed": "sip", "stock_stream_url": "ws://127.0.0.1:1/v2/iex"}, "feeds are not mixed"),
    ],
)
def test_feeds_are_iex_or_sip_and_not_mixed(fields, words):
    with pytest.raises(ConfigError, match=words):
        AlpacaSettings(**fields)


@pytest.mark.parametrize("limit", [-1, 1, 9])
def test_a_limit_so_low_that_nothing_would_get_through_is_refused(limit):
    with pytest.raises(ConfigError, match="or from 10"):
        AlpacaSettings(requests_per_minute=limit)


def test_the_secret_is_in_no_print():
    settings = AlpacaSettings(key_id="PKX", secret_key="very-secret")
    assert "very-secret" not in repr(settings)
    assert settings.has_keys
