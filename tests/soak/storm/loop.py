"""An event loop that knows when it has nothing to do, and whose clock can be set from outside."""

from __future__ import annotations

import asyncio
import selectors
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUIET_ROUNDS = 3


class IdleLoop(asyncio.SelectorEventLoop):
    """Counts what it reads, and knows which threads still work."""

    def __init__(self) -> None:
        self._eyes = _CountingSelector()
        self._working: set[Future[Any]] = set()
        super().__init__(self._eyes)

    @property
    def readings(self) -> int:
        """How often a socket had something, those of `ignore` left out."""
        return self._eyes.readings

    def ignore(self, descriptor: int) -> None:
        """Do not count what a socket has."""
        self._eyes.ignored.add(descriptor)

    def watch_threads(self) -> None:
        """Know of every call that is handed to a pool of threads from now on."""
        submit = ThreadPoolExecutor.submit

        def watched(pool: ThreadPoolExecutor, /, *args: Any, **fields: Any) -> Future[Any]:
            future: Future[Any] = submit(pool, *args, **fields)
            self._working.add(future)
            future.add_done_callback(self._working.discard)
            return future

        ThreadPoolExecutor.submit = watched  # type: ignore[method-assign,assignment]

    async def idle(self) -> None:
        """Return when no task can go on and no thread works."""
        quiet = 0
        while quiet < _QUIET_ROUNDS:
            if working := [asyncio.wrap_future(future) for future in tuple(self._working)]:
                for future in working:
                    future.add_done_callback(_retrieved)
                await asyncio.wait(working)
            await asyncio.sleep(0)
            # Whoever yields while nobody waits is the first of the next round.
            waiting: Any = self._ready  # type: ignore[attr-defined]
            quiet = 0 if waiting or self._working else quiet + 1


def _retrieved(future: asyncio.Future[Any]) -> None:
    """Somebody else awaits the result; here it is known that it was looked at."""
    if not future.cancelled():
        future.exception()


class SteppedLoop(IdleLoop):
    """Its time is `micros` of the epoch: timers fire when somebody else moves the clock."""

    def __init__(self) -> None:
        self.micros = 0
        super().__init__()
        # A float knows no more of seconds since 1970; what is due must not seem to be early.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.micros / 1e6

    def now(self) -> datetime:
        """The same time as a UTC-aware datetime."""
        return _EPOCH + timedelta(microseconds=self.micros)


class _CountingSelector(selectors.DefaultSelector):  # type: ignore[valid-type,misc]
    def __init__(self) -> None:
        super().__init__()
        self.readings = 0
        self.ignored: set[int] = set()

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(timeout)
        if found:
            self.readings += sum(key.fd not in self.ignored for key, _ in found)
        return found
