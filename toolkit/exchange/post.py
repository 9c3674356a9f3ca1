"""What reaches the streams: messages as they are, late, twice, out of order, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from toolkit.exchange.book import OrderEvent
from toolkit.exchange.faults import Faults, Kind
from toolkit.exchange.messages import MarketMessage
from toolkit.exchange.timers import Timers
from toolkit.exchange.values import Micros, micros, stamp

MARKET, TRADING = "market", "trading"
LONGEST_HOLD = 120.0  # seconds that a message waits for the one that should overtake it


class Oddity(StrEnum):
    """Something that is sent although it makes no sense."""

    MALFORMED = "malformed"
    UNKNOWN = "unknown"


MarketItem = MarketMessage | Oddity
TradingItem = OrderEvent | Oddity


class Post:
    """Carries messages to the streams' sinks, by way of the faults that are on."""

    def __init__(self, *, faults: Faults, timers: Timers) -> None:
        self._faults = faults
        self._timers = timers
        self._held: dict[str, Callable[[], None]] = {}
        self.to_market: Callable[[MarketItem], None] = lambda _: None
        self.to_trading: Callable[[TradingItem], None] = lambda _: None

    def market(self, message: MarketMessage, at: Micros) -> None:
        """Send a message of the market-data streams."""

        def send(due: Micros) -> None:
            if self._passes(MARKET, due, self.to_market):
                self.to_market(message)

        if message.channel != "bars":
            send(at)
            return
        symbol, bar = message.symbol, stamp(message.at)
        if not self._faults.hit(Kind.MISSING_BARS, symbol, at, bar=bar):
            kinds = (Kind.UNORDERED_BARS, Kind.LATE_BARS, Kind.DUPLICATE_BARS)
            self._bend(kinds, symbol, at, send, lane=f"bars {symbol}", bar=bar)

    def trading(self, event: OrderEvent, at: Micros) -> None:
        """Send an event of the trading stream."""

        def send(due: Micros) -> None:
            if self._passes(TRADING, due, self.to_trading):
                self.to_trading(event)

        if event.event not in ("fill", "partial_fill"):
            send(at)
            self._release("fills")
            return
        kinds = (Kind.UNORDERED_FILLS, Kind.LATE_FILLS, Kind.DUPLICATE_FILLS)
        self._bend(
            kinds,
            event.symbol,
            at,
            send,
            lane="fills",
            order=event.client_order_id,
            execution=event.data["execution_id"],
        )

    def _bend(
        self,
        kinds: tuple[Kind, Kind, Kind],
        symbol: str,
        at: Micros,
        send: Callable[[Micros], None],
        *,
        lane: str,
        **facts: str,
    ) -> None:
        unordered, late, duplicate = kinds
        if lane not in self._held and self._faults.hit(unordered, symbol, at, **facts):
            self._held[lane] = lambda: send(at)
            self._timers.at(at + micros(LONGEST_HOLD), lambda _: self._release(lane))
            return
        if fault := self._faults.hit(late, symbol, at, **facts):
            self._timers.at(at + micros(fault.amount), send)
            return
        send(at)
        if self._faults.hit(duplicate, symbol, at, **facts):
            send(at)
        self._release(lane)

    def _release(self, lane: str) -> None:
        held = self._held.pop(lane, None)
        if held is not None:
            held()

    def _passes(self, stream: str, at: Micros, sink: Callable[[Oddity], None]) -> bool:
        if self._faults.hit(Kind.MUTE, stream, at):
            return False
        if self._faults.hit(Kind.MALFORMED, stream, at):
            sink(Oddity.MALFORMED)
        if self._faults.hit(Kind.UNKNOWN_MESSAGE, stream, at):
            sink(Oddity.UNKNOWN)
        return True
