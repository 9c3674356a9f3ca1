"""Lists that Alpaca hands out in pages, to their end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from toolkit.alpaca.port import BrokerOrder
from toolkit.alpaca.words import moment, orders_of
from toolkit.errors import BrokerError

ORDERS, ACTIVITIES = 500, 100  # the most that Alpaca puts on a page
EARLIEST = datetime(2015, 1, 1, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPage:
    """One page, read; `size` counts foreign orders too, `last` is the latest submission."""

    size: int
    last: datetime
    orders: Sequence[BrokerOrder]


class AskOrders(Protocol):
    async def __call__(self, **fields: str) -> OrderPage: ...


class AskActivities(Protocol):
    async def __call__(self, **fields: str) -> Sequence[Mapping[str, Any]]: ...


def order_page(raws: Iterable[Mapping[str, Any]]) -> OrderPage:
    """Read a page of orders."""
    page = list(raws)
    stamps = [moment(raw.get("submitted_at") or raw["created_at"]) for raw in page]
    return OrderPage(size=len(page), last=max(stamps, default=EARLIEST), orders=orders_of(page))


async def walk_orders(ask: AskOrders, *, since: datetime = EARLIEST) -> list[BrokerOrder]:
    """Return orders by their submission, oldest first.

    Orders have no page token, and `after` leaves out what was submitted at that instant; so each
    page begins an instant before the last one's end, and what comes twice is told by its id.
    """
    found: dict[str, BrokerOrder] = {}
    start = since - _INSTANT
    while True:
        page = await ask(after=start.isoformat(), direction="asc", limit=str(ORDERS))
        found.update((order.id, order) for order in page.orders)
        if page.size < ORDERS:
            return list(found.values())
        if page.last - _INSTANT <= start:
            raise BrokerError(
                f"{ORDERS} orders were submitted at {page.last.isoformat()}: Alpaca cannot list "
                "more of one instant",
                reason="paging",
            )
        start = page.last - _INSTANT


async def walk_activities(ask: AskActivities, *, since: datetime) -> list[Mapping[str, Any]]:
    """Return activities at or after a moment, oldest first."""
    found: dict[str, Mapping[str, Any]] = {}
    fields = {
        "after": (since - _INSTANT).isoformat(),
        "direction": "asc",
        "page_size": str(ACTIVITIES),
    }
    while True:
        page = await ask(**fields)
        found.update((item["id"], item) for item in page)
        if len(page) < ACTIVITIES:
            return list(found.values())
        fields["page_token"] = page[-1]["id"]
