"""Minute bars as frames, seeded: pure noise, and noise around a level that pulls prices back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def noise(
    seed: int, *, bars: int = 3000, symbol: str = "AAPL", volatility: float = 0.0005
) -> pd.DataFrame:
    """A driftless random walk."""
    rng = np.random.default_rng(seed)
    return frame(np.cumsum(rng.normal(0.0, volatility, bars)), rng, symbol, volatility)


def pulled_back(seed: int, *, bars: int = 3000, pull: float = 0.2) -> pd.DataFrame:
    """Prices that return to their level: buying after a fall pays."""
    rng = np.random.default_rng(seed)
    volatility, value, path = 0.001, 0.0, []
    for shock in rng.normal(0.0, volatility, bars).tolist():
        value += shock - pull * value
        path.append(value)
    return frame(np.array(path), rng, "AAPL", volatility)


def frame(path: Any, rng: Any, symbol: str, volatility: float) -> pd.DataFrame:
    """Bars whose highs and lows are those of a Brownian path between open and close.

    Anything simpler is no fair game: a stop is filled at its level, so a path that jumps over
    levels would make stops earn money.
    """
    before = np.concatenate([[0.0], path[:-1]])
    size = len(path)

    def reach() -> Any:
        spread = (path - before) ** 2 - 2.0 * volatility**2 * np.log(1.0 - rng.random(size))
        return np.sqrt(spread)

    return pd.DataFrame(
        {
            "timestamp": pd.date_range("2026-01-05 14:30", periods=size, freq="min", tz="UTC"),
            "symbol": symbol,
            "open": 100.0 * np.exp(before),
            "high": 100.0 * np.exp((before + path + reach()) / 2.0),
            "low": 100.0 * np.exp((before + path - reach()) / 2.0),
            "close": 100.0 * np.exp(path),
            "volume": 1.0,
        }
    )
