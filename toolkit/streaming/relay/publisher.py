"""The owner's side of a cluster: every event numbered once and put into the log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from toolkit.bot.events import Event, Problem
from toolkit.errors import RelayError
from toolkit.streaming.hub.sequencer import Sequencer
from toolkit.streaming.relay.backlog import Backlog
from toolkit.streaming.relay.port import Entry, Message, Packed, Pulse, Relay
from toolkit.streaming.relay.state import State, place
from toolkit.streaming.wire import Payload, payload

log = logging.getLogger(__name__)

BATCH = 500
PULSE_SECONDS = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0


class Publisher:
    """Appends the bot's events to the relay's log, in order, whatever happens to the relay.

    `publish` never blocks: entries wait in a backlog that keeps the last `ring_size` messages of
    each lossless stream and, of the others, the latest of each key and `loose` before them.
    `state` knows all that was published, sent or not.
    """

    def __init__(
        self,
        *,
        relay: Relay,
        sequencer: Sequencer,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        ring_size: int = 10_000,
        loose: int = 50_000,
    ) -> None:
        self.state = State()
        self.backlog = Backlog(lossless=ring_size, loose=loose)
        self.controls: dict[str, Any] = {}
        self._relay = relay
        self._sequencer = sequencer
        self._clock = clock
        self._monotonic = monotonic
        self._wake = asyncio.Event()
        self._pulse_at = monotonic()
        self._away_since: float | None = None
        self._pause = FIRST_PAUSE

    @property
    def away_seconds(self) -> float:
        """How long the relay has not answered, 0 when it does."""
        return 0.0 if self._away_since is None else self._monotonic() - self._away_since

    def publish(self, event: Event | Payload) -> None:
        """Number one event and leave it to `run` to send; never blocks, never raises."""
        item = payload(event)
        frame = self._sequencer.frame(item)
        slot, ends = place(item)
        before = self.state.lossless[item.stream]
        number = self.state.number + 1
        self._add(Message(number=number, frame=frame, before=before, slot=slot, ends=ends))

    def note(self, event: Event | Payload) -> None:
        """Let newcomers know a state that is not published."""
        item = payload(event)
        slot, ends = place(item)
        if slot is None and not ends:
            return
        frame = replace(self._sequencer.snapshot(item), conflate=f"quiet:{slot or ends[0]}")
        number = self.state.number + 1
        self._add(Message(number=number, frame=frame, before=0, slot=slot, ends=ends, quiet=True))

    async def flush(self, *, within: float) -> None:
        """Send what waits now, for at most `within` seconds."""
        try:
            async with asyncio.timeout(within):
                while batch := self.backlog.take(BATCH):
                    await self._send(batch)
        except (RelayError, TimeoutError):
            log.warning("%d messages were not sent before the end", self.backlog.waiting)

    def control(self, change: Mapping[str, Any]) -> dict[str, Any]:
        """Put controls into force on every worker; returns all that are in force."""
        self.controls |= change
        self.pulse()
        return dict(self.controls)

    def pulse(self) -> None:
        """Tell workers at once that the owner lives, and what is in force."""
        self._pulse_at = self._monotonic() + PULSE_SECONDS
        lossless = {stream: seq for stream, seq in self.state.lossless.items() if seq}
        number = self.state.number + 1
        self._add(Pulse(number=number, lossless=lossless, controls=dict(self.controls)))

    async def run(self) -> None:
        """Send what is published until cancelled."""
        while True:
            try:
                await self.step()
            except RelayError as error:
                self._lost(error)
                await asyncio.sleep(self._pause)
                self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def step(self) -> None:
        """Send what waits, or wait for it until the next pulse is due; raises RelayError."""
        if self._monotonic() >= self._pulse_at:
            self.pulse()
        self._wake.clear()
        batch = self.backlog.take(BATCH)
        if not batch:
            try:
                async with asyncio.timeout(max(0.0, self._pulse_at - self._monotonic())):
                    await self._wake.wait()
            except TimeoutError:
                pass
            return
        await self._send(batch)

    async def _send(self, batch: list[Packed]) -> None:
        backlog = self.backlog
        end = await self._relay.append(batch, after=backlog.sent, keep_from=backlog.keep_from)
        if end < backlog.sent:
            log.warning("the relay has lost entries %d to %d; sent again", end + 1, backlog.sent)
        backlog.settle(end)
        self._found()

    def _add(self, entry: Entry) -> None:
        self.state.apply(entry)
        self.backlog.add(Packed.of(entry))
        self._wake.set()

    def _lost(self, error: RelayError) -> None:
        if self._away_since is not None:
            return
        self._away_since = self._monotonic()
        log.warning("%s; messages wait", error.message)
        self._problem("relay_lost", f"{error.message}; messages wait until it is back")

    def _found(self) -> None:
        self._pause = FIRST_PAUSE
        if self._away_since is None:
            return
        seconds, self._away_since = self.away_seconds, None
        log.warning("the relay is back after %.1f s", seconds)
        self._problem("relay_back", f"the relay is back after {seconds:.1f} s")

    def _problem(self, code: str, message: str) -> None:
        self.publish(Problem(timestamp=self._clock(), code=code, message=message))
