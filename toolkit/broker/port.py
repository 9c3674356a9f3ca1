"""The port to a broker. Adapters: simulated (and, with keys, Alpaca)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from toolkit.core.types import Bar, Order, OrderRequest, OrderUpdate, Position


class Broker(Protocol):
    """Takes order requests and reports what became of them, in order, through one callback."""

    @property
    def name(self) -> str:
        """Shown to the user: `simulated`, `alpaca:paper`, `alpaca:live`."""
        ...

    async def start(self, on_update: Callable[[OrderUpdate], None]) -> None:
        """Connect; from now on every Order change and Fill is handed to `on_update`."""
        ...

    def on_bar(self, bar: Bar) -> None:
        """See a final bar before the strategy does; only a simulated exchange acts on it."""
        ...

    async def submit(self, request: OrderRequest) -> Order:
        """Send an order; raises OrderRejected, NotConnected or UnknownOrderState."""
        ...

    async def cancel(self, order_id: str) -> None:
        """Cancel an open order; raises BrokerError where there is none."""
        ...

    def positions(self) -> Sequence[Position]:
        """Open positions as last known, with the stop and target levels now in force."""
        ...

    def open_orders(self) -> Sequence[Order]:
        """Orders that may still fill, as last known."""
        ...

    async def stop(self) -> None:
        """Release everything. Calling it twice is harmless."""
        ...
