"""What delivery needs of a WebSocket that it writes to itself."""

from __future__ import annotations

from typing import Protocol

# Where the ASGI scope's `extensions` hold the connection.
EXTENSION = "toolkit.connection"


class Watcher(Protocol):
    """Who is told how the connection fares."""

    def filled(self) -> None:
        """More was written than the peer takes; nothing else should be."""
        ...

    def emptied(self) -> None:
        """The peer has taken what was written."""
        ...

    def lost(self) -> None:
        """The connection is gone."""
        ...


class Connection(Protocol):
    """One WebSocket. `full`: between `filled` and `emptied`; `deflates`: it reads `deflated`."""

    full: bool
    deflates: bool
    watcher: Watcher | None

    @property
    def waiting(self) -> int:
        """Bytes that were written and not taken yet."""
        ...

    def write(self, messages: bytes) -> bool:
        """Write complete messages; False, and nothing written, when it is closing or closed."""
        ...

    def cut(self) -> None:
        """Close at once, whatever waits."""
        ...
