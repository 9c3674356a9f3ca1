"""Bars of any span: from the store as far as it goes, the rest from Alpaca."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from tests.market.fakes import MINUTE, FakeData, at, bar
from toolkit.market.collect import Collector, Wish
from toolkit.market.spans import Span
from toolkit.market.store import BarStore

NOW = at(300)
DAY = timedelta(days=1)


class Desk:
    """A collector on a store, with a history that counts what is asked."""

    def __init__(self, root: Path, minutes: int = 300) -> None:
        self.now = NOW
        self.data = FakeData([bar(n, s) for s in ("AAPL", "BTC/USD") for n in range(minutes)])
        self.store = BarStore(root, clock=self.clock)
        self.collector = Collector(self.data, self.store, clock=self.clock)
        self.reports: list[tuple[int, int]] = []

    def clock(self) -> datetime:
        return self.now

    async def get(self, start: int, end: int, *symbols: str, **fields: object) -> pd.DataFrame:
        wish = Wish(
            symbols=symbols or ("AAPL",), timeframe=60.0, span=Span(at(start), at(end)), feed="iex"
        )
        return await self.collector.collect(
            replace(wish, **fields), report=lambda *done: self.reports.append(done)
        )

    def asked(self) -> list[tuple[datetime, datetime]]:
        requests, self.data.requests = self.data.requests, []
        return [(start, end) for _, start, end in requests]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_only_missing_ranges_are_fetched(desk: Desk) -> None:
    await desk.get(50, 100)
    assert desk.asked() == [(at(50), at(100))]
    frame = await desk.get(0, 150)
    assert desk.asked() == [(at(0), at(50)), (at(100), at(150))]
    assert frame["close"].to_list() == [bar(n).close for n in range(150)]
    assert desk.reports[-1] == (2, 2)
    await desk.get(20, 120)
    assert desk.asked() == []


async def test_every_row_names_symbol_and_feed(desk: Desk) -> None:
    frame = await desk.get(0, 3, "AAPL", "BTC/USD")
    assert frame.columns.to_list() == [
        "timestamp", "symbol", "open", "high", "low", "close", "volume", "feed",
    ]  # fmt: skip
    assert frame["symbol"].to_list() == ["AAPL", "BTC/USD"] * 3
    assert frame["feed"].to_list() == ["iex", "crypto"] * 3
    assert desk.data.feeds == ["iex", None]


async def test_the_last_minutes_are_returned_but_not_kept(desk: Desk) -> None:
    frame = await desk.get(280, 300)
    assert len(frame) == 20
    desk.asked()
    desk.now += 10 * MINUTE
    desk.data.known = [replace(b, close=b.close + 0.5) for b in desk.data.known]
    frame = await desk.get(280, 300)
    assert desk.asked() == [(at(294), at(300))]
    changed = [float(frame["close"].iloc[n - 280] - bar(n).close) for n in range(280, 300)]
    assert changed == [0.0] * 14 + [0.5] * 6


async def test_a_bar_that_is_not_over_is_left_out(desk: Desk) -> None:
    frame = await desk.get(280, 310, timeframe=60.0)
    assert frame["timestamp"].iloc[-1] == at(299)
    desk.now -= MINUTE / 2
    frame = await desk.get(280, 310)
    assert frame["timestamp"].iloc[-1] == at(298)


async def test_empty_ranges_are_remembered_and_weekends_not_asked_for(desk: Desk) -> None:
    saturday = datetime(2026, 1, 3, 5, tzinfo=UTC)
    weekend = Span(saturday, saturday + DAY)
    frame = await desk.get(0, 1, span=weekend)
    assert (len(frame), desk.asked()) == (0, [])
    await desk.get(0, 1, "BTC/USD", span=weekend)
    assert len(desk.asked()) == 1
    await desk.get(0, 1, "BTC/USD", span=weekend)
    assert desk.asked() == []


async def test_what_was_fetched_before_an_interruption_is_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.market.collect._BARS_AT_ONCE", 50)

    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    wish = Wish(symbols=("AAPL",), timeframe=60.0, span=Span(at(0), at(200)), feed="iex")
    with pytest.raises(KeyboardInterrupt):
        await desk.collector.collect(wish, report=interrupt)
    desk.asked()
    assert len(await desk.get(0, 200)) == 200
    assert desk.asked() == [(at(100), at(150)), (at(150), at(200))]


async def test_a_damaged_file_is_fetched_again_in_the_same_call(desk: Desk) -> None:
    before = await desk.get(0, 100)
    (file,) = desk.store.root.rglob("*.parquet")
    file.write_bytes(b"garbage")
    desk.asked()
    pd.testing.assert_frame_equal(await desk.get(0, 100), before)
    assert desk.asked() == [(at(0), at(100))]


async def test_a_span_that_cuts_longer_bars_gets_whole_ones(desk: Desk) -> None:
    wanted = Span(at(2), at(8))
    await desk.get(0, 1, timeframe=300.0, span=wanted)
    assert desk.asked() == [(at(5), at(10))]
