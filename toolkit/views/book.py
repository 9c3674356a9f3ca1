"""Bars and fills of one symbol: history and the live stream, joined."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from toolkit.streaming.wire import parse_time

Change = Literal["tick", "bar", "fill", "state"]
Data = dict[str, Any]


class ChartBook:
    """Bars and fills of one symbol, joined without hole or double; not thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bars: dict[datetime, Data] = {}
        self._fills: deque[Data] = deque(maxlen=limit)
        self._since: tuple[dict[datetime, Data], deque[Data]]
        self.begin()

    def bars(self) -> tuple[Data, ...]:
        """Bars, oldest first."""
        return tuple(self._bars.values())

    def fills(self) -> tuple[Data, ...]:
        """Fills, oldest first."""
        return tuple(self._fills)

    def begin(self) -> None:
        """Start to remember what history, being on its way, may not hold."""
        forming = {t: b for t, b in self._bars.items() if not b["final"]}
        self._since = (forming, deque(maxlen=self._limit))

    def load(
        self, bars: Iterable[Data], fills: Iterable[Data], corrections: Iterable[Data] = ()
    ) -> None:
        """Take history as the truth, and after it what came live since `begin`."""
        loaded = {parse_time(bar["timestamp"]): bar for bar in bars}
        for correction in (*corrections, *filter(_revision, self._since[0].values())):
            _correct(loaded, correction)
        last = max(loaded, default=None)
        newer = {t: b for t, b in self._since[0].items() if last is None or t > last}
        self._bars = dict(sorted(loaded.items())) | newer
        self._trim()
        self._fills = deque(_joined(fills, self._since[1]), maxlen=self._limit)

    def add_bar(self, bar: Data) -> Change | None:
        """Take a live bar; None when it says nothing new (late, or forming after final)."""
        time = parse_time(bar["timestamp"])
        known = self._bars.get(time)
        if _revision(bar):
            self._since[0][time] = bar
            return "bar" if _correct(self._bars, bar) else None
        last = next(reversed(self._bars), time)
        if time < last and not self._bars[last]["final"]:  # a market that was started anew
            del self._bars[last]
            return self.add_bar(bar)
        if time < last or (known and known["final"] and not bar["final"]):
            return None
        self._bars[time] = self._since[0][time] = bar
        self._trim()
        return "bar" if bar["final"] or known is None else "tick"

    def add_fill(self, fill: Data) -> None:
        """Take a live fill."""
        self._fills.append(fill)
        self._since[1].append(fill)

    def _trim(self) -> None:
        for bars in (self._bars, self._since[0]):
            while len(bars) > self._limit:
                del bars[next(iter(bars))]


def _revision(bar: Data) -> int:
    return int(bar.get("revision") or 0)


def _correct(bars: dict[datetime, Data], bar: Data) -> bool:
    """Put a corrected bar in the place of its earlier version; False where it is no news.

    The strategy has seen the first version: the indicators stay.
    """
    time = parse_time(bar["timestamp"])
    known = bars.get(time)
    if known is None or _revision(known) >= _revision(bar):
        return False
    bars[time] = {**bar, "indicators": bar.get("indicators") or known.get("indicators")}
    return True


def _joined(history: Iterable[Data], live: Iterable[Data]) -> list[Data]:
    # Equal partial fills exist, so fills are counted, not merely compared.
    joined = list(history)
    known = Counter(_fill_key(fill) for fill in joined)
    for fill in live:
        key = _fill_key(fill)
        if known[key]:
            known[key] -= 1
        else:
            joined.append(fill)
    return sorted(joined, key=lambda fill: parse_time(fill["timestamp"]))


def _fill_key(fill: Data) -> tuple[Any, ...]:
    names = ("order_id", "client_order_id", "timestamp", "side", "price", "quantity")
    return tuple(fill.get(name) for name in names)
