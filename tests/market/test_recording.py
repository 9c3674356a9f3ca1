"""A recording on disk: every bit comes back, and what a crash cut off is said and skipped."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.core.gates import Gate
from toolkit.core.types import (
    Bar,
    ExitPlan,
    Fill,
    OrderRequest,
    OrderType,
    Quote,
    Reason,
    Side,
    Trade,
)
from toolkit.errors import DataError
from toolkit.market import recording_codec
from toolkit.market.recording import (
    Item,
    Recording,
    RecordingWriter,
    find_recording,
    is_recording,
    new_folder,
)
from toolkit.market.recording_codec import Decoder, Encoder, frames

NOW = datetime(2026, 1, 5, 15, 0, 0, 123456, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES = st.integers(0, 4 * 10**15).map(lambda n: EPOCH + timedelta(microseconds=n))
NUMBERS = st.floats(allow_nan=False)
QUOTES = st.builds(Quote, symbol=st.text(max_size=8), timestamp=TIMES, bid=NUMBERS, ask=NUMBERS)
BARS = st.builds(
    Bar,
    symbol=st.just("AAPL"),
    timestamp=TIMES,
    open=NUMBERS,
    high=NUMBERS,
    low=NUMBERS,
    close=NUMBERS,
    final=st.booleans(),
    feed=st.sampled_from(["", "iex"]),
    revision=st.integers(0, 3),
)
REQUESTS = st.builds(
    OrderRequest,
    client_order_id=st.text(max_size=48),
    symbol=st.just("AAPL"),
    side=st.sampled_from(Side),
    quantity=st.decimals(allow_nan=False, allow_infinity=False),
    reason=st.sampled_from(Reason),
    timestamp=TIMES,
    order_type=st.sampled_from(OrderType),
    limit_price=st.none() | st.decimals(allow_nan=False, allow_infinity=False),
    exits=st.none() | st.builds(ExitPlan, stop_loss=NUMBERS),
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
VALUES = QUOTES | BARS | REQUESTS | PLAIN


def quote(number: int) -> Quote:
    moment = NOW + timedelta(milliseconds=number)
    return Quote(symbol="AAPL", timestamp=moment, bid=100.0 + number, ask=100.5 + number)


def items(count: int, *, start: int = 0) -> list[Item]:
    return [("market", 1_000 * n, quote(n)) for n in range(start, start + count)]


def written(path: Path, *batches: list[Item], closed: bool = True, **options: int) -> Path:
    writer = RecordingWriter(path, about={"symbols": ["AAPL"]}, **options)
    for batch in batches:
        writer.write(batch)
    if closed:
        writer.write([("end", 0, None)])
    writer.close()
    return path


@given(st.lists(st.tuples(st.text(max_size=8), st.integers(0, 2**62), VALUES), max_size=10))
@settings(max_examples=60)
def test_every_value_comes_back_as_it_was(entries: list[Item]):
    encoder = Encoder()
    data = b"".join(encoder.frame(*entry) for entry in entries)
    decoder = Decoder(encoder.schema)
    read = [decoder.entry(payload) for _, payload in frames(data, 0)]
    assert [(e.what, e.received, e.value) for e in read] == entries
    for entry, (_, _, value) in zip(read, entries, strict=True):
        assert type(entry.value) is type(value)


def test_types_and_digits_are_kept():
    fill = Fill(
        order_id="1",
        client_order_id="one",
        symbol="BTC/USD",
        side=Side.SELL,
        price=0.1 + 0.2,
        quantity=Decimal("1.100000000"),
        fee=Decimal("0.00"),
        timestamp=NOW,
        reason=Reason.STOP_LOSS,
    )
    encoder = Encoder()
    ((_, payload),) = frames(encoder.frame("update", 1, fill), 0)
    entry = Decoder(encoder.schema).entry(payload)
    assert entry.value == fill
    assert str(entry.value.quantity) == "1.100000000"
    assert entry.value.side is Side.SELL
    assert entry.value.timestamp.tzinfo is UTC


def test_a_foreign_type_is_refused_when_it_is_written():
    with pytest.raises(TypeError, match="object cannot be recorded"):
        Encoder().frame("market", 0, object())
    Encoder().frame("note", 0, {"gate": Gate.FEED, "nested": [Decimal(1)]})


def test_a_recording_of_an_older_version_gets_defaults_and_a_newer_ones_fields_are_left_out():
    encoder = Encoder()
    ((_, payload),) = frames(encoder.frame("market", 1, quote(1)), 0)
    names = [field.name for field in fields(Quote)]
    old = [["Bar", []], ["Quote", [n if n != "ask_size" else "of_the_future" for n in names]]]
    assert Decoder(old).entry(payload).value == quote(1)


def test_a_type_that_is_not_known_or_lacks_a_field_says_which_version_to_use():
    ((_, payload),) = frames(Encoder().frame("market", 1, quote(1)), 0)
    with pytest.raises(DataError, match="holds Candle"):
        Decoder([["Bar", []], ["Candle", []]]).entry(payload)
    with pytest.raises(DataError, match="the version that made it"):
        Decoder([["Bar", []], ["Quote", ["symbol"]]]).entry(payload)


def test_a_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr("toolkit.market.recording.FORMAT", recording_codec.FORMAT + 1)
        written(tmp_path / "r", items(1))
    with pytest.raises(DataError, match="newer format"):
        Recording(tmp_path / "r")


def test_segments_rotate_and_are_read_as_one(tmp_path: Path):
    path = written(
        tmp_path / "r", *(items(50, start=50 * n) for n in range(20)), segment_bytes=9000
    )
    assert len(list(path.iterdir())) > 3
    recording = Recording(path)
    assert [e.value for e in recording.entries() if e.what == "market"] == [
        quote(n) for n in range(1000)
    ]
    assert recording.notes == []
    assert recording.about == {"symbols": ["AAPL"]}


@given(cut=st.integers(1, 2000))
@settings(max_examples=40)
def test_wherever_it_is_cut_off_what_is_whole_is_read_and_the_rest_is_said(
    tmp_path_factory: pytest.TempPathFactory, cut: int
):
    path = written(tmp_path_factory.mktemp("cut") / "r", items(40))
    (segment,) = path.iterdir()
    data = segment.read_bytes()
    head = (
        len(data)
        - sum(len(Encoder().frame(*item)) for item in items(40))
        - len(Encoder().frame("end", 0, None))
    )
    kept = max(head, len(data) - cut)
    segment.write_bytes(data[:kept])
    recording = Recording(path)
    read = [e.value for e in recording.entries()]
    assert read == [quote(n) for n in range(40)][: len(read)]
    assert len(read) <= 40
    assert "its end is missing" in recording.notes[-1]
    whole = head + sum(len(Encoder().frame(*item)) for item in items(len(read)))
    assert any("bytes are skipped" in note for note in recording.notes) == (kept > whole)


def test_a_flipped_bit_ends_its_segment_and_not_the_recording(tmp_path: Path):
    path = written(tmp_path / "r", items(50), items(50, start=50), segment_bytes=100)
    first = path / "000001.segment"
    data = bytearray(first.read_bytes())
    data[-10] ^= 1
    first.write_bytes(data)
    recording = Recording(path)
    read = [e.value for e in recording.entries() if e.what == "market"]
    assert read == [*(quote(n) for n in range(49)), *(quote(n) for n in range(50, 100))]
    assert "000001.segment is damaged after 49 entries" in recording.notes[0]


def test_a_missing_segment_is_said(tmp_path: Path):
    path = written(tmp_path / "r", *(items(5) for _ in range(3)), segment_bytes=100)
    (path / "000002.segment").unlink()
    recording = Recording(path)
    list(recording.entries())
    assert "a segment that is missing" in recording.notes[0]


def test_what_was_written_outlives_a_sigkill(tmp_path: Path):
    code = """
import os, signal, sys
from pathlib import Path
from tests.market.test_recording import items
from toolkit.market.recording import RecordingWriter
writer = RecordingWriter(Path(sys.argv[1]), about={})
for n in range(30):
    writer.write(items(10, start=10 * n))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "r")], check=False)
    assert done.returncode == -signal.SIGKILL
    recording = Recording(tmp_path / "r")
    assert [e.value for e in recording.entries()] == [quote(n) for n in range(300)]
    assert len(recording.notes) == 1


def test_bars_are_the_final_ones_as_first_handed_out(tmp_path: Path):
    def bar(minute: int, **more: object) -> Bar:
        moment = NOW.replace(microsecond=0) + timedelta(minutes=minute)
        prices = {"open": 1.0, "high": 2.0, "low": 1.0, "close": 2.0}
        return Bar(symbol="AAPL", timestamp=moment, **{**prices, **more})

    handed = [bar(0, final=False), bar(0), bar(0, revision=1, close=1.5), bar(1)]
    entries = [("history", 0, bar(-1)), *(("market", 0, b) for b in handed)]
    path = written(tmp_path / "r", entries)
    assert list(Recording(path).bars()) == [bar(0), bar(1)]


def test_a_folder_of_recordings_is_opened_when_it_holds_one(tmp_path: Path):
    trade = Trade(symbol="AAPL", timestamp=NOW, price=1.0)
    first = written(new_folder(tmp_path, now=NOW), [("market", 0, trade)])
    assert first.name == "20260105T150000Z"
    assert find_recording(tmp_path) == find_recording(first) == first
    second = written(new_folder(tmp_path, now=NOW), items(1))
    assert second.name == "20260105T150000Z-2"
    with pytest.raises(DataError, match=r"several recordings: .*Z, .*Z-2"):
        Recording(tmp_path)
    assert is_recording(tmp_path)
    assert is_recording(first)


def test_what_is_no_recording_says_so(tmp_path: Path):
    assert not is_recording(tmp_path)
    with pytest.raises(DataError, match="is no recording"):
        Recording(tmp_path)
    (tmp_path / "000001.segment").write_bytes(b"something else")
    with pytest.raises(DataError, match="move it away"):
        Recording(tmp_path)


def test_a_writer_never_touches_what_is_there(tmp_path: Path):
    written(tmp_path / "r", items(1))
    with pytest.raises(FileExistsError):
        RecordingWriter(tmp_path / "r", about={}).write(items(1))
    assert (tmp_path / "r" / "000001.segment").stat().st_mode & 0o077 == 0
