"""The store of runs: SQLite for what was asked and found, Parquet for the tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from toolkit.errors import ConfigError, StoreError
from toolkit.research.plotting import Plotter
from toolkit.research.store.code import code_version
from toolkit.research.store.database import Database
from toolkit.research.store.entries import entry_of, result_of
from toolkit.research.store.folder import research_folder
from toolkit.research.store.frames import delete_frames, read_frame, write_frames
from toolkit.research.store.record import Entry, Record, to_json
from toolkit.research.store.reproduction import (
    RUNNERS,
    Loader,
    Reproduction,
    Runner,
    bars_of_file,
    reproduce,
)
from toolkit.research.store.runs import Runs
from toolkit.research.store.trials import TrialLedger
from toolkit.research.sweeps.table import SweepTable

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.research.tape import Bars

VERSION = 1
_TABLES = """
create table if not exists runs (
    id text primary key, kind text not null, at text not null, symbols text not null,
    record text not null);
create index if not exists runs_at on runs (at);
"""


class RunStore:
    """A folder of runs, safe for several processes. All methods raise StoreError."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], datetime],
        loader: Loader = bars_of_file,
        runners: Mapping[str, Runner] = RUNNERS,
        plotter: Plotter | None = None,
    ) -> None:
        self.folder = folder
        self._plotter = plotter
        self._loader, self._runners = loader, runners
        self.trials = TrialLedger(folder / "trials.sqlite", clock=clock)
        self._file = Database(folder / "runs.sqlite", tables=_TABLES, version=VERSION)
        self._clock = clock

    @classmethod
    def open(
        cls,
        path: Path | str | None = None,
        *,
        loader: Loader = bars_of_file,
        runners: Mapping[str, Runner] = RUNNERS,
        plotter: Plotter | None = None,
    ) -> Self:
        """Return the store in a folder, by default `research` in the user's state folder.

        `loader` finds the bars of a record again; `runners` ask a kind of run again; `plotter`
        draws what comes out.
        """
        folder = research_folder(path)
        return cls(
            folder,
            clock=lambda: datetime.now(UTC),
            loader=loader,
            runners=runners,
            plotter=plotter,
        )

    def save(self, result: Any, *, seconds: float = 0.0, **options: Any) -> str:
        """Keep a BacktestRun, a SweepTable or whatever has an `entry()`; returns its id.

        The same run again replaces itself. `seconds` is how long it took; `options` is what else
        was asked (JSON-ready). Raises ConfigError for a result of unknown kind.
        """
        return self.put(entry_of(result, **options), seconds=seconds)

    def put(self, entry: Entry, *, seconds: float = 0.0) -> str:
        """Keep an entry; returns its id."""
        record = Record.of(entry, at=self._clock(), seconds=seconds, code=code_version())
        row = (
            record.id, record.kind, record.at.isoformat(), " ".join(record.data.symbols),
            to_json(record.to_dict()),
        )  # fmt: skip
        try:
            write_frames(self.folder, record.id, entry.frames)
            with self._file.writing() as file:
                file.execute("insert or replace into runs values (?,?,?,?,?)", row)
        except StoreError:
            self._clear(record.id)
            raise
        return record.id

    def _clear(self, run: str) -> None:
        """Remove the tables of a run that could not be kept, unless it was kept before."""
        with suppress(StoreError):
            with self._file.reading() as file:
                known = file.execute("select 1 from runs where id = ?", (run,)).fetchone()
            if known is None:
                delete_frames(self.folder, run)

    def runs(self) -> Runs:
        """Return all runs, the latest first."""
        with self._file.reading() as file:
            rows = file.execute("select id, record from runs order by at desc, id").fetchall()
        records, unread = [], []
        for run, text in rows:
            try:
                records.append(Record.from_dict(json.loads(text)))
            except (StoreError, ValueError):
                unread.append(run)
        return Runs(records=tuple(records), unread=tuple(unread), store=self)

    def record(self, run: str) -> Record:
        """Return the facts of a run; `run` is its id or the beginning of it.

        Raises ConfigError where there is no such run, or more than one.
        """
        return Record.from_dict(self._row(run))

    def frame(self, run: str, name: str) -> pd.DataFrame:
        """Return one of the tables of a run; raises ConfigError for an unknown name."""
        record = self.record(run)
        if name not in record.frames:
            raise ConfigError(
                f"run {record.id} has no {name!r}; it has {', '.join(record.frames)}",
                field="name",
                value=name,
                allowed=list(record.frames),
            )
        return read_frame(self.folder, record.id, name)

    def load(self, run: str) -> Any:
        """Return a run as a result: a SweepTable as it was, of others a SavedRun."""
        record = self.record(run)
        frames = {name: read_frame(self.folder, record.id, name) for name in record.frames}
        result = result_of(record, frames)
        if isinstance(result, SweepTable):
            known = partial(self.trials.known, record.data.key)
            return replace(result, id=record.id, known=known, plotter=self._plotter)
        return result

    def reproduce(self, run: str, bars: pd.DataFrame | Bars | None = None) -> Reproduction:
        """Run it again, on `bars` or what the loader finds, and compare to the bit."""
        record = self.record(run)
        frames = {name: read_frame(self.folder, record.id, name) for name in record.frames}
        found = reproduce(record, frames, bars, loader=self._loader, runners=self._runners)
        return replace(found, result=replace(found.result, plotter=self._plotter))

    def delete(self, run: str) -> str:
        """Forget a run and its tables, not its trials; returns the id."""
        found = str(self._row(run)["id"])
        with self._file.writing() as file:
            file.execute("delete from runs where id = ?", (found,))
        delete_frames(self.folder, found)
        return found

    def _row(self, run: str) -> dict[str, Any]:
        with self._file.reading() as file:
            rows = file.execute(
                "select record from runs where substr(id, 1, ?) = ? limit 3", (len(run), run)
            ).fetchall()
        if len(rows) != 1 or not run:
            several = "more than one run" if rows else "no run"
            raise ConfigError(
                f"there is {several} {run!r}; tk.runs() or `toolkit runs` lists them",
                field="run",
                value=run,
                allowed="an id, or the beginning of one",
            )
        values: dict[str, Any] = json.loads(rows[0][0])
        return values
