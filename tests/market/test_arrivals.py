"""What came over the wire, and what of it the strategy may see."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.core.types import Bar, MarketGap
from toolkit.errors import DataError
from toolkit.market.arrivals import Arrivals, Handed, Hole

START = datetime(2026, 1, 5, 15, tzinfo=UTC)  # a Monday, in the session
MINUTE = timedelta(minutes=1)


def at(minute: int) -> datetime:
    return START + minute * MINUTE


def bar(minute: int, *, symbol: str = "AAPL", close: float = 0.0, revision: int = 0) -> Bar:
    price = close or 100.0 + minute
    return Bar(
        symbol=symbol,
        timestamp=at(minute),
        open=price,
        high=price,
        low=price,
        close=price,
        volume=10.0,
        feed="iex",
        revision=revision,
    )


def minutes(handed: list[Handed]) -> list[int]:
    return [int((b.timestamp - START) / MINUTE) for b in handed if isinstance(b, Bar)]


def fed(*numbers: int) -> Arrivals:
    arrivals = Arrivals()
    for number in numbers:
        arrivals.on_bar(bar(number))
    return arrivals


def test_bars_in_order_pass_at_once() -> None:
    arrivals = Arrivals()
    assert [arrivals.on_bar(bar(n)) for n in range(3)] == [[bar(n)] for n in range(3)]
    assert arrivals.holes() == []


def test_a_bar_behind_a_missing_minute_waits_and_the_hole_is_named() -> None:
    arrivals = fed(0)
    assert arrivals.on_bar(bar(3)) == []
    assert arrivals.holes() == [Hole(symbol="AAPL", start=at(1), end=at(3))]


def test_bars_out_of_order_are_handed_out_in_order() -> None:
    arrivals = fed(0)
    assert arrivals.on_bar(bar(2)) == []
    assert minutes(arrivals.on_bar(bar(1))) == [1, 2]
    assert arrivals.counts.out_of_order == 1


def test_history_fills_the_hole_before_newer_bars_pass() -> None:
    arrivals = fed(0)
    arrivals.on_bar(bar(3))
    handed = arrivals.answered({"AAPL": [bar(1), bar(2)]}, until={"AAPL": at(3)})
    assert handed == [bar(1), bar(2), bar(3)]
    assert arrivals.holes() == []


def test_what_history_does_not_know_is_announced_before_the_next_bar() -> None:
    arrivals = fed(0)
    arrivals.on_bar(bar(4))
    gap, *bars = arrivals.answered({"AAPL": [bar(2)]}, until={"AAPL": at(4)})
    assert gap == MarketGap(symbol="AAPL", after=at(0), before=at(2), missing=1)
    assert bars == [
        bar(2),
        MarketGap(symbol="AAPL", after=at(2), before=at(4), missing=1),
        bar(4),
    ]
    assert arrivals.counts.missing == 2


def test_a_hole_that_is_given_up_is_announced_and_what_comes_late_is_a_correction() -> None:
    arrivals = fed(0)
    arrivals.on_bar(bar(2))
    gap, second = arrivals.give_up("AAPL")
    assert gap == MarketGap(symbol="AAPL", after=at(0), before=at(2), missing=1)
    assert second == bar(2)
    assert arrivals.on_bar(bar(1)) == [bar(1, revision=1)]
    assert arrivals.on_bar(bar(1)) == []
    assert (arrivals.counts.late, arrivals.counts.duplicates) == (1, 1)


def test_a_duplicate_is_swallowed_and_counted() -> None:
    arrivals = fed(0, 1)
    assert arrivals.on_bar(bar(1)) == []
    assert arrivals.counts.duplicates == 1


def test_a_revised_bar_comes_out_as_a_correction_once() -> None:
    arrivals = fed(0, 1)
    assert arrivals.on_bar(bar(0, close=90.0, revision=1)) == [bar(0, close=90.0, revision=1)]
    assert arrivals.on_bar(bar(0, close=90.0, revision=1)) == []
    assert arrivals.on_bar(bar(0, close=91.0, revision=1)) == [bar(0, close=91.0, revision=2)]


def test_a_late_copy_of_the_first_version_does_not_undo_its_correction() -> None:
    arrivals = fed(0, 1)
    arrivals.on_bar(bar(0, close=90.0, revision=1))
    assert arrivals.on_bar(bar(0)) == []


def test_a_bar_revised_while_it_waits_is_handed_out_once_with_the_new_values() -> None:
    arrivals = fed(0)
    arrivals.on_bar(bar(2))
    arrivals.on_bar(bar(2, close=90.0, revision=1))
    handed = arrivals.answered({"AAPL": [bar(1)]}, until={"AAPL": at(2)})
    assert handed == [bar(1), bar(2, close=90.0)]


def test_nights_and_weekends_are_no_holes() -> None:
    arrivals = Arrivals()
    friday = replace(bar(0), timestamp=datetime(2026, 1, 9, 20, 59, tzinfo=UTC))
    monday = replace(bar(0), timestamp=datetime(2026, 1, 12, 14, 30, tzinfo=UTC))
    arrivals.on_bar(friday)
    assert arrivals.on_bar(monday) == [monday]


def test_after_an_interruption_even_the_night_is_fetched() -> None:
    arrivals = Arrivals()
    evening = replace(bar(0), timestamp=datetime(2026, 1, 5, 22, 0, tzinfo=UTC))
    later = replace(bar(0), timestamp=datetime(2026, 1, 5, 23, 0, tzinfo=UTC))
    arrivals.on_bar(evening)
    arrivals.interrupted("AAPL", later.timestamp)
    assert arrivals.on_bar(later) == []
    start = evening.timestamp + MINUTE
    assert arrivals.holes() == [Hole(symbol="AAPL", start=start, end=later.timestamp)]
    assert arrivals.answered({}, until={"AAPL": later.timestamp}) == [later]


def test_an_overdue_bar_is_fetched_and_comes_by_itself() -> None:
    arrivals = fed(0)
    arrivals.is_overdue("AAPL", at(1))
    assert arrivals.holes() == [Hole(symbol="AAPL", start=at(1), end=at(2))]
    assert arrivals.answered({"AAPL": [bar(1)]}, until={"AAPL": at(2)}) == [bar(1)]
    assert arrivals.holes() == []


def test_live_bars_join_the_history() -> None:
    arrivals = Arrivals()
    arrivals.seed("AAPL", [bar(0), bar(1)])
    arrivals.interrupted("AAPL", at(4))
    assert arrivals.on_bar(bar(1)) == []
    assert arrivals.on_bar(bar(4)) == []
    handed = arrivals.answered({"AAPL": [bar(1), bar(2), bar(3)]}, until={"AAPL": at(4)})
    assert minutes(handed) == [2, 3, 4]


def test_what_comes_free_together_comes_in_order_of_time_and_symbol() -> None:
    arrivals = Arrivals()
    for symbol in ("MSFT", "AAPL"):
        arrivals.on_bar(bar(0, symbol=symbol))
        arrivals.on_bar(bar(3, symbol=symbol))
    bars = {s: [bar(1, symbol=s), bar(2, symbol=s)] for s in ("MSFT", "AAPL")}
    handed = arrivals.answered(bars, until={"MSFT": at(3), "AAPL": at(3)})
    keys = [(b.timestamp, b.symbol) for b in handed if isinstance(b, Bar)]
    assert len(keys) == 6
    assert keys == sorted(keys)


def test_a_forming_bar_waits_for_the_final_one_before_it() -> None:
    arrivals = fed(0)
    forming = replace(bar(2), final=False)
    assert arrivals.on_forming(forming) == []
    arrivals.on_bar(bar(1))
    assert arrivals.on_forming(forming) == [forming]
    arrivals.on_bar(bar(2))
    assert arrivals.on_forming(forming) == []


def test_a_gap_told_before_a_forming_bar_is_not_told_again() -> None:
    arrivals = fed(0)
    arrivals.is_overdue("AAPL", at(1))
    arrivals.answered({}, until={"AAPL": at(2)})
    forming = replace(bar(2), final=False)
    gap = MarketGap(symbol="AAPL", after=at(0), before=at(2), missing=1)
    assert arrivals.on_forming(forming) == [gap, forming]
    assert arrivals.on_bar(bar(2)) == [bar(2)]


def test_an_unsound_bar_is_treated_as_missing() -> None:
    arrivals = fed(0)
    assert arrivals.on_bar(replace(bar(1), high=1.0)) == []
    arrivals.on_bar(bar(2))
    assert arrivals.holes() == [Hole(symbol="AAPL", start=at(1), end=at(2))]
    assert arrivals.counts.unsound == 1


@pytest.mark.parametrize("change", [{"feed": "sip"}, {"adjustment": "split"}])
def test_mixed_feeds_are_refused(change: dict[str, str]) -> None:
    arrivals = fed(0)
    other = replace(bar(1, symbol="MSFT"), **change)
    with pytest.raises(DataError, match="trade on one"):
        arrivals.on_bar(other)


def test_crypto_has_a_feed_of_its_own() -> None:
    arrivals = fed(0)
    coin = replace(bar(1, symbol="BTC/USD"), feed="crypto")
    assert arrivals.on_bar(coin) == [coin]


# What the wire may do with a bar: bring it, twice, late, revised; or not at all.
EVENTS = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from(["bar", "revised", "answer", "give_up", "cut"])),
    max_size=60,
)


@given(EVENTS)
@settings(max_examples=150, deadline=None)
def test_whatever_the_wire_does_each_minute_is_handed_out_once_in_order_and_holes_are_told(
    events: list[tuple[int, str]],
) -> None:
    arrivals, out = fed(0), [bar(0)]
    truth = {n: [bar(n)] for n in range(13)}
    for number, what in events:
        if what == "bar":
            out += arrivals.on_bar(bar(number))
        elif what == "revised":
            revised = bar(number, close=50.0 + number, revision=1)
            truth[number].append(revised)
            out += arrivals.on_bar(revised)
        elif what == "answer":
            for hole in arrivals.holes():
                known = [b[0] for b in truth.values() if hole.start <= b[0].timestamp < hole.end]
                out += arrivals.answered({"AAPL": known}, until={"AAPL": hole.end})
        elif what == "give_up":
            out += arrivals.give_up("AAPL")
        else:
            arrivals.interrupted("AAPL", at(number))
    check_contract(out)


def check_contract(out: list[Handed]) -> None:
    last, gap, version = at(-1), None, dict[datetime, Bar]()
    for event in out:
        if isinstance(event, MarketGap):
            assert (gap, event.after) == (None, last)
            gap = event
        elif event.revision == 0:
            assert event.timestamp > last
            missing = (event.timestamp - last) // MINUTE - 1
            assert (gap.missing if gap else 0) == missing
            assert event.timestamp not in version
            last, gap = event.timestamp, None
            version[event.timestamp] = event
        else:
            known = version.get(event.timestamp)
            assert event.timestamp < last or known is not None
            assert known is None or known.close != event.close
            assert known is None or event.revision == known.revision + 1
            version[event.timestamp] = event
    assert gap is None


@given(st.permutations(range(1, 9)), st.sets(st.integers(1, 8)), st.integers(1, 8))
@settings(max_examples=100, deadline=None)
def test_a_broken_run_hands_out_what_an_unbroken_one_does(
    order: list[int], lost: set[int], cut: int
) -> None:
    arrivals, out = fed(0), [bar(0)]
    for number in order:
        if number not in lost:
            out += arrivals.on_bar(bar(number))
        if number == cut:
            arrivals.interrupted("AAPL", at(cut))
    out += arrivals.on_bar(bar(9))
    arrivals.interrupted("AAPL", at(9))
    for hole in arrivals.holes():
        known = [bar(n) for n in range(10)]
        out += arrivals.answered({"AAPL": known}, until={"AAPL": hole.end})
    out += arrivals.on_bar(bar(10))
    assert out == [bar(n) for n in range(11)]
