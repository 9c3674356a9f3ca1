from __future__ import annotations

import asyncio
from typing import Any

import pandas as pd
import pytest

from toolkit.core.types import Bar, MarketEvent, MarketGap, Quote, Trade
from toolkit.errors import DataError
from toolkit.market.pace import Pace
from toolkit.market.replay import ReplayMarket
from toolkit.market.tables import bars_of, iter_events, normalise

MAX = Pace.parse("max")


def quotes_frame() -> pd.DataFrame:
    times = pd.date_range("2026-01-05T15:00Z", periods=12, freq="25s")
    rising = [float(i) for i in range(1, 13)]
    return pd.DataFrame(
        {
            "timestamp": times,
            "symbol": ["A/USD", "B/USD"] * 6,
            "bid": rising,
            "bid_size": 1.0,
            "ask": [r + 1.0 for r in rising],
            "ask_size": 1.0,
        }
    )


async def all_events(market: ReplayMarket) -> list[MarketEvent]:
    return [event async for event in market.events()]


async def test_bars_come_out_as_recorded(bars_frame: pd.DataFrame) -> None:
    table = normalise(bars_frame)
    events = await all_events(ReplayMarket(table, pace=MAX))
    assert [e for e in events if isinstance(e, Bar)] == list(iter_events(table))


async def test_a_gap_comes_before_the_bar_that_follows_it(bars_frame: pd.DataFrame) -> None:
    events = await all_events(ReplayMarket(normalise(bars_frame), pace=MAX))
    (place,) = [i for i, e in enumerate(events) if isinstance(e, MarketGap)]
    gap, after = events[place], events[place + 1]
    assert isinstance(gap, MarketGap)
    assert isinstance(after, Bar)
    assert (gap.symbol, gap.missing) == ("A/USD", 2)
    assert (after.symbol, after.timestamp) == (gap.symbol, gap.before)


async def test_quotes_come_out_with_their_bars() -> None:
    table = normalise(quotes_frame())
    events = await all_events(ReplayMarket(table, pace=MAX))
    assert [e for e in events if isinstance(e, Quote)] == list(iter_events(table))
    for i, event in enumerate(events):
        if isinstance(event, Quote):
            forming = events[i + 1]
            assert isinstance(forming, Bar)
            assert (forming.symbol, forming.close, forming.final) == (
                event.symbol,
                event.mid,
                False,
            )


async def test_final_bars_of_a_tick_replay_equal_the_batch() -> None:
    table = normalise(quotes_frame())
    events = await all_events(ReplayMarket(table, pace=MAX))
    finals = [e for e in events if isinstance(e, Bar) and e.final]
    assert finals == list(iter_events(normalise(bars_of(table))))


async def test_final_bars_come_when_their_minute_ends_not_with_the_next_tick(
    fake_time: Any,
) -> None:
    frame = pd.DataFrame(
        {"timestamp": ["2026-01-05T15:00:10Z", "2026-01-05T15:02:30Z"], "price": 1.0, "size": 1.0}
    )
    pace = Pace.parse("1x")
    market = ReplayMarket(
        normalise(frame, symbol="A/USD"), pace=pace, sleep=fake_time.sleep, clock=fake_time.clock
    )
    seen = [(fake_time.now, event) async for event in market.events()]
    assert [when for when, e in seen if isinstance(e, Trade)] == [0.0, 140.0]
    assert [when for when, e in seen if isinstance(e, Bar) and e.final] == [50.0, 170.0]


async def test_the_speed_changes_nothing_but_time(bars_frame: pd.DataFrame, fake_time: Any) -> None:
    table = normalise(bars_frame)
    fast = await all_events(ReplayMarket(table, pace=MAX))
    slow = ReplayMarket(table, pace=Pace.parse("60x"), sleep=fake_time.sleep, clock=fake_time.clock)
    assert await all_events(slow) == fast
    assert fake_time.now == pytest.approx(5.0)


async def test_only_chosen_symbols_are_played(bars_frame: pd.DataFrame) -> None:
    market = ReplayMarket(normalise(bars_frame), pace=MAX, symbols=["B/USD"])
    events = await all_events(market)
    assert list(market.symbols) == ["B/USD"]
    assert {e.symbol for e in events} == {"B/USD"}
    assert len(events) == market.total == 6


@pytest.mark.parametrize("symbols", [["C/USD"], ["A/USD", "C/USD"], []])
def test_unknown_symbols_are_refused(bars_frame: pd.DataFrame, symbols: list[str]) -> None:
    with pytest.raises(DataError, match="A/USD, B/USD"):
        ReplayMarket(normalise(bars_frame), pace=MAX, symbols=symbols)


async def test_progress_runs_to_the_total(bars_frame: pd.DataFrame) -> None:
    market = ReplayMarket(normalise(bars_frame), pace=MAX)
    assert (market.done, market.total) == (0, 10)
    await all_events(market)
    assert market.done == 10


async def test_at_max_the_loop_stays_free(bars_frame: pd.DataFrame) -> None:
    times = pd.date_range("2026-01-05", periods=1000, freq="min")
    frame = bars_frame.iloc[[0] * 1000].assign(timestamp=times)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(count())
    await all_events(ReplayMarket(normalise(frame), pace=MAX))
    task.cancel()
    assert turns >= 1000 // 64
