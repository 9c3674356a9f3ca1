from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.core.types import Bar, Quote, Trade
from toolkit.errors import ConfigError, DataError
from toolkit.market.builder import BarBuilder
from toolkit.market.files import read_file
from toolkit.market.tables import bars_of, frame_of, iter_events, normalise, read_table

QUOTES = {"bid": [1.0, 2.0], "bid_size": [1.0, 1.0], "ask": [1.5, 2.5], "ask_size": [0.0, 1.0]}
TIMES = ["2026-01-05T15:00:00Z", "2026-01-05T15:01:00Z"]
START = datetime(2026, 1, 5, 15, tzinfo=UTC)


def trades(times: list[Any] | pd.DatetimeIndex, **more: Any) -> pd.DataFrame:
    frame = pd.DataFrame({"timestamp": times, "price": 1.0, "size": 1.0})
    return frame.assign(**more)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".feather", ".CSV"])
def test_every_file_type_gives_the_same_table(
    tmp_path: Path, bars_frame: pd.DataFrame, suffix: str
) -> None:
    path = tmp_path / f"bars{suffix}"
    writers: dict[str, Callable[[Path], object]] = {
        ".parquet": bars_frame.to_parquet,
        ".feather": bars_frame.to_feather,
    }
    writers.get(suffix, lambda p: bars_frame.to_csv(p, index=False))(path)
    table = read_table(path)
    assert (table.kind, table.timeframe, table.source) == ("bars", 60.0, path.name)
    assert table.symbols == ("A/USD", "B/USD")
    pd.testing.assert_frame_equal(table.frame, normalise(bars_frame).frame)


@pytest.mark.parametrize(
    "changed",
    [
        lambda bars: bars.set_index(["symbol", "timestamp"]),
        lambda bars: bars.iloc[1:].astype({"symbol": "category", "volume": "Int64"}),
        lambda bars: bars.assign(timestamp=pd.date_range(START, periods=len(bars), freq="min")),
    ],
)
def test_a_parquet_file_is_read_as_pandas_reads_it(
    tmp_path: Path, bars_frame: pd.DataFrame, changed: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    path, bars = tmp_path / "bars.parquet", changed(bars_frame)
    bars.attrs = {"feed": "iex", "adjustment": "split"}
    bars.to_parquet(path)
    read = read_file(path)
    pd.testing.assert_frame_equal(read, pd.read_parquet(path))
    assert read.attrs == bars.attrs


def test_csv_keeps_every_digit_and_tickers_that_look_like_something_else(tmp_path: Path) -> None:
    price = 0.1 + 0.2
    path = tmp_path / "trades.csv"
    path.write_text(
        f"Timestamp,Symbol,Price,Size\n{TIMES[0]},NA,{price!r},1\n{TIMES[0]},TRUE,1,1\n"
    )
    table = read_table(path)
    assert table.symbols == ("NA", "TRUE")
    assert table.frame["price"][0] == price


def test_kinds_are_told_by_their_columns() -> None:
    assert normalise(pd.DataFrame({"timestamp": TIMES, **QUOTES}), symbol="A").kind == "quotes"
    assert normalise(trades(TIMES), symbol="A").kind == "trades"


def test_column_types_are_fixed() -> None:
    frame = trades(TIMES, size=[1, 2], symbol=pd.Categorical(["A", "A"]), price=["1.5", "2"])
    table = normalise(frame)
    assert table.frame["timestamp"].dtype == "datetime64[us, UTC]"
    assert table.frame["price"].tolist() == [1.5, 2.0]
    assert [table.frame[name].dtype for name in ("price", "size")] == [np.float64, np.float64]
    assert list(table.frame.columns) == ["timestamp", "symbol", "price", "size"]


def test_an_index_of_times_is_taken_as_the_timestamp() -> None:
    frame = trades(TIMES).drop(columns="timestamp").set_index(pd.DatetimeIndex(TIMES))
    assert normalise(frame, symbol="A").frame["timestamp"].iloc[0] == START


def test_the_index_that_alpaca_gives_is_understood(bars_frame: pd.DataFrame) -> None:
    timed = bars_frame.assign(timestamp=pd.to_datetime(bars_frame["timestamp"]), vwap=1.0)
    indexed = timed.set_index(["symbol", "timestamp"]).sort_index()
    pd.testing.assert_frame_equal(normalise(indexed).frame, normalise(bars_frame).frame)


def test_the_frame_handed_over_stays_as_it_was(bars_frame: pd.DataFrame) -> None:
    before = bars_frame.copy()
    normalise(bars_frame)
    pd.testing.assert_frame_equal(bars_frame, before)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_whole_numbers_are_the_epoch(unit: str) -> None:
    scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    epoch = int(START.timestamp()) * scale
    table = normalise(trades([epoch, epoch + 60 * scale]), symbol="A")
    assert table.frame["timestamp"].tolist() == [START, START + timedelta(minutes=1)]
    assert table.frame["timestamp"].dtype == "datetime64[us, UTC]"


def test_naive_times_mean_utc_and_others_are_converted() -> None:
    naive = normalise(
        trades(pd.DatetimeIndex(["2026-01-05T15:00", "2026-01-05T15:01"])), symbol="A"
    )
    newyork = pd.DatetimeIndex(["2026-01-05T10:00", "2026-01-05T10:01"], tz="America/New_York")
    assert naive.frame["timestamp"][0] == START
    assert normalise(trades(newyork), symbol="A").frame["timestamp"][0] == START


def test_nanoseconds_are_kept_in_the_table_and_cut_in_events() -> None:
    table = normalise(trades(["2026-01-05T15:00:00.123456789Z"]), symbol="A")
    assert table.frame["timestamp"].dtype == "datetime64[ns, UTC]"
    assert table.frame["timestamp"][0].nanosecond == 789
    (event,) = iter_events(table)
    assert event.timestamp == START + timedelta(microseconds=123456)


def test_the_timeframe_is_the_most_frequent_spacing_within_a_symbol() -> None:
    minutes = [0, 5, 10, 30, 35]
    times = [START + timedelta(minutes=m) for m in minutes]
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    frame = pd.DataFrame({"timestamp": times, **prices})
    assert normalise(frame, symbol="A").timeframe == 300.0
    assert normalise(frame.head(1), symbol="A").timeframe == 60.0
    assert normalise(frame, symbol="A", timeframe=60.0).timeframe == 60.0
    with pytest.raises(ConfigError, match="timeframe"):
        normalise(frame, symbol="A", timeframe=0.0)


def test_rows_are_sorted_by_time_then_symbol_and_ticks_keep_their_order() -> None:
    frame = trades([TIMES[0]] * 4, symbol=["B", "A", "B", "A"], price=[1.0, 2.0, 3.0, 4.0])
    assert normalise(frame).frame["price"].tolist() == [2.0, 4.0, 1.0, 3.0]


@pytest.mark.parametrize(
    ("field", "row", "change"),
    [
        ("close", 3, {"close": float("nan")}),
        ("open", 0, {"open": float("inf")}),
        ("low", 2, {"low": 0.0}),
        ("high", 1, {"high": -1.0}),
        ("volume", 4, {"volume": -1.0}),
        ("volume", 4, {"volume": float("nan")}),
        ("high", 2, {"high": 8.0}),
        ("high", 2, {"open": 99.0}),
        ("low", 2, {"low": 11.5}),
        ("timestamp", 1, {"timestamp": "yesterday"}),
        ("timestamp", 2, {"timestamp": None}),
        ("timestamp", 4, {"timestamp": "2026-01-05T14:00:00Z"}),
        ("timestamp", 2, {"timestamp": "2026-01-05T15:00:00Z"}),
        ("symbol", 1, {"symbol": None}),
        ("symbol", 1, {"symbol": "  "}),
        ("close", 5, {"close": "ten"}),
    ],
)
def test_a_bad_row_is_named(
    bars_frame: pd.DataFrame, field: str, row: int, change: dict[str, Any]
) -> None:
    frame = bars_frame.astype(object)
    for name, value in change.items():
        frame.loc[row, name] = value
    with pytest.raises(DataError) as caught:
        normalise(frame, source="mine.csv")
    data = caught.value.data
    assert (data["field"], data["row"]) == (field, row)
    assert data["value"] and data["allowed"]
    assert "mine.csv" in caught.value.message
    assert f"row {row} " in caught.value.message and repr(field) in caught.value.message


def test_an_ask_below_its_bid_is_refused() -> None:
    frame = pd.DataFrame({"timestamp": TIMES, **QUOTES, "ask": [1.5, 1.9]})
    with pytest.raises(DataError) as caught:
        normalise(frame, symbol="A")
    assert (caught.value.data["field"], caught.value.data["row"]) == ("ask", 1)


def test_ticks_may_share_a_time_but_not_go_back() -> None:
    assert len(normalise(trades([TIMES[0], TIMES[0]]), symbol="A").frame) == 2
    with pytest.raises(DataError, match="sort"):
        normalise(trades(TIMES[::-1]), symbol="A")


@pytest.mark.parametrize("name", ["close", "volume", "timestamp"])
def test_a_missing_column_is_named(bars_frame: pd.DataFrame, name: str) -> None:
    with pytest.raises(DataError, match=f"column '{name}' is missing") as caught:
        normalise(bars_frame.drop(columns=name))
    assert caught.value.data["field"] == name


def test_a_missing_symbol_says_what_to_pass(bars_frame: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="symbol="):
        normalise(bars_frame.drop(columns="symbol"))


def test_a_symbol_that_contradicts_the_table_is_refused(bars_frame: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="leave symbol"):
        normalise(bars_frame, symbol="A/USD")


@pytest.mark.parametrize("numbers", [[0, 1], [20260105, 20260106], [-5, 1]])
def test_numbers_that_are_no_epoch_are_refused(numbers: list[int]) -> None:
    with pytest.raises(DataError, match="epoch"):
        normalise(trades(numbers), symbol="A")


def test_a_column_that_is_there_twice_is_refused(bars_frame: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="'close'"):
        normalise(bars_frame.assign(Close=1.0))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("bars.xlsx", b"", "unknown type"),
        ("bars.parquet", b"not parquet", "cannot be read"),
        ("bars.feather", b"not feather", "cannot be read"),
        ("bars.csv", b"", "Empty"),
        ("bars.csv", b"timestamp,price,size\n", "no rows"),
        ("bars.csv", b"timestamp,price,size\n1,2,3\n1,2,3,4,5\n", "cannot be read"),
        ("bars.csv", b"\xff\xfe\x00\x01", "cannot be read"),
        ("bars.csv", b"a,b\n1,2\n", "missing"),
    ],
)
def test_a_malformed_file_is_a_clear_error(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        read_table(path)
    assert name in caught.value.message


def test_a_file_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*absent\.csv"):
        read_table(tmp_path / "absent.csv")


@pytest.mark.parametrize("bars", [None, {"close": [1.0]}, ["bars.csv"], pd.Series([1.0])])
def test_what_is_no_table_is_told_its_type(bars: Any) -> None:
    with pytest.raises(DataError, match=f"bars are of type {type(bars).__name__}; allowed: a Data"):
        normalise(bars)


def test_a_folder_is_named_even_where_it_is_the_one_that_we_are_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"{tmp_path.name} is a folder and no recording"):
        read_table(".")


def test_events_are_core_types(bars_frame: pd.DataFrame) -> None:
    first = next(iter(iter_events(normalise(bars_frame))))
    assert first == Bar(
        symbol="A/USD", timestamp=START, open=10.0, high=12.0, low=9.0, close=11.0, volume=5.0
    )
    quote, _ = iter_events(normalise(pd.DataFrame({"timestamp": TIMES, **QUOTES}), symbol="A"))
    assert quote == Quote(symbol="A", timestamp=START, bid=1.0, ask=1.5, bid_size=1.0, ask_size=0.0)
    assert isinstance(quote.bid, float)


def test_four_times_the_rows_take_about_four_times_as_long() -> None:
    few, many = (
        normalise(trades(pd.date_range(START, periods=rows, freq="s")), symbol="A")
        for rows in (2_500, 10_000)
    )
    assert len(list(iter_events(many))) == 10_000
    fastest = [
        min(_seconds(lambda table=table: list(iter_events(table))) for _ in range(5))
        for table in (few, many)
    ]
    assert fastest[1] < 10 * fastest[0]  # 16 times where each row looks at all


def _seconds(work: Callable[[], object]) -> float:
    start = process_time()
    work()
    return process_time() - start


def test_bars_of_bars_are_the_recorded_ones(bars_frame: pd.DataFrame) -> None:
    table = normalise(bars_frame)
    assert bars_of(table) is table.frame
    with pytest.raises(DataError, match="bars of 60 s"):
        bars_of(table, timeframe=300.0)


def test_a_spread_is_kept_where_bars_have_one(bars_frame: pd.DataFrame) -> None:
    with_spread = bars_frame.assign(spread=[0.01, *[None] * (len(bars_frame) - 1)])
    bars = [event for event in iter_events(normalise(with_spread)) if isinstance(event, Bar)]
    assert [bar.spread for bar in bars][:2] == [0.01, None]
    assert frame_of(bars)["spread"].tolist()[0] == 0.01
    assert "spread" not in frame_of([replace(bar, spread=None) for bar in bars]).columns
    for wrong in (-0.01, math.inf, "wide"):
        bad = bars_frame.assign(spread=[wrong, *[None] * (len(bars_frame) - 1)])
        with pytest.raises(DataError, match="column 'spread'"):
            normalise(bad)


def test_bars_of_quotes_carry_their_spread(shared_data: Path) -> None:
    table = read_table(shared_data / "quotes_1min_crypto_2018.parquet")
    bars = bars_of(table)
    quotes = table.frame
    assert bars["spread"].tolist() == (quotes["ask"] - quotes["bid"]).tolist()


def test_selecting_symbols(bars_frame: pd.DataFrame) -> None:
    table = normalise(bars_frame)
    assert table.select(["B/USD"]).symbols == ("B/USD",)
    with pytest.raises(DataError, match="A/USD, B/USD"):
        table.select(["C/USD"])


finite = st.floats(0.01, 1e9)
ticks = st.lists(
    st.tuples(st.integers(0, 2000), st.sampled_from(["A", "B", "C/USD"]), finite, finite),
    min_size=1,
    max_size=60,
)


@settings(deadline=None, max_examples=40)
@given(ticks)
def test_bars_of_a_whole_table_equal_those_built_live(
    rows: list[tuple[int, str, float, float]],
) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    times = [START + timedelta(seconds=row[0]) for row in rows]
    symbols, prices, sizes = ([row[i] for row in rows] for i in (1, 2, 3))
    table = normalise(trades(times, symbol=symbols, price=prices, size=sizes))
    builder = BarBuilder(60.0)
    live = [bar for t in iter_events(table) for bar in builder.on_trade(t) if bar.final]  # type: ignore[arg-type]
    live += builder.flush()
    again = list(iter_events(normalise(bars_of(table))))
    assert again == live


@settings(deadline=None, max_examples=40)
@given(ticks)
def test_a_table_holds_what_it_was_given_in_order(
    rows: list[tuple[int, str, float, float]],
) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    times = [START + timedelta(seconds=row[0]) for row in rows]
    symbols, prices, sizes = ([row[i] for row in rows] for i in (1, 2, 3))
    table = normalise(trades(times, symbol=symbols, price=prices, size=sizes))
    given_trades = [
        Trade(symbol=s, timestamp=t, price=p, size=z)
        for t, s, p, z in zip(times, symbols, prices, sizes, strict=True)
    ]
    assert list(iter_events(table)) == sorted(given_trades, key=lambda t: (t.timestamp, t.symbol))
