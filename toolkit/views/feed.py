"""What a chart shows: history joined to the live stream, kept current for any number of views."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError, ToolkitError
from toolkit.streaming.wire import Stream
from toolkit.views.book import Change, ChartBook, Data
from toolkit.views.gates import GateLine, gate_lines

Handler = Callable[[Data], None]
RunSoon = Callable[[Callable[[], None]], None]

STREAMS = (
    Stream.MARKET_DATA,
    Stream.ORDERS,
    Stream.POSITIONS,
    Stream.PARAMETERS,
    Stream.SYSTEM_HEALTH,
)
MAX_LIMIT = 1000


class Client(Protocol):
    """What views need of the synchronous client."""

    @property
    def symbols(self) -> Iterable[str]: ...
    @property
    def state(self) -> str: ...
    @property
    def parameters(self) -> Parameters: ...
    def on(self, event: str, handler: Handler, /) -> Callable[[], None]: ...
    def subscribe(self, streams: Sequence[str], symbols: Sequence[str] | None = None) -> Any: ...
    def history(self, symbol: str, *, limit: int = 500) -> Mapping[str, Any]: ...
    def set_parameters(self, changes: Mapping[str, Any], /) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartData:
    """One moment of a chart; bars and fills as on the wire, oldest first, the last bar may form.

    `state` is the client's connection state, closed once the feed is; `position` is None while
    flat; `gates` keep entries out of this symbol, gravest first.
    """

    symbol: str
    bars: tuple[Data, ...]
    fills: tuple[Data, ...]
    position: Data | None
    state: str
    parameters: Parameters
    gates: tuple[GateLine, ...] = ()


class ChartFeed:
    """Follows one symbol: subscribes, loads history, then stays current; thread-safe.

    A position is forgotten once it may be over: after a gap, and with another run of the bot.
    History is loaded again after a reconnect, an announced gap and a change of parameters, upon
    which the bot re-evaluates its bars. `run_soon` runs a call that may block for an answer
    outside of the client's handlers; by default it runs in place.
    """

    def __init__(
        self, client: Client, symbol: str, *, limit: int = 500, run_soon: RunSoon | None = None
    ) -> None:
        if not 1 <= limit <= MAX_LIMIT:
            raise ConfigError(
                f"limit is {limit!r}; allowed: 1 to {MAX_LIMIT} bars", field="limit", value=limit
            )
        known = sorted(client.symbols)
        if known and symbol not in known:
            raise ConfigError(
                f"symbol is {symbol!r}; the bot trades: {', '.join(known)}",
                field="symbol",
                allowed=known,
            )
        self.symbol = symbol
        self.limit = limit
        self._client = client
        self._closed = False
        self._run_soon: RunSoon = run_soon or (lambda call: call())
        self._book = ChartBook(limit)
        self._position: Data | None = None
        self._gates: tuple[GateLine, ...] = ()
        self._position_lost = False
        self._epoch: Any = None
        self._parameters = Parameters()
        self._version = self._bars_version = 0
        self._stale = False
        self._lock = threading.Lock()
        self._callbacks: tuple[Callable[[Change], None], ...] = ()
        self._removers: list[Callable[[], None]] = []

    @property
    def version(self) -> int:
        """Grows with each change."""
        return self._version

    @property
    def bars_version(self) -> int:
        """Grows when a bar is added or final, and when history was loaded."""
        return self._bars_version

    def start(self) -> None:
        """Subscribe and load history; raises ToolkitError. Starting twice is harmless."""
        if self._removers:
            return
        self._closed = False
        handlers: dict[str, Handler] = {
            "stream_market_data": self._on_market,
            "stream_orders": self._on_order,
            "stream_positions": self._on_position,
            "stream_parameters": self._on_parameters,
            "stream_system_health": self._on_health,
            "connected": self._on_connected,
            "gap": self._on_gap,
            "disconnected": lambda _: self._changed("state"),
        }
        self._removers = [self._client.on(event, handle) for event, handle in handlers.items()]
        try:
            self._subscribe()
            self._load()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop following; the last snapshot stays readable. Closing twice is harmless."""
        self._closed = True
        removers, self._removers = self._removers, []
        for remove in removers:
            remove()
        self._callbacks = ()

    def snapshot(self) -> ChartData:
        """Return what is known now, without waiting; parameters are the defaults until loaded."""
        state = "closed" if self._closed else self._client.state
        with self._lock:
            return ChartData(
                symbol=self.symbol,
                bars=self._book.bars(),
                fills=self._book.fills(),
                position=self._position,
                state=state,
                parameters=self._parameters,
                gates=self._gates,
            )

    def on_change(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call `callback(kind)` after each change, in the client's thread; returns its removal."""
        self._callbacks = (*self._callbacks, callback)

        def remove() -> None:
            self._callbacks = tuple(c for c in self._callbacks if c is not callback)

        return remove

    def _subscribe(self) -> None:
        self._client.subscribe([str(stream) for stream in STREAMS], [self.symbol])

    def _load(self) -> None:
        with self._lock:
            self._book.begin()
        history = self._client.history(self.symbol, limit=self.limit)
        parameters = self._client.parameters
        with self._lock:
            self._parameters = parameters
            self._book.load(history["bars"], history["fills"], history.get("corrections", ()))
        self._changed("bar")

    def _reload(self) -> None:
        # What fails here is tried again at the next bar; the state says that we are cut off.
        if not self._removers:
            return
        try:
            self._find_position()
            self._load()
        except ToolkitError:
            self._stale = True
            self._changed("state")

    def _find_position(self) -> None:
        if not self._position_lost:
            return
        self._position_lost = False
        try:
            self._subscribe()  # its snapshot brings an open position
        except ToolkitError:
            self._position_lost = True
            raise

    def _on_market(self, message: Data) -> None:
        data = message["data"]
        if data["kind"] != "bar" or data["symbol"] != self.symbol:
            return
        with self._lock:
            change = self._book.add_bar(data)
        if change:
            self._changed(change)
        if change == "bar" and self._stale:
            self._refresh()

    def _on_order(self, message: Data) -> None:
        data = message["data"]
        if data["kind"] != "fill" or data["symbol"] != self.symbol:
            return
        with self._lock:
            self._book.add_fill(data)
        self._changed("fill")

    def _on_position(self, message: Data) -> None:
        data = message["data"]
        if data["symbol"] == self.symbol:
            self._epoch = message.get("epoch")
            self._position = data if data["quantity"] else None
            self._changed("state")

    def _on_health(self, message: Data) -> None:
        data = message["data"]
        if data["kind"] != "health":
            return
        gates = tuple(gate_lines(data, self.symbol))
        if gates != self._gates:  # a chart is told of changes, not of each report
            self._gates = gates
            self._changed("state")

    def _on_parameters(self, message: Data) -> None:
        with self._lock:
            self._parameters = Parameters.from_dict(message["data"]["parameters"])
        if message["data"]["new"]:
            self._refresh()

    def _on_connected(self, message: Data) -> None:
        epoch = message.get("epoch")
        if epoch != self._epoch:
            self._epoch, self._position = epoch, None
        self._changed("state")
        self._refresh()

    def _on_gap(self, gap: Data) -> None:
        if gap["stream"] not in STREAMS or gap["stream"] == Stream.SYSTEM_HEALTH:
            return
        if gap["stream"] == Stream.POSITIONS:
            self._position, self._position_lost = None, True
            self._changed("state")
        self._refresh()

    def _refresh(self) -> None:
        self._stale = False
        self._run_soon(self._reload)

    def _changed(self, kind: Change) -> None:
        with self._lock:
            self._version += 1
            self._bars_version += kind == "bar"
        for callback in self._callbacks:
            callback(kind)
