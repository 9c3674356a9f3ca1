"""What the bot holds, has done and is: the streams that are not a chart, kept current."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from toolkit.core.parameters import Parameters
from toolkit.core.types import OrderStatus
from toolkit.errors import ToolkitError
from toolkit.streaming.wire import Stream
from toolkit.views.dashboard.known import KnownClient

Data = dict[str, Any]
RunSoon = Callable[[Callable[[], None]], None]

STREAMS = (
    Stream.POSITIONS,
    Stream.ORDERS,
    Stream.ACCOUNT,
    Stream.SYSTEM_HEALTH,
    Stream.PARAMETERS,
)
MAX_ROWS = 200
PROBLEM_SECONDS = 120.0
_OPEN = frozenset(status.value for status in OrderStatus if status.is_open)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskData:
    """One moment of the desk, as on the wire; orders and trades newest first.

    `parameters` is None until the bot has said them. `heartbeat_age` is in seconds by this
    machine's clock, None before the first heartbeat; `health_age` is that of `health`. `problem`
    is the newest thing that went wrong within two minutes, None where nothing did.
    """

    positions: tuple[Data, ...]
    orders: tuple[Data, ...]
    trades: tuple[Data, ...]
    account: Data | None
    health: Data | None
    problem: Data | None
    parameters: Parameters | None
    connection: str
    heartbeat_age: float | None
    health_age: float | None


class Desk:
    """Follows positions, orders, trades, account and health of the whole bot; thread-safe.

    `run_soon` runs a call that may block for an answer outside of the client's handlers.
    """

    def __init__(
        self,
        client: KnownClient,
        *,
        run_soon: RunSoon,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._run_soon, self._clock = client, run_soon, clock
        self._lock = threading.Lock()
        self._version = 0
        self._epoch: Any = None
        self._heartbeat: float | None = None
        self._removers: list[Callable[[], None]] = []
        self._clear()

    def _clear(self) -> None:
        self._positions: dict[str, Data] = {}
        self._orders: dict[str, Data] = {}
        self._trades: deque[Data] = deque(maxlen=MAX_ROWS)
        self._account: Data | None = None
        self._health: Data | None = None
        self._health_at: float | None = None
        self._problem: Data | None = None
        self._problem_at: float | None = None

    @property
    def version(self) -> int:
        """Grows with each change but the heartbeat's."""
        return self._version

    def start(self) -> None:
        """Subscribe and load the orders and trades so far; raises ToolkitError."""
        handlers: dict[str, Callable[[Data], None]] = {
            "stream_positions": self._on_position,
            "stream_orders": self._on_order,
            "stream_account": self._on_account,
            "stream_system_health": self._on_health,
            "stream_parameters": self._on_change,
            "heartbeat": self._on_heartbeat,
            "connected": self._on_connected,
            "disconnected": self._on_change,
            "gap": self._on_gap,
        }
        self._removers = [self._client.on(event, handle) for event, handle in handlers.items()]
        self._load()

    def _load(self) -> None:
        self._client.subscribe([str(stream) for stream in STREAMS])
        self._client.ask_parameters()
        self._load_orders()
        self._load_trades()

    def close(self) -> None:
        """Stop following. Calling it twice is harmless."""
        removers, self._removers = self._removers, []
        for remove in removers:
            remove()

    def snapshot(self) -> DeskData:
        """Return what is known now."""
        connection, parameters = self._client.state, self._client.known_parameters
        with self._lock:
            return DeskData(
                positions=tuple(self._positions.values()),
                orders=tuple(reversed(self._orders.values())),
                trades=tuple(reversed(self._trades)),
                account=self._account,
                health=self._health,
                problem=self._recent_problem(),
                parameters=parameters,
                connection=connection,
                heartbeat_age=self._age(self._heartbeat),
                health_age=self._age(self._health_at),
            )

    def _recent_problem(self) -> Data | None:
        age = self._age(self._problem_at)
        return self._problem if age is not None and age < PROBLEM_SECONDS else None

    def _age(self, since: float | None) -> float | None:
        return None if since is None else self._clock() - since

    def _load_orders(self) -> None:
        orders = {order["id"]: order for order in self._client.orders()}
        with self._lock:
            for name, order in self._orders.items():
                # The answer may be older than what came while it was on its way.
                if name not in orders or order["updated_at"] >= orders[name]["updated_at"]:
                    orders[name] = order
            self._orders = orders
            self._forget_old_orders()
            self._version += 1

    def _forget_old_orders(self) -> None:
        # Nets rest for days: what is still open goes last.
        while len(self._orders) > MAX_ROWS:
            over = (n for n, order in self._orders.items() if order.get("status") not in _OPEN)
            del self._orders[next(over, next(iter(self._orders)))]

    def _load_trades(self) -> None:
        loaded = self._client.trades()
        with self._lock:
            known = {_trade_key(trade) for trade in loaded}
            # Trades that closed while the answer was on its way.
            newer = [trade for trade in self._trades if _trade_key(trade) not in known]
            self._trades = deque([*loaded, *newer], maxlen=MAX_ROWS)
            self._version += 1

    def _reload(self) -> None:
        # A connection lost again in the meantime comes back here with its next `connected`.
        try:
            self._load()
        except ToolkitError as error:
            self._note({"code": error.code, "message": error.message})

    def _enter(self, epoch: Any) -> None:
        """Forget what another run of the bot held; call it with the lock."""
        if epoch is None or epoch == self._epoch:
            return
        if self._epoch is not None:
            self._clear()
        self._epoch = epoch

    def _on_position(self, message: Data) -> None:
        data = message["data"]
        with self._lock:
            self._enter(message.get("epoch"))
            if data["quantity"]:
                self._positions[data["symbol"]] = data
            else:
                self._positions.pop(data["symbol"], None)
            self._version += 1

    def _on_order(self, message: Data) -> None:
        data = message["data"]
        with self._lock:
            self._enter(message.get("epoch"))
            if data["kind"] == "order":
                self._orders[data["id"]] = data
                self._forget_old_orders()
            elif data["kind"] == "trade":
                self._trades.append(data)
            self._version += 1

    def _on_account(self, message: Data) -> None:
        with self._lock:
            self._enter(message.get("epoch"))
            self._account = message["data"]
            self._version += 1

    def _on_health(self, message: Data) -> None:
        data = message["data"]
        if data["kind"] == "problem":
            self._note(data)
        elif data["kind"] == "health":
            with self._lock:
                self._enter(message.get("epoch"))
                self._health, self._health_at = data, self._clock()
                self._version += 1

    def _on_heartbeat(self, _message: Data) -> None:
        with self._lock:
            self._heartbeat = self._clock()

    def _on_connected(self, message: Data) -> None:
        with self._lock:
            self._enter(message.get("epoch"))
            self._heartbeat = self._clock()
            self._version += 1
        self._run_soon(self._reload)

    def _on_gap(self, gap: Data) -> None:
        if gap["stream"] not in STREAMS:
            return
        with self._lock:
            self._positions = {}  # those still open come with the new snapshot
        self._run_soon(self._reload)

    def _on_change(self, _message: Data) -> None:
        with self._lock:
            self._version += 1

    def _note(self, problem: Data) -> None:
        with self._lock:
            self._problem, self._problem_at = problem, self._clock()
            self._version += 1


def _trade_key(trade: Data) -> tuple[Any, ...]:
    return tuple(trade.get(name) for name in ("symbol", "entry_time", "exit_time", "pnl"))
