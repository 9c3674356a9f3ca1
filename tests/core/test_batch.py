"""Batch indicators: TA-Lib after warm-up, the incremental ones bit for bit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.effort import tries
from toolkit.core import batch
from toolkit.core.parameters import Parameters
from toolkit.core.strategy import Strategy
from toolkit.core.types import Bar, Evaluation, Indicators

WARM_UP = 1000


def walk(seed: int, bars: int = 3000) -> tuple[Any, Any, Any, Any]:
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.001, bars)))
    open_ = np.concatenate([[100.0], close[:-1]])
    high = np.maximum(open_, close) * (1.0 + rng.random(bars) * 0.0005)
    low = np.minimum(open_, close) * (1.0 - rng.random(bars) * 0.0005)
    return open_, high, low, close


def close_to(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours[WARM_UP:], theirs[WARM_UP:], rtol=0, atol=1e-9)


@pytest.mark.parametrize("length", [2, 9, 14, 50])
def test_rsi_agrees_with_talib(length: int) -> None:
    close = walk(1)[3]
    close_to(batch.rsi(close, length), talib.RSI(close, length))


@pytest.mark.parametrize("period", [2, 9, 50])
def test_ema_agrees_with_talib_after_warm_up(period: int) -> None:
    close = walk(2)[3]
    close_to(batch.ema(close, period, 2.0), talib.EMA(close, period))


def test_atr_agrees_with_talib() -> None:
    _, high, low, close = walk(3)
    close_to(batch.atr(high, low, close, 14), talib.ATR(high, low, close, 14))


def test_stoch_rsi_k_is_talibs_fast_d() -> None:
    close = walk(4)[3]
    _, k, _ = batch.stoch_rsi(batch.rsi(close, 14), 14, 3, 3)
    close_to(k, talib.STOCHRSI(close, 14, 14, 3)[1])


def test_stochastic_agrees_with_talib() -> None:
    _, high, low, close = walk(5)
    _, k, d = batch.stochastic(high, low, close, 14, 3, 3)
    theirs = talib.STOCH(high, low, close, 14, 3, 0, 3, 0)
    close_to(k, theirs[0])
    close_to(d, theirs[1])


def test_values_start_at_the_bar_that_the_document_names() -> None:
    _, high, low, close = walk(6, 200)
    values = batch.indicators(high, low, close, Parameters())
    first = {
        name: int(np.argmin(np.isnan(getattr(values, name)))) for name in ("rsi", "ema", "atr")
    }
    assert first == {"rsi": 14, "ema": 0, "atr": 13}
    assert int(np.argmin(np.isnan(values.stoch_rsi_k))) == 14 + 13 + 2
    assert int(np.argmin(np.isnan(values.stoch_rsi_d))) == 14 + 13 + 2 + 2


def test_a_flat_range_repeats_the_last_raw_value() -> None:
    close = np.concatenate([walk(7, 100)[3], np.full(60, 101.0)])
    raw, k, _ = batch.stoch_rsi(batch.rsi(close, 14), 14, 3, 3)
    assert len(set(raw[-20:])) == 1
    assert k[-1] == pytest.approx(raw[-1], abs=1e-12)


@pytest.mark.parametrize("bars", [0, 1, 2, 14])
def test_fewer_bars_than_the_warm_up_leave_everything_undefined(bars: int) -> None:
    _, high, low, close = (a[:bars] for a in walk(8, 20))
    values = batch.indicators(high, low, close, Parameters())
    entry, exit_ = batch.decisions(close, values, Parameters())
    assert np.isnan(values.stoch_rsi_k).all()
    assert not entry.any() and not exit_.any()
    assert len(entry) == bars


STEP = st.sampled_from([0.0, 0.0, 0.0, 0.01, -0.01, 0.05, -0.05, 1.0, -1.0])
PARAMETERS = st.fixed_dictionaries(
    {
        "rsi_length": st.integers(2, 20),
        "stoch_length": st.integers(2, 20),
        "k": st.integers(1, 5),
        "d": st.integers(1, 5),
        "stoch_rsi.lower_band": st.sampled_from([20.0, 35.0, 62.5]),
        "stoch_rsi.upper_band": st.sampled_from([60.0, 80.0, 100.0]),
        "ema_period": st.integers(1, 30),
        "smoothing": st.sampled_from([1.0, 2.0, 3.3]),
        "k_length": st.integers(2, 20),
        "smooth_k": st.integers(1, 5),
        "stochastic.enabled": st.booleans(),
        "ema.enabled": st.booleans(),
        "lookback": st.integers(1, 4),
        "adaptive_bands": st.booleans(),
        "adaptive_length": st.integers(2, 30),
        "atr_period": st.integers(1, 20),
        "exit_on_signal": st.booleans(),
    }
)


def incremental(bars: list[tuple[float, float, float, float]], p: Parameters) -> list[Evaluation]:
    strategy, start = Strategy(p), datetime(2026, 1, 2, tzinfo=UTC)
    return [
        strategy.on_bar(
            Bar(
                symbol="A",
                timestamp=start + timedelta(minutes=i),
                open=o,
                high=h,
                low=lo,
                close=c,
            )
        )
        for i, (o, h, lo, c) in enumerate(bars)
    ]


@given(
    steps=st.lists(STEP, min_size=1, max_size=150),
    wicks=st.integers(0, 2**32 - 1),
    changes=PARAMETERS,
)
@settings(max_examples=tries(60), deadline=None)
def test_batch_equals_incremental_bit_for_bit(
    steps: list[float], wicks: int, changes: dict[str, Any]
) -> None:
    rng, p = np.random.default_rng(wicks), Parameters().replace(changes)
    close = np.maximum(20.0 + np.cumsum(steps), 0.5)
    open_ = np.concatenate([[20.0], close[:-1]])
    high = np.maximum(open_, close) + rng.choice([0.0, 0.0, 0.02], len(close))
    low = np.minimum(open_, close) - rng.choice([0.0, 0.0, 0.02], len(close))
    rows = list(zip(*(a.tolist() for a in (open_, high, low, close)), strict=True))
    evaluations = incremental(rows, p)
    values = batch.indicators(high, low, close, p)
    for name in Indicators.__dataclass_fields__:
        one_by_one = np.array([getattr(e.indicators, name) for e in evaluations])
        np.testing.assert_array_equal(getattr(values, name), one_by_one, err_msg=name)
    entry, exit_ = batch.decisions(close, values, p)
    assert entry.tolist() == [e.entry for e in evaluations]
    assert exit_.tolist() == [e.exit for e in evaluations]
