"""Bars from quotes and trades; live streams and whole files go through the same code."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from toolkit.core.types import Bar, Quote, Trade
from toolkit.errors import ConfigError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BarBuilder:
    """Builds bars of `timeframe` seconds, aligned to the epoch, for any number of symbols.

    All symbols share one clock, which only moves forward: the first event of a later period
    closes the bars of every symbol. A period without events makes no bar. `feed` is written into
    every bar. Pure: no clock, no I/O.
    """

    def __init__(self, timeframe: float = 60.0, *, feed: str = "") -> None:
        if not (math.isfinite(timeframe) and timeframe > 0):
            raise ConfigError(
                f"timeframe is {timeframe!r}; allowed: seconds above 0",
                field="timeframe",
                value=repr(timeframe),
                allowed="seconds above 0",
            )
        self._step = timedelta(seconds=timeframe)
        self._feed = feed
        self._start: datetime | None = None
        self._forming: dict[str, Bar] = {}
        self._spreads: dict[str, tuple[float, int]] = {}
        self._late = 0

    @property
    def late(self) -> int:
        """How many events came after their bar was closed, and were ignored."""
        return self._late

    @property
    def due(self) -> datetime | None:
        """When the forming bars are over; None where nothing is forming."""
        if self._start is None or not self._forming:
            return None
        return self._start + self._step

    def on_quote(self, quote: Quote) -> list[Bar]:
        """Take a quote's mid price (volume 0) and spread; returns as `on_trade`."""
        bars = self._on_price(quote.symbol, quote.timestamp, quote.mid, 0.0)
        if bars:
            total, count = self._spreads.get(quote.symbol, (0.0, 0))
            self._spreads[quote.symbol] = (total + (quote.ask - quote.bid), count + 1)
        return bars

    def on_trade(self, trade: Trade) -> list[Bar]:
        """Return the bars that are over by this trade's time, then the bar that it forms.

        Final bars come in order of (timestamp, symbol). A late trade returns nothing.
        """
        return self._on_price(trade.symbol, trade.timestamp, trade.price, trade.size)

    def on_tick(self, tick: Quote | Trade) -> list[Bar]:
        """Take a quote or a trade."""
        return self.on_quote(tick) if isinstance(tick, Quote) else self.on_trade(tick)

    def close_until(self, time: datetime) -> list[Bar]:
        """Return the bars that are over at `time`, final; later events of theirs are late."""
        if self._start is not None and time < self._start + self._step:
            return []
        done = self.flush()
        self._start = _EPOCH + (time - _EPOCH) // self._step * self._step
        return done

    def flush(self) -> list[Bar]:
        """Return all forming bars as final ones; later events of theirs are late."""
        if self._start is None or not self._forming:
            return []
        done = [self._final(self._forming[symbol]) for symbol in sorted(self._forming)]
        self._forming.clear()
        self._spreads.clear()
        self._start += self._step
        return done

    def _on_price(self, symbol: str, time: datetime, price: float, size: float) -> list[Bar]:
        if self._start is not None and time < self._start:
            self._late += 1
            return []
        bars = self.close_until(time)
        known = self._forming.get(symbol)
        bar = _grown(known, price, size) if known else self._first(symbol, price, size)
        self._forming[symbol] = bar
        bars.append(bar)
        return bars

    def _first(self, symbol: str, price: float, size: float) -> Bar:
        assert self._start is not None
        return Bar(
            symbol=symbol,
            timestamp=self._start,
            open=price,
            high=price,
            low=price,
            close=price,
            volume=size,
            final=False,
            feed=self._feed,
        )

    def _final(self, bar: Bar) -> Bar:
        total, count = self._spreads.get(bar.symbol, (0.0, 0))
        return Bar(
            symbol=bar.symbol,
            timestamp=bar.timestamp,
            open=bar.open,
            high=bar.high,
            low=bar.low,
            close=bar.close,
            volume=bar.volume,
            feed=bar.feed,
            spread=total / count if count else None,
        )


def _grown(bar: Bar, price: float, size: float) -> Bar:
    return Bar(
        symbol=bar.symbol,
        timestamp=bar.timestamp,
        open=bar.open,
        high=max(bar.high, price),
        low=min(bar.low, price),
        close=price,
        volume=bar.volume + size,
        final=False,
        feed=bar.feed,
    )
