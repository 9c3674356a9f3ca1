"""The journal: on disk before it counts, one writer, readable meanwhile, clear when it cannot."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from tests.broker.truth import NOON, Life, intent
from toolkit.alpaca.port import BrokerFee
from toolkit.broker.journal import (
    Journal,
    export_trades,
    iter_fills,
    iter_intents,
    iter_notes,
    iter_orders,
)
from toolkit.broker.orders import Change, Orders
from toolkit.broker.records import Booking
from toolkit.core.types import Fill, Order, OrderStatus
from toolkit.errors import BrokerError

LIFE = Life(intent(), (4, 6), OrderStatus.FILLED)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "bot.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path, clock=lambda: NOON)
    yield journal
    journal.close()


def reopened(journal: Journal) -> Journal:
    journal.close()
    return Journal(journal.path, clock=lambda: NOON)


def lived(journal: Journal) -> list[Change]:
    orders = Orders()
    journal.intend(LIFE.intent)
    orders.intend(LIFE.intent)
    changes = [c for step in range(LIFE.steps) for c in orders.news(LIFE.news(step))]
    for change in changes:
        if isinstance(change, Order):
            journal.order(change)
        else:
            journal.fill(change)
    return changes


def test_everything_comes_back_as_it_was_and_in_order(journal: Journal):
    changes = lived(journal)
    again = reopened(journal)
    assert list(again.intents()) == [LIFE.intent]
    assert list(again.changes()) == changes
    assert list(again.bookings()) == [c for c in changes if isinstance(c, Booking)]
    again.close()


def test_the_file_is_asked_for_no_more_than_is_wanted(journal: Journal):
    assert journal.last_booked_at() is None
    found = [c for c in lived(journal) if isinstance(c, Booking)]
    assert journal.last_booked_at() == max(b.fill.timestamp for b in found)
    assert list(journal.bookings("AAPL")) == found
    assert list(journal.bookings("MSFT")) == []
    assert journal.booked(found[0].key)
    assert not journal.booked("nothing")


def test_numbers_go_on_after_a_restart(journal: Journal):
    lived(journal)
    again = reopened(journal)
    again.note("command", who="anna", data={"name": "stop"})
    again.intend(intent("s-AAPL-2"))
    again.close()
    file = sqlite3.connect(journal.path)
    numbers = [
        n
        for table in ("intents", "orders", "fills", "notes")
        for (n,) in file.execute(f"select number from {table}")
    ]
    file.close()
    assert len(numbers) == len(set(numbers)) == 8


def test_an_execution_is_written_once_however_often_it_is_told(journal: Journal):
    (booking, *_) = [c for c in lived(journal) if isinstance(c, Booking)]
    journal.fill(booking)
    assert journal.recorded().fills == 2
    assert journal.recorded().cash == Decimal(-(4 * 100 + 6 * 101))


def test_a_fee_is_written_once(journal: Journal):
    fee = BrokerFee(
        id="f1", symbol="BTC/USD", amount=Decimal(0), quantity=Decimal("0.1"), timestamp=NOON
    )
    journal.fee(fee)
    journal.fee(fee)
    assert journal.recorded().fees == 1


def test_an_intent_is_on_the_disk_with_full_synchronisation(journal: Journal):
    seen: list[str] = []
    journal._file.set_trace_callback(seen.append)
    journal.intend(LIFE.intent)
    full = seen.index("pragma synchronous=full")
    assert seen[full + 1].startswith("insert into intents")
    assert [i.ticket for i in iter_intents(journal.path)] == [LIFE.intent.ticket]


def test_a_second_bot_is_refused_until_the_first_is_gone(journal: Journal):
    with pytest.raises(BrokerError, match=r"another bot writes bot\.sqlite"):
        Journal(journal.path, clock=lambda: NOON)
    reopened(journal).close()


def test_others_read_while_the_bot_writes(journal: Journal, tmp_path: Path):
    lived(journal)
    journal.note("gate", who="bot", data={"gate": "orders", "reason": "down"})
    assert [f.quantity for f in iter_fills(journal.path)] == [4, 6]
    assert [o.status for o in iter_orders(journal.path)][-1] is OrderStatus.FILLED
    (note,) = iter_notes(journal.path, "gate")
    assert (note.who, note.data["reason"], note.at) == ("bot", "down", NOON)
    assert list(iter_notes(journal.path, "command")) == []
    assert export_trades(journal.path, tmp_path / "trades.csv") == 2
    header, first, *_ = (tmp_path / "trades.csv").read_text().splitlines()
    assert header.startswith("execution_id,client_order_id,order_id,symbol,side,price,quantity")
    assert "s-AAPL-1-0,s-AAPL-1,id-s-AAPL-1,AAPL,buy,100,4" in first


def test_a_damaged_file_is_said_to_be_damaged(path: Path):
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(BrokerError, match=r"cannot be opened .*move the file away"):
        Journal(path, clock=lambda: NOON)
    path.unlink()
    Journal(path, clock=lambda: NOON).close()


def test_a_file_of_a_newer_toolkit_is_left_alone(journal: Journal):
    journal._file.execute("pragma user_version=99")
    journal.close()
    with pytest.raises(BrokerError, match="newer toolkit"):
        Journal(journal.path, clock=lambda: NOON)


def fill_the_disk(journal: Journal) -> int:
    journal._file.execute("pragma wal_checkpoint(truncate)")
    (pages,) = journal._file.execute("pragma page_count").fetchone()
    (limit,) = journal._file.execute(f"pragma max_page_count={pages}").fetchone()
    return int(limit)


def test_a_full_disk_refuses_entries_and_keeps_the_rest_until_there_is_space(journal: Journal):
    fill_the_disk(journal)
    big = {"text": "x" * 20_000}
    journal.note("gate", who="bot", data=big)
    assert "full" in journal.problem
    with pytest.raises(BrokerError, match=r"cannot be written .*full.*free space"):
        journal.intend(intent("s-AAPL-1"))
    journal.intend(intent("s-AAPL-1-x1"), kept=True)
    journal._file.execute("pragma max_page_count=100000")
    journal.retry()
    assert journal.problem == ""
    assert [i.ticket.client_order_id for i in journal.intents()] == ["s-AAPL-1-x1"]
    assert [n.data for n in journal.notes("gate")] == [big]


def test_what_the_log_gathers_is_moved_into_the_file_in_quiet_moments(journal: Journal):
    for number in range(1_500):
        journal.note("gate", who="bot", data={"text": f"{number} " * 500})
    before = journal.path.stat().st_size
    journal.tidy()
    assert before < 100_000
    assert journal.path.stat().st_size > 1_000_000


def test_values_keep_every_digit(journal: Journal):
    exact = Fill(
        order_id="1",
        client_order_id="2",
        symbol="BTC/USD",
        side=LIFE.intent.ticket.side,
        price=0.1 + 0.2,
        quantity=Decimal("0.000000001"),
        fee=Decimal("0.10"),
        timestamp=NOON,
        reason=LIFE.intent.reason,
    )
    lived(journal)
    booking = replace(next(journal.bookings()), key="other", fill=exact)
    journal.fill(booking)
    assert list(journal.bookings())[-1] == booking
