"""One SQLite file that several processes share; its errors become StoreError."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from toolkit.errors import StoreError

WAIT = 20.0  # seconds for which another process may hold the file


class Database:
    """A file with these tables; each use opens it anew, so that threads and forks may share one.

    `tables` are `create ... if not exists` statements of format `version`. The file is made when
    first written. All methods raise StoreError.
    """

    def __init__(self, path: Path, *, tables: str, version: int) -> None:
        self.path = path
        self._tables, self._version = tables, version

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection for queries."""
        with self._open("read") as file:
            yield file

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give a connection inside one transaction; it is undone where the block raises."""
        with self._open("written") as file:
            file.execute("begin immediate")
            try:
                yield file
            except BaseException:
                if file.in_transaction:
                    file.execute("rollback")
                raise
            file.execute("commit")

    @contextmanager
    def _open(self, what: str) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)) as file:
                self._prepare(file)
                yield file
        except (sqlite3.Error, OSError) as error:
            raise store_error(self.path, what, error) from error

    def _prepare(self, file: sqlite3.Connection) -> None:
        (version,) = file.execute("pragma user_version").fetchone()
        if version > self._version:
            raise StoreError(
                f"{self.path} was written by a newer toolkit (format {version}); update this one",
                path=str(self.path),
            )
        if version < self._version:
            with suppress(sqlite3.OperationalError):  # another process is just making the file
                file.execute("pragma journal_mode=wal")
            file.executescript(f"begin immediate; {self._tables} commit;")
            file.execute(f"pragma user_version={self._version}")
        file.execute("pragma synchronous=normal")


def store_error(path: Path, what: str, error: Exception) -> StoreError:
    """Return the error that says what went wrong with a file, and what to do."""
    reason = str(error)
    return StoreError(f"{path} cannot be {what}: {reason}; {_remedy(reason)}", path=str(path))


def _remedy(reason: str) -> str:
    words = reason.lower()
    if "full" in words or "no space" in words or "i/o" in words:
        return "free some disk space"
    if "locked" in words:
        return "another process holds it; try again"
    if "malformed" in words or "not a database" in words:
        return "the file is damaged: move it away, and a new one is made"
    return "check the folder, or set TOOLKIT_STATE_DIR to another"
