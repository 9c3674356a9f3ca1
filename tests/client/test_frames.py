"""Live DataFrames."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from tests.streaming.fakes import account, bar, evaluation, position, quote
from toolkit.bot.events import Event
from toolkit.client.frames import LiveFrame
from toolkit.client.messages import Message
from toolkit.streaming.wire import format_time, payload


def message(event: Event, seq: int = 1, **more: Any) -> Message:
    item = payload(event)
    fields = {
        "stream_type": item.stream.value,
        "symbol": item.symbol,
        "seq": seq,
        "prev": 0,
        "epoch": "e",
        "timestamp": format_time(item.timestamp),
        "data": item.data,
    }
    return Message({**fields, **more})


def bars(limit: int = 100) -> LiveFrame:
    return LiveFrame("market_data", "AAPL", kind="bar", limit=limit)


def test_bars_have_utc_times_and_indicator_columns() -> None:
    frame = bars()
    frame.push(message(evaluation("AAPL", 0)))
    frame.push(message(evaluation("MSFT", 0)))
    frame.push(message(quote("AAPL", minute=1)))
    table = frame.frame
    assert len(table) == len(frame) == 1
    assert str(table.index.tz) == "UTC"
    assert table.ema.iloc[0] == pytest.approx(100.0)
    assert table["stoch_rsi_k"].iloc[0] == pytest.approx(20.0)
    assert pd.isna(table["stoch_k"].iloc[0])


def test_a_forming_bar_is_replaced_and_a_final_one_stays() -> None:
    frame = bars()
    frame.push(message(bar("AAPL", 0, price=99.0, final=False), 1))
    frame.push(message(bar("AAPL", 0, price=100.0, final=False), 2))
    frame.push(message(evaluation("AAPL", 0, price=101.0), 3))
    frame.fill([payload(bar("AAPL", 0, price=50.0, final=False)).data])
    assert frame.close.tolist() == [101.0]
    assert frame.final.tolist() == [True]


def test_types_are_the_same_empty_forming_and_full() -> None:
    frame = bars()
    empty = frame.dtypes
    frame.push(message(bar("AAPL", 0, final=False)))
    forming = frame.dtypes
    frame.push(message(evaluation("AAPL", 1)))
    assert empty.equals(forming)
    assert forming.equals(frame.dtypes)
    assert str(empty["close"]) == "float64"
    assert str(empty["final"]) == "bool"


@pytest.mark.parametrize(
    ("stream", "event"),
    [("positions", position()), ("account", account()), ("market_data", quote())],
)
def test_types_of_other_streams_are_stable_too(stream: str, event: Event) -> None:
    frame = LiveFrame(stream, kind=payload(event).kind)
    empty = frame.dtypes
    frame.push(message(event))
    assert empty.equals(frame.dtypes)


def test_the_oldest_go_even_when_history_comes_later() -> None:
    frame = bars(limit=5)
    frame.push(message(evaluation("AAPL", 9)))
    frame.fill([payload(evaluation("AAPL", minute)).data for minute in range(2, 9)])
    frame.push(message(evaluation("AAPL", 10)))
    assert [t.minute for t in frame.frame.index] == [36, 37, 38, 39, 40]


def test_history_and_live_tail_do_not_double() -> None:
    frame = bars()
    frame.push(message(evaluation("AAPL", 3)))
    frame.fill([payload(evaluation("AAPL", minute)).data for minute in range(4)])
    assert [t.minute for t in frame.frame.index] == [30, 31, 32, 33]


def test_a_snapshot_that_says_nothing_new_adds_no_row() -> None:
    frame = LiveFrame("positions")
    frame.push(message(position("AAPL", 100.0), 1))
    frame.push(message(position("AAPL", 100.0), 1, snapshot=True))
    frame.push(message(position("AAPL", 101.0), 2, snapshot=True))
    assert frame.price.tolist() == [100.0, 101.0]


def test_the_frame_is_a_copy_and_looks_like_a_table() -> None:
    frame = bars()
    frame.push(message(evaluation("AAPL", 0)))
    copy = frame.frame
    copy["close"] = 0.0
    assert frame["close"].tolist() == [100.0]
    assert "<table" in frame._repr_html_()
    assert "1 of at most 100 rows" in repr(frame)
    with pytest.raises(AttributeError):
        _ = frame.no_such_column
