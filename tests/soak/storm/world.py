"""The world of a storm: the exchange on a port, its clock moved by hand, its acts written down."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from toolkit.exchange.bars import MinuteBar
from toolkit.exchange.book import OrderEvent
from toolkit.exchange.exchange import Exchange
from toolkit.exchange.faults import Fault
from toolkit.exchange.server import ExchangeServer
from toolkit.exchange.settings import ExchangeSettings, Pace, Speed
from toolkit.exchange.source import SimulatedSource
from toolkit.exchange.values import Micros, micros, micros_of, moment_of

SYMBOLS = ("AAPL", "MSFT", "NVDA", "TSLA", "BTC/USD", "DOGE/USD", "ETH/USD", "SOL/USD")
WHOLE_SHARES = ("NVDA", "TSLA")  # their nets are good till cancelled, and are moved in place
START = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)  # a Monday, half an hour into the session
TICKS_PER_BAR = 4
CASH = 100_000


def moment(text: str) -> Micros:
    """Read a time of a log or a diary."""
    return micros_of(datetime.fromisoformat(text))


@dataclass(slots=True)
class Happened:
    """What the exchange did, as its log and its order events tell it."""

    orders: list[tuple[Micros, dict[str, Any]]] = field(default_factory=list)
    posted: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    faults: list[dict[str, Any]] = field(default_factory=list)
    strikes: list[tuple[Micros, str, str]] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def take(self, entry: dict[str, Any]) -> None:
        """Sort one entry of the exchange's log."""
        what, order = entry["what"], entry.get("order")
        if what in ("fault.begins", "fault.ends"):
            self.faults.append(entry)
        elif what.startswith("fault."):
            kind, subject = what.removeprefix("fault."), str(entry.get("subject", ""))
            self.strikes.append((moment(entry["time"]), kind, subject))
            if order and subject.startswith("POST /v2/orders"):
                self.posted[order].append(what)
        elif what == "request.refused":
            self.refusals[f"{entry['request'].split('/')[0]}{entry['status']}"] += 1
            if order:
                self.posted[order].append(f"refused: {entry['message']}")


class World:
    """One exchange on a port, in the loop that made it."""

    def __init__(self, *, seed: int, symbols: tuple[str, ...], faults: list[Fault]) -> None:
        settings = ExchangeSettings(
            seed=seed,
            speed=Speed(Pace.STEP),
            cash=str(CASH),
            session_hold=10.0,
            revision_rate=0.0,
            whole_shares=WHOLE_SHARES,
        )
        source = SimulatedSource(symbols, seed=seed, start=START, ticks_per_bar=TICKS_PER_BAR)
        self.exchange = Exchange(source, settings, faults=faults)
        self.happened = Happened()
        self.exchange.log.listen(self.happened.take)
        self.on_order: Callable[[str], None] = lambda event: None
        self.reported: dict[tuple[str, Micros], list[MinuteBar]] = defaultdict(list)
        for symbol in symbols:
            for bar in self.exchange.tape.bars(symbol):
                self.reported[symbol, bar.at].append(bar)
        self._post = self.exchange.post.trading
        self._report = self.exchange.tape._report
        self.exchange.tape._report = self._on_bar  # type: ignore[method-assign]
        self.exchange.post.trading = self._on_order_event  # type: ignore[method-assign]
        self.server = ExchangeServer(self.exchange, monotonic=lambda: self.exchange.now / 1e6)

    @property
    def now(self) -> datetime:
        """The true time."""
        return moment_of(self.exchange.now)

    async def advance(self, seconds: float) -> None:
        """Let time pass; everything that happened is in the clients' sockets afterwards."""
        await self.server.advance(self.exchange.now + micros(seconds))

    def _on_order_event(self, event: OrderEvent, at: Micros) -> None:
        self.happened.orders.append((at, event.data))
        if event.event == "pending_new":
            self.happened.posted[event.client_order_id].append("accepted")
        self._post(event, at)
        self.on_order(event.event)

    def _on_bar(self, symbol: str, bar: MinuteBar, channel: str) -> None:
        self.reported[symbol, bar.at].append(bar)
        self._report(symbol, bar, channel)
