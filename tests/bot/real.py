"""A bot in real time under test: a clock that is set, a broker that can be ill, steps by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tests.bot.scripted import scripted_bot
from tests.core.markets import START
from toolkit.bot.watch import RealTime
from toolkit.broker.port import Recovery
from toolkit.broker.simulated import SimulatedBroker
from toolkit.core.gates import Gate
from toolkit.errors import NotConnected


class World:
    """Time and what stands still in it: `sleep` returns only when time is let pass."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now
        self.offset: float | Exception = 0.0
        self.notes: list[tuple[str, str, Mapping[str, Any]]] = []
        self._sleepers: list[tuple[datetime, asyncio.Event]] = []

    def clock(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return (self.now - START).total_seconds()

    async def sleep(self, seconds: float) -> None:
        event = asyncio.Event()
        self._sleepers.append((self.now + timedelta(seconds=seconds), event))
        await event.wait()

    async def clock_offset(self) -> float:
        if isinstance(self.offset, Exception):
            raise self.offset
        return self.offset

    def note(self, kind: str, who: str, data: Mapping[str, Any]) -> None:
        self.notes.append((kind, who, data))

    def noted(self, kind: str) -> list[Mapping[str, Any]]:
        return [data for known, _, data in self.notes if known == kind]

    async def passes(self, seconds: float) -> None:
        """Let time pass in steps of the watch, and everything that is due run."""
        until = self.now + timedelta(seconds=seconds)
        while self.now < until:
            self.now = min(self.now + timedelta(seconds=0.5), until)
            due = [s for s in self._sleepers if s[0] <= self.now]
            self._sleepers = [s for s in self._sleepers if s[0] > self.now]
            for _, event in due:
                event.set()
            await self.settled()

    async def settled(self) -> None:
        """Let every task go as far as it can."""
        for _ in range(20):
            await asyncio.sleep(0)


class SickBroker(SimulatedBroker):
    """A broker that says what is wrong with it, and remembers what it was told to."""

    def __init__(self, *, recovery: Recovery | None = None, offline: int = 0) -> None:
        super().__init__()
        self.ill: dict[Gate, str] = {}
        self.starts = 0
        self._recovery, self._offline = recovery or Recovery(), offline

    def health(self) -> Mapping[Gate, str]:
        return self.ill

    async def recover(self) -> Recovery:
        return self._recovery

    async def start(self, on_update) -> None:
        self.starts += 1
        if self.starts <= self._offline:
            raise NotConnected("no network: Alpaca cannot be reached")
        await super().start(on_update)


def real_bot(world: World, script, *, is_open=lambda _symbol, _moment: True, **options):
    """A bot in real time in this world, and its events."""
    return scripted_bot(
        script,
        real_time=RealTime(clock_offset=world.clock_offset, is_open=is_open),
        clock=world.clock,
        monotonic=world.monotonic,
        sleep=world.sleep,
        note=world.note,
        **options,
    )
