"""From what two streams and their history bring to events of one timeframe. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from toolkit.core.types import Bar, MarketEvent, Quote, Trade, is_crypto
from toolkit.market.arrivals import Arrivals, Counts, Handed, Hole
from toolkit.market.backfill import Answer, floor_minute
from toolkit.market.builder import BarBuilder
from toolkit.market.dues import Dues
from toolkit.market.gaps import GapDetector
from toolkit.market.longer import MINUTE, LongerBars


class Intake:
    """Takes trades, quotes and minutes as they come; returns the events that may be seen.

    `timeframe` in seconds; `feeds` names the feed of stocks (False) and of crypto (True);
    `bar_patience` (seconds) is how long a bar may take after its minute is seen to be over.
    Raises DataError for mixed feeds, ConfigError for a timeframe that cannot be built.
    """

    def __init__(self, *, timeframe: float, feeds: Mapping[bool, str], bar_patience: float) -> None:
        self._is_minute = timeframe == MINUTE.total_seconds()
        self._arrivals = Arrivals()
        self._longer = LongerBars(timeframe)
        self._gaps = GapDetector(timeframe)
        self._dues = Dues(bar_patience)
        self._bar_patience = timedelta(seconds=bar_patience)
        self._builders = {crypto: BarBuilder(feed=feed) for crypto, feed in feeds.items()}
        self._market_times: dict[bool, datetime] = {}
        self._first_live: dict[str, datetime] = {}

    @property
    def counts(self) -> Counts:
        """What was late, double, revised or missing."""
        return self._arrivals.counts

    @property
    def market_time(self) -> datetime | None:
        """The newest time on any stream."""
        return max(self._market_times.values(), default=None)

    def first_live(self, symbol: str) -> datetime | None:
        """When the first final live bar of a symbol opened; None before it came."""
        return self._first_live.get(symbol)

    def join(self, symbol: str, *, minutes: Sequence[Bar], bars: Sequence[Bar]) -> None:
        """Go on from history: its minutes, and the bars of our timeframe made of them."""
        self._arrivals.seed(symbol, minutes)
        if self._is_minute:
            return
        for minute in minutes:
            self._longer.on_minute(minute)
        if bars:
            self._longer.close_until(symbol, self._longer.end_of(bars[-1].timestamp))
            self._gaps.on_bar(bars[-1])

    def connected(self, symbols: Iterable[str], now: datetime) -> None:
        """A connection is new: want what was missed before it."""
        for symbol in symbols:
            self._arrivals.begin(symbol, self._longer.start_of(now))
            self._arrivals.interrupted(symbol, floor_minute(now))

    def on_event(self, event: MarketEvent) -> Iterable[MarketEvent]:
        """Take what a stream brings."""
        if isinstance(event, Bar):
            return self._on_bar(event)
        if isinstance(event, (Trade, Quote)):
            self._market_moved(event.symbol, event.timestamp)
        return self._on_trade(event) if isinstance(event, Trade) else [event]

    def on_answer(self, answer: Answer) -> Iterable[MarketEvent]:
        """Take what history knows of holes."""
        return self._finished(self._arrivals.answered(answer.bars, until=answer.until))

    def give_up(self, symbol: str) -> Iterable[MarketEvent]:
        """Stop waiting for a symbol's hole."""
        return self._finished(self._arrivals.give_up(symbol))

    def holes(self, *, now: float) -> list[Hole]:
        """Return what has to be fetched, overdue bars included; `now` is monotonic."""
        for crypto, moment in self._market_times.items():
            for symbol, minute in self._dues.overdue(market_time=moment, now=now):
                if is_crypto(symbol) == crypto:
                    self._arrivals.is_overdue(symbol, minute)
        return self._arrivals.holes()

    def closed_by_time(self, symbols: Iterable[str]) -> Iterable[MarketEvent]:
        """Return bars of several minutes that are over, though their last minutes did not trade.

        `symbols` are those whose stream is up.
        """
        if self._is_minute:
            return []
        waiting = {hole.symbol for hole in self._arrivals.holes()}
        bars: list[Bar] = []
        for symbol in symbols:
            moment = self._market_times.get(is_crypto(symbol))
            if moment is not None and symbol not in waiting:
                bars += self._longer.close_until(symbol, moment - self._bar_patience)
        return self._noted(self._gaps.announced(bars))

    def forget(self, symbol: str) -> None:
        """Drop a symbol."""
        self._arrivals.forget(symbol)
        self._longer.forget(symbol)
        self._dues.forget(symbol)
        self._first_live.pop(symbol, None)

    def _on_bar(self, bar: Bar) -> Iterable[MarketEvent]:
        self._market_moved(bar.symbol, bar.timestamp + MINUTE)
        self._dues.on_bar(bar.symbol, bar.timestamp)
        return self._finished(self._arrivals.on_bar(bar))

    def _on_trade(self, trade: Trade) -> Iterable[MarketEvent]:
        self._dues.on_trade(trade.symbol, trade.timestamp)
        bars = self._builders[is_crypto(trade.symbol)].on_trade(trade)
        return [trade, *(e for bar in bars if not bar.final for e in self._forming(bar))]

    def _forming(self, minute: Bar) -> Iterable[Handed]:
        passed = self._arrivals.on_forming(minute)
        if self._is_minute:
            return passed
        longer = self._longer.on_forming(minute) if passed else None
        return self._gaps.announced([longer]) if longer is not None else []

    def _finished(self, handed: Sequence[Handed]) -> Iterable[MarketEvent]:
        """Return the bars of our timeframe that these minutes finish."""
        if self._is_minute:
            return self._noted(handed)
        minutes = [event for event in handed if isinstance(event, Bar)]
        bars = [bar for minute in minutes for bar in self._longer.on_minute(minute)]
        return self._noted(self._gaps.announced(bars))

    def _noted(self, handed: Iterable[Handed]) -> list[MarketEvent]:
        events: list[MarketEvent] = list(handed)
        for event in events:
            if isinstance(event, Bar):
                self._first_live.setdefault(event.symbol, event.timestamp)
        return events

    def _market_moved(self, symbol: str, moment: datetime) -> None:
        crypto = is_crypto(symbol)
        known = self._market_times.get(crypto)
        if known is None or moment > known:
            self._market_times[crypto] = moment
