"""The async shell around the engine: market data in, orders out, everything published."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from toolkit.bot.commands import Commands
from toolkit.bot.events import BotState, Event, Health, ParametersChanged, Performance, Publish
from toolkit.bot.halt import HaltOrder, HaltSwitch
from toolkit.bot.ledger import Ledger
from toolkit.bot.losses import Losses
from toolkit.bot.notes import Note, Notes
from toolkit.bot.reports import Reports
from toolkit.bot.trader import Trader
from toolkit.bot.watch import CLOCK_SECONDS, LOOK_SECONDS, RealTime, Watch
from toolkit.broker.port import Broker
from toolkit.core.engine import Engine
from toolkit.core.gates import Gate, Gates
from toolkit.core.limits import RiskLimits
from toolkit.core.types import Bar
from toolkit.errors import DataError, FeedRefused, NotConnected, ToolkitError
from toolkit.market.hours import Hours
from toolkit.market.port import MarketData

log = logging.getLogger(__name__)
METRICS_INTERVAL = 1.0
HEALTH_INTERVAL = 5.0
RETRY_SECONDS = 5.0
FLATTEN_AGAIN_SECONDS = 60.0


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class Bot:
    """Runs one engine on one market and one broker until the data ends or it is stopped.

    Market events and commands take turns under one lock, so that parameters change between bars.
    `publish` is called in order, in the loop's thread. Whatever stands in the way of entries
    closes a gate, with its reason; exits go on. `real_time` says that the market's clock is ours.
    `hours` keeps entries to sessions; without it any bar may lead to one.
    `note(kind, who, data)` writes down parameter changes, commands, gates and errors.
    """

    def __init__(
        self,
        *,
        market: MarketData,
        broker: Broker,
        engine: Engine,
        publish: Publish,
        warm_up_bars: int = 500,
        real_time: RealTime | None = None,
        hours: Hours | None = None,
        switch: HaltSwitch | None = None,
        losses: Losses | None = None,
        note: Note | None = None,
        on_start: Sequence[Callable[[], Awaitable[None]]] = (),
        on_stop: Sequence[Callable[[], Awaitable[None]]] = (),
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.market, self.broker, self.engine = market, broker, engine
        self.ledger, self.gates = Ledger(), Gates()
        self.clock = clock
        self.switch = switch or HaltSwitch(None)
        self.losses = losses or Losses(engine.limits or RiskLimits.none(), path=None)
        self._notes = Notes(note, on_failure=self._journal_failed)
        self._on_start, self._on_stop = on_start, on_stop
        self._hours = hours or Hours(timeframe=market.timeframe)
        self._sink, self._sleep, self._monotonic = publish, sleep, monotonic
        self._warm_up_bars = warm_up_bars
        self._turn = asyncio.Lock()
        self._reachable = asyncio.Event()
        self._phase, self._phase_reason = BotState.STARTING, ""
        self._obeyed: tuple[HaltOrder, float] | None = None
        self._metrics_at = self._health_at = monotonic()
        self._metrics_bars = 0
        self.watch = Watch(
            market=market,
            broker=broker,
            symbols=engine.symbols,
            gates=self.gates,
            switch=self.switch,
            clock=clock,
            real_time=real_time,
        )
        self.trader = Trader(
            broker=broker,
            engine=engine,
            ledger=self.ledger,
            gates=self.gates,
            watch=self.watch,
            losses=self.losses,
            timeframe=market.timeframe,
            hours=self._hours,
            publish=self.publish,
            on_gates=self.settle,
            note=self.note,
            clock=clock,
            at_once=real_time is not None,
        )
        self._reports = Reports(
            market=market,
            broker=broker,
            engine=engine,
            ledger=self.ledger,
            gates=self.gates,
            watch=self.watch,
            losses=self.losses,
            clock=clock,
        )
        self._commands = Commands(self)

    @property
    def symbols(self) -> Sequence[str]:
        """What is traded."""
        return self.engine.symbols

    @property
    def state(self) -> BotState:
        """What the bot is doing; paused while a gate is closed for all symbols."""
        paused = self._phase is BotState.RUNNING and self.gates.reason()
        return BotState.PAUSED if paused else self._phase

    async def run(self) -> None:
        """Recover, warm up, then trade until the market's events end; raises what ends it early."""
        try:
            async with self._watching():
                await self._begin()
                async for event in self.market.events():
                    async with self._turn:
                        await self.trader.take(event)
                        self._measure(event)
        except asyncio.CancelledError:
            self._enter(BotState.STOPPED, "stopped")
            raise
        except ToolkitError as error:
            log.error("the bot ended: %s", error.message)  # noqa: TRY400 - its message says it all
            self._enter(BotState.FAILED, error.message)
            raise
        except Exception as error:
            log.exception("the bot ended")
            self._enter(BotState.FAILED, str(error))
            raise
        if self._phase is not BotState.STOPPED:
            self._publish_metrics()
            self._enter(BotState.FINISHED, "the market data ended")

    async def stop(self) -> None:
        """End `run()` at once and release market and broker."""
        self._enter(BotState.STOPPED, "stopped")
        self.note("session_end", "bot", {})
        self._notes.close()
        await self.market.stop()
        await self.trader.stop()
        await self.broker.stop()
        for release in self._on_stop:
            await release()
        self._save_losses()

    async def command(self, name: str, args: Mapping[str, Any], *, who: str) -> Any:
        """Execute a command between two bars; raises ToolkitError, the result is JSON-ready.

        What closes a gate does so at once, also while a bar waits for the broker.
        """
        self._commands.begin(name, args, who=who)
        async with self._turn:
            return await self._commands.execute(name, args, who=who)

    def snapshot(self) -> list[Event]:
        """What a newcomer needs: the last of everything, oldest kind first."""
        return [self.health(), *self._reports.latest(), self.performance()]

    def health(self) -> Health:
        """State of the bot, its gates, its feed and its limits."""
        return self._reports.health(self.state, self._phase_reason)

    def performance(self) -> Performance:
        """Running totals, with the speed since the last call for publishing."""
        elapsed = self._monotonic() - self._metrics_at
        return self._reports.performance(since=self._metrics_bars, seconds=elapsed)

    def parameters_event(
        self, *, who: str, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> ParametersChanged:
        """Describe a change together with all values now in force."""
        return self._reports.parameters(who=who, old=old, new=new)

    def publish(self, event: Event) -> None:
        """Remember an event and hand it on."""
        self.ledger.record(event)
        if type(event) is Health:
            self._health_at = self._monotonic()
        self._sink(event)

    def note(self, kind: str, who: str, data: Mapping[str, Any]) -> None:
        """Write something down, where there is a journal; one that fails closes the gate."""
        self._notes.write(kind, who, data)

    def settle(self) -> None:
        """Publish the gates and note what has changed of them."""
        self._notes.gates(self.gates.closed)
        self.publish(self.health())

    def look(self) -> None:
        """Look at everything that may close a gate, and tell what has changed."""
        if self.watch.look():
            self.settle()

    async def obey(self, order: HaltOrder) -> dict[str, Any]:
        """Carry a halt out: entries are taken back, and what is held is sold where it says so."""
        self._obeyed = (order, self._monotonic())
        cancelled = await self.trader.cancel_entries(None)
        requests = self.engine.flatten(now=self.clock()) if order.flatten else []
        sent = await self.trader.sell_all(requests)
        return {
            "orders": [name for name, taken in sent.items() if taken],
            "refused": [name for name, taken in sent.items() if not taken],
            "cancelled": cancelled,
        }

    def _journal_failed(self, reason: str) -> None:
        self.gates.close(Gate.ERROR, reason, now=self.clock())
        self.trader.problem("journal", reason)
        self.publish(self.health())

    def _enter(self, phase: BotState, reason: str = "") -> None:
        self._phase, self._phase_reason = phase, reason
        self.publish(self.health())

    async def _begin(self) -> None:
        self.trader.recover(await self.broker.recover())
        self.look()
        for check in self._on_start:
            await self._connected(check)
        self._reachable.set()
        await self._connected(lambda: self.broker.start(self.trader.on_update))
        await self._connected(self._warm_up)
        self.note("session", "bot", self._reports.session(self._hours))
        self.look()
        if self._phase is BotState.STARTING:
            self._enter(BotState.RUNNING)
        for event in self.snapshot():
            self.publish(event)

    async def _connected(self, action: Callable[[], Awaitable[None]]) -> None:
        # Without a network the bot waits for it; whatever else is wrong ends it.
        while True:
            try:
                await action()
            except (NotConnected, DataError) as error:
                lasting = self.watch.real_time is None or isinstance(error, FeedRefused)
                if isinstance(error, DataError) and lasting:
                    raise
                if self.gates.close(Gate.BROKER, error.message, now=self.clock()):
                    self.trader.problem(error.code, error.message)
                    self.settle()
                await self._sleep(RETRY_SECONDS)
            else:
                if self.gates.open(Gate.BROKER):
                    self.settle()
                return

    async def _warm_up(self) -> None:
        for symbol in self.symbols:
            known = {e.bar.timestamp for e in self.engine.memory(symbol)}
            for bar in await self.market.history(symbol, limit=self._warm_up_bars):
                if bar.timestamp not in known:
                    self.engine.warm_up(bar)
        prices = self.engine.prices()
        self.publish(self.engine.portfolio.account(prices, timestamp=self.clock()))

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        loops = (
            self._every(LOOK_SECONDS, self._look_around),
            self._every(LOOK_SECONDS, self._obey_halt),
            self._every(CLOCK_SECONDS, self._check_clock),
        )
        tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _every(self, seconds: float, action: Callable[[], Awaitable[None]]) -> None:
        told = ""
        while True:
            try:
                await action()
            except Exception as error:  # noqa: BLE001 - published once, and closes the gate
                if told != repr(error):
                    told = repr(error)
                    self.trader.fail("while watching", error)
            await self._sleep(seconds)

    async def _look_around(self) -> None:
        if self._phase is BotState.STOPPED:
            return
        self.look()
        self._save_losses()
        if self._monotonic() - self._health_at >= HEALTH_INTERVAL:
            self.publish(self.health())

    async def _check_clock(self) -> None:
        await self._reachable.wait()
        await self.watch.check_clock()

    async def _obey_halt(self) -> None:
        order = self.watch.halt
        if order is None:
            self._obeyed = None
            return
        if self._obeyed is not None and self._obeyed[0] == order:
            waited = self._monotonic() - self._obeyed[1]
            if not order.flatten or waited < FLATTEN_AGAIN_SECONDS:
                return
        if self._phase is BotState.RUNNING:
            async with self._turn:
                await self.obey(order)

    def _save_losses(self) -> None:
        try:
            self.losses.save()
        except OSError as error:
            log.warning("the day's loss cannot be written down: %s", error)

    def _measure(self, event: object) -> None:
        final = isinstance(event, Bar) and event.final
        if final and self._monotonic() - self._metrics_at >= METRICS_INTERVAL:
            self._publish_metrics()

    def _publish_metrics(self) -> None:
        self.publish(self.performance())
        self.publish(self.health())
        self._metrics_at, self._metrics_bars = self._monotonic(), self.ledger.bars
