"""Options of costs: one for each field, by its name, and nothing else changes."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

from toolkit.cli import console
from toolkit.cli.costs import costs_of, with_costs
from toolkit.core.costs import Costs
from toolkit.errors import ConfigError


def test_a_command_gets_an_option_for_each_field_and_keeps_its_own() -> None:
    seen: list[Any] = []

    @with_costs
    def command(file: str, *, costs: Costs, capital: console.CapitalOption = 1.0) -> int:
        """Do something."""
        seen.append((file, capital, costs))
        return 0

    names = set(inspect.signature(command).parameters)
    assert names == {f.name for f in dataclasses.fields(Costs)} | {
        "file",
        "capital",
        "crypto_volume",
    }
    assert command.__doc__ == "Do something."
    unset = dict.fromkeys(names - {"file", "capital"})
    assert command(file="f", capital=2.0, **{**unset, "slippage_bps": 3.0}) == 0
    assert seen == [("f", 2.0, Costs(slippage_bps=3.0))]


def test_options_that_are_not_given_leave_the_usual_costs() -> None:
    assert costs_of({"slippage_bps": None, "symbol_spread_bps": None}) == Costs()
    assert costs_of({"symbol_spread_bps": []}) == Costs()


def test_the_volume_of_crypto_sets_the_tier_and_a_fee_that_is_given_goes_first() -> None:
    assert costs_of({"crypto_volume": 600e3}) == Costs.crypto(volume=600e3)
    mine = costs_of({"crypto_volume": 600e3, "crypto_fee_bps": 1.0})
    assert (mine.crypto_fee_bps, mine.crypto_maker_fee_bps) == (1.0, 10.0)


def test_spreads_are_written_as_symbol_and_basis_points() -> None:
    costs = costs_of({"symbol_spread_bps": ["AAPL=0.5", "BTC/USD=2"]})
    assert dict(costs.symbol_spread_bps) == {"AAPL": 0.5, "BTC/USD": 2.0}
    for wrong in ("AAPL", "AAPL=", "AAPL=wide"):
        with pytest.raises(ConfigError, match="write SYMBOL=BPS"):
            costs_of({"symbol_spread_bps": [wrong]})
