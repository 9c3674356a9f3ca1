"""What a client is subscribed to, so that a new connection can ask for the same."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class _Wanted:
    """Symbols of one stream; `everything` with the exceptions in `without`."""

    everything: bool = False
    symbols: set[str] = field(default_factory=set)
    without: set[str] = field(default_factory=set)


class Subscriptions:
    """The sum of all `subscribe` and `unsubscribe` calls."""

    def __init__(self) -> None:
        self._wanted: dict[str, _Wanted] = {}
        self.max_rate: float | None = None

    def add(self, streams: Sequence[str], symbols: Sequence[str] | None) -> None:
        """Note a confirmed subscription."""
        for stream in streams:
            wanted = self._wanted.setdefault(stream, _Wanted())
            if symbols is None:
                wanted.everything = True
                wanted.without.clear()
            elif wanted.everything:
                wanted.without.difference_update(symbols)
            else:
                wanted.symbols.update(symbols)

    def remove(self, streams: Sequence[str], symbols: Sequence[str] | None) -> list[str]:
        """Note a confirmed unsubscription; returns the streams that are wanted no longer."""
        gone = []
        for stream in streams:
            wanted = self._wanted.get(stream)
            if wanted is None:
                continue
            if symbols is not None and wanted.everything:
                wanted.without.update(symbols)
            elif symbols is not None:
                wanted.symbols.difference_update(symbols)
            if symbols is None or not (wanted.everything or wanted.symbols):
                del self._wanted[stream]
                gone.append(stream)
        return gone

    def covers(self, stream: str, symbol: str | None) -> bool:
        """Whether messages of `stream` and `symbol` (None = all) are wanted already."""
        wanted = self._wanted.get(stream)
        if wanted is None:
            return False
        if symbol is None:
            return wanted.everything and not wanted.without
        return symbol not in wanted.without if wanted.everything else symbol in wanted.symbols

    def excludes(self, stream: str, symbol: str | None) -> bool:
        """Whether messages of `symbol` are unwanted although those of all others are wanted."""
        wanted = self._wanted.get(stream)
        return wanted is not None and symbol in wanted.without

    def keep_only(self, symbols: Collection[str]) -> list[str]:
        """Forget the symbols that the server has not; returns these."""
        gone = set()
        for stream, wanted in list(self._wanted.items()):
            lost = wanted.symbols.difference(symbols)
            gone |= lost
            wanted.symbols -= lost
            wanted.without.intersection_update(symbols)
            if not (wanted.everything or wanted.symbols):
                del self._wanted[stream]
        return sorted(gone)

    def requests(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the events and bodies that ask for all of this again, each stream once."""
        groups: dict[tuple[str, ...] | None, list[str]] = {}
        for stream, wanted in self._wanted.items():
            key = None if wanted.everything else tuple(sorted(wanted.symbols))
            groups.setdefault(key, []).append(stream)
        return [
            *(
                ("subscribe", selection(streams, symbols, self.max_rate))
                for symbols, streams in groups.items()
            ),
            *(
                ("unsubscribe", selection([stream], sorted(wanted.without)))
                for stream, wanted in self._wanted.items()
                if wanted.without
            ),
        ]


def selection(
    streams: Sequence[str], symbols: Sequence[str] | None, max_rate: float | None = None
) -> dict[str, Any]:
    """Return the body of `subscribe` or `unsubscribe`."""
    body: dict[str, Any] = {"stream_types": list(streams)}
    if symbols is not None:
        body["symbols"] = list(symbols)
    if max_rate is not None:
        body["max_rate"] = max_rate
    return body
