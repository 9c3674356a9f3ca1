"""The market as it is reported: ticks, minute bars after their minute, revisions, days."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from toolkit.core.types import is_crypto
from toolkit.exchange.bars import BarStore, MinuteBar, Timeframe, bar_of, join
from toolkit.exchange.hours import day_of, hours_on
from toolkit.exchange.messages import MarketMessage, quote_fields, trade_fields
from toolkit.exchange.ticks import Tick
from toolkit.exchange.timers import Timers
from toolkit.exchange.values import MINUTE, SECOND, Micros

BAR_DELAY = SECOND
REVISION_DELAY = 30 * SECOND
KEPT_TICKS = 20_000
_LONGEST_BREAK = 10  # days
_SETTLED = 2 * MINUTE  # after midnight: the last revision of the day before has come
_ONE_DAY = Timeframe(1, "Day")


@dataclass(slots=True)
class _Minute:
    at: Micros
    prints: list[tuple[float, float]] = field(default_factory=list)


class Tape:
    """Reports of all symbols; `publish` gets what somebody wants (`wanted`), as it happens.

    A second after its minute a bar comes out; now and then (`revision_rate` says how often, as a
    fraction) some of its trades were reported late, and the revised bar follows 30 s after the
    minute. Which minutes and which trades depends on seed, symbol and minute alone.
    """

    def __init__(
        self,
        history: Mapping[str, Iterable[MinuteBar]],
        *,
        seed: int,
        timers: Timers,
        publish: Callable[[MarketMessage], None],
        wanted: Callable[[str, str], bool],
        revision_rate: Callable[[str, Micros], float],
    ) -> None:
        self._seed = seed
        self._timers = timers
        self._publish = publish
        self._wanted = wanted
        self._revision_rate = revision_rate
        self._stores = {symbol: BarStore(bars) for symbol, bars in history.items()}
        self._ticks: dict[str, deque[tuple[int, Tick]]] = {
            symbol: deque(maxlen=KEPT_TICKS) for symbol in history
        }
        self._forming: dict[str, _Minute] = {}
        self._last_days: dict[tuple[str, Micros], MinuteBar | None] = {}
        self._number = 0

    @property
    def symbols(self) -> tuple[str, ...]:
        """All symbols, sorted."""
        return tuple(sorted(self._stores))

    def bars(self, symbol: str) -> BarStore:
        """Return the minute bars that have been reported; KeyError for unknown symbols."""
        return self._stores[symbol]

    def ticks(self, symbol: str) -> deque[tuple[int, Tick]]:
        """Return the latest ticks with their numbers, oldest first."""
        return self._ticks[symbol]

    def latest(self, symbol: str) -> tuple[int, Tick] | None:
        """Return the last tick."""
        ticks = self._ticks[symbol]
        return ticks[-1] if ticks else None

    def day_bar(self, symbol: str, at: Micros) -> MinuteBar | None:
        """Return the day so far of which a moment is part."""
        begin = _ONE_DAY.start_of(at, crypto=is_crypto(symbol))
        return self._day(symbol, begin, at)

    def previous_day_bar(self, symbol: str, at: Micros) -> MinuteBar | None:
        """Return the last day with trades before that of a moment."""
        begin = _ONE_DAY.start_of(at, crypto=is_crypto(symbol))
        if at - begin < _SETTLED:
            return self._last_day(symbol, begin)
        if (symbol, begin) not in self._last_days:
            self._last_days[symbol, begin] = self._last_day(symbol, begin)
        return self._last_days[symbol, begin]

    def _last_day(self, symbol: str, begin: Micros) -> MinuteBar | None:
        crypto = is_crypto(symbol)
        for _ in range(_LONGEST_BREAK):
            end, begin = begin - 1, _ONE_DAY.start_of(begin - 1, crypto=crypto)
            if bar := self._day(symbol, begin, end):
                return bar
        return None

    def _day(self, symbol: str, begin: Micros, end: Micros) -> MinuteBar | None:
        first, last = begin, end
        if not is_crypto(symbol):
            hours = hours_on(day_of(begin))
            if hours is None:
                return None
            first, last = hours.open, min(end, hours.close - 1)
        bars = self._stores[symbol].between(first, last)
        return join(begin, bars) if bars else None

    def on_tick(self, tick: Tick) -> None:
        """Report a quote and its trade, and count the trade in its minute."""
        symbol = tick.symbol
        self._number += 1
        self._ticks[symbol].append((self._number, tick))
        self._count(tick)
        if self._wanted("quotes", symbol):
            self._publish(MarketMessage("quotes", symbol, tick.at, quote_fields(tick)))
        if self._wanted("trades", symbol):
            fields = trade_fields(tick, self._number)
            self._publish(MarketMessage("trades", symbol, tick.at, fields))

    def _count(self, tick: Tick) -> None:
        at = tick.at - tick.at % MINUTE
        minute = self._forming.get(tick.symbol)
        if minute is None or minute.at != at:
            minute = self._forming[tick.symbol] = _Minute(at)
            symbol, opened = tick.symbol, minute
            self._timers.at(at + MINUTE + BAR_DELAY, lambda _: self._close(symbol, opened))
        minute.prints.append((tick.price, tick.size))

    def _close(self, symbol: str, minute: _Minute) -> None:
        whole = bar_of(minute.at, minute.prints)
        early = self._in_time(symbol, minute)
        first = whole if early is None else bar_of(minute.at, early)
        self._report(symbol, first, "bars")
        if early is not None:
            due = minute.at + MINUTE + REVISION_DELAY
            self._timers.at(due, lambda _: self._report(symbol, whole, "updatedBars"))

    def _in_time(self, symbol: str, minute: _Minute) -> list[tuple[float, float]] | None:
        """Return the trades that were reported in time, None when all were."""
        draw = random.Random(f"late trades {self._seed} {symbol} {minute.at}")
        count = len(minute.prints)
        if draw.random() >= self._revision_rate(symbol, minute.at) or count == 1:
            return None
        late = set(draw.sample(range(count), draw.randint(1, max(1, count // 5))))
        return [p for i, p in enumerate(minute.prints) if i not in late]

    def _report(self, symbol: str, bar: MinuteBar, channel: str) -> None:
        self._stores[symbol].put(bar)
        if self._wanted(channel, symbol):
            self._publish(MarketMessage(channel, symbol, bar.at, bar.fields()))
        if self._wanted("dailyBars", symbol):
            day = self.day_bar(symbol, bar.at)
            if day is not None:
                self._publish(MarketMessage("dailyBars", symbol, day.at, day.fields()))
