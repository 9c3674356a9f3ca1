"""What the bot holds, has done and is: the streams that are not a chart, kept current."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from toolkit.core.parameters import Parameters
from toolkit.errors import ToolkitError
from toolkit.streaming.wire import Stream

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


class DeskClient(Protocol):
    """What the desk needs of the synchronous client."""

    @property
    def symbols(self) -> Iterable[str]: ...
    @property
    def state(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def parameters(self) -> Parameters: ...
    def on(self, event: str, handler: Callable[[Data], None], /) -> Callable[[], None]: ...
    def subscribe(self, streams: Iterable[str], symbols: Iterable[str] | None = None) -> Any: ...
    def history(self, symbol: str, *, limit: int = 500) -> Mapping[str, Any]: ...
    def trades(self) -> list[Data]: ...
    def command(self, name: str, /, **args: Any) -> Any: ...
    def set_parameters(self, changes: Mapping[str, Any], /) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskData:
    """One moment of the desk, as on the wire; orders and trades newest first.

    `heartbeat_age` is in seconds by this machine's clock, None before the first heartbeat.
    `problem` is the newest thing that went wrong, None where nothing did.
    """

    positions: tuple[Data, ...]
    orders: tuple[Data, ...]
    trades: tuple[Data, ...]
    account: Data | None
    health: Data | None
    problem: Data | None
    parameters: Parameters
    connection: str
    heartbeat_age: float | None


class Desk:
    """Follows positions, orders, trades, account and health of the whole bot; thread-safe.

    `run_soon` runs a call that may block for an answer outside of the client's handlers.
    """

    def __init__(
        self,
        client: DeskClient,
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
        self._problem: Data | None = None

    @property
    def version(self) -> int:
        """Grows with each change but the heartbeat's."""
        return self._version

    def start(self) -> None:
        """Subscribe and load the trades so far; raises ToolkitError."""
        handlers: dict[str, Callable[[Data], None]] = {
            "stream_positions": self._on_position,
            "stream_orders": self._on_order,
            "stream_account": self._on_account,
            "stream_system_health": self._on_health,
            "stream_parameters": self._on_change,
            "heartbeat": self._on_heartbeat,
            "connected": self._on_connected,
            "disconnected": self._on_change,
        }
        self._removers = [self._client.on(event, handle) for event, handle in handlers.items()]
        self._client.subscribe([str(stream) for stream in STREAMS])
        self._load_trades()

    def close(self) -> None:
        """Stop following. Calling it twice is harmless."""
        removers, self._removers = self._removers, []
        for remove in removers:
            remove()

    def snapshot(self) -> DeskData:
        """Return what is known now."""
        connection, parameters = self._client.state, self._client.parameters
        with self._lock:
            beat = self._heartbeat
            return DeskData(
                positions=tuple(self._positions.values()),
                orders=tuple(reversed(self._orders.values())),
                trades=tuple(reversed(self._trades)),
                account=self._account,
                health=self._health,
                problem=self._problem,
                parameters=parameters,
                connection=connection,
                heartbeat_age=None if beat is None else self._clock() - beat,
            )

    def _load_trades(self) -> None:
        trades = self._client.trades()
        with self._lock:
            self._trades = deque(trades, maxlen=MAX_ROWS)
            self._version += 1

    def _reload(self) -> None:
        # A connection lost again in the meantime comes back here with its next `connected`.
        try:
            self._load_trades()
        except ToolkitError as error:
            self._note({"code": error.code, "message": error.message})

    def _on_position(self, message: Data) -> None:
        data = message["data"]
        with self._lock:
            if data["quantity"]:
                self._positions[data["symbol"]] = data
            else:
                self._positions.pop(data["symbol"], None)
            self._version += 1

    def _on_order(self, message: Data) -> None:
        data = message["data"]
        with self._lock:
            if data["kind"] == "order":
                self._orders[data["id"]] = data
                while len(self._orders) > MAX_ROWS:
                    del self._orders[next(iter(self._orders))]
            elif data["kind"] == "trade":
                self._trades.append(data)
            self._version += 1

    def _on_account(self, message: Data) -> None:
        with self._lock:
            self._account = message["data"]
            self._version += 1

    def _on_health(self, message: Data) -> None:
        data = message["data"]
        if data["kind"] == "problem":
            self._note(data)
        elif data["kind"] == "health":
            with self._lock:
                self._health = data
                self._version += 1

    def _on_heartbeat(self, _message: Data) -> None:
        with self._lock:
            self._heartbeat = self._clock()

    def _on_connected(self, message: Data) -> None:
        epoch = message.get("epoch")
        with self._lock:
            if self._epoch is not None and epoch != self._epoch:
                self._clear()  # another run of the bot: what the last one held is history
            self._epoch = epoch
            self._heartbeat = self._clock()
            self._version += 1
        self._run_soon(self._reload)

    def _on_change(self, _message: Data) -> None:
        with self._lock:
            self._version += 1

    def _note(self, problem: Data) -> None:
        with self._lock:
            self._problem = problem
            self._version += 1
