"""Lists that Alpaca hands out in pages, to their end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeAlias, TypeVar

from toolkit.alpaca.port import BrokerOrder
from toolkit.errors import BrokerError

T = TypeVar("T")
Page: TypeAlias = list[T]
ORDERS, ACTIVITIES = 500, 100  # the most that Alpaca puts on a page
EARLIEST = datetime(2015, 1, 1, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)


class AskOrders(Protocol):
    async def __call__(self, **fields: str) -> Page[BrokerOrder]: ...


class AskActivities(Protocol):
    async def __call__(self, **fields: str) -> Page[Mapping[str, Any]]: ...


async def walk_orders(ask: AskOrders, *, since: datetime | None = None) -> list[BrokerOrder]:
    """Return orders by their submission, oldest first.

    Orders have no page token, and `after` leaves out what was submitted at that instant; so each
    page begins an instant before the last one's end, and what comes twice is told by its id.
    """
    found: dict[str, BrokerOrder] = {}
    after = EARLIEST if since is None else since
    while True:
        page = await ask(after=(after - _INSTANT).isoformat(), direction="asc", limit=str(ORDERS))
        known = len(found)
        found.update((order.id, order) for order in page)
        if len(page) < ORDERS:
            return list(found.values())
        if len(found) == known:
            raise BrokerError(
                f"{ORDERS} orders were submitted at {after.isoformat()}: Alpaca cannot list them",
                reason="paging",
            )
        after = max(order.submitted_at for order in page)


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
