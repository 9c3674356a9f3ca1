"""What a chart shows: history joined to the live stream, kept current for any number of views."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError, ToolkitError
from toolkit.streaming.wire import Stream, parse_time

Change = Literal["tick", "bar", "fill", "state"]
Data = dict[str, Any]
Handler = Callable[[Data], None]
RunSoon = Callable[[Callable[[], None]], None]

STREAMS = (Stream.MARKET_DATA, Stream.ORDERS, Stream.POSITIONS, Stream.PARAMETERS)
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
    def subscribe(self, streams: Iterable[str], symbols: Iterable[str] | None = None) -> Any: ...
    def history(self, symbol: str, *, limit: int = 500) -> Mapping[str, Any]: ...
    def set_parameters(self, changes: Mapping[str, Any], /) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartData:
    """One moment of a chart; bars and fills as on the wire, oldest first, the last bar may form.

    `state` is the client's connection state; `position` is None while flat.
    """

    symbol: str
    bars: tuple[Data, ...]
    fills: tuple[Data, ...]
    position: Data | None
    state: str
    parameters: Parameters


class ChartBook:
    """Bars and fills of one symbol, joined without hole or double; not thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bars: dict[datetime, Data] = {}
        self._fills: deque[Data] = deque(maxlen=limit)
        self._since: tuple[dict[datetime, Data], deque[Data]]
        self.begin()

    def bars(self) -> tuple[Data, ...]:
        """Bars, oldest first."""
        return tuple(self._bars.values())

    def fills(self) -> tuple[Data, ...]:
        """Fills, oldest first."""
        return tuple(self._fills)

    def begin(self) -> None:
        """Start to remember what history, being on its way, may not hold."""
        forming = {t: b for t, b in self._bars.items() if not b["final"]}
        self._since = (forming, deque(maxlen=self._limit))

    def load(self, bars: Iterable[Data], fills: Iterable[Data]) -> None:
        """Take history as the truth, and after it what came live since `begin`."""
        loaded = {parse_time(bar["timestamp"]): bar for bar in bars}
        last = max(loaded, default=None)
        newer = {t: b for t, b in self._since[0].items() if last is None or t > last}
        self._bars = dict(sorted(loaded.items())) | newer
        self._trim()
        self._fills = deque(_joined(fills, self._since[1]), maxlen=self._limit)

    def add_bar(self, bar: Data) -> Change | None:
        """Take a live bar; None when it says nothing new (late, or forming after final)."""
        time = parse_time(bar["timestamp"])
        known = self._bars.get(time)
        last = next(reversed(self._bars), time)
        if time < last and not self._bars[last]["final"]:  # a market that was started anew
            del self._bars[last]
            return self.add_bar(bar)
        if time < last or (known and known["final"] and not bar["final"]):
            return None
        self._bars[time] = self._since[0][time] = bar
        self._trim()
        return "bar" if bar["final"] or known is None else "tick"

    def add_fill(self, fill: Data) -> None:
        """Take a live fill."""
        self._fills.append(fill)
        self._since[1].append(fill)

    def _trim(self) -> None:
        for bars in (self._bars, self._since[0]):
            while len(bars) > self._limit:
                del bars[next(iter(bars))]


def _joined(history: Iterable[Data], live: Iterable[Data]) -> list[Data]:
    # Equal partial fills exist, so fills are counted, not merely compared.
    joined = list(history)
    known = Counter(_fill_key(fill) for fill in joined)
    for fill in live:
        key = _fill_key(fill)
        if known[key]:
            known[key] -= 1
        else:
            joined.append(fill)
    return sorted(joined, key=lambda fill: parse_time(fill["timestamp"]))


def _fill_key(fill: Data) -> tuple[Any, ...]:
    names = ("order_id", "client_order_id", "timestamp", "side", "price", "quantity")
    return tuple(fill.get(name) for name in names)


class ChartFeed:
    """Follows one symbol: subscribes, loads history, then stays current; thread-safe.

    History is loaded again after a reconnect and after a change of parameters, because the bot
    then re-evaluates its bars. `run_soon` runs a call that may block for an answer outside of
    the client's handlers; by default it runs in place.
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
        self._client, self._limit = client, limit
        self._run_soon: RunSoon = run_soon or (lambda call: call())
        self._book = ChartBook(limit)
        self._position: Data | None = None
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
        handlers: dict[str, Handler] = {
            "stream_market_data": self._on_market,
            "stream_orders": self._on_order,
            "stream_positions": self._on_position,
            "stream_parameters": self._on_parameters,
            "connected": self._on_connected,
            "disconnected": lambda _: self._changed("state"),
        }
        self._removers = [self._client.on(event, handle) for event, handle in handlers.items()]
        try:
            self._client.subscribe([str(stream) for stream in STREAMS], [self.symbol])
            self._load()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop following; the last snapshot stays readable. Closing twice is harmless."""
        removers, self._removers = self._removers, []
        for remove in removers:
            remove()
        self._callbacks = ()

    def snapshot(self) -> ChartData:
        """Return what is known now."""
        state, parameters = self._client.state, self._client.parameters
        with self._lock:
            return ChartData(
                symbol=self.symbol,
                bars=self._book.bars(),
                fills=self._book.fills(),
                position=self._position,
                state=state,
                parameters=parameters,
            )

    def on_change(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call `callback(kind)` after each change, in the client's thread; returns its removal."""
        self._callbacks = (*self._callbacks, callback)

        def remove() -> None:
            self._callbacks = tuple(c for c in self._callbacks if c is not callback)

        return remove

    def _load(self) -> None:
        with self._lock:
            self._book.begin()
        history = self._client.history(self.symbol, limit=self._limit)
        with self._lock:
            self._book.load(history["bars"], history["fills"])
        self._changed("bar")

    def _reload(self) -> None:
        # What fails here is tried again at the next bar; the state says that we are cut off.
        if not self._removers:
            return
        try:
            self._load()
        except ToolkitError:
            self._stale = True
            self._changed("state")

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
            self._position = data if data["quantity"] else None
            self._changed("state")

    def _on_parameters(self, message: Data) -> None:
        if message["data"]["new"]:
            self._refresh()

    def _on_connected(self, _message: Data) -> None:
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
