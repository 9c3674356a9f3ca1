"""Duplicates, missing messages and where to resume."""

from __future__ import annotations

from typing import Any

from toolkit.client.messages import Gap, Message
from toolkit.client.tracker import Tracker


def message(seq: int, prev: int, symbol: str | None = "AAPL", **more: Any) -> Message:
    stream = more.pop("stream", "orders")
    fields = {"stream_type": stream, "symbol": symbol, "seq": seq, "prev": prev, "epoch": "e"}
    return Message({**fields, "data": {}, **more})


def started(**floor: int) -> Tracker:
    tracker = Tracker()
    tracker.start("e")
    tracker.confirm(floor)
    return tracker


def test_a_chain_of_one_symbol_may_skip_the_streams_numbers() -> None:
    tracker = started(orders=4)
    assert tracker.accept(message(5, 2)) == (True, None)
    assert tracker.accept(message(9, 5)) == (True, None)


def test_a_broken_chain_is_a_gap() -> None:
    tracker = started(orders=4)
    tracker.accept(message(5, 0))
    new, gap = tracker.accept(message(9, 7))
    assert new
    assert gap == Gap.of("orders", 6, 7, "missing")


def test_what_was_announced_is_not_missing_again() -> None:
    tracker = started(orders=0)
    tracker.announced(Gap.of("orders", 1, 7, "slow"))
    assert tracker.accept(message(9, 7)) == (True, None)


def test_duplicates_and_other_epochs_are_dropped() -> None:
    tracker = started(orders=0)
    tracker.accept(message(1, 0))
    assert tracker.accept(message(1, 0)) == (False, None)
    assert tracker.accept(message(2, 1, epoch="old")) == (False, None)


def test_a_snapshot_is_current_to_its_number() -> None:
    tracker = started(orders=0)
    assert tracker.accept(message(6, 3, snapshot=True)) == (True, None)
    assert tracker.accept(message(6, 3, snapshot=True)) == (True, None)
    assert tracker.accept(message(8, 6)) == (True, None)


def test_market_data_may_skip_because_it_conflates() -> None:
    tracker = started(market_data=0)
    tracker.accept(message(1, 0, stream="market_data"))
    assert tracker.accept(message(9, 8, stream="market_data")) == (True, None)


def test_resume_is_from_the_newest_of_each_stream() -> None:
    tracker = Tracker()
    assert tracker.last_seen() is None
    tracker.start("e")
    tracker.confirm({"orders": 4, "account": 2})
    tracker.accept(message(6, 0))
    tracker.forget("account")
    assert tracker.last_seen() == {"epoch": "e", "seq": {"orders": 6}}


def test_an_answer_before_its_confirmation_is_enough_to_resume() -> None:
    tracker = Tracker()
    tracker.start("e")
    tracker.answered({"orders": 4})
    tracker.confirm({"orders": 3})
    assert tracker.last_seen() == {"epoch": "e", "seq": {"orders": 4}}


def test_a_new_epoch_starts_again() -> None:
    tracker = started(orders=9)
    tracker.start("f")
    assert tracker.last_seen() == {"epoch": "f", "seq": {}}
    assert tracker.accept(message(1, 0, epoch="f")) == (True, None)
