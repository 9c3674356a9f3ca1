"""Every bar says where it comes from, and sources are not mixed unnoticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from toolkit.core.types import Bar
from toolkit.errors import DataError
from toolkit.market.origins import mixed_origins
from toolkit.market.pace import Pace
from toolkit.market.replay import ReplayMarket
from toolkit.market.simulated import SimulatedMarket, simulate_bars
from toolkit.market.tables import iter_events, normalise, read_table

MAX = Pace.parse("max")


def feeds(events: Any) -> list[tuple[str, str]]:
    return [(e.feed, e.adjustment) for e in events if isinstance(e, Bar)]


async def test_the_simulated_market_says_so_in_every_bar() -> None:
    market = SimulatedMarket(["AAPL"], pace=MAX)
    live = []
    async for event in market.events():
        live.append(event)
        if len(live) == 200:
            await market.stop()
    past = await market.history("AAPL", limit=5)
    assert set(feeds([*live, *past])) == {("simulated", "raw")}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
async def test_a_replayed_file_keeps_the_feed_that_it_was_recorded_with(
    bars_frame: pd.DataFrame, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"bars.{suffix}"
    frame = bars_frame.assign(feed="crypto", adjustment="raw")
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    played = [e async for e in ReplayMarket(read_table(path), pace=MAX).events()]
    assert set(feeds(played)) == {("crypto", "raw")}


def test_a_file_without_a_feed_has_none(bars_frame: pd.DataFrame) -> None:
    assert set(feeds(iter_events(normalise(bars_frame)))) == {("", "raw")}


def test_what_attrs_say_holds_for_every_bar() -> None:
    assert set(feeds(iter_events(normalise(simulate_bars(["AAPL"], 3))))) == {("simulated", "raw")}


def test_rows_of_an_unknown_feed_count_as_a_feed(bars_frame: pd.DataFrame) -> None:
    frame = bars_frame.assign(feed=["crypto", None] * 5)
    assert mixed_origins(normalise(frame).frame) == {"feed": ["", "crypto"]}


def test_replaying_a_mixture_is_refused(bars_frame: pd.DataFrame) -> None:
    table = normalise(bars_frame.assign(feed=["iex", "sip"] * 5))
    with pytest.raises(DataError, match="feed iex, sip"):
        ReplayMarket(table, pace=MAX)


def test_stocks_and_crypto_have_a_feed_each(bars_frame: pd.DataFrame) -> None:
    symbols = bars_frame["symbol"].replace("A/USD", "AAPL")
    feed = symbols.map({"AAPL": "iex", "B/USD": "crypto"})
    ReplayMarket(normalise(bars_frame.assign(symbol=symbols, feed=feed)), pace=MAX)
