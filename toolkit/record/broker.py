"""A broker that answers with what was recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from toolkit.broker.port import Recovery
from toolkit.core.gates import Gate
from toolkit.core.types import Bar, Order, OrderRequest, OrderUpdate, Position, Quote, Trade
from toolkit.errors import OrderRejected, error_from_dict
from toolkit.market.recording_codec import Entry
from toolkit.record.script import Script

_TURNS = 64
_FROM_BROKER = (Gate.RECONCILIATION, Gate.ORDERS, Gate.BROKER, Gate.CLOCK)


class RecordedBroker:
    """Reports and answers in the recorded order; what is not in the recording is refused.

    Where the bot asks something else than it did, the script notes the difference.
    `real_time` as in `RecordedMarket`: then answers come while other events are played.
    """

    def __init__(self, script: Script, *, name: str, real_time: bool) -> None:
        self._script, self._name, self._real_time = script, name, real_time
        self._waiting: dict[str, asyncio.Future[Order | None]] = {}
        self._asked: dict[str, OrderRequest | None] = {}

    @property
    def name(self) -> str:
        """Shown to the user."""
        return f"recorded {self._name}"

    async def recover(self) -> Recovery:
        """Return what the recorded bot found of earlier runs."""
        updates: list[OrderUpdate] = []
        pending: list[OrderRequest] = []
        while (entry := self._script.apply_asides()) is not None:
            if entry.what not in ("recovered", "pending"):
                break
            self._script.take()
            (updates if entry.what == "recovered" else pending).append(entry.value)
        return Recovery(updates=tuple(updates), pending=tuple(pending))

    async def start(self, on_update: Callable[[OrderUpdate], None]) -> None:
        """Report to `on_update` from now on."""
        self._script.on_update = on_update
        self._script.apply_asides()

    def on_bar(self, bar: Bar) -> None:
        """Report what the broker did while it looked at this bar."""
        self._script.apply_until_seen()

    def on_tick(self, tick: Quote | Trade) -> None:
        """Report what the broker did while it looked at this price."""
        self._script.apply_until_seen()

    def health(self) -> Mapping[Gate, str]:
        """As the recorded bot found it."""
        gates = self._script.gates
        return {gate: gates[gate, None] for gate in _FROM_BROKER if (gate, None) in gates}

    async def submit(self, request: OrderRequest) -> Order:
        """Answer as recorded; raises what was raised, OrderRejected for an order that was not."""
        name = request.client_order_id
        if self._real_time:
            order = await self._answer(name, request)
        else:
            order = self._answered("submit", name, request)
        if order is None:
            raise OrderRejected(f"{name} has no answer in the recording")
        return order

    async def cancel(self, order_id: str) -> None:
        """Answer as recorded; raises what was raised, BrokerError for what was not asked."""
        if self._real_time:
            await self._answer(order_id, None)
        else:
            self._answered("cancel", order_id, None)

    def positions(self) -> Sequence[Position]:
        """As recorded at this place."""
        return self._script.positions

    def open_orders(self) -> Sequence[Order]:
        """As recorded at this place."""
        return self._script.orders

    async def stop(self) -> None:
        """Report nothing more; whoever still waits for an answer gets none."""
        self._script.on_update = lambda _update: None
        for waiting in self._waiting.values():
            waiting.cancel()

    async def play(self, entry: Entry) -> None:
        """Let an entry have its effect that is not within a call of the bot's."""
        match entry.what:
            case "submit":
                await self._expect(entry.value.client_order_id, entry.value)
            case "cancel":
                await self._expect(entry.value, None)
            case "answer":
                await self._resolve(entry.value.client_order_id, entry.value)
            case "cancelled":
                await self._resolve(entry.value, None)
            case "refused":
                error = error_from_dict(entry.value["error"])
                await self._resolve(entry.value["about"], error)

    async def _answer(self, name: str, request: OrderRequest | None) -> Order | None:
        self._asked[name] = request
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[name] = waiting
        try:
            answer: Order | None = await waiting
        finally:
            del self._waiting[name]
        return answer

    def _answered(self, what: str, name: str, request: OrderRequest | None) -> Order | None:
        entry = self._script.apply_asides()
        recorded = _name_of(entry) if entry is not None and entry.what == what else None
        if recorded != name:
            self._script.differs(f"{what} {name} is not in the recording")
            raise OrderRejected(f"{name} is not in the recording: the play has left it")
        self._script.take()
        assert entry is not None
        self._compare(entry.value, request)
        entry = self._script.apply_asides()
        if entry is None or entry.what not in ("answer", "refused", "cancelled"):
            return None
        self._script.take()
        if entry.what == "refused":
            raise error_from_dict(entry.value["error"])
        return entry.value if entry.what == "answer" else None

    async def _expect(self, name: str, recorded: OrderRequest | None) -> None:
        for _ in range(_TURNS):
            if name in self._asked:
                self._compare(recorded, self._asked.pop(name))
                return
            await asyncio.sleep(0)
        self._script.differs(f"{name} is in the recording and was not asked for")

    async def _resolve(self, name: str, answer: Order | BaseException | None) -> None:
        waiting = self._waiting.get(name)
        if waiting is None or waiting.done():
            return
        if isinstance(answer, BaseException):
            waiting.set_exception(answer)
        else:
            waiting.set_result(answer)
        for _ in range(_TURNS):
            if name not in self._waiting:
                return
            await asyncio.sleep(0)

    def _compare(self, recorded: object, asked: object) -> None:
        if isinstance(recorded, OrderRequest) and recorded != asked:
            self._script.differs(f"{recorded.client_order_id} asks for something else: {asked}")

    def end(self) -> None:
        """Refuse what the bot asked and the recording has no answer to: nothing more comes."""
        for name in self._asked:
            self._script.differs(f"{name} is not in the recording")
        self._asked.clear()
        for name, waiting in self._waiting.items():
            if not waiting.done():
                waiting.set_exception(OrderRejected(f"{name} has no answer in the recording"))


def _name_of(entry: Entry) -> str:
    name: str = entry.value.client_order_id if entry.what == "submit" else entry.value
    return name
