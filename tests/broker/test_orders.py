"""Orders of ours: whatever the schedule of facts, the books are true and each fact is told once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.broker.truth import Life, at, intent
from toolkit.alpaca.port import BrokerOrder
from toolkit.broker import codec
from toolkit.broker.orders import NEVER_ARRIVED, Change, Orders
from toolkit.broker.records import Booking, Intent, Role
from toolkit.core.types import Order, OrderStatus, OrderType, Reason, Side

FULL = Life(intent(), (4, 6), OrderStatus.FILLED)
CUT = Life(intent(), (4,), OrderStatus.CANCELED)


def statuses(changes: list[Change]) -> list[OrderStatus]:
    return [c.status for c in changes if isinstance(c, Order)]


def booked(changes: list[Change]) -> list[Decimal]:
    return [c.execution.quantity for c in changes if isinstance(c, Booking)]


def begun(life: Life) -> Orders:
    orders = Orders()
    orders.intend(life.intent)
    return orders


def test_a_life_without_trouble_is_told_step_by_step():
    orders = begun(FULL)
    changes = [c for step in range(FULL.steps) for c in orders.news(FULL.news(step))]
    assert statuses(changes) == ["accepted", "partially_filled", "filled"]
    assert booked(changes) == [4, 6]
    assert orders.open() == []


def test_open_orders_of_a_symbol_are_those_of_all_that_are_of_it():
    orders = Orders()
    for name, symbol in (("s-1", "AAPL"), ("s-2", "MSFT"), ("s-3", "AAPL")):
        orders.intend(intent(name, symbol=symbol))

    def names(symbol: str | None = None) -> list[str]:
        return [t.client_id for t in orders.open(symbol)]

    assert (names(), names("AAPL"), names("MSFT")) == (
        ["s-1", "s-2", "s-3"],
        ["s-1", "s-3"],
        ["s-2"],
    )
    orders.refused("s-1", "no", at=at(1))
    assert (names(), names("AAPL"), names("BTC/USD")) == (["s-2", "s-3"], ["s-3"], [])


def test_an_end_waits_for_the_executions_that_belong_to_it():
    orders = begun(CUT)
    assert statuses(orders.snapshot(CUT.picture(2))) == ["accepted"]
    assert [t.client_id for t in orders.lacking()] == ["s-AAPL-1"]
    changes = orders.executions(CUT.executions)
    assert statuses(changes) == ["canceled"]
    assert booked(changes) == [4]


def test_the_same_execution_is_one_whether_streamed_or_asked_for():
    orders = begun(FULL)
    orders.news(FULL.news(1))
    assert orders.executions(FULL.executions[:1]) == []


def test_an_execution_under_another_name_is_not_booked_over_the_brokers_count():
    orders = begun(FULL)
    orders.news(FULL.news(2))
    orders.executions(FULL.executions)
    other = replace(FULL.execution(0), id="2026::somebody-else")
    assert orders.execution(other) == []
    assert orders.doubtful() == ["id-s-AAPL-1"]
    assert orders.doubtful() == []


def test_an_unknown_outcome_is_adopted_once_it_is_found():
    orders = begun(FULL)
    assert statuses(orders.lost("s-AAPL-1", at=at(0))) == ["unknown"]
    assert orders.absent("s-AAPL-1", at=at(1)) == []
    assert statuses(orders.snapshot(FULL.picture(0))) == ["accepted"]
    assert orders.unknown() == []


def test_an_unknown_outcome_is_given_up_only_after_several_looks_over_a_grace_time():
    orders = begun(FULL)
    orders.lost("s-AAPL-1", at=at(0))
    assert [orders.absent("s-AAPL-1", at=at(s)) for s in (1, 2, 3)] == [[], [], []]
    (given_up,) = orders.absent("s-AAPL-1", at=at(30))
    assert isinstance(given_up, Order)
    assert (given_up.status, given_up.message) == (OrderStatus.REJECTED, NEVER_ARRIVED)


def test_an_order_given_up_too_early_is_taken_back():
    orders = begun(FULL)
    orders.lost("s-AAPL-1", at=at(0))
    for second in (10, 20, 30):
        orders.absent("s-AAPL-1", at=at(second))
    changes = orders.news(FULL.news(2)) + orders.executions(FULL.executions)
    assert statuses(changes)[-1] == "filled"
    assert sorted(booked(changes)) == [4, 6]


def test_a_refusal_after_the_order_was_seen_changes_nothing():
    orders = begun(FULL)
    orders.snapshot(FULL.picture(0))
    assert orders.refused("s-AAPL-1", "late 422", at=at(1)) == []
    assert orders.lost("s-AAPL-1", at=at(1)) == []


def test_orders_without_an_answer_have_an_unknown_outcome_after_a_restart():
    orders = Orders()
    orders.restore(FULL.intent, last=None, bookings=[], at=at(100))
    assert [t.client_id for t in orders.unknown()] == ["s-AAPL-1"]


def picture_of(name: str, **fields: object) -> BrokerOrder:
    order = Life(intent(name), (), OrderStatus.CANCELED).picture(0)
    return replace(order, **fields)


def test_orders_with_our_name_are_adopted_and_others_are_not():
    orders = Orders()
    ours = picture_of("s-AAPL-7-n3", side=Side.SELL, order_type=OrderType.STOP)
    (found,) = orders.strangers(ours, prefix="s-")
    assert (found.role, found.reason, found.adopted) == (Role.NET, Reason.STOP_LOSS, True)
    assert list(orders.strangers(picture_of("by-hand"), prefix="s-")) == []


def test_what_replaces_an_order_of_ours_is_ours_too():
    orders = Orders()
    orders.intend(intent("s-net", side=Side.SELL, role=Role.NET, reason=Reason.STOP_LOSS))
    orders.snapshot(picture_of("s-net"))
    successor = picture_of("whatever", id="id-2", replaces="id-s-net")
    (found,) = orders.strangers(successor, prefix="s-")
    assert (found.role, found.replaces) == (Role.NET, "id-s-net")


def test_legs_belong_to_their_order():
    leg = picture_of("uuid-1", id="leg", side=Side.SELL, order_type=OrderType.LIMIT)
    parent = picture_of("s-AAPL-1", legs=(leg,))
    orders = begun(FULL)
    (found,) = orders.strangers(parent, prefix="s-")
    assert (found.ticket.client_order_id, found.reason) == ("uuid-1", Reason.TAKE_PROFIT)
    orders.intend(found)
    orders.snapshot(parent)
    assert orders.by_id("leg") is not None
    assert list(orders.strangers(parent, prefix="s-")) == []


lives = st.builds(
    lambda sizes, end, crypto: Life(
        intent("s-1", symbol="BTC/USD" if crypto else "AAPL", quantity="10"), sizes, end
    ),
    st.lists(st.integers(1, 5), max_size=4).filter(lambda sizes: sum(sizes) < 10),
    st.sampled_from([OrderStatus.CANCELED, OrderStatus.EXPIRED]),
    st.booleans(),
) | st.builds(
    lambda cut: Life(intent("s-1"), [cut, 10 - cut] if cut else [10], OrderStatus.FILLED),
    st.integers(0, 9),
)
FACTS = st.tuples(
    st.sampled_from(["news", "news", "snapshot", "executions", "lost", "absent", "restart"]),
    st.integers(0, 6),
)


class Disk:
    """What a journal keeps, as text, and how a process starts from it."""

    def __init__(self, first: Intent) -> None:
        self.intent = codec.dump(first)
        self.changes: list[Change] = []

    def record(self, changes: list[Change]) -> None:
        self.changes += [codec.load(type(change), codec.dump(change)) for change in changes]

    def restart(self, seconds: float) -> Orders:
        orders = Orders()
        known = [c for c in self.changes if isinstance(c, Order)]
        orders.restore(
            codec.load(Intent, self.intent),
            last=known[-1] if known else None,
            bookings=[c for c in self.changes if isinstance(c, Booking)],
            at=at(seconds),
        )
        return orders


@given(life=lives, schedule=st.lists(FACTS, max_size=25))
@settings(max_examples=150, deadline=None)
def test_any_schedule_of_facts_ends_in_the_truth(life: Life, schedule: list[tuple[str, int]]):
    orders, disk = begun(life), Disk(life.intent)
    for seconds, (kind, number) in enumerate(schedule):
        step = min(number, life.steps - 1)
        if kind == "news":
            disk.record(orders.news(life.news(step)))
        elif kind == "snapshot":
            disk.record(orders.snapshot(life.picture(step)))
        elif kind == "executions":
            disk.record(orders.executions(life.executions[:step]))
        elif kind == "lost":
            disk.record(orders.lost("s-1", at=at(seconds)))
        elif kind == "absent" and orders.unknown():
            disk.record(orders.absent("s-1", at=at(seconds * 10)))
        elif kind == "restart":
            orders = disk.restart(seconds)
    disk.record(orders.snapshot(life.picture(life.steps - 1)))
    disk.record(orders.executions(life.executions))
    keys = [c.key for c in disk.changes if isinstance(c, Booking)]
    assert len(keys) == len(set(keys))
    assert sum(booked(disk.changes)) == life.total
    told = [c for c in disk.changes if isinstance(c, Order)]
    assert told[-1].status is life.end
    assert told[-1].filled_quantity == life.total
    ends = [o for o in told if not o.status.is_open and o.message != NEVER_ARRIVED]
    assert len(ends) == 1
    assert not orders.lacking()


def test_the_same_end_is_never_told_before_its_fills_are():
    life = Life(intent(), (5, 5), OrderStatus.FILLED)
    orders = begun(life)
    early = orders.snapshot(life.picture(2))
    assert OrderStatus.FILLED not in statuses(early)
    late = orders.executions(life.executions)
    assert statuses(late) == ["filled"]


@pytest.mark.parametrize("side", list(Side))
def test_of_crypto_what_arrives_is_booked_and_the_fee_is_worth_dollars(side: Side):
    life = Life(
        intent("s-1", symbol="BTC/USD", side=side, role=Role.OTHER), (10,), OrderStatus.FILLED
    )
    orders = begun(life)
    (booking,) = [c for c in orders.news(life.news(1)) if isinstance(c, Booking)]
    if side is Side.BUY:
        assert booking.fill.quantity == Decimal("9.975")
        assert booking.fill.fee == Decimal("2.5")
        assert booking.settlement.cash == -1000
    else:
        assert booking.fill.quantity == 10
        assert booking.settlement.cash == Decimal("997.5")
    assert timedelta(0) <= booking.fill.timestamp - at(0)
