"""Costs: Alpaca's by default, bounded, by kind of asset."""

from __future__ import annotations

import math
from typing import Any

import pytest

from toolkit.core.costs import Costs
from toolkit.errors import ConfigError


def test_stocks_are_free_and_crypto_pays_the_taker_fee() -> None:
    assert (Costs().fee_bps("AAPL"), Costs().fee_bps("BTC/USD")) == (0.0, 25.0)


@pytest.mark.parametrize("value", [-0.1, 1000.1, math.nan, math.inf, "1", None, True])
@pytest.mark.parametrize("name", ["stock_fee_bps", "crypto_fee_bps", "slippage_bps"])
def test_a_wrong_cost_names_the_field_and_what_is_allowed(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name} is .*; allowed: 0 to 1000") as caught:
        Costs(**{name: value})
    assert caught.value.data["field"] == name
