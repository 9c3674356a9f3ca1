"""One fault of the data, and the rows of a file as far as they can be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from toolkit.core.layout import Bools, Floats, Ints
from toolkit.market.columns import Kind


class Severity(StrEnum):
    """How bad a finding is: an error is refused by a backtest, a note may be as it should."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault: `count` neighbouring rows of one symbol, the first of them at `row` (from 0)."""

    kind: str
    severity: Severity
    row: int
    timestamp: Any
    symbol: str
    count: int
    message: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """Rows of one symbol, oldest first; `rows` are positions in the file, `at` microseconds.

    `seconds` is the timeframe; `values` by column.
    """

    symbol: str
    rows: Ints
    times: Any
    values: dict[str, Floats]
    seconds: float

    @property
    def at(self) -> Ints:
        """The times as microseconds since 1970."""
        return np.asarray(self.times.as_unit("us").asi8, np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def keep(self, mask: Bools) -> Series:
        """Return the rows where the mask is true."""
        return Series(
            symbol=self.symbol,
            rows=self.rows[mask],
            times=self.times[mask],
            values={name: values[mask] for name, values in self.values.items()},
            seconds=self.seconds,
        )

    def finding(
        self,
        place: int,
        kind: str,
        severity: Severity,
        message: str,
        advice: str,
        *,
        count: int = 1,
    ) -> Finding:
        """Return a finding that begins at the row of a place in this series."""
        return Finding(
            kind=kind,
            severity=severity,
            row=int(self.rows[place]),
            timestamp=self.times[place],
            symbol=self.symbol,
            count=count,
            message=message,
            advice=advice,
        )

    def each_run(
        self, bad: Bools, kind: str, severity: Severity, message: str, advice: str
    ) -> Iterator[Finding]:
        """Yield one finding for each run of bad rows."""
        for start, stop in runs(bad):
            more = f", {stop - start} rows in a row" if stop - start > 1 else ""
            yield self.finding(start, kind, severity, message + more, advice, count=stop - start)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Raw:
    """A table as it lies in its file: `times` and `values` are missing where they are no such.

    `frame` has lower-case names.
    """

    frame: Any
    kind: Kind
    times: Any
    symbols: Any
    values: dict[str, Floats]
    source: str


def runs(mask: Bools) -> list[tuple[int, int]]:
    """Return (start, stop) of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
