"""Who gets a message: found by stream and symbol, kept up to date one client at a time."""

from __future__ import annotations

from typing import Protocol

from toolkit.streaming.hub.frames import Frame
from toolkit.streaming.hub.interest import Wish
from toolkit.streaming.wire import Stream

Wishes = frozenset[tuple[Stream, Wish]]


class Sink(Protocol):
    """Where frames go: the mailbox of one client, or of many that want the same."""

    def push(self, frame: Frame) -> None:
        """Add one frame; never blocks, never raises."""
        ...


class Audiences:
    """Sinks by what they want. Adding or removing one costs as much as it names symbols."""

    def __init__(self) -> None:
        # Those that want all symbols of a stream, with their exceptions.
        self._all: dict[Stream, dict[Sink, frozenset[str | None]]] = {s: {} for s in Stream}
        self._named: dict[tuple[Stream, str | None], dict[Sink, None]] = {}

    def add(self, sink: Sink, wishes: Wishes) -> None:
        """Deliver to `sink` from now on what `wishes` say."""
        for stream, wish in wishes:
            if wish.everything:
                self._all[stream][sink] = wish.symbols
            else:
                for symbol in wish.symbols:
                    self._named.setdefault((stream, symbol), {})[sink] = None

    def remove(self, sink: Sink, wishes: Wishes) -> None:
        """Deliver nothing more to `sink`, which was added with these `wishes`."""
        for stream, wish in wishes:
            if wish.everything:
                del self._all[stream][sink]
                continue
            for symbol in wish.symbols:
                sinks = self._named[stream, symbol]
                del sinks[sink]
                if not sinks:
                    del self._named[stream, symbol]

    def wanted(self, stream: Stream, symbol: str | None) -> bool:
        """Whether anybody gets messages of `stream` and `symbol`."""
        if (stream, symbol) in self._named:
            return True
        return any(symbol not in without for without in self._all[stream].values())

    def push(self, stream: Stream, frame: Frame) -> None:
        """Give `frame`, a message of `stream`, to everybody who wants it."""
        symbol = frame.symbol
        for sink, without in self._all[stream].items():
            if symbol not in without:
                sink.push(frame)
        for sink in self._named.get((stream, symbol), ()):
            sink.push(frame)
