"""The tape: what identifies its bars."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.core.markets import random_bars
from toolkit.market.tables import frame_of
from toolkit.research.tape import tape_of


@pytest.fixture
def bars() -> pd.DataFrame:
    return frame_of(random_bars(3, symbols=("AAPL", "BTC/USD"), count=50))


def test_the_fingerprint_names_the_bars_and_nothing_else(bars: pd.DataFrame) -> None:
    first = tape_of(bars).fingerprint
    assert len(first) == 16
    assert int(first, 16) >= 0
    assert tape_of(bars.sort_values(["symbol", "timestamp"])).fingerprint == first
    bars.attrs["feed"] = "iex"
    assert tape_of(bars).fingerprint == first


@pytest.mark.parametrize("column", ["open", "close", "volume", "timestamp", "symbol"])
def test_any_change_of_the_bars_changes_the_fingerprint(bars: pd.DataFrame, column: str) -> None:
    before = tape_of(bars).fingerprint
    changed: pd.Series[Any] = bars[column].copy()
    last = bars.index[-1]
    if column == "timestamp":
        changed[last] += pd.Timedelta("1us")
    elif column == "symbol":
        changed[last] = "ETH/USD"
    else:
        changed[last] = bars["low"][last] if column != "volume" else 1.0
    assert tape_of(bars.assign(**{column: changed})).fingerprint != before


def test_the_spread_is_a_part_of_the_fingerprint(bars: pd.DataFrame) -> None:
    plain = tape_of(bars.drop(columns="spread", errors="ignore")).fingerprint
    narrow, wide = (tape_of(bars.assign(spread=s)).fingerprint for s in (0.01, 0.02))
    assert len({plain, narrow, wide}) == 3
    assert tape_of(bars.assign(spread=np.nan)).fingerprint == plain


def test_span_feed_and_adjustment_are_those_of_the_bars(bars: pd.DataFrame) -> None:
    tape = tape_of(bars)
    assert tape.span == (bars["timestamp"].min(), bars["timestamp"].max())
    assert tape.feed == "unknown"
    feeds = bars["symbol"].map({"AAPL": "iex", "BTC/USD": "crypto"})
    tape = tape_of(bars.assign(feed=feeds, adjustment="split"))
    assert (tape.feed, tape.adjustment) == ("crypto+iex", "split")
    bars.attrs |= {"feed": "sip", "adjustment": "all"}
    assert (tape_of(bars).feed, tape_of(bars).adjustment) == ("sip", "all")
