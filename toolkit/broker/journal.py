"""The journal: what was intended, what became of it, and who did what; SQLite, append-only.

Intents are on the disk (synchronous=FULL) before the request leaves. Everything else can be
asked of the broker again, so it is written without waiting for the disk. One bot writes; anyone
may read meanwhile.
"""

from __future__ import annotations

import csv
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from toolkit.alpaca.port import BrokerFee
from toolkit.broker import codec
from toolkit.broker.records import Booking, Intent, Note, Recorded
from toolkit.core.types import ZERO, Fill, Order
from toolkit.errors import BrokerError

VERSION = 1
BACKLOG = 10_000
TIDY_EVERY = 200  # writes
_TABLES = """
create table if not exists intents (
    number integer primary key, client_order_id text not null unique, symbol text not null,
    side text not null, reason text not null, made_at text not null, data text not null);
create table if not exists orders (
    number integer primary key, client_order_id text not null, order_id text not null,
    symbol text not null, status text not null, recorded_at text not null, data text not null);
create table if not exists fills (
    number integer primary key, execution_id text not null unique,
    client_order_id text not null, order_id text not null, symbol text not null,
    side text not null, price text not null, quantity text not null, received text not null,
    fee text not null, cash text not null, reason text not null, timestamp text not null,
    recorded_at text not null, data text not null);
create table if not exists fees (
    number integer primary key, id text not null unique, symbol text, amount text not null,
    quantity text not null, timestamp text not null);
create table if not exists notes (
    number integer primary key, kind text not null, who text not null, at text not null,
    data text not null);
create index if not exists notes_kind on notes (kind);
"""
_NUMBERED = ("intents", "orders", "fills", "fees", "notes")
_TRADES = (
    "execution_id", "client_order_id", "order_id", "symbol", "side", "price", "quantity",
    "received", "fee", "cash", "reason", "timestamp",
)  # fmt: skip


class Journal:
    """One file of one bot and account; raises BrokerError where it is in use or damaged.

    Writes that fail are kept and tried again before the next one; meanwhile `problem` says why.
    An intent that cannot be written raises, unless it is `kept` (exits must go).
    """

    def __init__(self, path: Path, *, clock: Callable[[], datetime]) -> None:
        self.path = path
        self.problem = ""
        self._clock = clock
        self._backlog: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._lock: sqlite3.Connection | None = None
        self._number = self._tidy_at = 0
        file: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(path)
            file = self._file = sqlite3.connect(path, isolation_level=None, timeout=5.0)
            self._prepare()
        except (sqlite3.Error, OSError) as error:
            if file is not None:
                file.close()
            self._release()
            raise _failed("opened", path, error) from error

    def _prepare(self) -> None:
        file = self._file
        file.execute("pragma journal_mode=wal")
        file.execute("pragma synchronous=normal")
        file.execute("pragma wal_autocheckpoint=0")  # else an intent may have to wait for it
        (sound,) = file.execute("pragma quick_check(1)").fetchone()
        if sound != "ok":
            raise sqlite3.DatabaseError(sound)
        (version,) = file.execute("pragma user_version").fetchone()
        if version > VERSION:
            raise sqlite3.DatabaseError(f"it was written by a newer toolkit (format {version})")
        file.executescript(_TABLES)
        file.execute(f"pragma user_version={VERSION}")
        for table in _NUMBERED:
            (last,) = file.execute(f"select max(number) from {table}").fetchone()
            self._number = max(self._number, last or 0)

    def intend(self, intent: Intent, *, kept: bool = False) -> None:
        """Put an intent on the disk before its request leaves; raises BrokerError."""
        ticket = intent.ticket
        row = (
            self._next(), ticket.client_order_id, ticket.symbol, ticket.side.value,
            intent.reason.value, intent.made_at.isoformat(), codec.dump(intent),
        )  # fmt: skip
        statement = "insert into intents values (?,?,?,?,?,?,?)"
        try:
            self.flush()
            self._file.execute("pragma synchronous=full")
            self._file.execute(statement, row)
        except sqlite3.Error as error:
            self.problem = _failed("written", self.path, error).message
            if not kept:
                raise _failed("written", self.path, error) from error
            self._backlog.append((statement, row))
        finally:
            self._file.execute("pragma synchronous=normal")

    def order(self, order: Order) -> None:
        """Write down that an order has changed."""
        row = (
            self._next(), order.client_order_id, order.id, order.symbol, order.status.value,
            self._now(), codec.dump(order),
        )  # fmt: skip
        self._write("insert into orders values (?,?,?,?,?,?,?)", row)

    def fill(self, booking: Booking) -> None:
        """Write an execution down, once however often it is told."""
        fill, execution = booking.fill, booking.execution
        row = (
            self._next(), booking.key, fill.client_order_id, fill.order_id, fill.symbol,
            fill.side.value, str(execution.price), str(execution.quantity),
            str(booking.settlement.received), str(booking.settlement.fee),
            str(booking.settlement.cash), fill.reason.value, fill.timestamp.isoformat(),
            self._now(), codec.dump(booking),
        )  # fmt: skip
        marks = ",".join("?" * len(row))
        self._write(f"insert or ignore into fills values ({marks})", row)

    def fee(self, fee: BrokerFee) -> None:
        """Write a fee of the account down, once."""
        row = (
            self._next(), fee.id, fee.symbol, str(fee.amount), str(fee.quantity),
            fee.timestamp.isoformat(),
        )  # fmt: skip
        self._write("insert or ignore into fees values (?,?,?,?,?,?)", row)

    def note(self, kind: str, *, who: str, data: Mapping[str, Any]) -> None:
        """Write down anything else: a command, a gate, a change of parameters."""
        if len(self._backlog) >= BACKLOG:
            return  # a full disk for hours: orders and fills are kept, notes are not
        row = (self._next(), kind, who, self._now(), codec.dump(data))
        self._write("insert into notes values (?,?,?,?,?)", row)

    def flush(self) -> None:
        """Write what could not be written before; raises sqlite3.Error."""
        while self._backlog:
            statement, row = self._backlog[0]
            self._file.execute(statement, row)
            self._backlog.popleft()
        self.problem = ""

    def tidy(self) -> None:
        """Move what the log beside the file has gathered into the file, where it is time for it."""
        if self._number >= self._tidy_at:
            self._tidy_at = self._number + TIDY_EVERY
            with suppress(sqlite3.Error):  # the log grows meanwhile; writes tell what is wrong
                self._file.execute("pragma wal_checkpoint(passive)").fetchall()

    def retry(self) -> None:
        """Try again what could not be written before; `problem` says how it went."""
        try:
            self.flush()
        except sqlite3.Error as error:
            self.problem = _failed("written", self.path, error).message

    def intents(self) -> Iterator[Intent]:
        """Every intent, oldest first."""
        for (data,) in self._file.execute("select data from intents order by number"):
            yield codec.load(Intent, data)

    def bookings(self, symbol: str | None = None) -> Iterator[Booking]:
        """Every execution that was booked, oldest first; of one symbol, or all."""
        where, values = ("where symbol = ?", (symbol,)) if symbol else ("", ())
        rows = self._file.execute(f"select data from fills {where} order by number", values)
        for (data,) in rows:
            yield codec.load(Booking, data)

    def booked(self, key: str) -> bool:
        """Whether an execution of that key was booked."""
        asked = self._file.execute("select 1 from fills where execution_id = ?", (key,))
        return asked.fetchone() is not None

    def last_booked_at(self) -> datetime | None:
        """When the latest execution happened; None before the first one."""
        (last,) = self._file.execute("select max(timestamp) from fills").fetchone()
        return None if last is None else datetime.fromisoformat(last)

    def changes(self) -> Iterator[Order | Booking]:
        """Every change of an order and every booking, oldest first."""
        both = (
            "select number, 'order', data from orders union all "
            "select number, 'fill', data from fills order by 1"
        )
        for _, kind, data in self._file.execute(both):
            yield codec.load(Order, data) if kind == "order" else codec.load(Booking, data)

    def notes(self, kind: str | None = None) -> Iterator[Note]:
        """Notes of one kind or all, oldest first."""
        yield from _notes(self._file, kind)

    def recorded(self) -> Recorded:
        """Return how much is written: what a check of the invariants counts."""
        count = {
            table: self._file.execute(f"select count(*) from {table}").fetchone()[0]
            for table in ("intents", "fills", "fees")
        }
        cash = (Decimal(c) for (c,) in self._file.execute("select cash from fills"))
        return Recorded(**count, cash=sum(cash, ZERO))

    def close(self) -> None:
        """Let the file go; calling it twice is harmless."""
        if self._lock is not None:
            self.retry()
            self._file.close()
            self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _write(self, statement: str, row: tuple[Any, ...]) -> None:
        self._backlog.append((statement, row))
        self.retry()

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _now(self) -> str:
        return self._clock().isoformat()


def iter_fills(path: Path) -> Iterator[Fill]:
    """Read the fills of a journal, also while its bot runs; raises BrokerError."""
    with closing(_reader(path)) as file:
        for (data,) in file.execute("select data from fills order by number"):
            yield codec.load(Booking, data).fill


def iter_orders(path: Path) -> Iterator[Order]:
    """Read every change of every order, oldest first, also while the bot runs."""
    with closing(_reader(path)) as file:
        for (data,) in file.execute("select data from orders order by number"):
            yield codec.load(Order, data)


def iter_intents(path: Path) -> Iterator[Intent]:
    """Read the intents, oldest first, also while the bot runs."""
    with closing(_reader(path)) as file:
        for (data,) in file.execute("select data from intents order by number"):
            yield codec.load(Intent, data)


def iter_notes(path: Path, kind: str | None = None) -> Iterator[Note]:
    """Read the notes of one kind or all, oldest first, also while the bot runs."""
    with closing(_reader(path)) as file:
        yield from _notes(file, kind)


def export_trades(path: Path, target: Path) -> int:
    """Write the trade log of a journal as CSV; returns the number of executions."""
    with closing(_reader(path)) as file, target.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(_TRADES)
        rows = file.execute(f"select {','.join(_TRADES)} from fills order by number").fetchall()
        writer.writerows(rows)
        return len(rows)


def _notes(file: sqlite3.Connection, kind: str | None) -> Iterator[Note]:
    where, values = ("where kind = ?", (kind,)) if kind else ("", ())
    rows = file.execute(f"select kind, who, at, data from notes {where} order by number", values)
    for name, who, at, data in rows:
        yield Note(kind=name, who=who, at=datetime.fromisoformat(at), data=codec.parse(data))


def _reader(path: Path) -> sqlite3.Connection:
    try:
        file = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        file.execute("select 1 from intents limit 1")
    except sqlite3.Error as error:
        raise _failed("read", path, error) from error
    return file


def _locked(path: Path) -> sqlite3.Connection:
    """Hold an exclusive transaction on a file beside it: it ends with the process, however."""
    lock = sqlite3.connect(path.with_name(path.name + ".lock"), isolation_level=None, timeout=0.0)
    try:
        lock.execute("begin exclusive")
    except sqlite3.OperationalError as error:
        lock.close()
        raise BrokerError(
            f"another bot writes {path.name}; stop it, or give this bot another name",
            path=str(path),
        ) from error
    return lock


def _failed(verb: str, path: Path, error: Exception) -> BrokerError:
    advice = "free space, or move the file away and start again: the broker is asked for the rest"
    return BrokerError(
        f"the journal {path.name} cannot be {verb} ({error}); {advice}",
        path=str(path),
        error=str(error),
    )
