"""Duplicates, missing messages and where to resume."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_a_new_epoch_starts_again_and_is_a_gap_of_each_stream() -> None:
    tracker = started(orders=9)
    assert tracker.start("f") == [Gap.of("orders", 10, None, "restart")]
    assert tracker.last_seen() == {"epoch": "f", "seq": {}}
    assert tracker.accept(message(1, 0, epoch="f")) == (True, None)


def test_a_restart_is_news_once_whoever_says_it_first() -> None:
    tracker = started(orders=9)
    tracker.start("f")
    assert not tracker.announced(Gap.of("orders", 10, None, "restart"))
    assert tracker.announced(Gap.of("signals", 1, None, "restart"))
    assert tracker.announced(Gap.of("orders", 1, 3, "slow"))
    assert tracker.start("f") == []


def test_a_message_that_cannot_be_read_changes_nothing() -> None:
    tracker = started(orders=0)
    with pytest.raises(ValueError, match="invalid literal"):
        tracker.accept(message(1, "x"))  # type: ignore[arg-type]
    assert tracker.accept(message(1, 0)) == (True, None)


class Server:
    """What a server sends on one connection after another: the truth that a client tracks."""

    def __init__(self) -> None:
        self.epoch, self.seq, self.last = 0, 0, dict.fromkeys(SYMBOLS, 0)
        self.sent: list[Message] = []

    def restart(self) -> None:
        self.epoch, self.seq, self.last = self.epoch + 1, 0, dict.fromkeys(SYMBOLS, 0)
        self.sent.clear()

    def publish(self, symbol: str) -> None:
        self.seq += 1
        made = message(self.seq, self.last[symbol], symbol, epoch=str(self.epoch))
        self.last[symbol] = self.seq
        self.sent.append(made)


SYMBOLS = ("AAPL", "MSFT")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from(SYMBOLS)),
        st.tuples(
            st.sampled_from(["deliver", "one", "again", "drop", "restart", "vanish"]), st.none()
        ),
    ),
    max_size=60,
)


@given(steps)
def test_whatever_happens_each_message_comes_once_or_lies_in_a_gap(
    schedule: list[tuple[str, str | None]],
) -> None:
    """`one`: only one message arrives; `again`: some come twice; `vanish`: the ring loses half."""
    server, tracker = Server(), Tracker()
    got: list[tuple[str, int]] = []
    gaps: list[tuple[str, int, int | None]] = []
    expired = 0

    def note(gap: Gap, epoch: str) -> None:
        gaps.append((epoch, gap.first, gap.last))

    def take(made: Message) -> None:
        new, gap = tracker.accept(made)
        if gap is not None:
            note(gap, made["epoch"])
        if new:
            got.append((made["epoch"], made.seq))

    def connect() -> int:
        """Resume as the hub does; returns from which message on all is delivered."""
        seen, before = tracker.last_seen(), tracker.epoch
        for gap in tracker.start(str(server.epoch)):
            note(gap, before or "")
        start = server.seq
        if seen and seen["epoch"] == str(server.epoch) and "orders" in seen["seq"]:
            start = seen["seq"]["orders"]
            if start < expired:
                gap = Gap.of("orders", start + 1, expired, "expired")
                tracker.announced(gap)
                note(gap, str(server.epoch))
                start = expired
        tracker.confirm({"orders": start})
        return start

    position = began = connect()
    starts = {"0": began}
    for what, symbol in [*schedule, ("drop", None), ("deliver", None)]:
        if what == "publish":
            server.publish(str(symbol))
        elif what in ("deliver", "one"):
            waiting = server.sent[position:]
            for made in waiting[:1] if what == "one" else waiting:
                take(made)
                position = made.seq
        elif what == "again":
            for made in server.sent[max(began, position - 3) : position]:
                take(made)
        elif what == "vanish":
            expired = server.seq // 2
        else:
            if what == "restart":
                server.restart()
                expired = 0
            # Only what came over this connection can come over it again.
            position = began = connect()
            starts.setdefault(str(server.epoch), position)
    assert got == sorted(set(got), key=lambda item: (int(item[0]), item[1]))
    for epoch, start in starts.items():
        of_epoch = {seq for e, seq in got if e == epoch}
        known = [(first, last) for e, first, last in gaps if e == epoch]
        for seq in set(range(start + 1, max(of_epoch, default=0))) - of_epoch:
            assert any(first <= seq and (last is None or seq <= last) for first, last in known)
    for epoch in list(starts)[:-1]:
        assert any(e == epoch and last is None for e, _, last in gaps)
