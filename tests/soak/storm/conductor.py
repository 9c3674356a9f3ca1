"""Runs a storm: moves the clock, keeps child and exchange in step, kills and starts again."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.soak.storm.lockstep import Child, Nursery
from tests.soak.storm.loop import IdleLoop
from tests.soak.storm.plan import LAST_CALM_MINUTES, STOPS, Kill, Moment, Plan
from tests.soak.storm.world import Happened, World
from toolkit.exchange.bars import MinuteBar
from toolkit.exchange.faults import Fault, Kind
from toolkit.exchange.values import Micros
from toolkit.exchange.web_control import state_of

EVIDENCE = "evidence.pickle"
TRAP_MINUTES = 15  # so long an armed kill waits for its moment; then any will do
REST_SECONDS = 60.0  # before a bot that ended by itself is started again
LAST_PATIENCE_SECONDS = 30.0


@dataclass(slots=True)
class Lives:
    """When the bot lived, and how its lives ended."""

    births: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    down: list[tuple[Micros, Micros]] = field(default_factory=list)
    ended_by_itself: list[tuple[Micros, str]] = field(default_factory=list)
    behind: list[Micros] = field(default_factory=list)  # the machine was too slow here


@dataclass(slots=True)
class Outcome:
    """All that is known after a run."""

    plan: Plan
    folder: Path
    lives: Lives
    happened: Happened
    reported: dict[tuple[str, Micros], list[MinuteBar]]
    state: dict[str, Any]
    end: Micros
    seconds: float


class Conductor:
    """One run of a plan in a folder of its own."""

    def __init__(self, plan: Plan, folder: Path, *, loop: IdleLoop, nursery: Nursery) -> None:
        self.plan, self.folder = plan, folder
        self.world = World(seed=plan.seed, symbols=plan.symbols, faults=list(plan.faults))
        self.lives = Lives()
        self._loop, self._nursery = loop, nursery
        self._child: Child | None = None
        self._due = deque(plan.kills)
        self._armed: tuple[Kill, int] | None = None
        self._start_at: Micros = self.world.exchange.now
        self._down_since: Micros | None = None

    async def run(self, *, on_minute: Callable[[], None] = lambda: None) -> Outcome:
        """Play all minutes, then stop the bot and return what there is to judge."""
        began = time.perf_counter()
        self.folder.mkdir(parents=True)
        self.world.exchange.log.listen(self._on_entry)
        self.world.on_order = self._on_order
        async with self.world.server:
            for minute in range(self.plan.minutes):
                await self._minute(minute)
                on_minute()
            await self._finish()
            state = state_of(self.world.exchange)
        outcome = Outcome(
            plan=self.plan,
            folder=self.folder,
            lives=self.lives,
            happened=self.world.happened,
            reported=dict(self.world.reported),
            state=state,
            end=self.world.exchange.now,
            seconds=time.perf_counter() - began,
        )
        (self.folder / EVIDENCE).write_bytes(pickle.dumps(outcome))
        return outcome

    async def _minute(self, minute: int) -> None:
        passed = 0.0
        for stop, at in enumerate(STOPS):
            await self._keep_alive()
            self._arm(minute, stop)
            await self.world.advance(at - passed)
            passed = at
            await self._step()

    async def _step(self) -> None:
        child = self._child
        if child is None:
            return
        kill = self._armed[0] if self._armed else None
        at_work = kill is not None and kill.moment is Moment.AT_WORK
        now = self.world.exchange.now
        if at_work and kill is not None:
            step = asyncio.ensure_future(child.sync(now, self._loop))
            await asyncio.sleep(kill.delay)
            child.kill()
            await step
        else:
            await child.sync(now, self._loop)
        if kill is not None and kill.moment is Moment.AT_REST:
            child.kill()
        if not child.alive:
            await self._bury(child)

    def _arm(self, minute: int, stop: int) -> None:
        if self._armed is not None:
            _, since = self._armed
            over = minute - since >= TRAP_MINUTES or self._is_late(minute)
            if over and self._child is not None:
                self._child.kill()
            return
        if not self._due or self._child is None or not self._child.ready:
            return
        kill = self._due[0]
        if (minute, stop) >= (kill.minute, kill.stop):
            self._due.popleft()
            self._armed = (kill, minute)
            if kill.moment is Moment.BEFORE_TAKEN and not self._is_late(minute):
                fault = Fault(kind=Kind.RESET_BEFORE, start=0.0, target="POST /v2/orders", count=1)
                self.world.exchange.faults.inject(fault, self.world.exchange.now)

    def _is_late(self, minute: int) -> bool:
        """Whether the storm is nearly over: what has not come about by now happens at once."""
        return minute >= self.plan.minutes - LAST_CALM_MINUTES

    def _on_entry(self, entry: dict[str, Any]) -> None:
        if entry["what"] == "fault.reset_before" and entry.get("order"):
            self._spring(Moment.BEFORE_TAKEN)

    def _on_order(self, event: str) -> None:
        if event == "pending_new":
            self._spring(Moment.AFTER_TAKEN)
        elif event in ("fill", "partial_fill"):
            self._spring(Moment.AT_FILL)

    def _spring(self, moment: Moment) -> None:
        if self._armed is not None and self._armed[0].moment is moment and self._child:
            self._child.kill()

    async def _keep_alive(self) -> None:
        if self._child is not None or self.world.exchange.now < self._start_at:
            return
        settings = {
            "folder": str(self.folder),
            "environment": self.world.server.environment,
            "symbols": list(self.plan.symbols),
        }
        self._child = await self._nursery.bear(settings)
        self.lives.births += 1

    async def _bury(self, child: Child) -> None:
        await child.gone()
        now, rest = self.world.exchange.now, REST_SECONDS
        if child.ended == "killed" and self._armed is not None:
            self.lives.kills[self._armed[0].moment.value] += 1
            rest, self._armed = self._armed[0].down, None
        elif child.ended != "killed":
            self.lives.ended_by_itself.append((now, child.ended))
        self.lives.behind += child.behind
        self._child = None
        self._start_at = now + round(rest * 1e6)
        self.lives.down.append((now, self._start_at))

    async def _finish(self) -> None:
        await self._keep_alive()
        if self._child is not None:
            await self._child.sync(self.world.exchange.now, self._loop)
            await self._child.ask({"do": "stop"}, patience=LAST_PATIENCE_SECONDS)
            self.lives.behind += self._child.behind
            self._child.kill()
            await self._child.gone()
