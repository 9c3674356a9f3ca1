"""check warmup: how long a fresh start differs from a long history."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest

from tests.core.markets import random_bars
from tests.research.markets import noise
from toolkit.bot.bot import Bot
from toolkit.errors import ConfigError, DataError
from toolkit.market.tables import frame_of
from toolkit.research.checks.warmup import WarmupCheck, check_warmup
from toolkit.session.recorded_market import WARM_UP_BARS

BARS = noise(1, bars=6000)


def checked(*args: Any, loaded: int = 500, **options: Any) -> WarmupCheck:
    return check_warmup(*args, loaded=loaded, progress=False, **options)


def test_the_defaults_settle_within_what_the_bot_loads() -> None:
    found = checked(BARS)
    (settled,) = found.settled
    assert found.ok and "the bot loads 500: enough" in found.sentence
    assert settled.defined == 32
    assert settled.typical <= settled.signals <= settled.values <= 400


def test_what_is_loaded_by_default_is_what_the_bot_loads() -> None:
    assert inspect.signature(Bot).parameters["warm_up_bars"].default == WARM_UP_BARS


def test_long_lengths_are_found_to_need_more_than_the_bot_loads() -> None:
    found = checked(BARS, {"rsi_length": 200})
    assert not found.ok
    assert found.settled[0].signals > 500
    assert "more than the 500 bars that the bot loads" in found.sentence
    assert "AAPL" in found.sentence
    assert checked(BARS, {"rsi_length": 200}, loaded=2500).ok


def test_values_settle_at_the_rate_of_their_average() -> None:
    """An EMA forgets its start by 1 - 2/(n+1) a bar: 1e-9 of a price after about 10.4 n bars."""
    only_ema = {"stoch_rsi.enabled": False, "ema_period": 50}
    (settled,) = checked(BARS, only_ema).settled
    forgets = math.log(1e-9) / math.log(1 - 2 / 51)
    assert 0.5 * forgets < settled.values < 1.1 * forgets


def test_windows_alone_settle_as_soon_as_they_are_full() -> None:
    """A Stochastic remembers its window only, a lookback of one bar nothing."""
    chosen = {
        "stoch_rsi.enabled": False,
        "ema.enabled": False,
        "stochastic.enabled": True,
        "lookback": 1,
    }
    (settled,) = checked(BARS, chosen).settled
    assert settled.values <= 14 + 3
    assert settled.signals <= 14 + 3


def test_a_grid_and_several_sets_have_a_row_each_and_symbol() -> None:
    bars = frame_of(random_bars(1, symbols=("AAPL", "BTC/USD"), count=1500))
    found = checked(bars, grid={"ema_period": [5, 9], "rsi_length": [7, 14]}, starts=4)
    assert len(found.frame) == 8
    assert list(found.frame.columns[:3]) == ["stoch_rsi.rsi_length", "ema.ema_period", "symbol"]
    listed = checked(bars, [{"ema_period": 5}, {"ema_period": 9}], starts=4)
    assert listed.frame["ema.ema_period"].tolist() == [5, 5, 9, 9]
    assert "in all 2 sets" in listed.sentence


def test_what_never_settles_is_not_given_a_number() -> None:
    found = checked(noise(2, bars=1500), {"ema_period": 500, "stoch_rsi.enabled": False})
    assert math.isnan(found.settled[0].values)
    assert found.to_json()["rows"][0]["values"] is None


def test_too_few_bars_say_how_many_are_needed() -> None:
    with pytest.raises(DataError, match="bring 96 at least"):
        checked(noise(1, bars=60))
    with pytest.raises(ConfigError, match="starts is 0"):
        checked(BARS, starts=0)
    with pytest.raises(ConfigError, match="ema_period"):
        checked(BARS, grid={"ema_period": []})
    with pytest.raises(ConfigError, match="empty list"):
        checked(BARS, [])
