"""A chart's data as Bokeh column sources, kept up to date with the smallest messages.

The x of a bar is its place in the order of bars, not its time: nights and weekends take no
room. It only ever grows, so that streaming a bar moves nothing that is already drawn.
Columns are plain lists: Bokeh patches those in place, while it silently fails on the read-only
arrays of pandas 3.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from toolkit.core.types import is_crypto
from toolkit.market.sessions import NEW_YORK
from toolkit.streaming.wire import parse_time

if TYPE_CHECKING:
    from toolkit.views.feed import ChartData

Row = dict[str, Any]
Columns = dict[str, list[Any]]

BAR_COLUMNS = ("x", "time", "open", "high", "low", "close", "volume", "side", "ema", "k", "d")
FILL_COLUMNS = ("x", "time", "price", "side", "quantity", "reason")
BREAK_COLUMNS = ("x", "kind", "label")
LEVEL_COLUMNS = ("price", "kind")
CORRECTION_COLUMNS = ("x", "price", "label")

# A pause shorter than this many bars is not worth a mark: quiet minutes make no bar.
_LONG_GAP = 5


class ChartSources:
    """The column sources of one chart: `bars`, `fills`, `breaks`, `levels` and `corrections`.

    Prices in quote currency, `time` in milliseconds since 1970 UTC, `k`/`d` 0 to 100, NaN where
    an indicator has no value yet. Not thread-safe: update it where its document lives.
    """

    def __init__(self, data: ChartData) -> None:
        from bokeh.models import ColumnDataSource

        self.bars = ColumnDataSource(name="bars")
        self.fills = ColumnDataSource(name="fills")
        self.breaks = ColumnDataSource(name="breaks")
        self.levels = ColumnDataSource(name="levels")
        self.corrections = ColumnDataSource(name="corrections")
        self._replace(data)

    @classmethod
    def from_data(cls, data: ChartData) -> ChartSources:
        """Return sources that hold everything in `data`."""
        return cls(data)

    @property
    def symbol(self) -> str:
        """The symbol now shown."""
        return self._symbol

    @property
    def last_x(self) -> int:
        """The x of the newest bar; -1 where there is none."""
        return self._first_x + len(self._times) - 1

    def update(self, data: ChartData) -> None:
        """Bring the sources to `data`: patch what changed, append what is new.

        Falls back to replacing everything when `data` does not continue what is shown: another
        symbol, or history that was reloaded with different bars.
        """
        if data.symbol != self._symbol or not self._extend(data.bars):
            self._replace(data)
            return
        self._update_rest(data)

    def _replace(self, data: ChartData) -> None:
        self._symbol = data.symbol
        self._bars = tuple(data.bars)
        self._times = [_milliseconds(bar["timestamp"]) for bar in self._bars]
        self._first_x = 0
        rows = [_bar_row(x, bar) for x, bar in enumerate(self._bars)]
        self.bars.data = _columns(rows, BAR_COLUMNS)
        self._update_rest(data)

    def _extend(self, bars: Sequence[Row]) -> bool:
        """Patch and append; return False where `bars` does not continue what is shown."""
        if not self._bars or not bars:
            return not self._bars and not bars
        start = _milliseconds(bars[0]["timestamp"])
        dropped = bisect_right(self._times, start) - 1
        overlap = len(self._bars) - dropped
        if dropped < 0 or overlap > len(bars) or (dropped and overlap == len(bars)):
            return False
        kept = self._bars[dropped:]
        if any(a["timestamp"] != b["timestamp"] for a, b in zip(kept, bars, strict=False)):
            return False
        self._patch(kept, bars, dropped)
        self._append(bars, overlap)
        del self._times[:dropped]
        self._first_x += dropped
        self._bars = tuple(bars)
        return True

    def _patch(
        self, kept: Sequence[Mapping[str, Any]], bars: Sequence[Mapping[str, Any]], dropped: int
    ) -> None:
        patches: dict[str, list[tuple[int, Any]]] = {}
        for i, (old, new) in enumerate(zip(kept, bars, strict=False)):
            if old is new:
                continue
            index = dropped + i
            row = _bar_row(self._first_x + index, new)
            for name, column in self.bars.data.items():
                if not _same(column[index], row[name]):
                    patches.setdefault(name, []).append((index, row[name]))
        if patches:
            self.bars.patch(patches)

    def _append(self, bars: Sequence[Mapping[str, Any]], known: int) -> None:
        fresh = bars[known:]
        if not fresh:
            return
        first = self.last_x + 1
        rows = [_bar_row(first + i, bar) for i, bar in enumerate(fresh)]
        self.bars.stream(_columns(rows, BAR_COLUMNS), rollover=len(bars))
        self._times.extend(row["time"] for row in rows)

    def _update_rest(self, data: ChartData) -> None:
        _refresh(self.fills, self._fill_rows(data.fills), FILL_COLUMNS)
        _refresh(self.breaks, self._break_rows(), BREAK_COLUMNS)
        _refresh(self.levels, _level_rows(data.position), LEVEL_COLUMNS)
        _refresh(self.corrections, self._correction_rows(), CORRECTION_COLUMNS)

    def _correction_rows(self) -> list[Row]:
        return [
            {"x": self._first_x + i, "price": bar["high"], "label": _correction(bar)}
            for i, bar in enumerate(self._bars)
            if bar.get("revision")
        ]

    def _fill_rows(self, fills: Sequence[Mapping[str, Any]]) -> list[Row]:
        rows = []
        for fill in fills:
            time = _milliseconds(fill["timestamp"])
            index = bisect_right(self._times, time) - 1
            if index < 0:
                continue
            row = {name: fill.get(name) for name in FILL_COLUMNS}
            reason = str(fill["reason"]).replace("_", " ")
            rows.append({**row, "x": self._first_x + index, "time": time, "reason": reason})
        return rows

    def _break_rows(self) -> list[Row]:
        steps = [after - before for before, after in pairwise(self._times)]
        if not steps:
            return []
        timeframe = Counter(steps).most_common(1)[0][0]
        rows = []
        for i, step in enumerate(steps):
            if step <= _LONG_GAP * timeframe:
                continue
            session = not is_crypto(self._symbol) and _new_session(self._bars[i], self._bars[i + 1])
            label = "" if session else f"{_duration(step - timeframe)} without data"
            kind = "session" if session else "gap"
            rows.append({"x": self._first_x + i + 0.5, "kind": kind, "label": label})
        return rows


def _refresh(source: Any, rows: list[Row], names: Sequence[str]) -> None:
    """Append rows that are new at the end; replace the data where anything else changed."""
    wanted = _columns(rows, names)
    shown = source.data
    count = len(shown[names[0]]) if shown else -1
    if count == len(rows) and wanted == shown:
        return
    if 0 < count < len(rows) and {name: c[:count] for name, c in wanted.items()} == shown:
        source.stream({name: c[count:] for name, c in wanted.items()})
        return
    source.data = wanted


def _bar_row(x: int, bar: Mapping[str, Any]) -> Row:
    values = bar.get("indicators") or {}
    return {
        "x": x,
        "time": _milliseconds(bar["timestamp"]),
        "open": bar["open"],
        "high": bar["high"],
        "low": bar["low"],
        "close": bar["close"],
        "volume": bar.get("volume") or 0.0,
        "side": "up" if bar["close"] >= bar["open"] else "down",
        "ema": _number(values.get("ema")),
        "k": _number(values.get("stoch_rsi_k")),
        "d": _number(values.get("stoch_rsi_d")),
    }


def _correction(bar: Mapping[str, Any]) -> str:
    decided = "; the bot had decided on the first version" if bar.get("decided") else ""
    return f"corrected by the feed{decided}"


def _level_rows(position: Mapping[str, Any] | None) -> list[Row]:
    if not position or not position.get("quantity"):
        return []
    levels = (("entry_price", "entry"), ("stop", "stop"), ("target", "target"))
    return [
        {"price": position[key], "kind": kind}
        for key, kind in levels
        if position.get(key) is not None
    ]


def _columns(rows: Sequence[Row], names: Sequence[str]) -> Columns:
    return {name: [row[name] for row in rows] for name in names}


def _milliseconds(timestamp: str) -> float:
    return parse_time(timestamp).timestamp() * 1000.0


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _same(a: Any, b: Any) -> bool:
    both_nan = isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)
    return both_nan or bool(a == b)


def _new_session(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    days = [parse_time(bar["timestamp"]).astimezone(NEW_YORK).date() for bar in (before, after)]
    return days[0] != days[1]


def _duration(milliseconds: float) -> str:
    minutes = round(milliseconds / 60_000)
    days, minutes = divmod(minutes, 1440)
    hours, minutes = divmod(minutes, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "under 1 min"
