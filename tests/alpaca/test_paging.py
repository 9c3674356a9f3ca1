"""Lists that come in pages, to their end."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.alpaca.paging import ACTIVITIES, ORDERS, order_page, walk_activities, walk_orders
from toolkit.errors import BrokerError

START = datetime(2026, 1, 5, 15, tzinfo=UTC)
ORDER = {
    "symbol": "AAPL",
    "qty": "1",
    "type": "market",
    "side": "buy",
    "time_in_force": "day",
    "status": "new",
}


def order(number: int, at: datetime) -> dict[str, Any]:
    stamp = at.isoformat()
    kind = {"order_class": "mleg"} if number % 5 == 4 else {}
    names = {"id": f"id {number}", "client_order_id": f"{number}"}
    return {**ORDER, **names, **kind, "created_at": stamp, "submitted_at": stamp}


@given(
    gaps=st.lists(st.sampled_from([0, 0, 0, 1, 700]), max_size=40),
    page=st.integers(3, 9),
    first=st.integers(0, 20),
)
@settings(max_examples=100, deadline=None)
def test_all_orders_are_found_once_or_it_is_said_that_they_cannot_be(gaps, page, first):
    """Alpaca leaves out what was submitted at the instant `after`; some orders are foreign."""
    moments = [START]
    for gap in gaps:
        moments.append(moments[-1] + timedelta(microseconds=gap))
    known = [order(number, at) for number, at in enumerate(moments)]
    since = moments[min(first, len(moments) - 1)]

    async def ask(*, after: str, direction: str, limit: str):
        assert (direction, limit) == ("asc", str(ORDERS))
        found = [o for o in known if o["submitted_at"] > after]
        size = page if len(found) >= page else len(found)
        read = order_page(found[:page])
        return type(read)(size=ORDERS if size == page else size, last=read.last, orders=read.orders)

    wanted = [o["id"] for o in known if o["submitted_at"] >= since.isoformat()]
    wanted = [name for name in wanted if int(name.removeprefix("id ")) % 5 != 4]
    crowd = max(moments.count(moment) for moment in moments)
    try:
        found = asyncio.run(walk_orders(ask, since=since))
    except BrokerError as error:
        assert "cannot list more" in str(error)
        assert crowd >= page
        return
    assert [o.id for o in found if o.submitted_at >= since] == wanted


@given(count=st.integers(0, 350))
@settings(max_examples=20, deadline=None)
def test_all_activities_are_found_by_the_token_of_the_last(count):
    known = [{"id": str(number)} for number in range(count)]

    async def ask(*, page_token: str = "", **_: str):
        first = int(page_token) + 1 if page_token else 0
        return known[first : first + ACTIVITIES]

    assert asyncio.run(walk_activities(ask, since=START)) == known
