"""Keeps every position under its net and sells it when its time has come: steps become requests."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime

from toolkit.broker.books import Books
from toolkit.broker.corrections import write_off
from toolkit.broker.desk import Desk
from toolkit.broker.lots import Lot
from toolkit.broker.protection import (
    Cancel,
    Care,
    Facts,
    Leave,
    Look,
    Move,
    Send,
    Step,
    Withdraw,
    failed,
    next_step,
    sent,
)
from toolkit.broker.records import Role
from toolkit.errors import BrokerError, NotConnected, OrderRejected

STEPS_AT_ONCE = 20  # then the next beat goes on: no mistake of ours may flood the broker


class Keeper:
    """One task for each symbol that needs something; they end when there is nothing to do."""

    def __init__(self, books: Books, desk: Desk, care: Care) -> None:
        self._books, self._desk, self._care = books, desk, care
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._running = False

    def start(self) -> None:
        """Act from now on."""
        self._running = True
        self._books.wake = self.wake

    def wake(self, symbol: str) -> None:
        """Something about a symbol has changed, or time has passed: see what is to be done."""
        if not self._running:
            return
        self._again.add(symbol)
        if symbol not in self._tasks:
            task = asyncio.create_task(self._tend(symbol), name=f"keep {symbol}")
            self._tasks[symbol] = task
            task.add_done_callback(lambda done: self._ended(symbol, done))

    def wake_all(self) -> None:
        """Time has passed: look at everything that is held or still to be sold."""
        books = self._books
        waiting = {t.symbol for t in books.orders.open() if t.intent.role is not Role.ENTRY}
        for symbol in {lot.symbol for lot in books.lots} | waiting:
            self.wake(symbol)

    async def rest(self) -> None:
        """Return when nothing is to be done at this moment."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def stop(self) -> None:
        """End all tasks; what was under way is looked up at the next start."""
        self._running = False
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def troubles(self) -> list[str]:
        """Say which positions have no net, and why, where that is more than a moment's work."""
        return [f"{lot.symbol}: {lot.trouble}" for lot in self._books.lots if lot.trouble]

    def _ended(self, symbol: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(symbol, None)
        if task.cancelled():
            return
        if error := task.exception():
            self._books.failed(f"keeping {symbol}", error)
        elif symbol in self._again:
            self.wake(symbol)

    async def _tend(self, symbol: str) -> None:
        while symbol in self._again:
            self._again.discard(symbol)
            for _ in range(STEPS_AT_ONCE):
                step = await self._next(symbol)
                if step is None:
                    break
                await self._do(symbol, step)
            self._measure(symbol)

    async def _next(self, symbol: str) -> Step | None:
        books, lot = self._books, self._books.lots.get(symbol)
        orders = books.orders.open(symbol)
        if lot is None and not orders:
            return None
        try:
            asset = await self._desk.asset(symbol)
        except BrokerError as error:
            self._desk.silent = error.message
            return None
        lot = books.lots.get(symbol)
        facts = Facts(
            orders=books.orders.open(symbol),
            asset=asset,
            market_open=self._desk.market_open(symbol),
            now=books.now(),
        )
        stem = lot.entry_id if lot else ""
        numbers = (
            books.orders.next_number(f"{stem}-n"),
            books.orders.next_number(f"{stem}-x"),
        )
        self._measure(symbol)
        step = next_step(lot, facts, self._care, numbers=numbers)
        books.remember(symbol)
        return step

    async def _do(self, symbol: str, step: Step) -> None:
        books, desk = self._books, self._desk
        match step:
            case Cancel(order):
                if (lot := books.lots.get(symbol)) is not None:
                    lot.net_not_before = None  # we end it: the next may follow at once
                await desk.cancel(order)
            case Look(order):
                await desk.look(order)
            case Withdraw(order, message):
                books.take(books.orders.withdrawn(order.client_id, message, at=books.now()))
            case Leave(lot):
                write_off(books, lot)
            case Move(order, intent):
                new = books.intend(intent, kept=True)
                with contextlib.suppress(OrderRejected, NotConnected):  # the old net still rests
                    await desk.replace(order, new, stop_price=intent.ticket.stop_price)
            case Send():
                await self._send(symbol, step)

    async def _send(self, symbol: str, step: Send) -> None:
        books = self._books
        order = step.waiting or books.intend(step.intent, kept=True)
        try:
            await self._desk.send(order)
        except BrokerError as error:
            lot = books.lots.get(symbol)
            if lot is None:
                return
            what = "the net" if step.intent.role is Role.NET else "the exit"
            message = f"{what} was not taken: {error.message}"
            failed(
                lot,
                message,
                role=step.intent.role,
                now=books.now(),
                care=self._care,
                market_open=self._desk.market_open(symbol),
            )
            data = {"symbol": symbol, "order": order.client_id, "error": error.message}
            books.journal.note("not_taken", who="broker", data=data)
            if isinstance(error, OrderRejected):
                self._desk.doubt()
        else:
            if (lot := books.lots.get(symbol)) is not None:
                sent(lot, role=step.intent.role, now=books.now(), care=self._care)

    def _measure(self, symbol: str) -> None:
        """Note how long a position that wants a net was without one."""
        lot = self._books.lots.get(symbol)
        if lot is None:
            return
        now = self._books.now()
        wants = lot.plan is not None and lot.stop()[0] > 0.0 and lot.wish is None
        if wants and not self._books.protected(lot):
            lot.bare_since = lot.bare_since or now
        elif lot.bare_since is not None:
            self._note_bare(lot, now)
            if lot.wish is None:
                lot.failures, lot.trouble = 0, ""

    def _note_bare(self, lot: Lot, now: datetime) -> None:
        assert lot.bare_since is not None
        seconds = (now - lot.bare_since).total_seconds()
        lot.bare_since = None
        data = {"symbol": lot.symbol, "seconds": seconds, "selling": lot.wish is not None}
        self._books.journal.note("bare", who="broker", data=data)
