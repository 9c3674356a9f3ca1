"""A recording as market and broker: each entry comes in its place, at any speed."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from toolkit.core.gates import Gate
from toolkit.core.types import Bar, MarketEvent
from toolkit.errors import DataError, ToolkitError
from toolkit.market.pace import Clock, Pace, Pacer, Sleep
from toolkit.market.port import FeedHealth
from toolkit.market.recording import Recording
from toolkit.market.recording_codec import Entry
from toolkit.record.broker import RecordedBroker
from toolkit.record.script import Script, is_gate

Command = Callable[[str, Mapping[str, Any], str], Awaitable[Any]]
# Turns of the loop after which whatever was set off has happened.
_TURNS = 16


class RecordedMarket:
    """Plays a recording; raises DataError for one that cannot be read.

    Commands are given to `on_command(name, args, who)` where they came in. With `broker` None
    what the broker did is left out: another one trades on the same market. `real_time` recordings
    are of bots whose orders were on their way while the next bar was looked at.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        pace: Pace,
        sleep: Sleep = asyncio.sleep,
        clock: Clock = time.monotonic,
    ) -> None:
        about = recording.about
        self.recording = recording
        self.script = Script(recording.entries())
        self.broker: RecordedBroker | None = None
        self.on_command: Command | None = None
        self.real_time = bool(about.get("real_time"))
        self._symbols = tuple(about["symbols"])
        self._timeframe = float(about["timeframe"])
        self._pacer = Pacer(pace, timeframe=self._timeframe, sleep=sleep, clock=clock)
        self._commands: set[asyncio.Task[None]] = set()
        self._deferred: deque[Entry] = deque()
        self._sleepers: list[asyncio.Future[None]] = []

    @property
    def name(self) -> str:
        """Where the data came from, shown to the user."""
        return f"recorded {self.recording.about.get('market', 'market')}"

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols of the recorded market."""
        return self._symbols

    @property
    def timeframe(self) -> float:
        """Seconds between the opens of two bars."""
        return self._timeframe

    @property
    def done(self) -> int:
        """Entries that have been played."""
        return self.script.done

    async def history(self, symbol: str, *, limit: int) -> Sequence[Bar]:
        """Return the bars that warmed the recorded bot up."""
        if symbol not in self._symbols:
            raise DataError(
                f"{symbol!r} is not in the recording; it has {', '.join(self._symbols)}",
                field="symbol",
                value=symbol,
                allowed=list(self._symbols),
            )
        bars: dict[Any, Bar] = {}
        while (entry := self._next_in_order()) is not None and entry.what == "history":
            if entry.value.symbol != symbol:
                break
            self.script.take()
            bars[entry.value.timestamp] = entry.value
        return list(bars.values())[-limit:]

    def _next_in_order(self) -> Entry | None:
        if self.broker is not None:
            return self.script.apply_asides()
        while (entry := self.script.peek()) is not None and entry.what not in ("history", "market"):
            if entry.what == "note" and entry.value["kind"] == "command":
                break
            self.script.take()
        return entry

    async def events(self) -> AsyncGenerator[MarketEvent, None]:
        """Yield the recorded events; ends with them, or at once after `stop()`."""
        while (entry := await self._advance()) is not None:
            await self._pacer.wait(entry.time)
            if self._pacer.stopped:
                return
            self.script.in_turn = True
            yield entry.value
            self.script.in_turn = False
            await self._pacer.breathe()

    def health(self) -> FeedHealth:
        """As the recorded bot found it."""
        reason = self.script.gates.get((Gate.FEED, None), "")
        return FeedHealth(ok=not reason, reason=reason)

    async def sleep(self, _seconds: float) -> None:
        """Sleep until a gate has changed: whoever looks at the gates does so in its place."""
        waiting = asyncio.get_running_loop().create_future()
        self._sleepers.append(waiting)
        await waiting

    async def stop(self) -> None:
        """End `events()`, also in the middle of a wait. Twice is harmless."""
        self._pacer.stop()
        for task in self._commands:
            task.cancel()

    async def _advance(self) -> Entry | None:
        """Play everything up to the next market event, and return that."""
        while True:
            if self._deferred and not self._commands:
                return self._deferred.popleft()
            entry = self.script.take()
            if entry is None:
                return await self._last()
            if entry.what == "market" and not self._commands:
                return entry
            if entry.what == "market":
                self._deferred.append(entry)  # the command had its turn first
            else:
                await self._play(entry)
            if self._commands:
                await self._settle()

    async def _last(self) -> Entry | None:
        if self.broker is not None:
            self.broker.end()
        if self._commands:
            await asyncio.wait(self._commands, timeout=1.0)
        return self._deferred.popleft() if self._deferred else None

    async def _play(self, entry: Entry) -> None:
        if entry.what == "note" and entry.value["kind"] == "command":
            await self._command(entry.value)
        elif self.broker is None:
            if entry.what in ("signal", "trip"):
                self.script.apply(entry)
        elif self.script.is_aside(entry):
            self.script.apply(entry)
            if is_gate(entry):
                await self._wake()
        else:
            await self.broker.play(entry)

    async def _command(self, value: Mapping[str, Any]) -> None:
        data = value["data"]
        work = self._run_command(str(data["name"]), dict(data["args"]), str(value["who"]))
        if not self.real_time:
            await work
            return
        task = asyncio.create_task(work)
        self._commands.add(task)
        task.add_done_callback(self._commands.discard)
        await self._settle()

    async def _run_command(self, name: str, args: Mapping[str, Any], who: str) -> None:
        if self.on_command is None:
            return
        with suppress(ToolkitError):  # it was refused when it was recorded, too
            await self.on_command(name, args, who)

    async def _wake(self) -> None:
        sleepers, self._sleepers = self._sleepers, []
        for waiting in sleepers:
            if not waiting.done():
                waiting.set_result(None)
        await self._settle()

    async def _settle(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
