"""Bars, quotes and trades of a recording as tables, in memory or as Parquet files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.core.types import Bar, MarketEvent, Quote, Trade
from toolkit.errors import DataError
from toolkit.market.recording import Recording
from toolkit.market.recording_codec import Entry

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_KINDS: dict[type, str] = {Bar: "bars", Quote: "quotes", Trade: "trades"}
_NUMBERS = {
    "bars": ("open", "high", "low", "close", "volume", "spread"),
    "quotes": ("bid", "bid_size", "ask", "ask_size"),
    "trades": ("price", "size"),
}
_TEXTS = {"bars": ("feed", "adjustment"), "quotes": (), "trades": ()}
_ROWS = 50_000


def bars_frame(recording: Recording) -> pd.DataFrame:
    """Return the final bars as first handed out: the columns that `read_table` takes.

    Raises DataError where there are none.
    """
    frame: pd.DataFrame = _table("bars", ((bar, None) for bar in recording.bars())).to_pandas()
    if frame.empty:
        raise DataError(
            f"{recording.path.name} holds no final bars; record for longer than one bar",
            field="rows",
            row=None,
            value="0",
            allowed="at least one bar",
        )
    return frame


def to_parquet(recording: Recording, folder: Path) -> dict[Path, int]:
    """Write `bars.parquet`, `quotes.parquet` and `trades.parquet`; returns their rows.

    Bars are the final ones as first handed out; `received` is when each came in. Files are
    whole or not there; those that exist are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    waiting: dict[str, list[tuple[Any, Entry]]] = {name: [] for name in _NUMBERS}
    written: dict[Path, int] = {}
    with ExitStack() as stack:
        files = _Files(folder, stack)
        for entry in recording.entries():
            kind = _kind(entry)
            if kind is None:
                continue
            waiting[kind].append((entry.value, entry))
            if len(waiting[kind]) >= _ROWS:
                files.write(kind, waiting.pop(kind))
                waiting[kind] = []
        for kind, rows in waiting.items():
            if rows:
                files.write(kind, rows)
    for draft, path, rows_in_file in files.done():
        draft.replace(path)
        written[path] = rows_in_file
    return written


class _Files:
    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._writers: dict[str, Any] = {}
        self._rows: dict[str, int] = {}

    def _draft(self, kind: str) -> Path:
        return self._folder / f".{kind}.parquet.tmp"

    def write(self, kind: str, rows: Sequence[tuple[Any, Entry]]) -> None:
        """Append rows to the draft of one kind."""
        import pyarrow.parquet as pq

        table = _table(kind, rows)
        if kind not in self._writers:
            writer = pq.ParquetWriter(self._draft(kind), table.schema, compression="zstd")
            self._writers[kind] = self._stack.enter_context(writer)
        self._writers[kind].write_table(table)
        self._rows[kind] = self._rows.get(kind, 0) + len(rows)

    def done(self) -> list[tuple[Path, Path, int]]:
        """Return drafts, their final names and their rows."""
        return [
            (self._draft(kind), self._folder / f"{kind}.parquet", count)
            for kind, count in self._rows.items()
        ]


def _kind(entry: Entry) -> str | None:
    event: MarketEvent = entry.value
    if entry.what != "market" or (isinstance(event, Bar) and not _decided(event)):
        return None
    return _KINDS.get(type(event))


def _decided(bar: Bar) -> bool:
    return bar.final and not bar.revision


def _table(kind: str, rows: Iterable[tuple[Any, Entry | None]]) -> pa.Table:
    import pyarrow as pa

    found = list(rows)
    time = pa.timestamp("us", tz="UTC")
    columns = {
        "timestamp": pa.array([event.timestamp for event, _ in found], time),
        "symbol": pa.array([event.symbol for event, _ in found], pa.string()),
    }
    for name in _NUMBERS[kind]:
        columns[name] = pa.array([getattr(event, name) for event, _ in found], pa.float64())
    for name in _TEXTS[kind]:
        columns[name] = pa.array([getattr(event, name) for event, _ in found], pa.string())
    if found and found[0][1] is not None:
        columns["received"] = pa.array([entry.time for _, entry in found if entry], time)
    return pa.table(columns)
