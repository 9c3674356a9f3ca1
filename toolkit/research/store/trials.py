"""Every variant ever tried on some data, and every look at a hold-out.

The deflated Sharpe ratio needs the number of trials that were really made, those of last week and
those of a slider included. One set of parameters with its costs and sessions is one trial, however
often it is run on the same stretch of data.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from toolkit.core.costs import Costs
from toolkit.core.layout import Floats
from toolkit.core.parameters import Parameters
from toolkit.research.store.database import Database
from toolkit.research.store.folder import research_folder

if TYPE_CHECKING:
    from toolkit.research.tape import Tape

VERSION = 1
SIMULATED = "simulated"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TABLES = """
create table if not exists data (
    id integer primary key, symbols text not null, timeframe real not null,
    first integer not null, last integer not null, feed text not null, fingerprint text not null,
    unique (symbols, timeframe, first, last, feed, fingerprint));
create table if not exists trials (
    data integer not null references data (id), digest text not null, sharpe real,
    source text not null, at text not null, primary key (data, digest)) without rowid;
create table if not exists looks (
    number integer primary key, data integer not null references data (id), what text not null,
    at text not null);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataKey:
    """Which data: `timeframe` in seconds, `first` and `last` timestamps in UTC."""

    symbols: tuple[str, ...]
    timeframe: float
    first: datetime
    last: datetime
    feed: str
    fingerprint: str

    @classmethod
    def of(cls, tape: Tape) -> Self:
        """Return the key of a tape."""
        first, last = tape.span
        return cls(
            symbols=tape.symbols,
            timeframe=tape.timeframe,
            first=first.to_pydatetime(warn=False),
            last=last.to_pydatetime(warn=False),
            feed=tape.feed,
            fingerprint=tape.fingerprint,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trials:
    """Distinct sets that were tried; `sharpes` of one period each, 0 where nothing moved."""

    count: int
    sharpes: Floats


class TrialLedger:
    """The file of all trials; safe for several processes. All methods raise StoreError."""

    def __init__(self, path: Path, *, clock: Callable[[], datetime]) -> None:
        self._file = Database(path, tables=_TABLES, version=VERSION)
        self._clock = clock

    @classmethod
    def open(cls, path: Path | str | None = None) -> Self:
        """Return the ledger in a folder, by default the user's."""
        folder = research_folder(path)
        return cls(folder / "trials.sqlite", clock=lambda: datetime.now(UTC))

    def add(self, key: DataKey, digests: Sequence[str], sharpes: Floats, *, source: str) -> None:
        """Count sets that were tried; those known on this very data keep their first entry.

        `digests` as of `trial_digest`; `sharpes` of one period each; `source` says who tried:
        backtest, sweep, slider and so on.
        """
        values = np.asarray(sharpes, np.float64).tolist()
        at = self._clock().isoformat()
        with self._file.writing() as file:
            data = _data(file, key)
            file.executemany(
                "insert or ignore into trials values (?,?,?,?,?)",
                (
                    (data, digest, sharpe, source, at)  # SQLite keeps NaN as null
                    for digest, sharpe in zip(digests, values, strict=True)
                ),
            )

    def known(self, key: DataKey) -> Trials:
        """Return the distinct sets tried on the same symbols and timeframe while spans overlap.

        Whatever the feed, but simulated bars only count with simulated ones.
        """
        with self._file.reading() as file:
            rows = file.execute(
                "select coalesce(max(t.sharpe), 0.0) from trials t join data d on d.id = t.data"
                " where d.symbols = ? and d.timeframe = ? and d.first <= ? and d.last >= ?"
                " and (d.feed = ?) = ? group by t.digest",
                (
                    _symbols(key), key.timeframe, _micros(key.last), _micros(key.first),
                    SIMULATED, key.feed == SIMULATED,
                ),
            ).fetchall()  # fmt: skip
        return Trials(count=len(rows), sharpes=np.array([row[0] for row in rows], np.float64))

    def look(self, key: DataKey, what: str) -> int:
        """Count one look at a hold-out; returns how often data of this span was looked at now.

        Looks at any overlapping span of the same symbols and timeframe count together.
        """
        with self._file.writing() as file:
            at = self._clock().isoformat()
            values = (_data(file, key), what, at)
            file.execute("insert into looks (data, what, at) values (?,?,?)", values)
            (count,) = file.execute(
                "select count(*) from looks l join data d on d.id = l.data"
                " where d.symbols = ? and d.timeframe = ? and d.first <= ? and d.last >= ?",
                (_symbols(key), key.timeframe, _micros(key.last), _micros(key.first)),
            ).fetchone()
        return int(count)


def trial_digest(
    parameters: Parameters, costs: Costs, *, sessions: str = "all", flat_before_close: float = 0.0
) -> str:
    """Return 16 hex digits that tell one set with its costs and hours from any other."""
    hours: Any = {"sessions": sessions, "flat_before_close": flat_before_close}
    return trial_digests(vector_of(parameters)[None, :], costs, **hours)[0]


def trial_digests(
    vectors: Floats, costs: Costs, *, sessions: str = "all", flat_before_close: float = 0.0
) -> list[str]:
    """Return the digest of each row: the values of all parameters, as `vector_of` orders them."""
    start = blake2b(repr(costs).encode(), digest_size=8)
    if sessions != "all":
        start.update(f"{sessions} {float(flat_before_close)}".encode())
    digests = []
    for row in np.ascontiguousarray(vectors, np.float64):
        digest = start.copy()
        digest.update(row.data)
        digests.append(digest.hexdigest())
    return digests


def vector_of(parameters: Parameters) -> Floats:
    """Return every value as a number, in the order of `Parameters.fields()`."""
    return np.array(list(parameters.to_dict().values()), np.float64)


def _data(file: sqlite3.Connection, key: DataKey) -> int:
    values = (
        _symbols(key), key.timeframe, _micros(key.first), _micros(key.last), key.feed,
        key.fingerprint,
    )  # fmt: skip
    file.execute(
        "insert or ignore into data (symbols, timeframe, first, last, feed, fingerprint)"
        " values (?,?,?,?,?,?)",
        values,
    )
    (number,) = file.execute(
        "select id from data where (symbols, timeframe, first, last, feed, fingerprint)"
        " = (?,?,?,?,?,?)",
        values,
    ).fetchone()
    return int(number)


def _symbols(key: DataKey) -> str:
    return " ".join(sorted(key.symbols))


def _micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)
