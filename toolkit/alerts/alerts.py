"""Alerts of one bot: a listener to its events, and the workers that send what is worth telling."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from toolkit.alerts.courier import Courier, Patience, Pause
from toolkit.alerts.digest import Digest, Message, Throttle
from toolkit.alerts.rules import Judge, Notice, Rules
from toolkit.alerts.targets import Target
from toolkit.bot.events import Event

log = logging.getLogger(__name__)
LAST_WORDS_SECONDS = 2.0


class Alerts:
    """Decides, groups and sends; neither a slow nor a dead target ever holds the bot up.

    Without targets it does nothing.

    `publish` takes every event of the bot, in the loop that called `start`. `report` gets one
    sentence when a target fails. `name` begins every title.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        rules: Rules | None = None,
        report: Callable[[str], None],
        name: str = "toolkit",
        throttle: Throttle | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._judge = Judge(rules or Rules())
        self._digest = Digest(throttle, name=name)
        self._clock = clock
        chosen = patience or Patience()
        self._report = report
        self._couriers = [
            Courier(target, report=report, patience=chosen, pause=pause) for target in targets
        ]
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def publish(self, event: Event) -> None:
        """Take one event; mostly there is nothing to tell, and it never waits."""
        if self._couriers:
            self._add(self._judge.on_event(event))

    def latency(self, message: str, *, stream: str) -> None:
        """Take a latency alert of the server, or its end."""
        if self._couriers:
            self._add(self._judge.on_latency(message, stream=stream))

    def start(self) -> None:
        """Begin to send, in the running loop; what was published before is sent too."""
        if not self._tasks and self._couriers:
            work = [self._run(), *(courier.run() for courier in self._couriers)]
            self._tasks = [asyncio.create_task(w, name="alerts") for w in work]
            for task in self._tasks:
                task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Send what waits, for two seconds at most, and end. Twice is harmless."""
        if not self._tasks:
            return
        self._send(self._digest.rest(now=self._clock()))
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await asyncio.gather(*(courier.idle() for courier in self._couriers))
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _add(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            self._digest.add(notice, now=self._clock())
            self._news.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("alerts ended unexpectedly", exc_info=error)
            self._report(f"alerts have ended: unexpected {type(error).__name__}; look at the log")

    async def _run(self) -> None:
        while True:
            self._news.clear()
            self._send(self._digest.due(now=self._clock()))
            wait = self._digest.next_due() - self._clock()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if wait == float("inf") else max(wait, 0.0)):
                    await self._news.wait()

    def _send(self, message: Message | None) -> None:
        if message is not None:
            for courier in self._couriers:
                courier.put(message)
