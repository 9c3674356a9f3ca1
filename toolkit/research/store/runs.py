"""A list of runs: filter it, compare them, load, run again or delete one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from toolkit.errors import ConfigError
from toolkit.research.store.comparison import Comparison, comparison_of
from toolkit.research.store.record import Record

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.research.store.reproduction import Reproduction
    from toolkit.research.store.run_store import RunStore
    from toolkit.research.tape import Bars

SHOWN = 20
FIGURES = ("sets", "trades", "total_return_percent", "sharpe", "max_drawdown_percent")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Runs:
    """Runs, the latest first. `unread` are ids of runs that this code does not understand."""

    records: tuple[Record, ...]
    unread: tuple[str, ...]
    store: RunStore

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per run: what, when, which data, and its main figures."""
        import pandas as pd

        rows = [_row(record) for record in self.records]
        return pd.DataFrame(rows, columns=list(_row(self.records[0])) if rows else ["id"])

    def filter(
        self,
        *,
        symbol: str | None = None,
        kind: str | None = None,
        feed: str | None = None,
        adjustment: str | None = None,
        source: str | None = None,
        since: str | datetime | timedelta | None = None,
        until: str | datetime | None = None,
    ) -> Runs:
        """Return some of the runs; raises ConfigError.

        `kind` is backtest, sweep and so on; `source` any part of the file's name; `since` and
        `until` (excluded) are about when they were made: UTC, ISO 8601, or a timedelta until now.
        """
        begin, end = _moment(since, "since"), _moment(until, "until")
        chosen = [
            r
            for r in self.records
            if (symbol is None or symbol.upper() in r.data.symbols)
            and (kind is None or kind == r.kind)
            and (feed is None or feed == r.data.feed)
            and (adjustment is None or adjustment == r.data.adjustment)
            and (source is None or source in r.data.source)
            and (begin is None or r.at >= begin)
            and (end is None or r.at < end)
        ]
        return replace(self, records=tuple(chosen))

    def compare(self, *runs: str, metric: str = "sharpe", force: bool = False) -> Comparison:
        """Set runs side by side, the best by `metric` first; by default all of this list.

        Runs of other symbols, timeframes, spans, feeds, adjustments, bars, capital or costs are no
        contest of parameters: raises ConfigError that names what differs, unless `force`, and then
        the result says so.
        """
        chosen = [self.store.record(run) for run in runs] if runs else list(self.records)
        return comparison_of(chosen, metric=metric, force=force)

    def load(self, run: str) -> Any:
        """Return a run as a result: a SweepTable as it was, of others a SavedRun."""
        return self.store.load(run)

    def reproduce(self, run: str, bars: pd.DataFrame | Bars | None = None) -> Reproduction:
        """Run it again and say whether the outcome is equal to the bit.

        `bars` by default come from where they came from then. Raises StoreError where they are
        gone or are not the same.
        """
        return self.store.reproduce(run, bars)

    def delete(self, run: str) -> str:
        """Forget a run and its tables, not its trials; returns the id."""
        return self.store.delete(run)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __getitem__(self, key: int | str) -> Any:
        """Return a record by its place, or a column of the frame."""
        return self.records[key] if isinstance(key, int) else self.frame[key]

    def __repr__(self) -> str:
        if not self.records:
            return "<Runs: none yet>"
        return f"{self.frame.head(SHOWN).to_string(index=False)}\n{self._note}"

    def _repr_html_(self) -> str:
        if not self.records:
            return "<p>No runs yet: tk.backtest and tk.sweep keep theirs here.</p>"
        return f"{self.frame.head(SHOWN).to_html(index=False)}<p>{escape(self._note)}</p>"

    @property
    def _note(self) -> str:
        shown = f", the latest {SHOWN} are shown" if len(self) > SHOWN else ""
        unread = f"; {len(self.unread)} more were kept by other code" if self.unread else ""
        return f"{len(self)} run{'' if len(self) == 1 else 's'}{shown}{unread}"


def _row(record: Record) -> dict[str, Any]:
    data = record.data
    return {
        "id": record.id,
        "kind": record.kind,
        "at": record.at.replace(microsecond=0),
        "symbols": ", ".join(data.symbols),
        "timeframe": data.timeframe,
        "first": data.first,
        "last": data.last,
        "feed": data.feed,
        "adjustment": data.adjustment,
        **{name: record.figures.get(name) for name in FIGURES},
        "seconds": round(record.seconds, 3),
        "source": data.source,
        "code": record.code,
    }


def _moment(value: str | datetime | timedelta | None, field: str) -> datetime | None:
    if isinstance(value, timedelta):
        return datetime.now(UTC) - value
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ConfigError(
            f"{field} is {value!r}; allowed: a date or time such as 2026-01-02 or 2026-01-02T15:00",
            field=field,
            value=str(value),
            allowed="ISO 8601",
        ) from None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
