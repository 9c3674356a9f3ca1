"""Comparing with the broker: who holds what, and when a difference counts."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.broker.truth import NOON, at
from toolkit.alpaca.port import BrokerFill, BrokerPosition
from toolkit.broker.reconcile import Comparison, Difference, differences, foreign_deals
from toolkit.core.types import Side

D = Decimal


def position(quantity: int, symbol: str = "AAPL") -> BrokerPosition:
    return BrokerPosition(
        symbol=symbol,
        quantity=D(quantity),
        available=D(quantity),
        average_price=D(1),
        current_price=None,
    )


def deal(side: Side, quantity: int, number: int = 1) -> BrokerFill:
    return BrokerFill(
        id=f"2026::{number}",
        order_id="hand",
        symbol="AAPL",
        side=side,
        price=D(100),
        quantity=D(quantity),
        timestamp=NOON,
    )


def test_what_is_ours_and_what_is_not_add_up():
    assert differences([position(10)], ours={"AAPL": D(7)}, foreign={"AAPL": D(3)}) == []


def test_a_difference_names_both_numbers():
    (found,) = differences([position(12)], ours={"AAPL": D(7)}, foreign={"AAPL": D(3)})
    assert found.amount == 2
    assert str(found) == "AAPL: the broker has 12, the journal 7 and 3 of others"
    (gone,) = differences([], ours={"AAPL": D(7)}, foreign={})
    assert str(gone) == "AAPL: the broker has 0, the journal 7"


DIFFERENCE = Difference(symbol="AAPL", theirs=D(12), ours=D(10), foreign=D(0))


def judged(comparison: Comparison, seconds: float, *found: Difference, version: int = 1) -> str:
    comparison.judge(found, [], version=version, now=at(seconds))
    return comparison.reason


def test_one_look_proves_nothing_and_two_close_the_gate():
    comparison = Comparison()
    assert judged(comparison, 0) == ""
    assert judged(comparison, 60, DIFFERENCE) == ""
    assert comparison.second_look_due
    assert judged(comparison, 61, DIFFERENCE) == ""
    assert judged(comparison, 63, DIFFERENCE) == str(DIFFERENCE)
    assert judged(comparison, 65) == ""


def test_between_two_looks_our_books_must_have_stood_still():
    comparison = Comparison()
    judged(comparison, 0)
    judged(comparison, 60, DIFFERENCE, version=1)
    assert judged(comparison, 63, DIFFERENCE, version=2) == ""
    assert judged(comparison, 66, DIFFERENCE, version=2) != ""


def test_before_the_first_agreement_the_gate_is_closed():
    comparison = Comparison()
    assert "not reconciled" in comparison.reason
    assert "second look" in judged(comparison, 0, DIFFERENCE)


def deals(fills: list[BrokerFill], *, ours: int, foreign: int) -> list[tuple[Decimal, Decimal]]:
    found = foreign_deals(fills, seen=(), ours={"AAPL": D(ours)}, foreign={"AAPL": D(foreign)})
    return [(d.change, d.sold_ours) for d in found]


def test_what_others_buy_is_theirs():
    assert deals([deal(Side.BUY, 5)], ours=10, foreign=0) == [(5, 0)]


def test_what_others_sell_is_theirs_first_and_then_ours():
    assert deals([deal(Side.SELL, 5)], ours=10, foreign=3) == [(-3, 2)]
    assert deals([deal(Side.SELL, 5)], ours=0, foreign=0) == [(-5, 0)]


def test_an_execution_of_others_counts_once():
    twice = [deal(Side.SELL, 2), deal(Side.SELL, 2)]
    assert deals(twice, ours=10, foreign=0) == [(0, 2)]
    assert foreign_deals(twice, seen={"1"}, ours={}, foreign={}) == []


@given(
    trades=st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 20)), max_size=10),
    ours=st.integers(0, 30),
    foreign=st.integers(0, 30),
)
def test_whoever_traded_the_sum_is_what_the_broker_has(
    trades: list[tuple[Side, int]], ours: int, foreign: int
):
    fills = [deal(side, size, number) for number, (side, size) in enumerate(trades)]
    found = foreign_deals(fills, seen=(), ours={"AAPL": D(ours)}, foreign={"AAPL": D(foreign)})
    sold = sum(d.sold_ours for d in found)
    theirs = foreign + sum(d.change for d in found)
    moved = sum(size if side is Side.BUY else -size for side, size in trades)
    assert 0 <= sold <= ours
    assert theirs + (ours - sold) == ours + foreign + moved
