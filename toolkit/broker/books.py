"""Where facts become books: journal, orders and holdings move together, and each change is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal

from toolkit.alpaca.port import BrokerOrder, OrderNews
from toolkit.broker.journal import Journal
from toolkit.broker.lots import Lot, Lots
from toolkit.broker.orders import Change, Orders
from toolkit.broker.port import Recovery
from toolkit.broker.records import Booking, Intent
from toolkit.broker.tracked import Tracked
from toolkit.core.types import Order, OrderRequest, OrderUpdate, Reason

PEAK_STEP = 1.0002  # a peak is written down when it has risen by so much
log = logging.getLogger(__name__)


class Books:
    """One bot's books. `fault` says what went wrong unexpectedly; empty while nothing did.

    `version` counts bookings. `foreign` is what others hold in the account, by symbol;
    `foreign_seen` are their executions.
    `wake(symbol)` hears whenever something about a symbol has changed.
    """

    def __init__(self, journal: Journal, *, prefix: str, clock: Callable[[], datetime]) -> None:
        self.journal = journal
        self.orders = Orders()
        self.lots = Lots()
        self.prefix = prefix
        self.fault = ""
        self.version = 0
        self.wake: Callable[[str], None] = _nobody
        self.on_update: Callable[[OrderUpdate], None] = _nobody
        self._clock = clock
        self.foreign: dict[str, Decimal] = {}
        self.foreign_seen: set[str] = set()
        self._corrections = 0
        self._kept: dict[str, tuple[str, float, Reason | None]] = {}

    def now(self) -> datetime:
        """Our clock."""
        return self._clock()

    def recover(self) -> Recovery:
        """Rebuild everything from the journal; asked once."""
        now, journal = self.now(), self.journal
        changes = list(journal.changes())
        last = {c.client_order_id: c for c in changes if isinstance(c, Order)}
        booked = [c for c in changes if not isinstance(c, Order)]
        bookings: dict[str, list[Booking]] = {}
        for booking in booked:
            bookings.setdefault(booking.fill.client_order_id, []).append(booking)
        for intent in journal.intents():
            name = intent.ticket.client_order_id
            found = bookings.get(name, [])
            self.orders.restore(intent, last=last.get(name), bookings=found, at=now)
        for booking in booked:
            self.lots.book(booking, self._intent(booking), now=now)
        for note in journal.notes("lot"):
            wish = note.data["wish"]
            self.lots.restore(
                note.data["symbol"],
                entry_id=note.data["entry_id"],
                peak=note.data["peak"],
                wish=Reason(wish) if wish else None,
            )
        for note in journal.notes("foreign"):
            self.foreign[note.data["symbol"]] = Decimal(note.data["quantity"])
            self.foreign_seen.add(note.data["key"])
        requests = (t.intent.request for t in self.orders.open())
        pending: list[OrderRequest] = [r for r in requests if r is not None]
        updates = [c if isinstance(c, Order) else c.fill for c in changes]
        return Recovery(updates=updates, pending=pending)

    def intend(self, intent: Intent, *, kept: bool, sent: bool = True) -> Tracked:
        """Put an intent on disk, then among the orders; raises BrokerError unless `kept`."""
        self.journal.intend(intent, kept=kept)
        tracked = self.orders.intend(intent)
        tracked.sent = sent
        tracked.looked_at = self.now()
        return tracked

    def take(self, changes: Iterable[Change]) -> None:
        """Write changes down, move the holdings, and tell of them."""
        for change in changes:
            if isinstance(change, Order):
                self.journal.order(change)
                self._tell(change)
            else:
                self.version += 1
                self.journal.fill(change)
                self.lots.book(change, self._intent(change), now=self.now())
                self._tell(change.fill)
                self.remember(change.fill.symbol)
            symbol = change.symbol if isinstance(change, Order) else change.fill.symbol
            self.wake(symbol)

    def take_order(self, order: BrokerOrder) -> None:
        """Take an order as the broker shows it, adopting it and its legs where they are ours."""
        self._adopt(order)
        self.take(self.orders.snapshot(order))

    def take_news(self, news: OrderNews) -> bool:
        """Take a message of the stream; False where the order is not ours."""
        self._adopt(news.order)
        self.take(self.orders.news(news))
        return self.orders.by_id(news.order.id) is not None

    def remember(self, symbol: str) -> None:
        """Write down what a position needs after a restart, where it has changed."""
        lot = self.lots.get(symbol)
        if lot is None:
            self._kept.pop(symbol, None)
            return
        state, known = (lot.entry_id, lot.peak, lot.wish), self._kept.get(symbol)
        same = known is not None and (known[0], known[2]) == (lot.entry_id, lot.wish)
        if not same or known is None or lot.peak > known[1] * PEAK_STEP:
            self._kept[symbol] = state
            data = {"symbol": symbol, "entry_id": lot.entry_id, "peak": lot.peak, "wish": lot.wish}
            self.journal.note("lot", who="broker", data=data)

    def next_correction(self, entry_id: str) -> int:
        """Return a number for a booking without an order that its position has not used."""
        self._corrections += 1
        while self.journal.booked(f"{entry_id}-c{self._corrections}"):
            self._corrections += 1
        return self._corrections

    def failed(self, what: str, error: BaseException) -> None:
        """Something unexpected: it is logged, and entries stop until a person has looked."""
        log.error("unexpected error: %s", what, exc_info=error)
        self.fault = f"unexpected {type(error).__name__} ({what}): {error}; look at the log"
        self.journal.note("fault", who="broker", data={"what": what, "error": repr(error)})

    def protected(self, lot: Lot) -> bool:
        """Whether a net for the position rests at the broker."""
        return any(
            t.intent.role == "net" and t.id and not t.cancel_asked
            for t in self.orders.open(lot.symbol)
        )

    def _adopt(self, order: BrokerOrder) -> None:
        for intent in self.orders.strangers(order, prefix=self.prefix):
            self.intend(intent, kept=True)
            data = {"client_order_id": intent.ticket.client_order_id, "role": intent.role}
            self.journal.note("adopted", who="broker", data=data)

    def _intent(self, booking: Booking) -> Intent | None:
        tracked = self.orders.get(booking.fill.client_order_id)
        return tracked.intent if tracked else None

    def _tell(self, update: OrderUpdate) -> None:
        try:
            self.on_update(update)
        except Exception as error:  # noqa: BLE001 - whatever the listener does, the books go on
            self.failed(f"telling of {update.client_order_id}", error)


def _nobody(_: object) -> None:
    """Nobody listens yet."""
