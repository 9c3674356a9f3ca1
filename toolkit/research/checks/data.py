"""`check data`: what is wrong with a file of bars, quotes or trades, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.market.origins import DEFAULTS, mixed_origins
from toolkit.market.rows import DEFAULT_TIMEFRAME
from toolkit.market.tables import bars_of, normalise
from toolkit.research.checks import hours, prices, rows
from toolkit.research.checks.findings import Finding, Raw, Series, Severity
from toolkit.research.checks.raw import read_raw
from toolkit.research.checks.result import CheckResult
from toolkit.research.plotting import Plotter
from toolkit.research.progress import Report, progress_of
from toolkit.research.tape import Bars

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = tuple(Finding.__dataclass_fields__)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DataCheck(CheckResult):
    """Findings in the order of the file; notes do not count as faults."""

    findings: tuple[Finding, ...]
    rows: int
    symbols: tuple[str, ...]
    source: str
    plotter: Plotter | None = field(default=None)

    @property
    def ok(self) -> bool:
        """Whether there are no errors and no warnings."""
        return all(finding.severity is Severity.NOTE for finding in self.findings)

    @property
    def counts(self) -> dict[str, int]:
        """How often each kind was found, the most frequent first."""
        return dict(Counter(finding.kind for finding in self.findings).most_common())

    @property
    def sentence(self) -> str:
        """How much was looked at, and what was found how often."""
        of = f"{self.rows:,} rows of {', '.join(self.symbols) or 'no symbol'}"
        if not self.findings:
            return f"no faults in {of}"
        kinds = ", ".join(f"{kind} ({count:,})" for kind, count in self.counts.items())
        refused = sum(finding.severity is Severity.ERROR for finding in self.findings)
        how = f"; a backtest refuses {refused:,} of them" if refused else ""
        return (
            f"found in {of}: {kinds}{how}" if not self.ok else f"no faults in {of}; notes: {kinds}"
        )

    @property
    def frame(self) -> pd.DataFrame:
        """One row per finding; see `Finding`."""
        import pandas as pd

        values = [{**asdict(f), "severity": f.severity.value} for f in self.findings]
        return pd.DataFrame(values, columns=list(COLUMNS))


def check_data(
    bars: pd.DataFrame | Bars,
    *,
    symbol: str | None = None,
    timeframe: float | None = None,
    progress: bool | Report = True,
) -> DataCheck:
    """Look for gaps, spikes, splits, doubles, disorder, bad values, mixed feeds, wrong time zones.

    Takes what a backtest takes, and reads what that refuses. `symbol` names that of a table
    without a column for it; `timeframe` in seconds, by default the most frequent distance. Stocks
    are held against New York's calendar. Raises DataError for a file that cannot be read.
    """
    raw = read_raw(bars, symbol=symbol)
    found = list(rows.nameless(raw))
    parts = list(_parts(raw, timeframe))
    sound: list[Series] = []
    with progress_of(progress, total=len(parts) or 1, what="data") as report:
        for done, part in enumerate(parts):
            faults, present, clean = _single(part, raw)
            found += faults
            sound.append(clean)
            if raw.kind == "bars":
                found += [*_prices(clean, _adjustment(raw)), *_times(present)]
            report(done + 1, len(parts))
        if raw.kind != "bars" and not any(f.severity is Severity.ERROR for f in found):
            found += _as_bars(raw, sound, timeframe)
    found += _mixed(raw)
    return DataCheck(
        findings=tuple(sorted(found, key=lambda f: (f.row, f.kind))),
        rows=len(raw.frame),
        symbols=tuple(part.symbol for part in parts),
        source=raw.source,
    )


def _parts(raw: Raw, timeframe: float | None) -> Iterator[Series]:
    """Yield the rows of each symbol, as they lie in the file."""
    known = np.asarray(raw.times.notna()) & np.asarray(raw.symbols != "", np.bool_)
    seconds = timeframe or _spacing(raw, known)
    for symbol in sorted(set(raw.symbols[known])):
        at = np.flatnonzero(known & np.asarray(raw.symbols == symbol, np.bool_))
        yield Series(
            symbol=symbol,
            rows=at,
            times=raw.times[at],
            values={name: values[at] for name, values in raw.values.items()},
            seconds=seconds,
        )


def _spacing(raw: Raw, known: Any) -> float:
    """Return the most frequent distance of bars in seconds."""
    import pandas as pd

    if raw.kind != "bars" or not known.any():
        return DEFAULT_TIMEFRAME
    table = pd.DataFrame({"symbol": raw.symbols[known], "at": raw.times[known].asi8})
    steps = table.sort_values("at").groupby("symbol", sort=False)["at"].diff().dropna()
    steps = steps[steps > 0]
    return float(steps.mode().iloc[0] / 1e6) if len(steps) else DEFAULT_TIMEFRAME


def _single(part: Series, raw: Raw) -> tuple[list[Finding], Series, Series]:
    """Return faults of rows and order; all rows in order, each time once; and the sound ones."""
    faults, ordered = rows.disordered(part)
    unsound, sound = rows.unsound(ordered, raw.kind)
    faults += unsound
    if raw.kind != "bars":
        return faults, ordered, ordered.keep(sound)
    doubled, clean = rows.doubled(ordered.keep(sound))
    return faults + doubled, rows.doubled(ordered)[1], clean


def _prices(part: Series, adjustment: str) -> Iterator[Finding]:
    """Yield what only prices beside each other show."""
    if not len(part):
        return
    spiked, which = prices.spikes(part)
    yield from spiked
    yield from prices.jumps(part, which, adjustment=adjustment)
    yield from prices.still(part)
    yield from prices.without_volume(part)


def _times(part: Series) -> Iterator[Finding]:
    """Yield what only times beside each other show."""
    wrong = list(hours.wrong_hours(part))
    yield from wrong
    if not any(finding.kind == "time_zone" for finding in wrong):
        yield from hours.gaps(part)
    yield from hours.off_grid(part)


def _adjustment(raw: Raw) -> str:
    if "adjustment" in raw.frame.columns:
        return str(raw.frame["adjustment"].iloc[0])
    return str(raw.frame.attrs.get("adjustment", ""))


def _as_bars(raw: Raw, ticks: list[Series], timeframe: float | None) -> Iterator[Finding]:
    """Yield what the bars built from quotes or trades show, at the row of the first tick."""
    frame = raw.frame if "symbol" in raw.frame.columns else raw.frame.assign(symbol=raw.symbols)
    built = read_raw(bars_of(normalise(frame, timeframe=timeframe)))
    rows_of = {part.symbol: part for part in ticks}
    for part in _parts(built, timeframe):
        tick = rows_of[part.symbol]
        first = np.minimum(np.searchsorted(tick.at, part.at), len(tick) - 1)
        placed = replace(part, rows=tick.rows[first])
        for finding in (*_prices(placed, ""), *_times(placed)):
            if finding.kind not in ("no_volume", "filled", "zero_volume"):
                yield finding


def _mixed(raw: Raw) -> Iterator[Finding]:
    present = [name for name in DEFAULTS if name in raw.frame.columns]
    if not present:
        return
    table = raw.frame[present].astype("str").where(raw.frame[present].notna(), "")
    for name, values in mixed_origins(table.assign(symbol=raw.symbols)).items():
        column = table[name].to_numpy()
        other = int((column != column[0]).argmax())
        yield Finding(
            kind=f"mixed_{name}",
            severity=Severity.ERROR,
            row=other,
            timestamp=raw.times[other],
            symbol=str(raw.symbols[other]),
            count=int((column == column[other]).sum()),
            message=f"bars of {name} {', '.join(value or 'unknown' for value in values)} are mixed",
            advice=f"keep the rows of one {name}: prices and volumes cannot be compared",
        )
