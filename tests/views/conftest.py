"""A client without a server: the same calls and messages, driven by hand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError, ToolkitError
from toolkit.streaming.wire import format_time

Data = dict[str, Any]
OPEN = datetime(2026, 1, 2, 14, 30, tzinfo=UTC)


def bar(minute: int, *, close: float = 100.0, final: bool = True, symbol: str = "AAPL") -> Data:
    """One bar as on the wire; final ones carry indicator values."""
    indicators = {
        "ema": close - 0.1,
        "stoch_rsi_k": 40.0,
        "stoch_rsi_d": 30.0,
        "lower_band": 35.0,
        "upper_band": 100.0,
    }
    return {
        "kind": "bar",
        "symbol": symbol,
        "timestamp": format_time(OPEN + timedelta(minutes=minute)),
        "open": 100.0,
        "high": max(100.0, close) + 0.2,
        "low": min(100.0, close) - 0.2,
        "close": close,
        "volume": 1000.0 + minute,
        "price": close,
        "final": final,
        "indicators": indicators if final else None,
    }


def fill(minute: int, *, side: str = "buy", symbol: str = "AAPL", order: str = "1") -> Data:
    """One fill as on the wire."""
    return {
        "kind": "fill",
        "order_id": order,
        "client_order_id": f"c{order}",
        "symbol": symbol,
        "side": side,
        "price": 100.0,
        "quantity": 5.0,
        "fee": 0.0,
        "timestamp": format_time(OPEN + timedelta(minutes=minute)),
        "reason": "entry" if side == "buy" else "stop_loss",
    }


class FakeClient:
    """Holds what the server would; `send_*` deliver to handlers in the caller's thread.

    A strict one refuses calls from its own handlers, as the real client does.
    """

    def __init__(self) -> None:
        self.symbols = ("AAPL", "MSFT")
        self.state = "connected"
        self._parameters = Parameters()
        self._handling = 0
        self.bars: list[Data] = [bar(i) for i in range(5)]
        self.fills: list[Data] = []
        self.corrections: list[Data] = []
        self.subscriptions: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        self.strict = False
        self.fail_with: ToolkitError | None = None
        self.during_history: Callable[[], None] = lambda: None
        self._handlers: dict[str, tuple[Callable[[Data], None], ...]] = {}
        self._seq = 0

    @property
    def handler_count(self) -> int:
        return sum(map(len, self._handlers.values()))

    @property
    def parameters(self) -> Parameters:
        self._refuse_in_handler()
        return self._parameters

    @parameters.setter
    def parameters(self, parameters: Parameters) -> None:
        self._parameters = parameters

    def _refuse_in_handler(self) -> None:
        if self.strict and self._handling:
            raise ConfigError("a handler must not call its client")

    def on(self, event: str, handler: Callable[[Data], None]) -> Callable[[], None]:
        self._handlers[event] = (*self._handlers.get(event, ()), handler)

        def remove() -> None:
            kept = tuple(h for h in self._handlers[event] if h is not handler)
            self._handlers[event] = kept

        return remove

    def subscribe(self, streams: Iterable[str], symbols: Iterable[str] | None = None) -> None:
        self.subscriptions.append((tuple(streams), tuple(symbols or ())))

    def history(self, symbol: str, limit: int = 500) -> Data:
        self._refuse_in_handler()
        if self.fail_with:
            raise self.fail_with
        bars = [b for b in self.bars if b["symbol"] == symbol][-limit:]
        answer = {"bars": bars, "fills": list(self.fills)}
        answer["corrections"] = list(self.corrections)
        self.during_history()
        return answer

    def set_parameters(self, changes: Mapping[str, Any]) -> Data:
        old, self._parameters = self._parameters, self._parameters.replace(changes)
        changed = old.difference(self._parameters)
        return self.send_parameters(changed, who="you")

    def send(self, event: str, data: Data) -> None:
        self._seq += 1
        stream = event.removeprefix("stream_")
        message = {"stream_type": stream, "symbol": data.get("symbol"), "seq": self._seq}
        self.send_raw(event, {**message, "data": data})

    def send_raw(self, event: str, message: Data) -> None:
        self._handling += 1
        try:
            for handler in self._handlers.get(event, ()):
                handler(message)
        finally:
            self._handling -= 1

    def send_bar(self, data: Data) -> None:
        if data["final"]:
            self.bars.append(data)
        self.send("stream_market_data", data)

    def send_fill(self, data: Data) -> None:
        self.fills.append(data)
        self.send("stream_orders", data)

    def send_parameters(self, changed: Mapping[str, tuple[Any, Any]], *, who: str) -> Data:
        event = {
            "kind": "parameters",
            "timestamp": format_time(OPEN),
            "who": who,
            "old": {name: old for name, (old, _) in changed.items()},
            "new": {name: new for name, (_, new) in changed.items()},
            "parameters": self._parameters.to_dict(),
        }
        self.send("stream_parameters", event)
        return event


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def make_bar() -> Callable[..., Data]:
    return bar


@pytest.fixture
def make_fill() -> Callable[..., Data]:
    return fill


@pytest.fixture
def recent() -> deque[str]:
    """Collects what callbacks were called with."""
    return deque(maxlen=1000)
