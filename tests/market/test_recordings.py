"""What the real files in ../shared/data are known to hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from toolkit.core.types import Bar, MarketGap
from toolkit.market.gaps import GapDetector
from toolkit.market.tables import bars_of, iter_events, normalise, read_table

Find = Callable[[str], Path]
CRYPTO_BARS = "bars_1min_crypto_2018.parquet"


def gaps_of(frame: pd.DataFrame) -> list[MarketGap]:
    detector = GapDetector(60.0)
    bars = iter_events(normalise(frame))
    return [gap for bar in bars if isinstance(bar, Bar) and (gap := detector.on_bar(bar))]


def test_bitcoin_has_one_gap_of_seven_hours(shared_file: Find) -> None:
    gaps = gaps_of(read_table(shared_file(CRYPTO_BARS)).frame)
    bitcoin = [gap for gap in gaps if gap.symbol == "BTC/USD"]
    long = [gap for gap in bitcoin if gap.missing > 60]
    after = datetime(2018, 4, 4, 16, 47, tzinfo=UTC)
    before = datetime(2018, 4, 5, 0, 0, tzinfo=UTC)
    assert long == [MarketGap(symbol="BTC/USD", after=after, before=before, missing=432)]
    assert before - after - timedelta(minutes=1) == timedelta(hours=7, minutes=12)
    assert [gap.missing for gap in bitcoin] == [1, 432]


def test_a_week_of_stock_sessions_has_no_gap(shared_file: Find) -> None:
    assert gaps_of(read_table(shared_file("bars_1min_spx_2019.parquet")).frame) == []


def test_recorded_bars_come_through_unchanged(shared_file: Find) -> None:
    path = shared_file(CRYPTO_BARS)
    table = read_table(path)
    assert (table.kind, table.timeframe) == ("bars", 60.0)
    assert table.symbols == ("BTC/USD", "ETH/USD", "LTC/USD")
    pd.testing.assert_frame_equal(bars_of(table), pd.read_parquet(path))


def test_recorded_quotes_make_one_bar_a_minute(shared_file: Find) -> None:
    table = read_table(shared_file("quotes_1min_crypto_2018.parquet"))
    bars = bars_of(table)
    assert table.kind == "quotes"
    assert len(bars) == len(table.frame)
    mid = (table.frame["bid"] + table.frame["ask"]) / 2.0
    assert (bars["close"] == mid).all()
