"""Market and broker with a recorder at their side: neither they nor the bot know of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from toolkit.broker.port import Broker, Recovery
from toolkit.core.gates import Gate
from toolkit.core.types import (
    Bar,
    MarketEvent,
    Order,
    OrderRequest,
    OrderUpdate,
    Position,
    Quote,
    RoundTrip,
    Signal,
    Trade,
)
from toolkit.errors import ToolkitError
from toolkit.market.port import FeedHealth, MarketData
from toolkit.record.recorder import Recorder


class RecordingMarket:
    """The same market; what it hands out is noted in its place."""

    def __init__(self, market: MarketData, recorder: Recorder) -> None:
        self._market, self._recorder = market, recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._market, name)

    @property
    def name(self) -> str:
        """As the market says."""
        return self._market.name

    @property
    def symbols(self) -> Sequence[str]:
        """As the market says."""
        return self._market.symbols

    @property
    def timeframe(self) -> float:
        """As the market says, in seconds."""
        return self._market.timeframe

    async def history(self, symbol: str, *, limit: int) -> Sequence[Bar]:
        """Return and note the bars before the first live one."""
        self._recorder.start()
        bars = await self._market.history(symbol, limit=limit)
        for bar in bars:
            self._recorder.note("history", bar)
        return bars

    async def events(self) -> AsyncGenerator[MarketEvent, None]:
        """Yield the market's events, each noted just before."""
        recorder = self._recorder
        recorder.start()
        events = self._market.events()
        try:
            async for event in events:
                if recorder.is_crowded:
                    await recorder.room()
                recorder.note("market", event)
                before = recorder.count
                yield event
                if recorder.count > before:
                    recorder.note("taken")
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()
        await recorder.flush()

    def health(self) -> FeedHealth:
        """As the market says."""
        return self._market.health()

    async def stop(self) -> None:
        """Stop the market; the recorder is stopped by whoever made it."""
        await self._market.stop()


class RecordingBroker:
    """The same broker; what it is asked, what it answers and what it reports is noted."""

    def __init__(self, broker: Broker, recorder: Recorder) -> None:
        self._broker, self._recorder = broker, recorder
        self._positions: tuple[Position, ...] = ()
        self._orders: tuple[Order, ...] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    @property
    def name(self) -> str:
        """As the broker says."""
        return self._broker.name

    async def recover(self) -> Recovery:
        """Return and note what earlier runs did."""
        self._recorder.start()
        recovery = await self._broker.recover()
        for update in recovery.updates:
            self._recorder.note("recovered", update)
        for request in recovery.pending:
            self._recorder.note("pending", request)
        return recovery

    async def start(self, on_update: Callable[[OrderUpdate], None]) -> None:
        """Start the broker; every update is noted, then handed on."""

        def noted(update: OrderUpdate) -> None:
            self._recorder.note("update", update)
            on_update(update)
            self._note_book()

        await self._broker.start(noted)
        self._note_book()

    def on_bar(self, bar: Bar) -> None:
        """Let the broker see a bar, and note where it was done with it."""
        before = self._recorder.count
        self._broker.on_bar(bar)
        self._note_book()
        if self._recorder.count > before:
            self._recorder.note("seen")

    def on_tick(self, tick: Quote | Trade) -> None:
        """Let the broker see a price, and note where it was done with it."""
        before = self._recorder.count
        self._broker.on_tick(tick)
        if self._recorder.count > before:
            self._note_book()
            self._recorder.note("seen")

    def health(self) -> Mapping[Gate, str]:
        """As the broker says."""
        return self._broker.health()

    async def submit(self, request: OrderRequest) -> Order:
        """Send an order; question and answer are noted."""
        self._recorder.note("submit", request)
        try:
            order = await self._broker.submit(request)
        except ToolkitError as error:
            self._refused(request.client_order_id, error)
            raise
        self._note_book()
        self._recorder.note("answer", order)
        return order

    async def cancel(self, order_id: str) -> None:
        """Cancel an order; question and answer are noted."""
        self._recorder.note("cancel", order_id)
        try:
            await self._broker.cancel(order_id)
        except ToolkitError as error:
            self._refused(order_id, error)
            raise
        self._note_book()
        self._recorder.note("cancelled", order_id)

    def positions(self) -> Sequence[Position]:
        """As the broker says."""
        return self._broker.positions()

    def open_orders(self) -> Sequence[Order]:
        """As the broker says."""
        return self._broker.open_orders()

    async def stop(self) -> None:
        """Stop the broker; the recorder is stopped by whoever made it."""
        await self._broker.stop()

    def _refused(self, about: str, error: ToolkitError) -> None:
        self._note_book()
        plain = {"code": error.code, "message": error.message}
        self._recorder.note("refused", {"about": about, "error": plain})

    def _note_book(self) -> None:
        positions, orders = tuple(self._broker.positions()), tuple(self._broker.open_orders())
        if positions != self._positions:
            self._positions = positions
            self._recorder.note("positions", positions)
        if orders != self._orders:
            self._orders = orders
            self._recorder.note("orders", orders)


def outcomes(recorder: Recorder, publish: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a `publish` that also notes what came of it all: signals and round trips."""

    def noted(event: Any) -> None:
        if isinstance(event, Signal):
            recorder.note("signal", event)
        elif isinstance(event, RoundTrip):
            recorder.note("trip", event)
        publish(event)

    return noted
