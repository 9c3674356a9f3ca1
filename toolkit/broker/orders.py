"""The life of every order of ours, pure: facts in any order, twice or late; changes out, once.

PENDING (on disk) -> ACCEPTED | REJECTED | UNKNOWN; UNKNOWN is looked up by its client order id and
becomes ACCEPTED or, after several looks over a grace time, REJECTED ("never arrived").
ACCEPTED -> PARTIALLY_FILLED -> FILLED | CANCELED | EXPIRED. An end is told only when all
executions that belong to it are known, so that nobody thinks a position flat that is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from toolkit.alpaca.port import BrokerFill, BrokerOrder, OrderNews
from toolkit.broker.adoption import adopted
from toolkit.broker.records import Booking, Intent, Role, key_of
from toolkit.broker.tracked import Tracked, booking_of
from toolkit.core.types import Order, OrderStatus

Change = Order | Booking
LOOKS = 3
GRACE = timedelta(seconds=10)
NEVER_ARRIVED = "it never arrived at the broker"
KNOWN_NO_MORE = "the broker knows it no more"
NOT_SENT = "not sent"
LOST = (NEVER_ARRIVED, KNOWN_NO_MORE, NOT_SENT)  # an outage's doing, not the broker's answer


class Orders:
    """All orders of one bot. Methods that take a fact return what has changed by it."""

    def __init__(self) -> None:
        self._all: dict[str, Tracked] = {}
        self._by_id: dict[str, Tracked] = {}
        self._open: dict[str, Tracked] = {}
        self._open_of: dict[str, dict[str, Tracked]] = {}  # by symbol
        self._doubtful: set[str] = set()
        self._numbers: dict[str, int] = {}

    def intend(self, intent: Intent) -> Tracked:
        """Take an intent that is on disk; the same client order id twice is a mistake of ours."""
        name = intent.ticket.client_order_id
        assert name not in self._all, name
        tracked = Tracked(intent, quantity=intent.ticket.quantity)
        tracked.stop_price = intent.ticket.stop_price
        self._all[name] = tracked
        self._sort(tracked)
        return tracked

    def restore(
        self, intent: Intent, *, last: Order | None, bookings: Sequence[Booking], at: datetime
    ) -> None:
        """Take an order from the journal; one without an answer has an unknown outcome."""
        tracked = self.intend(intent)
        tracked.bookings = {booking.key: booking for booking in bookings}
        tracked.filled = tracked.known
        if last is not None:
            tracked.message = last.message
            tracked.submitted_at, tracked.updated_at = last.submitted_at, last.updated_at
            if last.quantity:
                tracked.quantity = last.quantity
            if not last.status.is_open:
                tracked.end = last.status
                tracked.given_up = last.status is OrderStatus.REJECTED and not last.id
            self._name(tracked, last.id)
        if not tracked.id and tracked.end is None:
            tracked.lost_at = min(intent.made_at, at)
        tracked.reported = (tracked.status, tracked.known)
        self._sort(tracked)

    def get(self, client_id: str) -> Tracked | None:
        """Return an order by its client order id."""
        return self._all.get(client_id)

    def by_id(self, order_id: str) -> Tracked | None:
        """Return an order by the broker's id."""
        return self._by_id.get(order_id)

    def open(self, symbol: str | None = None) -> list[Tracked]:
        """Orders that may still fill, oldest first; of one symbol, or all."""
        found = self._open if symbol is None else self._open_of.get(symbol, {})
        return list(found.values())

    def unknown(self) -> list[Tracked]:
        """Orders whose outcome has to be looked up."""
        return [t for t in self._open.values() if t.status is OrderStatus.UNKNOWN]

    def lacking(self) -> list[Tracked]:
        """Orders of which executions are missing here."""
        return [t for t in self._open.values() if t.lacks_executions]

    def doubtful(self) -> list[str]:
        """Broker's ids of orders with executions that nothing explains yet; told once."""
        found = sorted(self._doubtful)
        self._doubtful.clear()
        return found

    def next_number(self, stem: str) -> int:
        """Return the first number that makes an unused client order id of a stem."""
        number = self._numbers.get(stem, 1)
        while f"{stem}{number}" in self._all:
            number += 1
        self._numbers[stem] = number
        return number

    def strangers(self, order: BrokerOrder, *, prefix: str) -> Iterator[Intent]:
        """Intents to adopt before an order is taken: ours by name, by replacement or as a leg."""
        known = self._all.get(order.client_order_id) or self._by_id.get(order.id)
        if known is None:
            old = self._by_id.get(order.replaces or "")
            if order.client_order_id.startswith(prefix) or old is not None:
                yield adopted(order, like=old.intent if old else None)
            else:
                return
        for leg in order.legs:
            if leg.client_order_id not in self._all:
                yield adopted(leg, like=None, role=Role.OTHER)

    def snapshot(self, order: BrokerOrder) -> list[Change]:
        """Take an order as the broker shows it; what is older than what we know changes nothing."""
        changes: list[Change] = []
        tracked = self._all.get(order.client_order_id) or self._by_id.get(order.id)
        if tracked is not None:
            self._name(tracked, order.id)
            self._look_at(tracked, order)
            changes += self._changed(tracked)
        for leg in order.legs:
            changes += self.snapshot(leg)
        return changes

    def news(self, news: OrderNews) -> list[Change]:
        """Take a message of the order stream."""
        order = news.order
        changes = self.snapshot(order)
        if news.execution_id and news.price is not None and news.quantity:
            changes += self.execution(
                BrokerFill(
                    id=news.execution_id,
                    order_id=order.id,
                    symbol=order.symbol,
                    side=order.side,
                    price=news.price,
                    quantity=news.quantity,
                    timestamp=news.timestamp,
                )
            )
        return _settled(changes)

    def execution(self, execution: BrokerFill) -> list[Change]:
        """Book an execution once, if the broker's own count has room for it."""
        tracked = self._by_id.get(execution.order_id)
        key = key_of(execution.id)
        if tracked is None or key in tracked.bookings:
            return []
        if tracked.known + execution.quantity > tracked.filled:
            # Told under another name before, or newer than our picture of the order.
            self._doubtful.add(tracked.id)
            return []
        booking = booking_of(tracked, key, execution)
        tracked.bookings[key] = booking
        if tracked.updated_at is None or execution.timestamp > tracked.updated_at:
            tracked.updated_at = execution.timestamp
        return [*self._changed(tracked), booking]

    def executions(self, found: Iterable[BrokerFill]) -> list[Change]:
        """Book all that are new, oldest first."""
        return _settled([change for fill in found for change in self.execution(fill)])

    def refused(self, client_id: str, message: str, *, at: datetime) -> list[Change]:
        """The broker said no, or the request never left."""
        tracked = self._all[client_id]
        if tracked.id or tracked.end:
            return []
        tracked.end, tracked.message, tracked.updated_at = OrderStatus.REJECTED, message, at
        tracked.given_up = True
        return self._changed(tracked)

    def lost(self, client_id: str, *, at: datetime) -> list[Change]:
        """The request left, and nobody knows what became of it."""
        tracked = self._all[client_id]
        if tracked.id or tracked.end:
            return []
        tracked.lost_at, tracked.looks, tracked.updated_at = at, 0, at
        return self._changed(tracked)

    def absent(self, client_id: str, *, at: datetime) -> list[Change]:
        """A look found nothing; after several over the grace time it has never arrived."""
        tracked = self._all[client_id]
        if tracked.id or tracked.end or tracked.lost_at is None:
            return []
        tracked.looks += 1
        if tracked.looks < LOOKS or at - tracked.lost_at < GRACE:
            return []
        return self.refused(client_id, NEVER_ARRIVED, at=at)

    def withdrawn(self, client_id: str, message: str, *, at: datetime) -> list[Change]:
        """End an order that was never sent."""
        tracked = self._all[client_id]
        tracked.end, tracked.message, tracked.updated_at = OrderStatus.CANCELED, message, at
        return self._changed(tracked)

    def claimed(self, booking: Booking) -> list[Change]:
        """Take holdings that were not bought by an order of ours as the execution of one."""
        tracked = self._all[booking.fill.client_order_id]
        self._name(tracked, booking.fill.order_id)
        tracked.bookings[booking.key] = booking
        tracked.filled = tracked.known
        return [*self._changed(tracked), booking]

    def gone(self, client_id: str, *, at: datetime) -> list[Change]:
        """End an order that the broker does not know any more under the id that it gave."""
        tracked = self._all[client_id]
        if not tracked.is_open or tracked.lacks_executions:
            return []
        tracked.end, tracked.updated_at = OrderStatus.CANCELED, at
        tracked.given_up = True
        tracked.message = KNOWN_NO_MORE
        return self._changed(tracked)

    def _name(self, tracked: Tracked, order_id: str) -> None:
        if order_id and tracked.id != order_id:
            tracked.id = order_id
            self._by_id[order_id] = tracked

    def _look_at(self, tracked: Tracked, order: BrokerOrder) -> None:
        if tracked.given_up:
            tracked.given_up, tracked.end, tracked.message = False, None, ""  # it has arrived
        tracked.submitted_at = order.submitted_at
        tracked.filled = max(tracked.filled, order.filled_quantity)
        newer = tracked.updated_at is None or order.updated_at >= tracked.updated_at
        if newer:
            tracked.updated_at = order.updated_at
            tracked.stop_price = order.stop_price or tracked.stop_price
            tracked.quantity = order.quantity or tracked.quantity
        if tracked.end is None and not order.status.is_open:
            tracked.end = order.status
            if order.quantity is None:
                tracked.quantity = order.filled_quantity or None
            if order.replaced_by:
                tracked.replaced_by, tracked.message = order.replaced_by, "replaced"

    def _changed(self, tracked: Tracked) -> list[Change]:
        self._sort(tracked)
        now = (tracked.status, tracked.known)
        if now == tracked.reported:
            return []
        tracked.reported = now
        return [tracked.as_order()]

    def _sort(self, tracked: Tracked) -> None:
        for found in (self._open, self._open_of.setdefault(tracked.symbol, {})):
            if tracked.is_open:
                found.setdefault(tracked.client_id, tracked)
            else:
                found.pop(tracked.client_id, None)


def _settled(changes: list[Change]) -> list[Change]:
    """Drop an order's earlier picture where a later one is told in the same breath."""
    last = {c.client_order_id: n for n, c in enumerate(changes) if isinstance(c, Order)}
    return [
        change
        for n, change in enumerate(changes)
        if not isinstance(change, Order) or last[change.client_order_id] == n
    ]
