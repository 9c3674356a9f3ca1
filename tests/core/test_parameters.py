"""Parameters: names, bounds, immutability."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.core.parameters import Parameters, Risk
from toolkit.errors import ConfigError


def test_the_defaults_are_those_that_users_know():
    p = Parameters()
    assert (p.stoch_rsi.rsi_length, p.stoch_rsi.lower_band, p.stoch_rsi.upper_band) == (14, 35, 100)
    assert (p.ema.ema_period, p.stochastic.upper_band, p.rules.lookback) == (9, 80, 2)
    assert (p.risk.stop_loss, p.risk.take_profit, p.risk.trailing_stop) == (0.2, 0.5, 0.2)
    assert (p.risk.trailing_activation, p.risk.trade_capital_percent) == (0.1, 5)
    assert (p.risk.max_positions, p.risk.cooldown) == (10, 60)


def test_a_bare_name_is_understood_where_it_is_unique():
    assert Parameters().replace(ema_period=12).ema.ema_period == 12


def test_an_ambiguous_name_lists_the_full_ones():
    with pytest.raises(ConfigError, match=r"stoch_rsi\.lower_band, stochastic\.lower_band"):
        Parameters().replace(lower_band=20)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match="emaperiod") as error:
        Parameters().replace(emaperiod=12)
    assert "ema.ema_period" in error.value.data["allowed"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rsi_length", 1),
        ("rsi_length", 14.5),
        ("rsi_length", True),
        ("stop_loss", -0.1),
        ("stop_loss", float("nan")),
        ("stop_loss", "0.2"),
        ("stoch_rsi.enabled", 1),
        ("max_positions", None),
    ],
)
def test_a_value_out_of_bounds_names_field_and_allowed_values(name, value):
    with pytest.raises(ConfigError) as error:
        Parameters().replace({name: value})
    assert error.value.data["field"] == Parameters.info(name).name
    assert error.value.data["allowed"] in error.value.message


def test_a_group_built_by_hand_is_checked_too():
    with pytest.raises(ConfigError, match=r"risk\.stop_loss"):
        Parameters(risk=Risk(stop_loss=99.0))


def test_at_least_one_group_must_be_enabled():
    off = {"stoch_rsi.enabled": False, "ema.enabled": False}
    with pytest.raises(ConfigError, match="switched off"):
        Parameters().replace(off)


def test_parameters_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Parameters().risk.stop_loss = 1.0


def test_defaults_of_two_objects_are_independent_and_equal():
    changed = Parameters().replace(stop_loss=1.0)
    assert Parameters().risk.stop_loss == 0.2
    assert changed.difference(Parameters()) == {"risk.stop_loss": (1.0, 0.2)}


@given(st.data())
def test_every_value_within_its_bounds_survives_a_round_trip(data):
    values = {}
    for info in Parameters.fields():
        if info.kind is bool:
            values[info.name] = data.draw(st.booleans())
        elif info.kind is int:
            values[info.name] = data.draw(st.integers(int(info.minimum), int(info.maximum)))
        else:
            values[info.name] = data.draw(st.floats(info.minimum, info.maximum))
    values["ema.enabled"] = True
    assert Parameters.from_dict(values).to_dict() == values
