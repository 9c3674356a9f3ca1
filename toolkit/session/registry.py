"""Which of our servers run on this machine: one private file per port, readable by its user only.

That is how a restarted kernel finds its bot again, and how `tk.connect()` needs no token here.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from toolkit.runtime import ChildProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRecord:
    """A running server: `ready` once it answers, `error` when it could not start.

    `options` are those it was launched with, as `LaunchOptions.to_dict` gives them; `workers`
    is 0 where one process does it all.
    """

    port: int
    pid: int
    url: str
    token: str
    isolation: str
    started: float
    symbols: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    workers: int = 0
    ready: bool = True
    error: str = ""

    @property
    def alive(self) -> bool:
        """Whether its process still runs."""
        return ChildProcess(self.pid, started=self.started).alive


def link_to(url: str, token: str) -> str:
    """Return the address that a person clicks: the token in it is exchanged for a cookie."""
    return f"{url.rstrip('/')}/?token={token}"


class Registry:
    """The records in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "servers"

    def path(self, key: str) -> Path:
        """The file of one record."""
        return self._directory / f"{key}.json"

    def write(self, key: str, record: ServerRecord) -> None:
        """Store a record at once and whole, with mode 0600."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.path(key)
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(asdict(record)))
        draft.replace(path)

    def read(self, key: str) -> ServerRecord | None:
        """Return a record, None where there is none or it cannot be read."""
        try:
            values: dict[str, Any] = orjson.loads(self.path(key).read_bytes())
            return ServerRecord(**{**values, "symbols": tuple(values["symbols"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def remove(self, key: str) -> None:
        """Forget a record."""
        self.path(key).unlink(missing_ok=True)

    def remove_own(self, record: ServerRecord) -> None:
        """Forget a record unless another process has taken its port since."""
        found = self.read(str(record.port))
        if found and (found.pid, found.started) == (record.pid, record.started):
            self.remove(str(record.port))

    def running(self) -> list[ServerRecord]:
        """Return the servers that run now; records of dead ones are removed."""
        records = []
        for path in sorted(self._directory.glob("[0-9]*.json")):
            record = self.read(path.stem)
            if record is None or not record.alive:
                path.unlink(missing_ok=True)
            elif record.ready:
                records.append(record)
        return records


def bot_folder(state_dir: Path, name: str) -> Path:
    """Where the bots of one name keep what outlives them: journal, halt, losses."""
    return state_dir / "bots" / name


def halt_file(state_dir: Path, name: str) -> Path:
    """The file that halts the bots of one name."""
    return bot_folder(state_dir, name) / "halt"


def log_file(state_dir: Path, name: str) -> Path:
    """Where a child process writes its log."""
    return state_dir / "logs" / f"{name}.log"
