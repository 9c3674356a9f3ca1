"""Reads files into frames; everything that can go wrong with a file becomes a DataError."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import DataError
from toolkit.market.recording import Recording, is_recording
from toolkit.market.recording_tables import bars_frame

if TYPE_CHECKING:
    import pandas as pd


def read_file(path: Path) -> pd.DataFrame:
    """Read .parquet, .csv or .feather as it is, or a recording's bars; raises DataError."""
    import pandas as pd
    import pyarrow as pa

    if is_recording(path):
        return bars_frame(Recording(path))

    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".parquet": _read_parquet,
        ".csv": _read_csv,
        ".feather": pd.read_feather,
    }
    reader = readers.get(path.suffix.lower())
    name = path.name or path.resolve().name
    allowed = ", ".join(readers)
    if path.is_dir():
        what = f"{name} is a folder and no recording; name a file: {allowed}"
        raise DataError(what, field="file", row=None, value=str(path), allowed=allowed)
    if reader is None:
        what = f"{name} is of an unknown type; allowed: {allowed}; convert it"
        raise DataError(what, field="file", row=None, value=str(path), allowed=allowed)
    if not path.exists():
        what = f"there is no file {path}; check the path"
        raise DataError(what, field="file", row=None, value=str(path), allowed="a file")
    try:
        frame = reader(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        what = f"{path.name} cannot be read as {path.suffix.lower()}: {error}; check path and file"
        raise DataError(what, field="file", row=None, value=str(path), allowed=allowed) from error
    give_back()
    return frame


def give_back() -> None:
    """Return memory that Arrow has used and keeps."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def _read_parquet(path: Path) -> pd.DataFrame:
    from pyarrow import parquet

    # The same frame as of pd.read_parquet, which loads Arrow's datasets: 15 MB more.
    with parquet.ParquetFile(path) as file:
        frame: pd.DataFrame = file.read().to_pandas()
    return frame


def _read_csv(path: Path) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow import csv

    # Told to be text, the tickers TRUE and 700 stay tickers.
    text = dict.fromkeys(("symbol", "Symbol", "SYMBOL"), pa.string())
    frame: pd.DataFrame = csv.read_csv(
        path, convert_options=csv.ConvertOptions(column_types=text)
    ).to_pandas()
    return frame
