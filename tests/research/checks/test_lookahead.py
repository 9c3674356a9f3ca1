"""check lookahead: whatever knows the future is found, whatever does not stays unmarked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import recordings
from tests.core.markets import random_bars
from tests.core.test_kernel import EVERYTHING_ON
from tests.effort import tries
from tests.research.markets import noise
from toolkit.core import batch
from toolkit.core.costs import Costs
from toolkit.errors import ConfigError, DataError
from toolkit.market.tables import frame_of
from toolkit.research import signals
from toolkit.research.checks.lookahead import LookaheadCheck, check_lookahead

BARS = noise(1, bars=600)
TWO = frame_of(random_bars(3, symbols=("AAPL", "BTC/USD"), count=400))


def checked(bars: Any, function: Any = None, **options: Any) -> LookaheadCheck:
    return check_lookahead(bars, function, progress=False, **{"cuts": 24, **options})


def test_the_strategy_knows_no_future_with_everything_on() -> None:
    found = checked(TWO, parameters=EVERYTHING_ON, costs=Costs(slippage_bps=1), cuts=12)
    assert found.ok and found.cuts == 12
    assert "indicators, signals and trades stayed the same at 12 cuts" in found.sentence


def test_it_says_so_where_there_was_no_signal_to_test() -> None:
    assert "no signal was given" in checked(BARS.head(30)).sentence
    assert "no signal was given" not in checked(BARS).sentence
    never = checked(BARS, lambda b: b["close"] < 0.0)
    assert never.ok and never.sentence.endswith("so none was tested")


@pytest.mark.parametrize("path", recordings(), ids=lambda path: path.stem)
def test_the_strategy_knows_no_future_on_real_recordings(path: Path) -> None:
    assert checked(path, cuts=4).ok


def planted(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, change: Callable[[Any], Any]
) -> LookaheadCheck:
    """The check of a strategy one function of which was made to know the future."""
    honest = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args, **kw: change(honest(*args, **kw)))
    return checked(BARS, cuts=30)


def test_an_indicator_that_is_late_by_one_bar_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = planted(monkeypatch, batch, "ema", lambda ema: np.append(ema[1:], ema[-1]))
    assert not found.ok
    assert "ema" in {leak.column for leak in found.leaks}
    assert all(leak.ahead == 1 for leak in found.leaks if leak.column == "ema")


def test_a_signal_of_the_next_bar_is_found_with_the_trades_that_it_makes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Prophet(signals.Signals):
        def decisions(self, parameters: Any) -> Any:
            honest = super().decisions(parameters)
            return honest._replace(entry=np.append(honest.entry[1:], np.False_))

    monkeypatch.setattr("toolkit.research.backtest.Signals", Prophet)
    found = checked(BARS, cuts=30)
    leak = next(leak for leak in found.leaks if leak.column == "entry signal")
    assert leak.ahead == 1 and leak.symbol == "AAPL"
    assert leak.timestamp == BARS["timestamp"][leak.row]


Signals = Callable[[pd.DataFrame], Any]


LEAKS: dict[str, tuple[Signals, int]] = {
    "next close": (lambda bars: bars["close"].shift(-1) > bars["close"], 1),
    "three ahead": (lambda bars: bars["close"].shift(-3) > bars["close"], 3),
    "centred mean": (lambda bars: bars["close"].rolling(5, center=True).mean(), 2),
    "next high": (lambda bars: bars["high"].shift(-1).to_numpy() > bars["close"].to_numpy(), 1),
    "filled back": (
        lambda bars: bars["close"].where(bars.index % 10 == 0).bfill() > bars["close"],
        1,
    ),
    "five minutes by their open": (
        lambda bars: bars.set_index("timestamp")["close"].resample("5min").last(),
        2,
    ),
    "next day's open in a dict": (lambda bars: {"next": bars["open"].shift(-1)}, 1),
    "exits only": (
        lambda bars: (bars["close"] > bars["open"], bars["close"].shift(-1) < bars["close"]),
        1,
    ),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_function_that_reads_ahead_is_found(name: str) -> None:
    function, ahead = LEAKS[name]
    found = checked(BARS, function)
    assert not found.ok
    assert found.leaks[0].ahead >= ahead
    assert "reads at least" in found.sentence
    assert found.leaks[0].timestamp <= found.leaks[0].cut_at


WHOLE: dict[str, Signals] = {
    "mean of all": lambda bars: bars["close"] > bars["close"].mean(),
    "scaled by all": lambda bars: (bars["close"] - bars["close"].min()) / np.ptp(bars["close"]),
    "ranks": lambda bars: bars["close"].rank(),
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_depends_on_the_whole_series_is_told_so(name: str) -> None:
    found = checked(BARS, WHOLE[name])
    assert not found.ok
    assert found.leaks[0].row < 30
    assert "depends on the whole series" in found.sentence


def by_time(bars: pd.DataFrame) -> pd.DataFrame:
    return bars.pivot(index="timestamp", columns="symbol", values="close")


HONEST: dict[str, Signals] = {
    "mean": lambda bars: bars["close"].rolling(10).mean(),
    "crossing": lambda bars: (
        bars["close"] > bars["close"].ewm(span=9).mean(),
        bars["close"] < bars["close"].ewm(span=20).mean(),
    ),
    "yesterday": lambda bars: {"before": bars["close"].shift(1), "nothing": bars["close"] * np.nan},
    "five minutes by their close": lambda bars: (
        bars.set_index("timestamp")["close"].resample("5min", label="right", closed="right").last()
    ),
    "array": lambda bars: bars["close"].to_numpy() > 1.0,
    "words": lambda bars: pd.Series(np.where(bars["close"] > 100, "high", "low"), bars.index),
}


@pytest.mark.parametrize("name", HONEST)
def test_a_function_that_knows_only_the_past_is_not_accused(name: str) -> None:
    assert checked(BARS, HONEST[name]).ok


def test_several_symbols_are_cut_at_the_same_time_and_named() -> None:
    def leaking(bars: pd.DataFrame) -> pd.DataFrame:
        wide = by_time(bars)
        return wide.assign(**{"BTC/USD": wide["BTC/USD"].bfill()})

    assert checked(TWO, by_time).ok
    found = checked(TWO, leaking)
    assert {leak.column for leak in found.leaks} == {"BTC/USD"}
    ordered = TWO.sort_values(["symbol", "timestamp"], ignore_index=True)
    assert checked(ordered, lambda bars: bars.groupby("symbol")["close"].shift(1)).ok
    assert not checked(ordered, lambda bars: bars["close"].shift(-1)).ok


def test_bars_on_an_index_of_times_are_tested_as_they_are() -> None:
    bars = BARS.set_index("timestamp")
    assert checked(bars, lambda part: part["close"].rolling(3).mean()).ok
    assert not checked(bars, lambda part: part["close"].rolling(3).mean().shift(-2)).ok


def test_a_rare_leak_is_found_since_cuts_follow_signals() -> None:
    calm = BARS["close"].pct_change().abs()
    limit = calm.quantile(0.99)

    def rare(bars: pd.DataFrame) -> pd.Series[bool]:
        return bars["close"].pct_change().abs().shift(-1) > limit

    assert 0 < int(rare(BARS).sum()) < 10
    assert not checked(BARS, rare, cuts=20).ok


@settings(max_examples=tries(12), deadline=None)
@given(ahead=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_any_shift_into_the_future_is_found_whatever_the_seed(ahead: int, seed: int) -> None:
    def leaking(bars: pd.DataFrame) -> Any:
        return bars["close"].shift(-ahead)

    found = checked(BARS, leaking, cuts=5, seed=seed)
    assert found.leaks[0].ahead == ahead


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda bars: BARS["close"], "compute from the bars that it is given"),
        (lambda bars: BARS.set_index("timestamp")["close"], "compute from the bars that it"),
        (lambda bars: bars["close"].dropna().iloc[5:].reset_index(drop=True), "one value for each"),
        (lambda bars: bars["close"].sample(frac=1.0).to_numpy(), "fixed seed"),
        (lambda bars: bars["klose"], "KeyError"),
        (lambda bars: bars["close"] / bars["close"].iloc[300], "failed on the first"),
    ],
)
def test_a_function_that_cannot_be_tested_is_told_why(function: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        checked(BARS, function)


def test_wrong_arguments_say_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match="a function of bars"):
        checked(BARS, BARS["close"])
    with pytest.raises(ConfigError, match="returned int"):
        checked(BARS, lambda bars: 3)
    with pytest.raises(ConfigError, match="cuts is 0"):
        checked(BARS, cuts=0)
    with pytest.raises(DataError, match="too few to cut"):
        checked(BARS[:5], lambda bars: bars["close"])


def test_a_function_may_change_what_it_is_given() -> None:
    def careless(bars: pd.DataFrame) -> Any:
        bars["mean"] = bars["close"].rolling(5).mean()
        return bars["mean"]

    before = BARS.copy()
    assert checked(BARS, careless).ok
    pd.testing.assert_frame_equal(BARS, before)


def test_progress_is_told_and_the_result_is_a_table_and_json() -> None:
    told: list[tuple[int, int]] = []
    found = checked(BARS, lambda bars: bars["close"].shift(-1), cuts=10)
    check_lookahead(BARS, cuts=4, progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert found.frame["column"].tolist() == ["close"]
    assert found.to_json()["rows"][0]["ahead"] == 1
    assert found.to_json()["ok"] is False
