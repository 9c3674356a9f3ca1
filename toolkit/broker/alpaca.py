"""Alpaca behind the port `Broker`: orders never doubled, never forgotten (docs/guarantees.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from toolkit.alpaca.port import Link, LinkNews, OrderNews, OrderStream, Trading
from toolkit.broker.audit import Audit, audited
from toolkit.broker.books import Books
from toolkit.broker.counter import Counter
from toolkit.broker.desk import Desk
from toolkit.broker.journal import Journal
from toolkit.broker.keeper import Keeper
from toolkit.broker.port import Recovery
from toolkit.broker.protection import Care
from toolkit.core.gates import Gate
from toolkit.core.types import (
    Bar,
    ExitPlan,
    Order,
    OrderRequest,
    OrderUpdate,
    Position,
    Quote,
    Reason,
    Trade,
)
from toolkit.errors import BrokerError, NotConnected

RECONCILE_EVERY = timedelta(seconds=60)
POLL_EVERY = timedelta(seconds=3)
BEAT = 0.25
ASSETS_EVERY = 600.0  # seconds; many symbols must not use up the requests a minute


class AlpacaBroker:
    """One account, one bot. `prefix` begins every client order id of ours.

    What may be done with `symbols` is known before the first order, and kept fresh.
    `claim` names symbols whose holdings, found in the account, become ours; they are protected by
    `claimed_exits`. `clock` and `pause(seconds)` are the only ways in which it learns of time.
    """

    def __init__(
        self,
        *,
        trading: Trading,
        stream: OrderStream,
        journal: Path,
        symbols: Sequence[str] = (),
        prefix: str = "stochrsi-",
        claim: Sequence[str] = (),
        claimed_exits: ExitPlan | None = None,
        care: Care | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.journal = Journal(journal, clock=clock)
        self._books = Books(self.journal, prefix=prefix, clock=clock)
        self._desk = Desk(trading, self._books)
        self._keeper = Keeper(self._books, self._desk, care or Care())
        self._audit = Audit(self._books, self._desk, claim=claim, exits=claimed_exits or ExitPlan())
        self._counter = Counter(self._books, self._desk, self._keeper)
        self._trading, self._stream = trading, stream
        self._symbols = symbols
        self._clock, self._pause = clock, pause
        self._recovered = self._started = self._stopped = False
        self._stream_down = "the order stream is connecting"
        self._next_audit = self._audited_at = clock()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def name(self) -> str:
        """Shown to the user."""
        return "alpaca:paper" if self._trading.paper else "alpaca:live"

    async def recover(self) -> Recovery:
        """Return what the journal knows; raises BrokerError where it is damaged."""
        if self._recovered:
            return Recovery()
        self._recovered = True
        return self._books.recover()

    async def start(self, on_update: Callable[[OrderUpdate], None]) -> None:
        """Reconcile, then report every change to `on_update`.

        Where the broker does not answer, it starts all the same with its gates closed. Raises
        BrokerError where it answers that we may not come in (keys, blocked account).
        """
        await self.recover()
        self._books.on_update = on_update
        self._started, self._stopped = True, False
        self._run(self._listen, "order stream")
        try:
            await self._desk.refresh_clock()
            await self._audit.run()
        except NotConnected as error:
            self._desk.silent = error.message
        except BaseException:
            await self.stop()
            raise
        self._plan_audit()
        self._keeper.start()
        self._keeper.wake_all()
        self._run(self._watch_positions, "positions")
        self._run(self._watch_broker, "broker")
        self._run(self._watch_assets, "assets")

    def on_bar(self, bar: Bar) -> None:
        """Let targets, trails and nets see a final bar."""
        counts = bar.final and not bar.revision and not self._stopped
        if counts and self._books.lots.bar(bar, now=self._clock()):
            self._books.remember(bar.symbol)
            self._keeper.wake(bar.symbol)

    def on_tick(self, tick: Quote | Trade) -> None:
        """Let targets and trails see a price between bars."""
        if not self._stopped and self._books.lots.see(tick, now=self._clock()):
            self._keeper.wake(tick.symbol)

    def health(self) -> Mapping[Gate, str]:
        """Return why no entries may be made now; empty when they may."""
        books, gates = self._books, {}
        unknown = [t.client_id for t in books.orders.unknown()]
        troubles = self._keeper.troubles()
        if fault := books.fault or self.journal.problem:
            gates[Gate.ERROR] = fault
        if reason := self._audit.comparison.reason:
            gates[Gate.RECONCILIATION] = reason
        if self._stream_down:
            gates[Gate.ORDERS] = self._stream_down
        elif unknown:
            gates[Gate.ORDERS] = f"the outcome of {', '.join(unknown)} is looked up"
        elif troubles:
            gates[Gate.ORDERS] = "; ".join(troubles)
        if self._desk.silent:
            gates[Gate.BROKER] = self._desk.silent
        return gates

    async def submit(self, request: OrderRequest) -> Order:
        """Write an order down and send it; raises OrderRejected, NotConnected or BrokerError.

        The order that is returned may be `pending` (a sale that waits for its net to be
        cancelled, or for the open) or `unknown` (it left, and is being looked up).
        """
        self._require_start()
        return await self._counter.submit(request)

    async def cancel(self, order_id: str) -> None:
        """Ask to cancel an open order of ours; raises BrokerError where there is none."""
        self._require_start()
        await self._counter.cancel(order_id)

    async def replace(
        self,
        order_id: str,
        *,
        client_order_id: str,
        quantity: Decimal | None = None,
        limit_price: Decimal | None = None,
        stop_price: Decimal | None = None,
    ) -> Order:
        """Change an open order of ours; returns the new one, raises as `submit` does."""
        self._require_start()
        return await self._counter.replace(
            order_id,
            client_order_id=client_order_id,
            quantity=quantity,
            limit_price=limit_price,
            stop_price=stop_price,
        )

    def close(self, symbol: str, *, reason: Reason = Reason.MANUAL) -> None:
        """Sell what we hold of a symbol as soon as it trades: net cancelled, market order."""
        self._require_start()
        self._counter.close(symbol, reason)

    async def flatten(self, *, reason: Reason = Reason.FLATTEN) -> None:
        """Cancel every entry of ours and sell everything that we hold."""
        self._require_start()
        await self._counter.flatten(reason)

    async def reconcile(self) -> None:
        """Compare with the broker now; raises BrokerError where it does not answer."""
        await self._audit.run()
        self._keeper.wake_all()

    def note(self, kind: str, *, who: str, data: Mapping[str, Any]) -> None:
        """Write into the journal what is not an order: a command, a gate, a parameter."""
        self.journal.note(kind, who=who, data=data)

    def positions(self) -> Sequence[Position]:
        """What we hold, with the levels in force."""
        return [lot.position() for lot in self._books.lots]

    def open_orders(self) -> Sequence[Order]:
        """Orders of ours that may still fill, nets included."""
        return [tracked.as_order() for tracked in self._books.orders.open()]

    async def stop(self) -> None:
        """End all tasks and let the journal go; nets stay at the broker."""
        if self._stopped:
            return
        self._stopped, self._started = True, False
        await self._stream.stop()
        await self._keeper.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._books.on_update = _nobody
        self.journal.close()

    def _require_start(self) -> None:
        if not self._started:
            raise NotConnected("the broker is not started; call start() first")

    def _run(self, work: Callable[[], Awaitable[None]], what: str) -> None:
        async def guarded() -> None:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - published as a closed gate
                self._books.failed(what, error)

        self._tasks.append(asyncio.create_task(guarded(), name=what))

    async def _listen(self) -> None:
        try:
            async for news in self._stream.news():
                self._hear(news)
        finally:
            self._stream_down = "the order stream has ended"

    def _hear(self, news: OrderNews | LinkNews) -> None:
        try:
            if isinstance(news, OrderNews):
                if not self._books.take_news(news) and news.execution_id:
                    self._next_audit = self._clock()  # somebody else trades here
                return
            if news.link is Link.UP:
                self._stream_down = ""
            else:
                self._stream_down = f"the order stream is {news.link}: {news.reason}"
            self.journal.note("stream", who="broker", data={"link": news.link})
            self._next_audit = self._clock()
        except Exception as error:  # noqa: BLE001 - one bad message does not end the stream
            self._books.failed("an order message", error)

    async def _watch_positions(self) -> None:
        while True:
            await self._pause(BEAT)
            if self.journal.problem:
                self.journal.retry()
            self.journal.tidy()
            self._keeper.wake_all()

    async def _watch_broker(self) -> None:
        """Look-ups, the market's hours, reconciliation: requests that may take their time."""
        while True:
            await self._pause(BEAT)
            try:
                await self._desk.look_for_unknown()
                await self._desk.look_for_silent()
                await self._desk.refresh_clock()
                if self._audit_due():
                    await self._audit_now()
            except BrokerError as error:
                self._desk.silent = error.message
            except Exception as error:  # noqa: BLE001 - published as a closed gate
                self._books.failed("reconciliation", error)

    async def _watch_assets(self) -> None:
        while self._symbols:
            await self._desk.refresh_assets(self._symbols)
            await self._pause(ASSETS_EVERY)

    def _audit_due(self) -> bool:
        now, soon = self._clock(), self._desk.audit_wanted or self._desk.silent
        return now >= self._next_audit or bool(soon and now >= self._audited_at + POLL_EVERY)

    async def _audit_now(self) -> None:
        self._audited_at = self._clock()
        self._next_audit = self._audited_at + RECONCILE_EVERY
        self._desk.audit_wanted = False
        begun = self._next_audit
        await audited(self._audit, self._desk)
        if self._next_audit == begun:  # nobody has asked for the next one meanwhile
            self._plan_audit()
        self._keeper.wake_all()

    def _plan_audit(self) -> None:
        soon = (
            self._stream_down
            or self._audit.comparison.second_look_due
            or self._audit.comparison.reason
            or self._desk.silent
            or self._keeper.troubles()
            or self._books.orders.lacking()
        )
        self._next_audit = self._clock() + (POLL_EVERY if soon else RECONCILE_EVERY)


def _nobody(_: object) -> None:
    """Nobody listens."""
