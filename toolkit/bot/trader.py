"""One market event after the other: to the broker, through the engine, into orders and events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from toolkit.bot.events import BarCorrection, Problem, Publish
from toolkit.bot.ledger import Ledger
from toolkit.bot.losses import Losses
from toolkit.bot.notes import Note, gap_note, refusal_note, revision_note
from toolkit.bot.watch import Watch
from toolkit.broker.port import Broker, Recovery
from toolkit.core.engine import Decision, Engine
from toolkit.core.gates import Gate, Gates
from toolkit.core.types import (
    ZERO,
    Bar,
    Fill,
    MarketEvent,
    Order,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    Position,
    Quote,
    RoundTrip,
    Side,
    Trade,
)
from toolkit.errors import BrokerError, DataError, UnknownOrderState
from toolkit.market.hours import Hours

log = logging.getLogger(__name__)

STOP_SECONDS = 5.0
_UNDECIDED = (OrderStatus.PENDING, OrderStatus.UNKNOWN)


class Trader:
    """Takes events and updates of one bot; `on_gates` is called when a gate may have changed.

    With `at_once` an order is on its way while the next bar is looked at; without, the next bar
    waits for its answer, which is what makes a replay repeat itself.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        engine: Engine,
        ledger: Ledger,
        gates: Gates,
        watch: Watch,
        losses: Losses,
        timeframe: float,
        hours: Hours,
        publish: Publish,
        on_gates: Callable[[], None],
        note: Note,
        clock: Callable[[], datetime],
        at_once: bool,
    ) -> None:
        self.broker = broker
        self._engine, self._ledger, self._gates, self._watch = engine, ledger, gates, watch
        self._losses, self._timeframe, self._hours = losses, timeframe, hours
        self._publish, self._on_gates, self._note, self._clock = publish, on_gates, note, clock
        self._at_once = at_once
        self._sending: set[asyncio.Task[bool]] = set()
        self._touched: set[str] = set()

    async def take(self, event: MarketEvent) -> None:
        """Handle one event; what goes wrong is published, the unexpected closes Gate.ERROR."""
        try:
            if not isinstance(event, Bar):
                if isinstance(event, (Quote, Trade)):
                    self.broker.on_tick(event)
                else:
                    self._note("gap", "bot", gap_note(event))
                self._publish(event)
            elif not event.final:
                self._publish(event)
            elif event.revision:
                self._correct(event)
            else:
                await self._decide(event)
        except DataError as error:
            self.problem(error.code, error.message, event.symbol)
        except Exception as error:  # noqa: BLE001 - published, and closes the gate
            self.fail(f"at {event}", error, symbol=event.symbol)

    def fail(self, what: str, error: BaseException, *, symbol: str | None = None) -> None:
        """Publish an unexpected error and take no entries until a person has looked."""
        log.error("unexpected error %s", what, exc_info=error)
        reason = f"unexpected {type(error).__name__}: {error}; look at the log, then start"
        self.problem("internal_error", reason, symbol)
        self._note("error", "bot", {"what": what, "error": reason, "symbol": symbol})
        self._gates.close(Gate.ERROR, reason, now=self._clock())
        self._on_gates()

    def problem(self, code: str, message: str, symbol: str | None = None) -> None:
        """Publish something that went wrong."""
        self._publish(Problem(timestamp=self._clock(), code=code, message=message, symbol=symbol))

    def recover(self, recovery: Recovery) -> None:
        """Take over what earlier runs did: booked and remembered, not published as new."""
        for update in recovery.updates:
            trip = self._engine.on_update(update)
            self._engine.remember(update.client_order_id)
            for event in (update, trip):
                if event is not None:
                    self._ledger.record(event)
        for request in recovery.pending:
            self._engine.remember(request.client_order_id)
            self._engine.adopt(request)
        for symbol in self._engine.portfolio.holdings.keys() - set(self._engine.symbols):
            self.problem(
                "not_traded",
                f"{symbol} is held from an earlier run but not traded now: the broker keeps its "
                "exits; add it to the symbols, or flatten",
                symbol,
            )

    async def submit(self, request: OrderRequest) -> bool:
        """Send an order and return whether it was taken; never sent again by itself.

        A refusal is published and forgotten. An unknown outcome is published and stays pending:
        no entries are made until the broker knows, or a person has looked.
        """
        try:
            await self.broker.submit(request)
        except UnknownOrderState as error:
            self.problem(error.code, error.message, request.symbol)
            self._watch.unknown[request.client_order_id] = request.symbol
            self._look()
        except BrokerError as error:
            self._engine.refused(request)
            self.problem(error.code, error.message, request.symbol)
        except Exception as error:  # noqa: BLE001 - published, and closes the gate
            self.fail(f"sending {request.client_order_id}", error, symbol=request.symbol)
        else:
            return True
        return False

    async def submit_all(self, requests: Sequence[OrderRequest]) -> dict[str, bool]:
        """Send orders; returns which were taken, by their ids."""
        if self._at_once:
            taken = await asyncio.gather(*map(self.submit, requests))
        else:
            taken = [await self.submit(request) for request in requests]
        return {r.client_order_id: t for r, t in zip(requests, taken, strict=True)}

    async def sell_all(self, requests: Sequence[OrderRequest]) -> dict[str, bool]:
        """Send sales of all that is held; one that a fill has overtaken is made anew, once."""
        sent = await self.submit_all(requests)
        held = self._engine.portfolio.quantity
        overtaken = [
            r for r in requests if not sent[r.client_order_id] and held(r.symbol) != r.quantity
        ]
        for request in overtaken:
            del sent[request.client_order_id]
        again = self._engine.flatten([r.symbol for r in overtaken], now=self._clock())
        return {**sent, **await self.submit_all(again)}

    async def cancel_entries(self, symbols: Sequence[str] | None) -> list[str]:
        """Take back entries that wait; returns the ids of those that the broker let go."""
        cancelled = []
        for order in self.broker.open_orders():
            if order.side is not Side.BUY or (symbols is not None and order.symbol not in symbols):
                continue
            try:
                await self.broker.cancel(order.id)
            except BrokerError as error:
                self.problem(error.code, error.message, order.symbol)
            else:
                cancelled.append(order.client_order_id)
        return cancelled

    async def stop(self) -> None:
        """Give orders that are on their way a moment to be answered."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=STOP_SECONDS)
        for task in self._sending:
            task.cancel()

    def on_update(self, update: OrderUpdate) -> None:
        """Book what the broker reports and publish it; never raises into the broker."""
        try:
            trip = self._engine.on_update(update)
        except Exception as error:  # noqa: BLE001 - published, and closes the gate
            self._publish(update)
            self.fail(f"at {update}", error, symbol=update.symbol)
            return
        self._publish(update)
        if isinstance(update, Fill):
            self._touched.add(update.symbol)
        if trip:
            self._publish(trip)
            self._publish(_closed(trip))
        known = isinstance(update, Order) and update.status not in _UNDECIDED
        if known and update.client_order_id in self._watch.unknown:
            del self._watch.unknown[update.client_order_id]
            self._look()

    def _look(self) -> None:
        if self._watch.look():
            self._on_gates()

    def _correct(self, bar: Bar) -> None:
        known = {e.bar.timestamp: e for e in self._engine.memory(bar.symbol)}
        decided, seen = self._ledger.decided(bar), known.get(bar.timestamp)
        indicators = seen.indicators if seen else None
        self._publish(BarCorrection(bar=bar, decided=decided, indicators=indicators))
        data = revision_note(bar, seen=seen.bar if seen else None, decided=decided)
        self._note("revised_bar", "bot", data)

    async def _decide(self, bar: Bar) -> None:
        self._engine.check(bar)
        self.broker.on_bar(bar)
        refusal = self._refusal(bar)
        leave = self._hours.leaves(bar.symbol, bar.timestamp)
        decision = self._engine.on_bar(bar, refusal=refusal, leave=leave)
        self._ledger.on_final_bar(bar)
        if decision.limited is not None or self._losses.wanted:
            self._limit(decision, bar)
        await self._act(decision)
        if decision.signal is not None and (refusal or decision.limited):
            self._note("refused", "bot", refusal_note(decision.signal))
        self._publish_positions(bar)

    def _refusal(self, bar: Bar) -> str:
        closed = self._hours.refusal(bar.symbol, bar.timestamp)
        if self._watch.real_time is None and self._gates.all_open:
            return closed
        # These two are decided anew at each bar of the symbol.
        changed = self._gates.open(Gate.EXPOSURE, symbol=bar.symbol)
        changed |= self._gates.open(Gate.RATE, symbol=bar.symbol)
        if self._watch.real_time:
            changed |= self._watch.look()
        if changed:
            self._on_gates()
        stale = self._watch.refusal(bar, timeframe=self._timeframe)
        return self._gates.reason(bar.symbol) or stale or closed

    def _limit(self, decision: Decision, bar: Bar) -> None:
        now, changed = self._clock(), False
        if decision.limited is not None:
            limit = decision.limited
            changed = self._gates.close(limit.gate, limit.reason, now=now, symbol=bar.symbol)
        if self._losses.wanted:
            account = self._engine.portfolio.account(self._engine.prices(), timestamp=bar.timestamp)
            reason = self._losses.mark(float(account.equity), bar.timestamp)
            changed |= self._gates.set(Gate.LOSS, reason, now=now)
        if changed:
            self._on_gates()

    async def _act(self, decision: Decision) -> None:
        request = decision.request
        if request is not None and self._at_once:
            self._send(request)
        self._publish(decision.evaluation)
        if decision.signal:
            self._publish(decision.signal)
        if request is None:
            return
        if self._at_once:
            await asyncio.sleep(0)  # it is on its way before the next event is looked at
        else:
            await self.submit(request)

    def _send(self, request: OrderRequest) -> None:
        task = asyncio.get_running_loop().create_task(self.submit(request))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def _publish_positions(self, bar: Bar) -> None:
        held = [p for p in self.broker.positions() if p.symbol == bar.symbol]
        for position in held:
            self._publish(position)
        if held or bar.symbol in self._touched:
            prices = self._engine.prices()
            self._publish(self._engine.portfolio.account(prices, timestamp=bar.timestamp))
        self._touched.discard(bar.symbol)


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
