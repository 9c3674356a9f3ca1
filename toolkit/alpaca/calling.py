"""Requests through the SDK's clients: in threads, in turn, in time, repeated where that is safe.

The SDK's own retries are off: they repeat POST and ignore `Retry-After`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import tenacity

from toolkit.alpaca.errors import IN_TROUBLE, Reason, is_transient, read_trouble
from toolkit.alpaca.resilience import Backoff, Breaker, Priority, TokenBucket
from toolkit.alpaca.sdk import RESTClient, requests
from toolkit.alpaca.settings import AlpacaSettings
from toolkit.alpaca.throttle import Throttle
from toolkit.errors import NotConnected, ToolkitError

ClientT = TypeVar("ClientT", bound=RESTClient)
T = TypeVar("T")
ATTEMPTS = 4
WORKERS = 4
SHORTEST, LONGEST = 0.25, 4.0
QUIET = 1.0  # after a 429 that does not say how long
GIVE_WAY = 50e-6  # seconds in which a thread that was woken gets the GIL


class Translate(Protocol):
    def __call__(self, error: Exception, *, what: str, change: bool) -> ToolkitError: ...


class Line(Generic[ClientT]):
    """One client of the SDK, used by one thread at a time; `date` is the last answer's."""

    def __init__(self, client: ClientT, settings: AlpacaSettings) -> None:
        self.client = client
        self.date: datetime | None = None
        client._retry = 0
        session = client._session
        times = (settings.connect_timeout, settings.request_timeout)
        session.request = partial(session.request, timeout=times)  # type: ignore[method-assign]
        session.hooks["response"].append(self._note)

    def close(self) -> None:
        """Close its connections."""
        self.client._session.close()

    def _note(self, response: requests.Response, *_: Any, **__: Any) -> None:
        try:
            self.date = parsedate_to_datetime(response.headers["Date"])
        except (KeyError, ValueError):
            self.date = None


class Caller(Generic[ClientT]):
    """Asks one API of Alpaca. Changes have threads of their own: no question holds them up."""

    def __init__(
        self,
        make: Callable[[], ClientT],
        *,
        settings: AlpacaSettings,
        translate: Translate,
        breaker: Breaker | None = None,
        bucket: TokenBucket | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self.breaker = breaker or Breaker()
        self._make, self._settings, self._translate = make, settings, translate
        self._monotonic, self._sleep, self._backoff = monotonic, sleep, backoff
        bucket = bucket or TokenBucket(per_minute=settings.requests_per_minute, now=monotonic())
        self._throttle = Throttle(bucket, patience=settings.patience, monotonic=monotonic)
        self._idle: deque[Line[ClientT]] = deque()
        self._changes = ThreadPoolExecutor(WORKERS, thread_name_prefix="alpaca-change")
        self._questions = ThreadPoolExecutor(WORKERS, thread_name_prefix="alpaca-ask")
        self._under_way: set[Future[Any]] = set()
        self._closed = False

    async def ask(
        self,
        what: str,
        request: Callable[[Line[ClientT]], T],
        *,
        priority: Priority = Priority.BACKGROUND,
    ) -> T:
        """Ask a question; repeated with jitter while that may help."""
        once = partial(self._once, what, request, priority=priority, change=False)
        return await self._repeated(once)

    async def change(
        self,
        what: str,
        request: Callable[[Line[ClientT]], T],
        *,
        priority: Priority = Priority.ENTRY,
        repeatable: bool,
    ) -> T:
        """Change something; sent once, unless doing it twice is the same as doing it once."""
        once = partial(self._once, what, request, priority=priority, change=True)
        return await (self._repeated(once) if repeatable else once())

    async def close(self) -> None:
        """Send nothing more; returns when what is under way is over (its timeout at most)."""
        if self._closed:
            return
        self._closed = True
        self._throttle.close()
        for pool in (self._changes, self._questions):
            pool.shutdown(wait=False, cancel_futures=True)
        under_way = [asyncio.wrap_future(future) for future in list(self._under_way)]
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.request_timeout):
                await asyncio.gather(*under_way, return_exceptions=True)
        while self._idle:
            self._idle.pop().close()

    async def _repeated(self, once: Callable[[], Awaitable[T]]) -> T:
        backoff = self._backoff()

        def pause(state: tenacity.RetryCallState) -> float:
            drawn = backoff.next(shortest=SHORTEST, longest=LONGEST)
            error = state.outcome.exception() if state.outcome else None
            asked = error.data.get("retry_after") if isinstance(error, ToolkitError) else None
            return max(drawn, asked or 0.0)

        return await tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(is_transient),
            wait=pause,
            stop=tenacity.stop_after_attempt(ATTEMPTS)
            | tenacity.stop_before_delay(self._settings.patience),
            sleep=self._sleep,
            reraise=True,
        )(once)

    async def _once(
        self,
        what: str,
        request: Callable[[Line[ClientT]], T],
        *,
        priority: Priority,
        change: bool,
    ) -> T:
        await self._admitted(what, priority)
        try:
            pool = self._changes if change else self._questions
            result = await self._in_thread(what, request, pool)
        except NotConnected:
            raise
        except Exception as error:
            raise self._failed(error, what=what, change=change) from error
        self.breaker.succeeded()
        return result

    async def _admitted(self, what: str, priority: Priority) -> None:
        if self._closed:
            raise NotConnected(f"{what}: closed", reason=Reason.CLOSED.value)
        wait = self.breaker.wait(priority, self._monotonic())
        if wait > 0:
            raise NotConnected(
                f"{what}: not sent, for Alpaca did not answer before ({self.breaker.reason}); "
                f"tried again in {wait:.0f} s",
                reason=Reason.RESTING.value,
                retry_after=wait,
            )
        try:
            await self._throttle.enter(priority)
        except TimeoutError:
            raise NotConnected(
                f"{what}: not sent, for too many requests wait; ask less often",
                reason=Reason.RATE_LIMITED.value,
            ) from None

    async def _in_thread(
        self, what: str, request: Callable[[Line[ClientT]], T], pool: ThreadPoolExecutor
    ) -> T:
        future: Future[T] = pool.submit(self._with_line, request)
        if pool is self._changes:
            time.sleep(GIVE_WAY)  # noqa: ASYNC251 - else it begins when the loop has nothing to do
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        settings = self._settings
        try:
            async with asyncio.timeout(settings.connect_timeout + 2 * settings.request_timeout):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if future.cancel():  # it never began
                raise NotConnected(
                    f"{what}: not sent, for earlier requests have no answers yet",
                    reason=Reason.TIMEOUT.value,
                ) from None
            raise

    def _with_line(self, request: Callable[[Line[ClientT]], T]) -> T:
        try:
            line = self._idle.pop()
        except IndexError:
            line = Line(self._make(), self._settings)
        try:
            return request(line)
        finally:
            self._idle.append(line)

    def _failed(self, error: Exception, *, what: str, change: bool) -> ToolkitError:
        ours = self._translate(error, what=what, change=change)
        reason = read_trouble(error).reason
        if reason in IN_TROUBLE:
            self.breaker.failed(ours.message, self._monotonic())
        else:
            self.breaker.succeeded()
        if reason is Reason.RATE_LIMITED:
            self._throttle.pause(ours.data.get("retry_after") or QUIET)
        return ours
