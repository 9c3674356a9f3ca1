"""Tables of a run as Parquet files, whole or not there at all."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import StoreError
from toolkit.research.store.database import store_error

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "frames"


def write_frames(folder: Path, run: str, frames: Mapping[str, pd.DataFrame]) -> None:
    """Write the tables of a run; raises StoreError, and then leaves none of them half-written."""
    for name, frame in frames.items():
        path = frame_path(folder, run, name)
        part = path.with_suffix(f".{secrets.token_hex(4)}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            frame.to_parquet(part, compression="zstd", index=False)
            part.replace(path)
        except (OSError, ValueError) as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise store_error(path, "written", error) from error


def read_frame(folder: Path, run: str, name: str) -> pd.DataFrame:
    """Read a table of a run; raises StoreError."""
    import pandas as pd

    path = frame_path(folder, run, name)
    try:
        return pd.read_parquet(path)
    except FileNotFoundError as error:
        raise StoreError(
            f"the {name} of run {run} are gone: {path} is not there; delete the run",
            id=run,
        ) from error
    except (OSError, ValueError) as error:
        raise store_error(path, "read", error) from error


def delete_frames(folder: Path, run: str) -> None:
    """Remove all tables of a run; raises StoreError."""
    for path in (folder / FOLDER).glob(f"{run}-*.parquet"):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise store_error(path, "deleted", error) from error


def frame_path(folder: Path, run: str, name: str) -> Path:
    """Return where a table of a run is kept."""
    return folder / FOLDER / f"{run}-{name}.parquet"
