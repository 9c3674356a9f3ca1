"""Brings messages to one target, off the event loop, with time-outs and retries."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from toolkit.alerts.digest import Message
from toolkit.alerts.targets import SendFailed, Target

log = logging.getLogger(__name__)

Pause = Callable[[float], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds for one attempt, waits between attempts (one more attempt than waits), the queue.

    Of a full queue the oldest message is dropped, and counted in the next one.
    """

    timeout: float = 20.0
    waits: tuple[float, ...] = (2.0, 10.0, 30.0)
    queue: int = 100


class Courier:
    """Owns the queue and the one worker of a target.

    `report` is called once when the target fails, and again only after it has worked in between.
    """

    def __init__(
        self,
        target: Target,
        *,
        report: Callable[[str], None],
        patience: Patience,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._target, self._report = target, report
        self._patience, self._pause = patience, pause
        self._queue: deque[Message] = deque()
        self._news, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._lost = 0
        self._failing = False
        self._attempt: asyncio.Future[None] | None = None

    def put(self, message: Message) -> None:
        """Queue a message; never waits."""
        if len(self._queue) >= self._patience.queue:
            self._queue.popleft()
            self._lost += 1
        self._queue.append(message)
        self._news.set()
        self._idle.clear()

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            await self._news.wait()
            while self._queue:
                await self._deliver(self._queue.popleft())
            self._news.clear()
            self._idle.set()

    async def idle(self) -> None:
        """Wait until everything has been delivered, or given up."""
        await self._idle.wait()

    async def _deliver(self, message: Message) -> None:
        why = ""
        for wait in (0.0, *self._patience.waits):
            if wait:
                await self._pause(wait)
            why = await self._try(message)
            if not why:
                self._failing, self._lost = False, 0
                return
        self._lost += 1
        log.warning("alert not delivered: %s", why)
        if not self._failing:
            self._failing = True
            self._report(f"an alert was not delivered: {why}; later ones are tried all the same")

    async def _try(self, message: Message) -> str:
        """Return why it failed, empty when it did not. Never two attempts at once."""
        if self._attempt is not None:
            await asyncio.wait({self._attempt}, timeout=self._patience.timeout)
            if not self._attempt.done():
                return f"{self._target.name}: an earlier attempt still hangs"
            self._outcome(self._attempt)
        body = f"{message.body}\n{self._story()}" if self._lost else message.body
        self._attempt = attempt = asyncio.ensure_future(
            asyncio.to_thread(self._target.send, title=message.title, body=body)
        )
        await asyncio.wait({attempt}, timeout=self._patience.timeout)
        if not attempt.done():
            return f"{self._target.name}: no answer in {self._patience.timeout:g} s"
        self._attempt = None
        return self._outcome(attempt)

    def _outcome(self, attempt: asyncio.Future[None]) -> str:
        try:
            attempt.result()
        except SendFailed as error:
            return error.message
        except Exception as error:
            log.exception("unexpected error of %s", self._target.name)
            return f"{self._target.name}: unexpected {type(error).__name__}; look at the log"
        return ""

    def _story(self) -> str:
        return f"({self._lost} earlier messages could not be delivered)"
