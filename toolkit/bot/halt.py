"""The kill switch: a file that outlives the bot, and that anybody may create by hand."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltOrder:
    """No entries until a person lifts it; `flatten` also closes what is held."""

    who: str
    reason: str = ""
    flatten: bool = False

    @property
    def text(self) -> str:
        """The reason of the closed gate."""
        why = f": {self.reason}" if self.reason else ""
        return f"halted by {self.who}{why}; `toolkit resume` lifts it"


class HaltSwitch:
    """The halt of one bot, kept in the file `path`; None keeps it for this run only.

    The file made by `throw` is JSON. An empty file halts too, and one with other text halts for
    that reason. Removing it lifts the halt.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._memory: HaltOrder | None = None

    @property
    def path(self) -> Path | None:
        """The file, which may not exist."""
        return self._path

    def order(self) -> HaltOrder | None:
        """Return the halt now in force; a file that cannot be read halts."""
        if self._path is None or self._memory is not None:
            return self._memory
        try:
            text = self._path.read_text(errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            return HaltOrder(who="a halt file that cannot be read", reason=str(error))
        return _read(text.strip())

    def throw(self, order: HaltOrder) -> None:
        """Halt; raises OSError where it cannot be written down, and holds for this run then."""
        if self._path is None:
            self._memory = order
            return
        try:
            write_durably(self._path, json.dumps(asdict(order)))
        except OSError:
            self._memory = order
            raise

    def lift(self) -> bool:
        """End the halt; True when there was one. Raises OSError where the file stays."""
        found = self.order() is not None
        self._memory = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        return found


def write_durably(path: Path, text: str) -> None:
    """Write a small file whole or not at all, readable by its user only; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _read(text: str) -> HaltOrder:
    try:
        values: dict[str, Any] = json.loads(text)
        return HaltOrder(
            who=str(values["who"]),
            reason=str(values.get("reason", "")),
            flatten=values.get("flatten") is True,
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return HaltOrder(who="the halt file", reason=text[:200])
