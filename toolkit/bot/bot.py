"""The async shell around the engine: market data in, orders out, everything published."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from toolkit.bot.commands import Commands
from toolkit.bot.events import (
    BotState,
    Event,
    Health,
    ParametersChanged,
    Performance,
    Problem,
    Publish,
)
from toolkit.bot.ledger import Ledger
from toolkit.broker.port import Broker
from toolkit.core.engine import Decision, Engine
from toolkit.core.types import (
    ZERO,
    Bar,
    Fill,
    MarketEvent,
    OrderRequest,
    OrderUpdate,
    Position,
    RoundTrip,
)
from toolkit.errors import BrokerError, DataError, UnknownOrderState
from toolkit.market.port import MarketData

log = logging.getLogger(__name__)
METRICS_INTERVAL = 1.0


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class Bot:
    """Runs one engine on one market and one broker until the data ends or it is stopped.

    Market events, order updates and commands take turns under one lock, so that parameters
    change between bars. `publish` is called in order, in the loop's thread. An unexpected error
    is published and closes the gate for entries; exits go on.
    """

    def __init__(
        self,
        *,
        market: MarketData,
        broker: Broker,
        engine: Engine,
        publish: Publish,
        warm_up_bars: int = 500,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.market, self.broker, self.engine = market, broker, engine
        self.ledger = Ledger()
        self.clock = clock
        self._sink = publish
        self._warm_up_bars = warm_up_bars
        self._monotonic = monotonic
        self._turn = asyncio.Lock()
        self._commands = Commands(self)
        self._touched: set[str] = set()
        self._state, self._reason = BotState.STARTING, ""
        self._metrics_at = monotonic()
        self._metrics_bars = 0

    @property
    def symbols(self) -> Sequence[str]:
        """What is traded."""
        return self.engine.symbols

    @property
    def state(self) -> BotState:
        """What the bot is doing."""
        return self._state

    async def run(self) -> None:
        """Warm up, then trade until the market's events end; raises what ends it early."""
        try:
            await self.broker.start(self._on_update)
            await self._warm_up()
            if self._state is BotState.STARTING:
                self.set_state(BotState.RUNNING)
            self._publish_all(self.snapshot())
            async for event in self.market.events():
                async with self._turn:
                    await self._guarded(event)
        except asyncio.CancelledError:
            self.set_state(BotState.STOPPED, "stopped")
            raise
        except Exception as error:
            log.exception("the bot ended")
            self.set_state(BotState.FAILED, str(error))
            raise
        if self._state is not BotState.STOPPED:
            self._publish_metrics()
            self.set_state(BotState.FINISHED, "the market data ended")

    async def stop(self) -> None:
        """End `run()` at once and release market and broker."""
        self.set_state(BotState.STOPPED, "stopped")
        await self.market.stop()
        await self.broker.stop()

    async def command(self, name: str, args: Mapping[str, Any], *, who: str) -> Any:
        """Execute a command between two bars; raises ToolkitError, the result is JSON-ready."""
        async with self._turn:
            return await self._commands.execute(name, args, who=who)

    def snapshot(self) -> list[Event]:
        """What a newcomer needs: the last of everything, oldest kind first."""
        last = [self.engine.memory(s)[-1:] for s in self.symbols]
        return [
            self.health(),
            self.parameters_event(who="snapshot", old={}, new={}),
            *(evaluation for evaluations in last for evaluation in evaluations),
            *self.ledger.latest(),
            *self.broker.positions(),
            *self.broker.open_orders(),
            self.performance(),
        ]

    def health(self) -> Health:
        """State of the bot and its feed."""
        return Health(
            timestamp=self.clock(),
            state=self._state,
            reason=self._reason,
            market=self.market.name,
            broker=self.broker.name,
            symbols=tuple(self.symbols),
            market_time=self.ledger.market_time,
            bars=self.ledger.bars,
        )

    def performance(self) -> Performance:
        """Running totals, with the speed since the last call for publishing."""
        elapsed = self._monotonic() - self._metrics_at
        speed = (self.ledger.bars - self._metrics_bars) / elapsed if elapsed > 0 else 0.0
        return self.ledger.performance(timestamp=self.clock(), bars_per_second=speed)

    def parameters_event(
        self, *, who: str, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> ParametersChanged:
        """Describe a change together with all values now in force."""
        return ParametersChanged(
            timestamp=self.clock(),
            who=who,
            old=old,
            new=new,
            parameters=self.engine.parameters.to_dict(),
        )

    def set_state(self, state: BotState, reason: str = "") -> None:
        """Enter a state and publish it; anything but running closes the gate for entries."""
        self._state, self._reason = state, reason
        self.engine.gate = "" if state in (BotState.RUNNING, BotState.STARTING) else reason
        self.publish(self.health())

    def publish(self, event: Event) -> None:
        """Remember an event and hand it on."""
        self.ledger.record(event)
        self._sink(event)

    async def submit(self, request: OrderRequest) -> bool:
        """Send an order and return whether it was taken; never sent again by itself.

        A refusal is published and forgotten. An unknown outcome is published and stays pending:
        the symbol waits, and no entries are made until a person has looked.
        """
        try:
            await self.broker.submit(request)
        except UnknownOrderState as error:
            self.problem(error.code, error.message, request.symbol)
            self.set_state(BotState.PAUSED, f"unknown outcome of {request.client_order_id}")
        except BrokerError as error:
            self.engine.refused(request)
            self.problem(error.code, error.message, request.symbol)
        else:
            return True
        return False

    def problem(self, code: str, message: str, symbol: str | None = None) -> None:
        """Publish something that went wrong."""
        self.publish(Problem(timestamp=self.clock(), code=code, message=message, symbol=symbol))

    def _publish_all(self, events: Sequence[Event]) -> None:
        for event in events:
            self.publish(event)

    async def _warm_up(self) -> None:
        for symbol in self.symbols:
            for bar in await self.market.history(symbol, limit=self._warm_up_bars):
                self.engine.warm_up(bar)
        prices = self.engine.prices()
        self.publish(self.engine.portfolio.account(prices, timestamp=self.clock()))

    async def _guarded(self, event: MarketEvent) -> None:
        try:
            await self._on_market(event)
        except DataError as error:
            self.problem(error.code, error.message, event.symbol)
        except Exception as error:
            log.exception("unexpected error at %s", event)
            reason = f"unexpected {type(error).__name__}: {error}; look at the log, then start"
            self.problem("internal_error", reason, event.symbol)
            self.set_state(BotState.PAUSED, reason)

    async def _on_market(self, event: MarketEvent) -> None:
        if not isinstance(event, Bar) or not event.final:
            self.publish(event)
            return
        self.engine.check(event)
        self.broker.on_bar(event)
        decision = self.engine.on_bar(event)
        self.ledger.on_final_bar(event)
        await self._act(decision)
        self._publish_positions(event)
        if self._monotonic() - self._metrics_at >= METRICS_INTERVAL:
            self._publish_metrics()

    async def _act(self, decision: Decision) -> None:
        self.publish(decision.evaluation)
        if decision.signal:
            self.publish(decision.signal)
        if decision.request:
            await self.submit(decision.request)

    def _on_update(self, update: OrderUpdate) -> None:
        trip = self.engine.on_update(update)
        self.publish(update)
        if isinstance(update, Fill):
            self._touched.add(update.symbol)
        if trip:
            self.publish(trip)
            self.publish(_closed(trip))

    def _publish_positions(self, bar: Bar) -> None:
        held = [p for p in self.broker.positions() if p.symbol == bar.symbol]
        for position in held:
            self.publish(position)
        if held or bar.symbol in self._touched:
            prices = self.engine.prices()
            self.publish(self.engine.portfolio.account(prices, timestamp=bar.timestamp))
        self._touched.discard(bar.symbol)

    def _publish_metrics(self) -> None:
        self.publish(self.performance())
        self.publish(self.health())
        self._metrics_at, self._metrics_bars = self._monotonic(), self.ledger.bars


def _closed(trip: RoundTrip) -> Position:
    return Position(
        symbol=trip.symbol,
        quantity=ZERO,
        entry_price=trip.entry_price,
        entry_time=trip.entry_time,
        updated_at=trip.exit_time,
        price=trip.exit_price,
        unrealised_pnl=ZERO,
    )
