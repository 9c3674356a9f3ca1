"""Bars on disk: what is known stays known, and what is damaged is fetched again."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.dataset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.core.types import Bar
from toolkit.market.spans import Span
from toolkit.market.store import BarStore, Series

START = datetime(2026, 1, 31, 23, tzinfo=UTC)  # the month ends within an hour
MINUTE = timedelta(minutes=1)
SERIES = Series(feed="crypto", adjustment="raw", timeframe=60.0, symbol="BTC/USD")


def at(minute: int) -> datetime:
    return START + minute * MINUTE


def span(start: int, end: int) -> Span:
    return Span(at(start), at(end))


def bar(minute: int, price: float = 0.0) -> Bar:
    p = price or 100.0 + minute
    return Bar(symbol="BTC/USD", timestamp=at(minute), open=p, high=p, low=p, close=p, volume=1.5)


def bars(start: int, end: int) -> list[Bar]:
    return [bar(n) for n in range(start, end)]


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> BarStore:
    return BarStore(tmp_path, clock=clock)


def closes(store: BarStore, wanted: Span, series: Series = SERIES) -> list[float]:
    return store.read(series, wanted)["close"].to_list()


def files(store: BarStore) -> list[Path]:
    return sorted(store.root.rglob("*.parquet"))


def test_what_was_written_is_read_across_months(store: BarStore) -> None:
    store.write(SERIES, span(0, 120), bars(0, 120))
    frame = store.read(SERIES, span(50, 70))
    assert frame["close"].to_list() == [100.0 + n for n in range(50, 70)]
    assert frame["timestamp"].dtype == "datetime64[us, UTC]"
    assert [file.name for file in files(store)] == ["2026-01.parquet", "2026-02.parquet"]


def test_only_what_was_never_fetched_is_missing(store: BarStore) -> None:
    assert store.missing(SERIES, span(0, 90)) == [span(0, 90)]
    store.write(SERIES, span(10, 20), bars(10, 20))
    store.write(SERIES, span(30, 40), [])
    assert store.missing(SERIES, span(0, 90)) == [span(0, 10), span(20, 30), span(40, 90)]


def test_what_is_known_to_be_empty_is_remembered_without_a_file(store: BarStore) -> None:
    store.write(SERIES, span(0, 90), [])
    assert store.missing(SERIES, span(0, 90)) == []
    assert files(store) == []
    assert closes(store, span(0, 90)) == []


def test_a_span_that_is_fetched_again_replaces_its_bars(store: BarStore) -> None:
    store.write(SERIES, span(0, 10), bars(0, 10))
    store.write(SERIES, span(3, 5), [bar(4, 7.0)])
    assert closes(store, span(2, 6)) == [102.0, 7.0, 105.0]


def test_sources_are_kept_apart(store: BarStore) -> None:
    store.write(SERIES, span(0, 10), bars(0, 10))
    for other in (
        replace(SERIES, feed="iex"),
        replace(SERIES, symbol="ETH/USD"),
        replace(SERIES, timeframe=300.0),
        replace(SERIES, adjustment="split"),
    ):
        assert store.missing(other, span(0, 10)) == [span(0, 10)]


def test_it_is_one_dataset_for_whoever_reads_parquet(store: BarStore) -> None:
    store.write(SERIES, span(0, 90), bars(0, 90))
    store.write(replace(SERIES, symbol="ETH/USD"), span(0, 10), bars(0, 10))
    dataset = pyarrow.dataset.dataset(store.root, partitioning="hive")
    table = dataset.to_table(filter=pyarrow.dataset.field("symbol") == "BTC/USD").to_pandas()
    assert len(table) == 90
    assert set(table["feed"]) == {"crypto"}


@pytest.mark.parametrize("how", ["cut", "flipped", "garbage"])
def test_a_damaged_file_is_set_aside_and_its_month_is_missing_again(
    store: BarStore, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    store.write(SERIES, span(0, 120), bars(0, 120))
    january = files(store)[0]
    data = bytearray(january.read_bytes())
    if how == "flipped":
        data[len(data) // 4] ^= 0xFF
    january.write_bytes({"cut": data[:200], "garbage": b"no bars"}.get(how, data))
    with caplog.at_level(logging.WARNING):
        assert closes(store, span(0, 120)) == [100.0 + n for n in range(60, 120)]
    assert "fetched again" in caplog.text
    assert store.missing(SERIES, span(0, 120)) == [span(0, 60)]
    assert len(list(store.root.rglob("*.damaged"))) == 1
    store.write(SERIES, span(0, 60), bars(0, 60))
    assert len(closes(store, span(0, 120))) == 120


def test_a_damaged_list_of_what_is_known_forgets_and_says_so(
    store: BarStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.write(SERIES, span(0, 10), bars(0, 10))
    (store.root / SERIES.place / "_known.json").write_bytes(b"{")
    with caplog.at_level(logging.WARNING):
        assert store.missing(SERIES, span(0, 10)) == [span(0, 10)]
    assert "damaged" in caplog.text


def test_what_ends_in_the_middle_of_writing_leaves_the_old_file(
    store: BarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(SERIES, span(0, 10), bars(0, 10))

    def fail(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        store.write(SERIES, span(10, 20), bars(10, 20))
    assert closes(store, span(0, 20)) == [100.0 + n for n in range(10)]
    assert store.missing(SERIES, span(0, 20)) == [span(10, 20)]
    assert list(store.root.rglob("*.draft")) == []


def test_adjusted_prices_are_known_for_a_day_and_raw_ones_for_ever(
    store: BarStore, clock: Clock
) -> None:
    adjusted = replace(SERIES, adjustment="all")
    for series in (SERIES, adjusted):
        store.write(series, span(0, 10), bars(0, 10))
    assert store.missing(adjusted, span(0, 10)) == []
    clock.now += timedelta(days=1)
    assert store.missing(adjusted, span(0, 10)) == [span(0, 10)]
    assert store.missing(SERIES, span(0, 10)) == []


WRITER = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from toolkit.core.types import Bar
from toolkit.market.spans import Span
from toolkit.market.store import BarStore, Series
start = datetime(2026, 1, 31, 23, tzinfo=UTC)
series = Series(feed="crypto", adjustment="raw", timeframe=60.0, symbol="BTC/USD")
store = BarStore(Path(sys.argv[1]), clock=lambda: start)
print("ready", flush=True)
sys.stdin.readline()
for n in range(int(sys.argv[2]), 40, 2):
    at = start + timedelta(minutes=n)
    p = 100.0 + n
    bar = Bar(symbol="BTC/USD", timestamp=at, open=p, high=p, low=p, close=p, volume=1.5)
    store.write(series, Span(at, at + timedelta(minutes=1)), [bar])
"""


def test_two_processes_may_write_at_once(store: BarStore) -> None:
    root = Path(__file__).parents[2]
    pipe = subprocess.PIPE
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(store.root), n], cwd=root, stdin=pipe, stdout=pipe
        )
        for n in "01"
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert store.missing(SERIES, span(0, 40)) == []
    assert closes(store, span(0, 40)) == [100.0 + n for n in range(40)]


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 30), st.booleans()), max_size=5))
@settings(max_examples=12, deadline=None)
def test_the_store_is_a_table_of_what_was_written_last(
    tmp_path_factory: pytest.TempPathFactory, writes: Sequence[tuple[int, int, bool]]
) -> None:
    store = BarStore(tmp_path_factory.mktemp("bars"), clock=Clock())
    model: dict[int, float] = {}
    known: set[int] = set()
    for number, (start, length, full) in enumerate(writes):
        step = 1 if full else 3
        chosen = range(start, start + length, step)
        store.write(SERIES, span(start, start + length), [bar(n, number + 1.0) for n in chosen])
        known |= set(range(start, start + length))
        model = {n: p for n, p in model.items() if not start <= n < start + length}
        model |= dict.fromkeys(chosen, number + 1.0)
    assert closes(store, span(0, 120)) == [model[n] for n in sorted(model)]
    missing = {
        n
        for s in store.missing(SERIES, span(0, 120))
        for n in range(120)
        if s.start <= at(n) < s.end
    }
    assert missing == set(range(120)) - known
