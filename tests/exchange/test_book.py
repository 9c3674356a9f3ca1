"""Orders against ticks: what fills, when, at what price, and what is told of it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.exchange.markets import Floor, new_york
from toolkit.exchange.refusals import Refusal


def test_a_market_order_buys_at_the_ask_and_tells_each_step():
    floor = Floor()
    floor.tick("AAPL", 100.0, 100.02)
    order = floor.send(qty="10")
    assert floor.names(order) == ["pending_new", "new", "fill"]
    assert floor.account.cash == Decimal("98999.80")
    assert floor.account.quantity("AAPL") == 10
    fill = floor.events[-1].data
    assert (fill["price"], fill["qty"], fill["position_qty"]) == ("100.02", "10", "10")
    assert fill["order"]["filled_avg_price"] == "100.02"


def test_an_order_on_its_way_fills_at_the_price_of_its_arrival():
    floor = Floor(latency=0.5)
    floor.tick("AAPL", 100.0)
    order = floor.send()
    assert order.status == "pending_new"
    floor.tick("AAPL", 101.0, after=0.4)
    floor.wait(0.1)
    assert order.average_price == 101


def test_no_more_is_filled_than_the_quote_shows():
    floor = Floor()
    floor.tick("AAPL", 100.0, size=4)
    order = floor.send(qty="10")
    assert (order.status, order.filled) == ("partially_filled", 4)
    second = floor.send(qty="1")
    assert second.filled == 0
    floor.tick("AAPL", 101.0, size=7)
    assert (order.status, order.average_price) == ("filled", Decimal("100.6"))
    assert second.filled == 1


@pytest.mark.parametrize(
    ("side", "limit", "waits", "fills"), [("buy", "99", 99.5, 98.0), ("sell", "101", 100.5, 102.0)]
)
def test_a_limit_order_waits_for_its_price_and_gets_the_better_one(side, limit, waits, fills):
    floor = Floor()
    floor.tick("AAPL", 100.0)
    if side == "sell":
        floor.send(qty="10")
    order = floor.send(side=side, type="limit", limit_price=limit)
    floor.tick("AAPL", waits)
    assert order.status == "new"
    floor.tick("AAPL", fills)
    assert order.average_price == Decimal(str(fills))


def test_a_stop_works_from_the_trade_that_reaches_it():
    floor = Floor()
    floor.tick("AAPL", 100.0)
    floor.send(qty="10")
    stop = floor.send(side="sell", type="stop", stop_price="98", time_in_force="gtc")
    floor.tick("AAPL", 98.5)
    assert stop.status == "new"
    floor.tick("AAPL", 97.5, 97.6, price=97.5)
    assert stop.average_price == Decimal("97.5")


def test_a_stop_limit_rests_at_its_limit_once_triggered():
    floor = Floor()
    floor.tick("AAPL", 100.0)
    floor.send(qty="10")
    order = floor.send(side="sell", type="stop_limit", stop_price="98", limit_price="97.9")
    floor.tick("AAPL", 97.0)
    assert order.status == "new"
    floor.tick("AAPL", 98.5)
    assert order.average_price == Decimal("98.5")


def test_a_trailing_stop_follows_the_high_and_never_falls():
    floor = Floor()
    floor.tick("AAPL", 100.0)
    floor.send(qty="10")
    order = floor.send(side="sell", type="trailing_stop", trail_percent="2", time_in_force="gtc")
    for price, stop in ((104.0, "101.92"), (103.0, "101.92"), (110.0, "107.80")):
        floor.tick("AAPL", price)
        assert order.stop_price == Decimal(stop)
    assert order.to_dict()["hwm"] == "110"
    floor.tick("AAPL", 107.0)
    assert order.status == "filled"


@pytest.mark.parametrize(("size", "status", "filled"), [(4, "canceled", 4), (10, "filled", 10)])
def test_immediate_or_cancel_takes_what_is_there(size, status, filled):
    floor = Floor()
    floor.tick("AAPL", 100.0, size=size)
    order = floor.send(time_in_force="ioc")
    assert (order.status, order.filled) == (status, filled)


def test_fill_or_kill_takes_all_or_nothing():
    floor = Floor()
    floor.tick("AAPL", 100.0, size=9)
    order = floor.send(time_in_force="fok")
    assert (order.status, order.filled) == ("canceled", 0)


def test_a_cancel_can_come_too_late():
    floor = Floor(latency=0.5)
    floor.tick("AAPL", 100.0)
    order = floor.send(type="limit", limit_price="99")
    floor.wait(0.5)
    floor.desk.cancel(order.id, floor.now)
    assert order.status == "pending_cancel"
    floor.tick("AAPL", 98.0, after=0.1)
    floor.wait(1)
    assert floor.names(order) == ["pending_new", "new", "pending_cancel", "fill"]


def test_a_replaced_order_works_under_a_new_id_for_the_rest():
    floor = Floor()
    floor.tick("AAPL", 100.0, size=4)
    old = floor.send(qty="10", type="limit", limit_price="100")
    new = floor.desk.replace(old.id, {"limit_price": 99.0, "qty": 12}, floor.now)
    floor.wait(0)
    assert (old.status, old.replaced_by, new.replaces) == ("replaced", new, old)
    assert (new.status, new.quantity, new.limit_price) == ("new", 8, 99)
    floor.tick("AAPL", 99.0)
    assert (new.status, floor.account.quantity("AAPL")) == ("filled", 12)


def test_a_replacement_of_an_order_that_fills_first_is_rejected():
    floor = Floor(latency=0.5)
    floor.tick("AAPL", 100.0)
    old = floor.send(type="limit", limit_price="99")
    floor.wait(0.5)
    new = floor.desk.replace(old.id, {"limit_price": 98}, floor.now)
    floor.tick("AAPL", 98.5, after=0.1)
    floor.wait(1)
    assert (old.status, new.status) == ("filled", "rejected")
    assert floor.names(new) == ["order_replace_rejected", "rejected"]


def bracket(floor: Floor, **fields):
    return floor.send(
        order_class="bracket",
        time_in_force="gtc",
        take_profit={"limit_price": "105"},
        stop_loss={"stop_price": "95"},
        **fields,
    )


def test_exits_start_only_when_the_whole_entry_has_filled():
    floor = Floor()
    floor.tick("AAPL", 100.0, size=4)
    entry = bracket(floor)
    profit, loss = entry.legs
    assert (entry.filled, profit.status, loss.status) == (4, "held", "held")
    floor.tick("AAPL", 94.0, size=1)
    assert loss.status == "held"
    floor.tick("AAPL", 100.0)
    assert (profit.status, loss.status, profit.quantity) == ("new", "held", 10)


def test_cancelling_a_partly_filled_entry_leaves_its_shares_without_exits():
    floor = Floor()
    floor.tick("AAPL", 100.0, size=4)
    entry = bracket(floor)
    floor.desk.cancel(entry.id, floor.now)
    floor.wait(0)
    assert [leg.status for leg in entry.legs] == ["canceled", "canceled"]
    assert floor.account.quantity("AAPL") == 4


def test_the_stop_of_a_bracket_cancels_the_profit_taker_first():
    floor = Floor()
    floor.tick("AAPL", 100.0)
    profit, loss = bracket(floor).legs
    floor.tick("AAPL", 94.5)
    assert (profit.status, loss.status) == ("canceled", "filled")
    assert floor.names(loss) == ["held", "new", "fill"]
    assert floor.account.quantity("AAPL") == 0


def test_a_partly_taken_profit_shrinks_the_stop():
    floor = Floor()
    floor.tick("AAPL", 100.0)
    profit, loss = bracket(floor).legs
    floor.tick("AAPL", 105.0, size=3)
    assert (profit.filled, loss.quantity) == (3, 7)
    floor.tick("AAPL", 94.0)
    assert (loss.filled, floor.account.quantity("AAPL")) == (7, 0)


def test_the_stop_of_a_running_bracket_can_be_moved():
    floor = Floor()
    floor.tick("AAPL", 100.0)
    entry = bracket(floor)
    profit, loss = entry.legs
    moved = floor.desk.replace(loss.id, {"stop_price": 99}, floor.now)
    floor.wait(0)
    assert (moved.status, entry.legs) == ("held", [profit, moved])
    floor.tick("AAPL", 98.9)
    assert (moved.status, profit.status) == ("filled", "canceled")


def test_one_exit_cancels_the_other():
    floor = Floor()
    floor.tick("AAPL", 100.0)
    floor.send(qty="10")
    order = floor.send(
        side="sell",
        type="limit",
        order_class="oco",
        time_in_force="gtc",
        take_profit={"limit_price": "104"},
        stop_loss={"stop_price": "97"},
    )
    (loss,) = order.legs
    assert (order.status, order.limit_price, loss.status) == ("new", 104, "held")
    floor.tick("AAPL", 104.0)
    assert (order.status, loss.status) == ("filled", "canceled")


def test_an_entry_that_triggers_one_exit():
    floor = Floor()
    floor.tick("AAPL", 100.0)
    entry = floor.send(order_class="oto", stop_loss={"stop_price": "97"})
    (loss,) = entry.legs
    assert loss.status == "new"
    floor.tick("AAPL", 96.0)
    assert loss.status == "filled"


def test_a_day_order_after_the_close_waits_for_the_next_session_and_ends_with_it():
    floor = Floor(at=new_york("2026-01-05 16:30"))
    floor.tick("AAPL", 100.0)
    order = floor.send(type="limit", limit_price="90")
    assert (order.status, floor.names(order)) == ("accepted", ["pending_new", "accepted"])
    floor.until(new_york("2026-01-06 09:30"))
    assert order.status == "new"
    floor.until(new_york("2026-01-06 16:00"))
    assert order.status == "expired"


def test_only_extended_orders_trade_after_the_close():
    floor = Floor(at=new_york("2026-01-05 16:30"))
    floor.tick("AAPL", 100.0)
    plain = floor.send(qty="1")
    late = floor.send(qty="1", type="limit", limit_price="101", extended_hours=True)
    assert (plain.status, late.status) == ("accepted", "filled")


def test_an_order_for_the_opening_auction_fills_there_or_expires():
    floor = Floor(at=new_york("2026-01-05 09:00"))
    good = floor.send(type="limit", limit_price="101", time_in_force="opg")
    bad = floor.send(type="limit", limit_price="99", time_in_force="opg")
    floor.until(new_york("2026-01-05 09:30"))
    floor.tick("AAPL", 100.0)
    floor.wait(60)
    assert (good.status, bad.status) == ("filled", "expired")


def test_crypto_trades_at_night_and_its_fee_is_taken_from_what_is_received():
    floor = Floor(at=new_york("2026-01-04 03:00"))
    floor.tick("BTC/USD", 60_000.0)
    floor.send("BTC/USD", qty="1")
    assert floor.account.quantity("BTC/USD") == Decimal("0.9975")
    with pytest.raises(Refusal, match=r"insufficient balance for BTC \(requested: 1"):
        floor.send("BTC/USD", "sell", qty="1")
    floor.send("BTC/USD", "sell", qty="0.9975")
    assert floor.account.quantity("BTC/USD") == 0
    assert floor.account.cash == Decimal("100000") - 60_000 + 59_850 - Decimal("149.63")


def test_a_notional_order_buys_nine_decimals_at_once():
    floor = Floor()
    floor.tick("AAPL", 300.0, size=1)
    order = floor.send(notional="1000")
    assert (order.status, order.filled) == ("filled", Decimal("3.333333333"))
    assert floor.account.cash == Decimal("99000.00")
    assert order.to_dict()["qty"] is None


def test_a_halted_symbol_does_not_trade():
    floor = Floor()
    floor.tick("AAPL", 100.0)
    floor.book.halted.add("AAPL")
    order = floor.send()
    assert order.status == "new"
    floor.book.halted.clear()
    floor.tick("AAPL", 101.0)
    assert order.average_price == 101


def test_closing_a_position_sells_all_or_a_part_of_it():
    floor = Floor()
    floor.tick("AAPL", 100.0)
    floor.send(qty="10")
    floor.desk.close("AAPL", floor.now, percentage=Decimal(50))
    floor.wait(0)
    assert floor.account.quantity("AAPL") == 5
    floor.desk.close("AAPL", floor.now)
    floor.wait(0)
    assert floor.account.quantity("AAPL") == 0
    with pytest.raises(Refusal, match="position does not exist"):
        floor.desk.close("AAPL", floor.now)


def test_cancelling_all_orders_takes_each_group_once():
    floor = Floor()
    floor.tick("AAPL", 100.0)
    bracket(floor)
    waiting = floor.send("MSFT", qty="1", type="limit", limit_price="50")
    asked = floor.desk.cancel_all(floor.now)
    floor.wait(0)
    assert len(asked) == 2
    assert floor.book.open_orders() == []
    assert waiting.status == "canceled"
