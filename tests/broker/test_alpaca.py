"""The broker over Alpaca: orders and nets in fair weather, and in each kind of bad weather."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from tests.broker.fakes import Room
from tests.broker.truth import PLAN, request
from toolkit.core.gates import Gate
from toolkit.core.types import (
    Bar,
    ExitPlan,
    OrderStatus,
    OrderType,
    Reason,
    Side,
)
from toolkit.errors import BrokerError, NotConnected, OrderRejected

BTC = "BTC/USD"


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    room = Room(tmp_path)
    room.market.prices = {"AAPL": Decimal(100), BTC: Decimal(1000)}
    yield room
    await room.broker.stop()


async def bought(room: Room, **fields: object) -> None:
    await room.start()
    await room.broker.submit(request(**fields))
    await room.market.quiet()


def sale(room: Room, *, name: str = "s-AAPL-2", symbol: str = "AAPL"):
    quantity = str(room.broker.positions()[0].quantity)
    return request(name, symbol=symbol, side=Side.SELL, quantity=quantity, reason=Reason.SIGNAL)


async def test_an_entry_is_filled_and_gets_its_net(room: Room):
    await bought(room)
    assert room.states("s-AAPL-1") == ["accepted", "filled"]
    (fill,) = room.fills
    assert (fill.quantity, fill.price, fill.reason) == (10, 100.0, Reason.ENTRY)
    net = room.market.net("AAPL")
    assert net is not None
    ticket = net.ticket
    assert (ticket.order_type, ticket.stop_price, ticket.quantity) == ("stop", 99, 10)
    assert ticket.time_in_force == "gtc"
    assert ticket.client_order_id == "s-AAPL-1-n1"
    (position,) = room.broker.positions()
    assert (position.stop, position.target) == (99.0, 102.0)
    assert room.broker.health() == {}


async def test_fees_are_not_asked_for_at_every_look(room: Room):
    asked: list[str] = []
    room.market.fault = lambda operation: asked.append(operation) or ""
    await room.start()
    await room.market.advance(960)
    assert asked.count("positions") > 15
    assert asked.count("fees") == 2


async def test_no_order_waits_to_hear_what_may_be_done_with_its_symbol(tmp_path: Path):
    room = Room(tmp_path, symbols=("NOPE", "AAPL"))
    room.market.prices = {"AAPL": Decimal(100)}
    asked: list[str] = []

    def look(operation: str) -> str:
        asked.append(operation)
        return ""

    room.market.fault = look
    try:
        await room.start()
        assert asked.count("asset") == 2
        await room.market.advance(600)
        asked.clear()
        await room.broker.submit(request())
        assert asked == ["submit buy"]
    finally:
        await room.broker.stop()


async def test_the_intent_is_on_disk_before_the_request_leaves(room: Room):
    await room.start()
    seen: list[str] = []

    def look(operation: str) -> str:
        if operation.startswith("submit"):
            seen.extend(i.ticket.client_order_id for i in room.broker.journal.intents())
        return ""

    room.market.fault = look
    await room.broker.submit(request())
    assert seen == ["s-AAPL-1"]


async def test_nothing_is_taken_before_the_start(room: Room):
    with pytest.raises(NotConnected, match="start"):
        await room.broker.submit(request())


async def test_the_stop_is_the_brokers_and_its_fill_closes_the_position(room: Room):
    await bought(room)
    await room.see("AAPL", 98.5)
    assert [f.reason for f in room.fills] == [Reason.ENTRY, Reason.STOP_LOSS]
    assert room.fills[-1].price == 98.5
    assert list(room.broker.positions()) == []
    assert room.market.open_of("AAPL") == []


async def test_at_the_target_the_net_goes_and_everything_is_sold(room: Room):
    await bought(room)
    await room.see("AAPL", 102.0)
    assert [(f.reason, f.price) for f in room.fills][1:] == [(Reason.TAKE_PROFIT, 102.0)]
    assert room.market.held["AAPL"] == 0
    assert room.market.open_of("AAPL") == []
    assert room.broker.health() == {}


async def test_the_trail_arms_after_a_gain_and_sells_when_it_is_crossed(room: Room):
    await bought(room)
    for price in (101.5, 101.2):
        await room.see("AAPL", price)
    assert len(room.fills) == 1
    await room.see("AAPL", 100.9)
    assert [(f.reason, f.price) for f in room.fills][1:] == [(Reason.TRAILING_STOP, 100.9)]


def bar_of(room: Room, *prices: float, minute: int = 1) -> Bar:
    open_, high, low, close = prices
    timestamp = room.market.now.replace(microsecond=0)
    return Bar(
        symbol="AAPL",
        timestamp=timestamp.replace(minute=minute),
        open=open_,
        high=high,
        low=low,
        close=close,
    )


async def test_the_net_follows_the_trail_at_bar_closes_in_place(room: Room):
    await bought(room)
    room.market.price("AAPL", 101.5)
    room.broker.on_bar(bar_of(room, 100, 101.5, 100, 101.5))
    await room.market.quiet()
    net = room.market.net("AAPL")
    assert net is not None
    assert net.ticket.stop_price == Decimal("100.99")
    assert net.replaces is not None
    await room.see("AAPL", 100.9)
    assert [f.reason for f in room.fills][1:] == [Reason.TRAILING_STOP]


async def test_a_net_of_fractions_follows_by_a_new_order(room: Room):
    await bought(room, quantity="2.5")
    net = room.market.net("AAPL")
    assert net is not None
    assert net.ticket.time_in_force == "day"
    room.market.price("AAPL", 101.5)
    room.broker.on_bar(bar_of(room, 100, 101.5, 100, 101.5))
    await room.market.quiet()
    net = room.market.net("AAPL")
    assert net is not None
    assert (net.ticket.stop_price, net.replaces) == (Decimal("100.99"), None)


async def test_a_day_net_that_expired_is_placed_again(room: Room):
    await bought(room, quantity="2.5")
    await room.market.advance(3)
    room.market.expire()
    await room.market.quiet()
    net = room.market.net("AAPL")
    assert net is not None
    assert net.ticket.client_order_id == "s-AAPL-1-n2"


async def test_a_net_that_is_refused_at_night_is_tried_at_the_open(room: Room):
    await bought(room, quantity="2.5")
    await room.market.advance(5)
    room.market.is_open = False
    await room.market.advance(61)
    room.market.fault = lambda operation: "no" if operation == "submit sell" else ""
    room.market.expire()
    before = len(list(room.broker.journal.notes("not_taken")))
    await room.market.advance(200)
    assert len(list(room.broker.journal.notes("not_taken"))) - before <= 2
    room.market.fault = lambda _: ""
    room.market.is_open = True
    await room.market.advance(62)
    assert room.market.net("AAPL") is not None


async def test_a_stop_that_was_passed_unheard_is_seen_in_the_brokers_own_price(room: Room):
    room.market.fault = lambda operation: "no" if operation == "submit sell" else ""
    await bought(room)
    room.market.fault = lambda _: ""
    room.market.price("AAPL", 98.0)  # no tick of it reaches us, and no net can be placed above it
    await room.market.advance(20)
    assert [f.reason for f in room.fills] == [Reason.ENTRY, Reason.STOP_LOSS]
    assert room.broker.health() == {}


async def test_a_net_that_ends_at_once_is_not_renewed_at_once(room: Room):
    await bought(room)
    for _ in range(5):
        net = room.market.net("AAPL")
        if net is not None:
            room.market._end(net, OrderStatus.REJECTED)
        await room.market.advance(0.4)
    nets = [t for t in room.market.sent if t.side is Side.SELL]
    assert len(nets) <= 2
    await room.market.advance(3)
    assert room.market.net("AAPL") is not None


async def test_while_an_exit_is_refused_the_net_is_put_back(room: Room):
    await bought(room)
    nets = {"no": False}

    def refuse_exits(operation: str) -> str:
        if operation == "submit sell" and not nets["no"]:
            nets["no"] = True
            return "no"
        return ""

    room.market.fault = refuse_exits
    await room.see("AAPL", 102.0)
    assert room.market.net("AAPL") is not None
    assert "the exit was not taken" in room.broker.health()[Gate.ORDERS]
    await room.market.advance(3)
    assert room.fills[-1].reason is Reason.TAKE_PROFIT
    assert room.broker.health() == {}


async def test_exits_wait_for_the_open_under_their_net(room: Room):
    await bought(room)
    room.market.is_open = False
    await room.market.advance(61)
    order = await room.broker.submit(sale(room))
    await room.market.quiet()
    assert order.status is OrderStatus.PENDING
    assert room.market.net("AAPL") is not None
    room.market.is_open = True
    await room.market.advance(61)
    assert room.fills[-1].reason is Reason.SIGNAL
    assert room.states("s-AAPL-2") == ["accepted", "filled"]


async def test_a_signal_exit_cancels_the_net_first(room: Room):
    await bought(room)
    await room.broker.submit(sale(room))
    await room.market.quiet()
    assert room.states("s-AAPL-1-n1") == ["accepted", "canceled"]
    assert room.states("s-AAPL-2") == ["accepted", "filled"]
    assert room.fills[-1].client_order_id == "s-AAPL-2"
    assert room.market.held["AAPL"] == 0


async def test_an_exit_whose_net_filled_first_is_cancelled_and_nothing_is_sold_twice(room: Room):
    await bought(room)
    request_ = sale(room)
    room.market.prices["AAPL"] = Decimal(98)

    def fill_first(operation: str) -> str:
        if operation == "cancel":
            room.market.match()
        return ""

    room.market.fault = fill_first
    await room.broker.submit(request_)
    await room.market.quiet()
    assert room.states("s-AAPL-2") == ["canceled"]
    assert [f.reason for f in room.fills] == [Reason.ENTRY, Reason.STOP_LOSS]
    assert room.market.held["AAPL"] == 0


async def test_crypto_is_protected_by_a_stop_limit_for_what_arrived(room: Room):
    await bought(room, name="s-BTC-1", symbol=BTC, quantity="1")
    (fill,) = room.fills
    assert (fill.quantity, fill.fee) == (Decimal("0.9975"), Decimal("2.5"))
    net = room.market.net(BTC)
    assert net is not None
    ticket = net.ticket
    assert (ticket.order_type, ticket.quantity) == (OrderType.STOP_LIMIT, Decimal("0.9975"))
    assert (ticket.stop_price, ticket.limit_price) == (990, Decimal("970.2"))
    await room.market.advance(70)
    assert room.broker.health() == {}


async def test_dust_that_cannot_be_sold_is_left_and_the_position_is_over(room: Room):
    await bought(room, name="s-BTC-1", symbol=BTC, quantity="0.9999")
    await room.see(BTC, 1020)
    assert list(room.broker.positions()) == []
    assert sum(f.quantity * (1 if f.side is Side.BUY else -1) for f in room.fills) == 0
    assert 0 < room.market.held[BTC] < Decimal("0.0001")
    await room.market.advance(130)
    assert room.broker.health() == {}


async def test_a_crypto_net_that_the_price_fell_through_is_taken_over(room: Room):
    await bought(room, name="s-BTC-1", symbol=BTC, quantity="1")
    await room.see(BTC, 900)
    assert len(room.fills) == 1
    await room.market.advance(6)
    assert [f.reason for f in room.fills][1:] == [Reason.STOP_LOSS]
    assert room.market.held[BTC] == 0


async def test_a_fee_of_another_rate_is_corrected_by_the_position(room: Room):
    room.market.fee_rate = Decimal("0.0015")
    await bought(room, name="s-BTC-1", symbol=BTC, quantity="1")
    await room.market.advance(70)
    assert room.broker.health() == {}
    (position,) = room.broker.positions()
    assert position.quantity == Decimal("0.9985") == room.market.held[BTC]
    assert sum((f.quantity for f in room.fills), Decimal(0)) == Decimal("0.9985")
    net = room.market.net(BTC)
    assert net is not None
    assert net.ticket.quantity == Decimal("0.9985")


@pytest.mark.parametrize("fate", ["before", "after"])
async def test_an_unknown_outcome_is_looked_up_and_never_sent_again(room: Room, fate: str):
    await room.start()
    room.market.fault = lambda operation: fate if operation == "submit buy" else ""
    order = await room.broker.submit(request())
    assert order.status is OrderStatus.UNKNOWN
    assert "looked up" in room.broker.health()[Gate.ORDERS] or fate == "after"
    room.market.fault = lambda _: ""
    await room.market.advance(30)
    assert len([t for t in room.market.sent if t.side is Side.BUY]) == (fate == "after")
    if fate == "after":
        assert room.states("s-AAPL-1")[-1] == "filled"
        assert room.market.net("AAPL") is not None
    else:
        assert room.states("s-AAPL-1") == ["unknown", "rejected"]
    assert room.broker.health() == {}


async def test_no_connection_at_the_entry_is_an_error_and_the_order_is_over(room: Room):
    await room.start()
    room.market.fault = lambda operation: "down" if operation == "submit buy" else ""
    with pytest.raises(NotConnected):
        await room.broker.submit(request())
    assert room.states("s-AAPL-1") == ["rejected"]
    assert room.broker.health()[Gate.BROKER]
    await room.market.advance(5)
    assert room.broker.health() == {}


async def test_a_net_that_is_refused_is_tried_again_and_the_gate_is_closed(room: Room):
    room.market.fault = lambda operation: "no" if operation == "submit sell" else ""
    await bought(room)
    assert "the net was not taken: refused" in room.broker.health()[Gate.ORDERS]
    await room.market.advance(5)
    room.market.fault = lambda _: ""
    await room.market.advance(10)
    assert room.market.net("AAPL") is not None
    assert room.broker.health() == {}
    bare = [n.data["seconds"] for n in room.broker.journal.notes("bare")]
    assert max(bare) < 15


async def test_a_partly_filled_entry_gets_no_long_time(room: Room):
    room.market.slice = Decimal(4)
    await bought(room)
    assert room.market.net("AAPL") is None
    await room.market.advance(12)
    net = room.market.net("AAPL")
    assert net is not None
    assert net.ticket.quantity == 4
    assert room.states("s-AAPL-1")[-1] == "canceled"


async def test_a_mute_stream_costs_seconds_not_the_net(room: Room):
    await room.start()
    room.market.stream.fate = lambda _: "lost"
    await room.broker.submit(request())
    await room.market.advance(3)
    assert room.market.net("AAPL") is not None
    room.market.price("AAPL", 98)
    await room.market.advance(62)
    assert room.fills[-1].reason is Reason.STOP_LOSS


async def test_fills_that_the_stream_lost_are_found_by_reconciliation(room: Room):
    await room.start()
    room.market.is_open = False
    room.market.stream.fate = lambda _: "lost"
    limit = request(order_type=OrderType.LIMIT, limit_price=Decimal(100))
    await room.broker.submit(limit)
    room.market.is_open = True
    room.market.match()
    await room.market.advance(62)
    assert room.states("s-AAPL-1") == ["accepted", "filled"]
    assert room.market.net("AAPL") is not None


async def test_while_the_stream_is_down_the_broker_is_polled(room: Room):
    await room.start()
    room.market.stream.cut()
    await room.market.advance(1)
    assert "down: cut" in room.broker.health()[Gate.ORDERS]
    await room.broker.submit(request())
    await room.market.advance(3)
    assert room.states("s-AAPL-1")[-1] == "filled"
    assert room.market.net("AAPL") is not None
    room.market.stream.mend()
    await room.market.advance(3)
    assert room.broker.health() == {}


async def test_duplicate_and_late_messages_change_nothing(room: Room):
    await room.start()
    room.market.slice = Decimal(3)
    fates = iter(["twice", "late", "twice", "late", "late", "twice"] * 10)
    room.market.stream.fate = lambda _: next(fates)
    await room.broker.submit(request())
    for _ in range(4):
        room.market.match()
        await room.market.advance(0.5)
    room.market.stream.deliver_late()
    await room.market.advance(5)
    assert sum(f.quantity for f in room.fills if f.side is Side.BUY) == 10
    assert [f.quantity for f in room.fills].count(3) == 3


async def test_a_restart_goes_on_where_it_was(room: Room):
    await bought(room)
    await room.see("AAPL", 101.5)
    await room.market.advance(1)
    told = list(room.updates)
    await room.restart()
    assert room.updates == told
    (position,) = room.broker.positions()
    assert position.stop == pytest.approx(101.5 * 0.995)
    assert room.market.net("AAPL") is not None
    await room.see("AAPL", 100.9)
    assert room.fills[-1].reason is Reason.TRAILING_STOP


async def test_what_filled_while_we_were_dead_is_told_after_the_restart(room: Room):
    await bought(room)
    await room.kill()
    room.market.price("AAPL", 98.0)
    await room.restart()
    assert room.fills[-1].reason is Reason.STOP_LOSS
    assert list(room.broker.positions()) == []


async def test_recovery_names_requests_that_are_still_open(room: Room):
    await room.start()
    room.market.is_open = False
    entry = request(order_type=OrderType.LIMIT, limit_price=Decimal(90))
    await room.broker.submit(entry)
    await room.kill()
    room.broker = room._broker()
    recovery = await room.broker.recover()
    assert list(recovery.pending) == [entry]
    assert [u.client_order_id for u in recovery.updates] == ["s-AAPL-1"]


async def test_an_order_that_left_but_was_not_answered_before_the_kill_is_adopted(room: Room):
    await room.start()
    room.market.fault = lambda operation: "after" if operation == "submit buy" else ""
    await room.broker.submit(request())
    room.market.fault = lambda _: ""
    await room.restart()
    await room.market.advance(5)
    assert room.states("s-AAPL-1")[-1] == "filled"
    assert len([t for t in room.market.sent if t.side is Side.BUY]) == 1


async def test_foreign_holdings_and_orders_are_left_alone(room: Room):
    room.market.held["AAPL"] = Decimal(7)
    await bought(room)
    assert room.broker.health() == {}
    await room.see("AAPL", 102)
    assert room.market.held["AAPL"] == 7
    room.market.trade_by_hand("AAPL", Side.BUY, "3")
    await room.market.advance(70)
    assert room.broker.health() == {}
    assert list(room.broker.positions()) == []


async def test_a_sale_by_hand_of_what_is_ours_is_booked_as_such(room: Room):
    await bought(room, exits=None)
    room.market.trade_by_hand("AAPL", Side.SELL, "10")
    await room.market.advance(70)
    assert (room.fills[-1].reason, room.fills[-1].quantity) == (Reason.MANUAL, 10)
    assert list(room.broker.positions()) == []
    assert room.broker.health() == {}


async def test_a_net_that_is_refused_for_a_wrong_fee_is_placed_after_a_correction(room: Room):
    await room.start()
    room.market.fee_rate = Decimal("0.0027")
    await room.broker.submit(request("s-BTC-1", symbol=BTC, quantity="1"))
    await room.market.quiet()
    assert "insufficient" in room.broker.health()[Gate.ORDERS]
    await room.market.advance(20)
    net = room.market.net(BTC)
    assert net is not None
    assert net.ticket.quantity == Decimal("0.9973") == room.market.held[BTC]
    assert room.broker.health() == {}


async def test_an_order_that_the_broker_denies_once_is_taken_back_when_it_is_seen(room: Room):
    await bought(room)
    hidden = room.market.net("AAPL")
    assert hidden is not None
    del room.market.orders[hidden.id]
    await room.market.advance(62)
    assert room.states("s-AAPL-1-n1")[-1] == "canceled"
    room.market.orders[hidden.id] = hidden
    second = [o for o in room.market.open_of("AAPL") if o is not hidden]
    for order in second:
        room.market._end(order, OrderStatus.CANCELED)
    await room.market.advance(62)
    assert room.states("s-AAPL-1-n1")[-1] == "accepted"
    assert room.market.net("AAPL") is not None
    assert room.broker.health() == {}


async def test_a_claimed_position_becomes_ours_and_gets_its_net(tmp_path: Path):
    room = Room(tmp_path, claim=["AAPL"], claimed_exits=ExitPlan(stop_loss=5.0))
    room.market.prices = {"AAPL": Decimal(100)}
    room.market.held["AAPL"] = Decimal(7)
    await room.start()
    (position,) = room.broker.positions()
    assert (position.quantity, position.entry_price, position.stop) == (7, 100.0, 95.0)
    net = room.market.net("AAPL")
    assert net is not None
    await room.restart()
    assert [p.quantity for p in room.broker.positions()] == [7]
    assert room.broker.health() == {}
    await room.broker.stop()


async def test_a_difference_that_nothing_explains_closes_the_gate_until_it_is_gone(room: Room):
    await bought(room)
    room.market.held["AAPL"] = Decimal(12)
    await room.market.advance(70)
    reason = room.broker.health()[Gate.RECONCILIATION]
    assert reason == "AAPL: the broker has 12, the journal 10"
    room.market.held["AAPL"] = Decimal(10)
    await room.market.advance(70)
    assert room.broker.health() == {}


async def test_refused_orders_say_why_and_leave_no_trace(room: Room):
    await room.start()
    for wrong, why in (
        (request(quantity="0"), "above 0"),
        (request(symbol="NOPE"), "does not know NOPE"),
        (request(symbol="HALTED"), "not tradable"),
        (request(order_type=OrderType.LIMIT), "needs a limit_price"),
        (request(side=Side.SELL, exits=None), "0 held"),
    ):
        with pytest.raises(OrderRejected, match=why):
            await room.broker.submit(wrong)
    assert room.updates == []
    assert room.market.sent == []


async def test_the_brokers_refusal_is_told_and_raised(room: Room):
    await room.start()
    room.market.fault = lambda operation: "no" if operation == "submit buy" else ""
    with pytest.raises(OrderRejected, match="refused"):
        await room.broker.submit(request())
    assert room.states("s-AAPL-1") == ["rejected"]


async def test_the_same_client_order_id_is_never_sent_twice(room: Room):
    await bought(room)
    with pytest.raises(OrderRejected, match="used before"):
        await room.broker.submit(request())


async def test_a_limit_order_can_be_cancelled_and_replaced(room: Room):
    await room.start()
    entry = request(order_type=OrderType.LIMIT, limit_price=Decimal(90), exits=None)
    order = await room.broker.submit(entry)
    new = await room.broker.replace(order.id, client_order_id="s-2", limit_price=Decimal(91))
    await room.market.quiet()
    assert [o.client_order_id for o in room.broker.open_orders()] == ["s-2"]
    await room.broker.cancel(new.id)
    await room.market.quiet()
    assert room.states("s-2")[-1] == "canceled"
    with pytest.raises(BrokerError, match="no open order"):
        await room.broker.cancel(new.id)
    with pytest.raises(OrderRejected, match="whole shares"):
        order = await room.broker.submit(replace(entry, client_order_id="s-3"))
        await room.broker.replace(order.id, client_order_id="s-4", quantity=Decimal("1.5"))


async def test_flatten_cancels_entries_and_sells_positions(room: Room):
    await bought(room)
    waiting = request(
        "s-BTC-1", symbol=BTC, quantity="1", order_type=OrderType.LIMIT, limit_price=Decimal(900)
    )
    await room.broker.submit(waiting)
    await room.broker.flatten()
    await room.market.quiet()
    assert list(room.broker.positions()) == []
    assert list(room.broker.open_orders()) == []
    assert room.fills[-1].reason is Reason.FLATTEN


async def test_dollars_instead_of_a_quantity(room: Room):
    await bought(room, quantity="0", notional=Decimal(250))
    assert room.fills[0].quantity == Decimal("2.5")
    assert room.market.net("AAPL") is not None


async def test_a_listener_that_fails_closes_the_gate_and_loses_nothing(room: Room):
    def broken(_: object) -> None:
        raise RuntimeError("bug")

    await room.broker.start(broken)
    await room.broker.submit(request())
    await room.market.quiet()
    assert "unexpected RuntimeError" in room.broker.health()[Gate.ERROR]
    assert len(list(room.broker.journal.bookings())) == 1
    assert room.market.net("AAPL") is not None


async def test_without_a_broker_it_starts_with_its_gates_closed_and_comes_round(room: Room):
    room.market.fault = lambda _: "down"
    await room.start()
    health = room.broker.health()
    assert health[Gate.BROKER]
    assert "not reconciled" in health[Gate.RECONCILIATION]
    room.market.fault = lambda _: ""
    await room.market.advance(5)
    assert room.broker.health() == {}


async def test_notes_of_others_are_in_the_journal(room: Room):
    room.broker.note("command", who="anna", data={"name": "stop"})
    (note,) = room.broker.journal.notes("command")
    assert (note.who, note.data) == ("anna", {"name": "stop"})


def test_the_plan_of_these_tests_has_all_exits():
    assert all(getattr(PLAN, name) for name in ("stop_loss", "take_profit", "trailing_stop"))
