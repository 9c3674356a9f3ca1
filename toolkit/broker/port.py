"""The port to a broker. Adapters: simulated (and, with keys, Alpaca)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from toolkit.core.gates import Gate
from toolkit.core.types import (
    Bar,
    Order,
    OrderRequest,
    OrderUpdate,
    Position,
    Quote,
    Trade,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What earlier runs did: every Order and Fill, oldest first, and the requests still open."""

    updates: Sequence[OrderUpdate] = ()
    pending: Sequence[OrderRequest] = ()


class Broker(Protocol):
    """Takes order requests and reports what became of them, in order, through one callback."""

    @property
    def name(self) -> str:
        """Shown to the user: `simulated`, `alpaca:paper`, `alpaca:live`."""
        ...

    async def recover(self) -> Recovery:
        """Return what was written down before; asked once, before `start`."""
        ...

    async def start(self, on_update: Callable[[OrderUpdate], None]) -> None:
        """Connect; from now on every Order change and Fill is handed to `on_update`."""
        ...

    def on_bar(self, bar: Bar) -> None:
        """See a final bar before the strategy does; only a simulated exchange acts on it."""
        ...

    def on_tick(self, tick: Quote | Trade) -> None:
        """See a price between bars; whoever keeps exits himself acts on it."""
        ...

    def health(self) -> Mapping[Gate, str]:
        """Return why no entries may be made now, by gate; empty when they may."""
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
