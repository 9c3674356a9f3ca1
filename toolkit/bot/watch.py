"""What closes and opens the gates from outside: feed, broker, clock, sessions, halt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from toolkit.bot.halt import HaltOrder, HaltSwitch
from toolkit.broker.port import Broker
from toolkit.core.gates import Gate, Gates
from toolkit.core.types import Bar
from toolkit.errors import ToolkitError
from toolkit.market.port import FeedHealth, MarketData
from toolkit.market.sessions import is_open

log = logging.getLogger(__name__)

# Twice a second: a halt file made by hand must halt within one.
LOOK_SECONDS = 0.5
CLOCK_SECONDS = 60.0
CLOCK_TIMEOUT = 15.0
CLOCK_LIMIT = 1.0
STALE_TIMEFRAMES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RealTime:
    """Says that the market's time is ours; simulations and replays have none.

    `clock_offset` returns the broker's clock minus ours in seconds; raises ToolkitError where it
    cannot tell. `is_open` tells when a symbol trades.
    """

    clock_offset: Callable[[], Awaitable[float]] | None = None
    is_open: Callable[[str, datetime], bool] = is_open


class Watch:
    """Looks at everything that may stand in the way of entries, and sets the gates."""

    def __init__(
        self,
        *,
        market: MarketData,
        broker: Broker,
        symbols: Sequence[str],
        gates: Gates,
        switch: HaltSwitch,
        clock: Callable[[], datetime],
        real_time: RealTime | None,
    ) -> None:
        self._market, self._broker, self._symbols = market, broker, symbols
        self._gates, self._switch, self._clock = gates, switch, clock
        self.real_time = real_time
        self._from_broker: frozenset[Gate] = frozenset()
        self.unknown: dict[str, str] = {}
        self.offset: float | None = None
        self.halt: HaltOrder | None = None
        self.feed = FeedHealth()

    def look(self) -> bool:
        """Look once; returns whether a gate has changed."""
        now, gates = self._clock(), self._gates
        self.feed = self._market.health()
        self.halt = self._switch.order()
        feed = "" if self.feed.ok else self.feed.reason or "the market data is mute"
        changed = gates.set(Gate.FEED, feed, now=now)
        changed |= gates.set(Gate.HALT, self.halt.text if self.halt else "", now=now)
        changed |= self._look_at_broker(now)
        if self.real_time is not None:
            changed |= gates.set(Gate.CLOCK, self._clock_reason(), now=now)
            for symbol in self._symbols:
                open_ = self.real_time.is_open(symbol, now)
                reason = "" if open_ else f"the market of {symbol} is closed"
                changed |= gates.set(Gate.MARKET, reason, now=now, symbol=symbol)
        return changed

    def refusal(self, bar: Bar, *, timeframe: float) -> str:
        """Say why no entry may be made at this bar: it tells of a past that is over."""
        if self.real_time is None:
            return ""
        age = self._clock() - bar.timestamp - timedelta(seconds=timeframe)
        if age < timedelta(seconds=STALE_TIMEFRAMES * timeframe):
            return ""
        return f"stale bar: it closed {age.total_seconds():.0f} s ago"

    async def check_clock(self) -> None:
        """Ask how far our clock is off; without an answer the last one stands."""
        if self.real_time is None or self.real_time.clock_offset is None:
            return
        try:
            async with asyncio.timeout(CLOCK_TIMEOUT):
                self.offset = await self.real_time.clock_offset()
        except (ToolkitError, TimeoutError) as error:
            log.warning("the clock could not be compared: %s", error or "no answer")

    def _clock_reason(self) -> str:
        if self.offset is None or abs(self.offset) <= CLOCK_LIMIT:
            return ""
        late = "behind" if self.offset > 0 else "ahead"
        return f"our clock is {abs(self.offset):.1f} s {late} of the broker's; set it right"

    def _look_at_broker(self, now: datetime) -> bool:
        closed = dict(self._broker.health())
        if self.unknown:
            reason = f"unknown outcome of {', '.join(self.unknown)}"
            closed.setdefault(Gate.ORDERS, reason)
        changed = False
        for gate in self._from_broker.difference(closed, {Gate.ERROR}):  # a person opens that
            changed |= self._gates.open(gate)
        for gate, reason in closed.items():
            changed |= self._gates.close(gate, reason, now=now)
        self._from_broker = frozenset(closed)
        return changed
