"""Watches over one connection: its clock, its latency, and whether it still lives."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from toolkit.client.connection import Answer, Connection, NoAnswer
from toolkit.client.latency import LatencyMeter
from toolkit.errors import ToolkitError

log = logging.getLogger(__name__)

# Quick samples of the clock, one after the other, when a connection is new.
SAMPLES = 4
SILENT_BEATS = 3.0
LONGEST_TICK = 1.0
LONGEST_PROBE = 5.0


class Watch:
    """Pings every `interval` seconds until the connection is lost or silent.

    `on_ping(round_trip_ms)` is called after each answer. A connection is given up when nothing
    came for three intervals, and soon after the machine slept when no ping is answered then.
    That this loop itself stood still (a busy kernel) is not held against the server.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        meter: LatencyMeter,
        interval: float,
        on_ping: Callable[[float], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._meter = meter
        self._interval = interval
        self._on_ping = on_ping
        self._monotonic = monotonic
        self._steps = meter.steps()
        self._reports = False

    async def ping(self, *, within: float) -> float:
        """Ask the server for its time and return the time there and back, in ms.

        Raises ToolkitError when no answer comes `within` seconds, NotConnected, and what the
        server answers.
        """
        body: dict[str, Any] = {"timestamp": self._monotonic()}
        if self._reports and (report := self._meter.report()) is not None:
            body["latency"] = report
        steps = self._meter.steps()
        answer = await self._connection.exchange("ping", body, within=within)
        if self._meter.steps() == steps:
            self._count(answer)
        return max(0.0, answer.received - answer.sent) * 1000.0

    async def until_lost(self) -> None:
        """Return when the connection is lost; its `reason` says why."""
        await self._sample()
        ping_at = self._monotonic() + self._interval
        while not self._connection.lost.is_set():
            await self._tick()
            if self._meter.steps() != self._steps and not await self._lives_on():
                self._connection.reason = "no answer after this machine slept or its clock was set"
                return
            silence = self._monotonic() - self._connection.heard
            if silence >= SILENT_BEATS * self._interval:
                self._connection.reason = f"the server was silent for {silence:.1f} s"
                return
            if self._monotonic() >= ping_at:
                await self._sample(1)
                ping_at = self._monotonic() + self._interval

    async def _tick(self) -> None:
        before, tick = self._monotonic(), min(LONGEST_TICK, self._interval)
        try:
            async with asyncio.timeout(tick):
                await self._connection.lost.wait()
        except TimeoutError:
            if self._monotonic() - before > tick + self._interval:
                self._connection.heard = self._monotonic()

    async def _lives_on(self) -> bool:
        self._steps = self._meter.steps()
        try:
            await self.ping(within=min(LONGEST_PROBE, self._interval))
        except NoAnswer:
            return False
        except ToolkitError:
            # A refusal is an answer; a connection that is lost is seen by who waits for that.
            return True
        await self._sample()
        return True

    async def _sample(self, count: int = SAMPLES) -> None:
        try:
            for _ in range(count):
                round_trip = await self.ping(within=self._interval)
        except ToolkitError as error:
            # One that is lost or silent is seen by what watches for that.
            log.debug("no sample of the server's clock: %s", error)
        else:
            self._on_ping(round_trip)

    def _count(self, answer: Answer) -> None:
        received, sent = _times(answer.body)
        if received is None or sent is None:
            return
        self._reports = True
        self._meter.clock.add(answer.sent, received / 1000.0, sent / 1000.0, answer.received)


def _times(body: Mapping[str, Any]) -> tuple[float | None, float | None]:
    found = [body.get(name) for name in ("server_received_ms", "server_sent_ms")]
    first, second = (float(v) if isinstance(v, (int, float)) else None for v in found)
    return first, second
