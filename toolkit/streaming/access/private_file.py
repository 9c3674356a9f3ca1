"""Small files that only their owner may read, changed by several processes at once.

A change is written whole to a draft and renamed; changes of several processes take turns. Readers
never wait: they see the file before or after a change.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson

from toolkit.errors import ConfigError

LOCK_SECONDS = 5.0
_POLL_SECONDS = 0.01

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what changes whenever the file does, None when there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from error
    return found.st_mtime_ns, found.st_size, found.st_ino


def read(path: Path) -> str | None:
    """Return the text of a private file, None when there is none.

    Raises ConfigError when others may read it, or when it cannot be read.
    """
    try:
        with path.open("rb") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                raise ConfigError(
                    f"{path} can be read by others; make it private with: chmod 600 {path}",
                    field=path.name,
                    allowed="mode 0600",
                )
            return file.read().decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from error


def write(path: Path, text: str) -> None:
    """Put `text` in the place of the file, whole and on the disk, with mode 0600."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with suppress(FileNotFoundError):
            draft.unlink()
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise _unusable(path, error) from error


@contextmanager
def locked(path: Path, *, within: float = LOCK_SECONDS) -> Iterator[None]:
    """Let one process at a time change the file; makes its folder (mode 0700) when missing.

    Waits at most `within` seconds and blocks the thread: never call it in an event loop. Raises
    ConfigError when the folder cannot be written or another process keeps the lock.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        _wait_for(lock, path, within)
        yield
    finally:
        os.close(lock)


class Ledger:
    """A private JSON object in a file; `change` is one process's turn.

    `path` None keeps it in memory only.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._memory: dict[str, object] = {}

    @property
    def stamp(self) -> tuple[int, int, int] | None:
        """What changes whenever the file does; None without a file."""
        return stamp(self._path) if self._path else None

    def read(self) -> dict[str, object]:
        """Return the entries; raises ConfigError when the file is unreadable or no JSON object."""
        if self._path is None:
            return dict(self._memory)
        text = read(self._path)
        if text is None:
            return {}
        try:
            entries = orjson.loads(text)
        except ValueError:
            entries = None
        if not isinstance(entries, dict):
            raise ConfigError(
                f"{self._path} is damaged; restore it, or remove it (which forgets what it held)",
                field=self._path.name,
            )
        return entries

    def change(self, edit: Callable[[dict[str, object]], None]) -> dict[str, object]:
        """Read the entries, let `edit` change them, write them; returns them as they are now."""
        if self._path is None:
            edit(self._memory)
            return dict(self._memory)
        with locked(self._path):
            entries = self.read()
            edit(entries)
            write(self._path, orjson.dumps(entries).decode())
        return entries


def _wait_for(lock: int, path: Path, within: float) -> None:
    deadline = time.monotonic() + within
    while True:
        try:
            _try_lock(lock)
        except OSError as error:
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"another process has held {path}.lock for {within:g} s; end it, then try again"
                ) from error
            time.sleep(_POLL_SECONDS)
        else:
            return


def _unusable(path: Path, error: Exception) -> ConfigError:
    reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
    return ConfigError(
        f"{path} cannot be used: {reason}; give another with TOOLKIT_SECRET_FILE, "
        "or make it readable and its folder writable",
        field=path.name,
    )
