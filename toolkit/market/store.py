"""Bars on disk: one Parquet dataset, and what of it is known to be complete.

`feed=iex/adjustment=raw/timeframe=60/symbol=AAPL/2026-01.parquet`, a file for each month (UTC).
Beside them `_known.json` lists the spans that were fetched, empty ones included.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import orjson
from filelock import FileLock, Timeout

from toolkit.core.types import Bar
from toolkit.errors import DataError
from toolkit.market.spans import Span, merged, without

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)
COLUMNS = ("open", "high", "low", "close", "volume")
LOCK_SECONDS = 30.0
_EXCHANGE = ZoneInfo("America/New_York")
_KNOWN, _LOCK = "_known.json", ".lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The bars of one symbol from one source; `timeframe` in seconds."""

    feed: str
    adjustment: str
    timeframe: float
    symbol: str

    @property
    def place(self) -> Path:
        """The folder of the series, below the store's."""
        parts = {
            "feed": self.feed,
            "adjustment": self.adjustment,
            "timeframe": f"{self.timeframe:g}",
            "symbol": self.symbol,
        }
        return Path(*(f"{name}={quote(value, safe='')}" for name, value in parts.items()))


class BarStore:
    """Keeps final bars below `root`; any number of processes may use it at once.

    Files are replaced whole. One that cannot be read is set aside beside its place with a word in
    the log, and its month is missing again. Adjusted prices change with every split and dividend,
    so they are known for the day in New York on which they were fetched; raw ones for ever.
    """

    def __init__(self, root: Path, *, clock: Callable[[], datetime]) -> None:
        self._root = root
        self._clock = clock

    @property
    def root(self) -> Path:
        """The folder of the dataset."""
        return self._root

    def missing(self, series: Series, span: Span) -> list[Span]:
        """Return the parts of a span that were never fetched, oldest first."""
        return without(span, self._known(series))

    def write(self, series: Series, span: Span, bars: Sequence[Bar]) -> None:
        """Keep all bars that there are in a span; raises DataError when the store is busy."""
        inside = [bar for bar in bars if span.start <= bar.timestamp < span.end]
        with self._locked(series) as folder:
            for month in _months(span):
                new = [bar for bar in inside if _month(bar.timestamp) == month]
                self._replace_month(series, folder / f"{month}.parquet", span, new)
            known = merged([*self._known(series), span])
            self._write_known(folder / _KNOWN, known)

    def read(self, series: Series, span: Span) -> pd.DataFrame:
        """Return the kept bars of a span: timestamp (UTC), open, high, low, close, volume.

        A damaged file is set aside; then `missing` says what has to be fetched again.
        """
        import pandas as pd

        folder = self._root / series.place
        frames = [
            frame
            for month in _months(span)
            if (frame := self._read_month(series, folder / f"{month}.parquet")) is not None
        ]
        frame = pd.concat(frames, ignore_index=True) if frames else frame_of_bars([])
        inside = (frame["timestamp"] >= span.start) & (frame["timestamp"] < span.end)
        return frame[inside].reset_index(drop=True)

    def _replace_month(self, series: Series, path: Path, span: Span, new: Sequence[Bar]) -> None:
        import pandas as pd

        old = self._read_month(series, path)
        if old is None and not new:
            return
        frame = frame_of_bars(new)
        if old is not None:
            kept = old[(old["timestamp"] < span.start) | (old["timestamp"] >= span.end)]
            frame = pd.concat([kept, frame], ignore_index=True) if len(kept) else frame
        ordered = frame.sort_values("timestamp", ignore_index=True)
        with _draft(path) as draft:
            _write_parquet(ordered, draft)

    def _read_month(self, series: Series, path: Path) -> pd.DataFrame | None:
        import pyarrow as pa
        from pyarrow import parquet

        if not path.is_file():
            return None
        try:
            with parquet.ParquetFile(path, page_checksum_verification=True) as file:
                frame: pd.DataFrame = file.read().to_pandas()
            return frame[["timestamp", *COLUMNS]]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            self._set_aside(series, path, error)
            return None

    def _set_aside(self, series: Series, path: Path, error: Exception) -> None:
        with self._locked(series) as folder:
            aside = path.with_name(f"_{path.name}.{self._clock():%Y%m%dT%H%M%S%f}.damaged")
            if path.is_file():
                path.replace(aside)
            year, month = (int(part) for part in path.stem.split("-"))
            lost = Span(datetime(year, month, 1, tzinfo=UTC), _next_month(year, month))
            known = [part for span in self._known(series) for part in without(span, [lost])]
            self._write_known(folder / _KNOWN, known)
        log.warning("%s is damaged (%s): set aside as %s, fetched again", path, error, aside.name)

    def _known(self, series: Series) -> list[Span]:
        path = self._root / series.place / _KNOWN
        try:
            content = orjson.loads(path.read_bytes())
            spans = [Span(*map(datetime.fromisoformat, pair)) for pair in content["spans"]]
            fresh = series.adjustment == "raw" or content["day"] == self._today()
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s is damaged (%s): all of it is fetched again", path, error)
            return []
        return spans if fresh else []

    def _write_known(self, path: Path, known: Sequence[Span]) -> None:
        spans = [[span.start.isoformat(), span.end.isoformat()] for span in known]
        with _draft(path) as draft:
            draft.write_bytes(orjson.dumps({"day": self._today(), "spans": spans}))

    def _today(self) -> str:
        return self._clock().astimezone(_EXCHANGE).date().isoformat()

    @contextmanager
    def _locked(self, series: Series) -> Iterator[Path]:
        folder = self._root / series.place
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # One lock for each folder and process, so that a thread may take it again.
            with FileLock(folder / _LOCK, timeout=LOCK_SECONDS, is_singleton=True):
                yield folder
        except Timeout:
            raise DataError(
                f"{folder} is held by another process for {LOCK_SECONDS:g} s; end it, or try again",
                field="store",
                value=str(folder),
            ) from None


def frame_of_bars(bars: Sequence[Bar]) -> pd.DataFrame:
    """Return bars of one symbol as the store keeps them."""
    import numpy as np
    import pandas as pd

    times = pd.to_datetime([bar.timestamp for bar in bars], utc=True).as_unit("us")
    columns: dict[str, Any] = {"timestamp": times}
    for name in COLUMNS:
        columns[name] = np.array([getattr(bar, name) for bar in bars], dtype=np.float64)
    return pd.DataFrame(columns)


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.Table.from_pandas(frame, preserve_index=False)
    parquet.write_table(table, path, compression="zstd", write_page_checksum=True)


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """Give a file to write, which then takes the place of `path` at once."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _month(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m}"


def _next_month(year: int, month: int) -> datetime:
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)


def _months(span: Span) -> Iterator[str]:
    start = span.start.astimezone(UTC)
    while start < span.end:
        yield _month(start)
        start = _next_month(start.year, start.month)
