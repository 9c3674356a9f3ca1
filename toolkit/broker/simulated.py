"""The simulated broker: the matching book behind the port, everything at once and in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from toolkit.broker.port import Recovery
from toolkit.core.costs import Costs
from toolkit.core.gates import Gate
from toolkit.core.hours import Hours
from toolkit.core.matching import MatchingBook
from toolkit.core.types import Bar, Order, OrderRequest, OrderUpdate, Position, Quote, Trade
from toolkit.errors import NotConnected


class SimulatedBroker:
    """Executes docs/execution.md on final bars; the same rules as every backtest.

    Without `hours` the market never closes.
    """

    def __init__(
        self, *, cash: float = 10_000.0, costs: Costs | None = None, hours: Hours | None = None
    ) -> None:
        self._book = MatchingBook(cash=cash, costs=costs or Costs(), hours=hours)
        self._on_update: Callable[[OrderUpdate], None] | None = None

    @property
    def name(self) -> str:
        """Shown to the user."""
        return "simulated"

    async def recover(self) -> Recovery:
        """It forgets everything when it ends."""
        return Recovery()

    async def start(self, on_update: Callable[[OrderUpdate], None]) -> None:
        """Report every change to `on_update` from now on."""
        self._on_update = on_update

    def on_bar(self, bar: Bar) -> None:
        """Fill what waits for this bar and run the protective exits through it."""
        for update in self._book.on_bar(bar):
            self._report(update)

    def on_tick(self, tick: Quote | Trade) -> None:
        """It acts on final bars only (docs/decisions/0001-execution.md)."""

    def health(self) -> Mapping[Gate, str]:
        """It cannot fail."""
        return {}

    async def submit(self, request: OrderRequest) -> Order:
        """Accept an order for the symbol's next bar; raises OrderRejected or NotConnected."""
        if self._on_update is None:
            raise NotConnected("the simulated broker is not started; call start() first")
        order = self._book.submit(request)
        self._report(order)
        return order

    async def cancel(self, order_id: str) -> None:
        """Take back an order that waits for its bar; raises BrokerError."""
        self._report(self._book.cancel(order_id))

    def positions(self) -> Sequence[Position]:
        """Open positions with the levels that protect them."""
        return self._book.positions()

    def open_orders(self) -> Sequence[Order]:
        """Orders that wait for their next bar."""
        return self._book.open_orders()

    async def stop(self) -> None:
        """Report nothing more."""
        self._on_update = None

    def _report(self, update: OrderUpdate) -> None:
        if self._on_update is not None:
            self._on_update(update)
