"""Requests about orders: sent, cancelled, replaced, looked up; answers go to the books."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal

from toolkit.alpaca.port import Asset, MarketClock, Trading
from toolkit.broker.books import Books
from toolkit.broker.orders import NOT_SENT
from toolkit.broker.records import Role
from toolkit.broker.tracked import Tracked
from toolkit.core.types import is_crypto
from toolkit.errors import BrokerError, NotConnected, OrderRejected, UnknownOrderState

RETRY = timedelta(seconds=1)
SILENCE = timedelta(seconds=2)
LONG_SILENCE = timedelta(seconds=10)
YOUNG = timedelta(seconds=10)
CLOCK_AGE = timedelta(seconds=60)
ASSET_AGE = timedelta(minutes=25)  # then an order waits until it was asked for again
LOOK_PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds between looks for an order of unknown outcome


class Desk:
    """One account's counter. `silent` is why the API does not answer; empty while it does.

    `audit_wanted` asks whoever reconciles to do it soon.
    """

    def __init__(self, trading: Trading, books: Books) -> None:
        self.trading = trading
        self.books = books
        self.silent = ""
        self._assets: dict[str, tuple[datetime, Asset]] = {}
        self._clock: MarketClock | None = None
        self._clock_at: datetime | None = None
        self._doubted = False
        self.audit_wanted = False
        self._next_look: dict[str, datetime] = {}

    async def asset(self, symbol: str) -> Asset:
        """Return what may be done with a symbol; what was known once serves when nobody answers."""
        known = self._assets.get(symbol)
        if known is None or self.books.now() - known[0] >= ASSET_AGE:
            try:
                await self._ask_asset(symbol)
            except NotConnected:
                if symbol not in self._assets:
                    raise
        return self.known_asset(symbol)

    def known_asset(self, symbol: str) -> Asset:
        """Return an asset that was asked for before."""
        return self._assets[symbol][1]

    async def refresh_assets(self, symbols: Iterable[str]) -> None:
        """Ask for symbols, so that no order has to wait for it."""
        for symbol in symbols:
            with suppress(BrokerError):  # the order that needs it asks again, and says so
                await self._ask_asset(symbol)

    async def _ask_asset(self, symbol: str) -> None:
        asset = await self.trading.asset(symbol)
        self._assets[symbol] = (self.books.now(), asset)

    async def refresh_clock(self) -> None:
        """Ask for the market's hours where they may have changed; raises BrokerError."""
        now = self.books.now()
        known = self._clock_at is not None and now - self._clock_at < CLOCK_AGE
        if self._doubted or not known:
            self._clock = await self.trading.clock()
            self._clock_at, self._doubted = now, False

    def market_open(self, symbol: str) -> bool:
        """Whether the symbol trades now, by the broker's clock; open where that is not known."""
        if is_crypto(symbol) or self._clock is None or self._clock_at is None:
            return True
        clock = self._clock
        at = clock.timestamp + (self.books.now() - self._clock_at)
        return at < clock.next_close if clock.is_open else at >= clock.next_open

    def doubt(self) -> None:
        """A sale was refused: ask for the market's hours and compare holdings again."""
        self._doubted = self.audit_wanted = True

    async def send(self, order: Tracked) -> None:
        """Send an order that is on disk, once; raises OrderRejected or NotConnected.

        An unknown outcome raises nothing: the order's state says so, and it is looked up.
        """
        books, name = self.books, order.client_id
        order.sent, order.looked_at = True, books.now()
        try:
            answer = await self.trading.submit(order.intent.ticket)
        except OrderRejected as error:
            if error.data.get("duplicate"):  # it is there already: see what became of it
                self._lost(order, error)
                return
            books.take(books.orders.refused(name, error.message, at=books.now()))
            raise
        except NotConnected as error:
            self.silent = error.message
            books.take(books.orders.refused(name, f"{NOT_SENT}: {error.message}", at=books.now()))
            raise
        except BrokerError as error:
            self._lost(order, error)
        else:
            self.silent = ""
            books.take_order(answer)

    async def replace(
        self,
        old: Tracked,
        new: Tracked,
        *,
        quantity: int | None = None,
        limit_price: Decimal | None = None,
        stop_price: Decimal | None = None,
    ) -> None:
        """Put an order that is on disk in another's place; raises as `send` does."""
        books = self.books
        new.looked_at = books.now()
        try:
            answer = await self.trading.replace(
                old.id,
                client_order_id=new.client_id,
                quantity=quantity,
                limit_price=limit_price,
                stop_price=stop_price,
            )
        except (OrderRejected, NotConnected) as error:
            books.take(books.orders.refused(new.client_id, error.message, at=books.now()))
            old.looked_at = None  # it may have ended: see what became of it
            raise
        except BrokerError as error:
            self._lost(new, error)
        else:
            books.take_order(answer)

    async def cancel(self, order: Tracked) -> None:
        """Ask for an order to be cancelled; that it was is another fact."""
        now = self.books.now()
        order.cancel_asked = order.looked_at = now
        try:
            if not await self.trading.cancel(order.id):
                await self.look(order)
        except UnknownOrderState:
            order.looked_at = None
        except BrokerError as error:
            # Not asked, or it is being replaced: see what became of it, then ask again.
            order.cancel_asked, order.not_before = None, now + RETRY
            if not isinstance(error, OrderRejected):
                self.silent = error.message
            await self.look(order)

    async def look(self, order: Tracked) -> None:
        """Ask what became of an order, by the broker's id or by ours."""
        books = self.books
        order.looked_at = books.now()
        try:
            if order.id:
                found = await self.trading.order(order.id)
            else:
                found = await self.trading.order_by_client_id(order.client_id)
        except BrokerError as error:
            self.silent = error.message
            return
        self.silent = ""
        if found is not None:
            books.take_order(found)
            await self.fetch_executions(order)
        elif order.id:
            books.take(books.orders.gone(order.client_id, at=books.now()))
        else:
            books.take(books.orders.absent(order.client_id, at=books.now()))

    async def fetch_executions(self, order: Tracked) -> None:
        """Ask for executions of an order that are missing here."""
        if not order.lacks_executions:
            return
        since = (order.submitted_at or order.intent.made_at) - timedelta(seconds=5)
        try:
            found = await self.trading.fills_since(since)
        except BrokerError as error:
            self.silent = error.message
            return
        self.books.take(self.books.orders.executions(found))

    async def look_for_unknown(self) -> None:
        """Look up what is due among the orders of unknown outcome."""
        now = self.books.now()
        unknown = self.books.orders.unknown()
        self._next_look = {t.client_id: self._next_look.get(t.client_id, now) for t in unknown}
        for order in unknown:
            if self._next_look[order.client_id] <= now:
                await self.look(order)
                pause = LOOK_PAUSES[min(order.looks, len(LOOK_PAUSES) - 1)]
                self._next_look[order.client_id] = now + timedelta(seconds=pause)

    async def look_for_silent(self) -> None:
        """Look at entries of which nothing was heard for a while: the stream may be mute."""
        now = self.books.now()
        for order in self.books.orders.open():
            young = now - order.intent.made_at < YOUNG
            pause = SILENCE if young else LONG_SILENCE
            heard = order.looked_at or order.intent.made_at
            if order.intent.role is Role.ENTRY and order.id and now - heard >= pause:
                await self.look(order)

    def _lost(self, order: Tracked, error: BrokerError) -> None:
        books = self.books
        data = {"client_order_id": order.client_id, "error": error.message}
        books.journal.note("unknown", who="broker", data=data)
        books.take(books.orders.lost(order.client_id, at=books.now()))
