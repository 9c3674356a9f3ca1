"""What one client wants of one stream."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple


class Wish(NamedTuple):
    """What is wanted of one stream: `symbols`, or everything but `symbols`.

    Among named symbols, None stands for messages without one.
    """

    everything: bool
    symbols: frozenset[str | None]


class Interest:
    """Wanted symbols, and for each the seq after which the client gets its messages live.

    Messages without a symbol go to everybody who wants anything of the stream; they are kept
    under the symbol None. All symbols can be wanted, with exceptions.
    """

    def __init__(self) -> None:
        self._since: dict[str | None, int] = {}
        self._others: int | None = None
        self._without: set[str] = set()

    def since(self, symbol: str | None) -> int | None:
        """Return the seq after which `symbol` is live; None if it is not wanted."""
        if symbol in self._since:
            return self._since[symbol]
        return None if symbol in self._without else self._others

    @property
    def wish(self) -> Wish:
        """What is wanted now."""
        if self._others is not None:
            return Wish(True, frozenset(self._without))
        return Wish(False, frozenset(self._since))

    def add(self, symbols: Collection[str] | None, now: int) -> None:
        """Want `symbols` (None = all) from seq `now` on; what is wanted already stays as it is."""
        self._since.setdefault(None, now)
        if symbols is None:
            self._since.update(dict.fromkeys(self._without, now))
            self._without.clear()
            if self._others is None:
                self._others = now
            return
        for symbol in symbols:
            if self.since(symbol) is None:
                self._since[symbol] = now
                self._without.discard(symbol)

    def remove(self, symbols: Collection[str] | None) -> None:
        """Want `symbols` (None = all) no longer."""
        if symbols is None:
            self._since.clear()
            self._without.clear()
            self._others = None
            return
        for symbol in symbols:
            self._since.pop(symbol, None)
            if self._others is not None:
                self._without.add(symbol)
        if self._others is None and set(self._since) <= {None}:
            self._since.clear()

    def rewind(self, seq: int) -> None:
        """Note that everything after `seq` has been delivered to this client."""
        self._since = {symbol: min(since, seq) for symbol, since in self._since.items()}
        if self._others is not None:
            self._others = min(self._others, seq)

    def __bool__(self) -> bool:
        return bool(self._since)
