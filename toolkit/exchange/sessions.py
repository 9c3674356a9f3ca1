"""Who is connected with which key: one connection each, and stale ones that linger."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from aiohttp import WSCloseCode, web

CLEAN = frozenset({WSCloseCode.OK, WSCloseCode.GOING_AWAY})


class Sessions:
    """At most one session for a key and feed. One that broke is held for `hold` real seconds."""

    def __init__(self, *, hold: float, monotonic: Callable[[], float]) -> None:
        self._hold = hold
        self._monotonic = monotonic
        self._taken: dict[tuple[str, str], object] = {}
        self._stale: dict[tuple[str, str], float] = {}

    def take(self, key: str, feed: str, owner: object) -> bool:
        """Take the one connection; False when another has it, or had it a moment ago."""
        place = (key, feed)
        if place in self._taken or self._stale.get(place, 0.0) > self._monotonic():
            return False
        self._taken[place] = owner
        return True

    def release(self, key: str, feed: str, owner: object, *, clean: bool) -> None:
        """Give the connection back; one that broke lingers."""
        place = (key, feed)
        if self._taken.get(place) is not owner:
            return
        del self._taken[place]
        if not clean:
            self._stale[place] = self._monotonic() + self._hold


def cut(request: web.Request) -> None:
    """Break a connection off without a word."""
    transport = request.transport
    if transport is not None:
        with suppress(OSError):
            transport.abort()
