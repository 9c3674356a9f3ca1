"""A client without a server: a seeded market that ticks in a thread, and a bot that trades it."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from toolkit.core.parameters import Parameters
from toolkit.streaming.wire import format_time

Data = dict[str, Any]
TICKS_PER_BAR = 5


class LivelyClient:
    """Answers like the synchronous client; `start` makes it tick every `interval` seconds."""

    def __init__(
        self,
        *,
        symbols: Iterable[str] = ("AAPL", "BTC/USD"),
        role: str = "trade",
        broker: str = "alpaca:paper",
    ):
        self.symbols, self.broker = list(symbols), broker
        self.state, self.role = "connected", role
        self.parameters = Parameters()
        self.commands: list[str] = []
        self._handlers: dict[str, list[Callable[[Data], None]]] = {}
        self._random = random.Random(7)
        self._bars = {symbol: self._history(symbol) for symbol in self.symbols}
        self._fills: dict[str, list[Data]] = {symbol: [] for symbol in self.symbols}
        self._positions: dict[str, Data] = {}
        self._trades: list[Data] = []
        self._realised, self._ticks, self._paused = 0.0, 0, False
        self._gates: dict[str, Data] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, interval: float = 0.05) -> None:
        def run() -> None:
            while not self._stopped.wait(interval):
                self.tick()

        self._thread = threading.Thread(target=run, name="lively", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def on(self, event: str, handler: Callable[[Data], None], /) -> Callable[[], None]:
        handlers = self._handlers.setdefault(event, [])
        handlers.append(handler)
        return lambda: handlers.remove(handler)

    @property
    def handlers(self) -> int:
        return sum(map(len, self._handlers.values()))

    def subscribe(self, streams: Iterable[str], symbols: Iterable[str] | None = None) -> Any:
        return {"streams": list(streams), "symbols": symbols}

    def history(self, symbol: str, *, limit: int = 500) -> Mapping[str, Any]:
        return {"bars": self._bars[symbol][-limit:], "fills": list(self._fills[symbol])}

    def trades(self) -> list[Data]:
        return list(self._trades)

    def set_parameters(self, changes: Mapping[str, Any], /) -> Data:
        self.parameters = self.parameters.replace(changes)
        return {}

    def gate(self, gate: str, reason: str = "", symbol: str | None = None) -> None:
        """Close a gate for a reason, or open it; told at once."""
        self._gates.pop(f"{gate} {symbol}", None)
        if reason:
            closed = {"gate": gate, "reason": reason, "symbol": symbol}
            closed["since"] = format_time(datetime.now(UTC))
            self._gates[f"{gate} {symbol}"] = closed
        self._send_state()

    def command(self, name: str, /, **args: Any) -> Any:
        if name == "get_orders":
            return {"orders": []}
        self.commands.append(name)
        if name in ("start", "stop"):
            self._paused = name == "stop"
            self.gate("command", "entries stopped by anna" if self._paused else "")
        if name in ("halt", "resume_trading"):
            why = f"halted by anna: {args['reason']}" if name == "halt" else ""
            self.gate("halt", why)
        if name == "flatten" or args.get("flatten"):
            for symbol in list(self._positions):
                self._close(symbol, self._bars[symbol][-1])
        self._send_state()
        return {}

    def tick(self) -> None:
        self._ticks += 1
        for symbol in self.symbols:
            self._tick(symbol)
        if self._ticks % 20 == 1:
            self._send_state()
            self._send("heartbeat", {})

    def _tick(self, symbol: str) -> None:
        bar = self._bars[symbol][-1]
        if bar["final"]:
            bar = self._next_bar(symbol, bar, forming=True)
            self._bars[symbol].append(bar)
        else:
            close = self._step(bar["close"])
            final = self._ticks % TICKS_PER_BAR == 0
            bar = {**bar, "close": close, "price": close, "final": final}
            bar["high"], bar["low"] = max(bar["high"], close), min(bar["low"], close)
            bar["indicators"] = self._indicators(self._bars[symbol][-2], bar) if final else None
            self._bars[symbol][-1] = bar
        self._send("stream_market_data", bar)
        if bar["final"]:
            self._trade(symbol, bar)

    def _trade(self, symbol: str, bar: Data) -> None:
        k = bar["indicators"]["stoch_rsi_k"]
        if symbol in self._positions:
            if self._random.random() < 0.04:
                self._close(symbol, bar)
            else:
                held = self._positions[symbol]
                pnl = (bar["close"] - held["entry_price"]) * held["quantity"]
                self._hold(symbol, {**held, "price": bar["close"], "unrealised_pnl": pnl})
        elif k < 30 and not self._paused:
            self._fill(symbol, bar, "buy", "entry")
            price = bar["close"]
            held = {"kind": "position", "symbol": symbol, "quantity": 12.5, "entry_price": price}
            held |= {"entry_time": bar["timestamp"], "stop": price * 0.998, "target": price * 1.005}
            self._hold(symbol, {**held, "price": price, "unrealised_pnl": 0.0})

    def _hold(self, symbol: str, position: Data) -> None:
        self._positions[symbol] = position
        self._send("stream_positions", position)

    def _close(self, symbol: str, bar: Data) -> None:
        held = self._positions.pop(symbol)
        self._fill(symbol, bar, "sell", "trailing_stop")
        pnl = (bar["close"] - held["entry_price"]) * held["quantity"]
        self._realised += pnl
        trade = {"kind": "trade", "symbol": symbol, "entry_time": held["entry_time"]}
        trade |= {"entry_price": held["entry_price"], "exit_time": bar["timestamp"]}
        trade |= {"exit_price": bar["close"], "quantity": 12.5, "pnl": pnl, "fees": 0.0}
        trade |= {"return_percent": (bar["close"] / held["entry_price"] - 1) * 100}
        trade["exit_reason"] = "trailing_stop"
        self._trades.append(trade)
        self._send("stream_orders", trade)
        self._send("stream_positions", {**held, "quantity": 0.0})

    def _fill(self, symbol: str, bar: Data, side: str, reason: str) -> None:
        fill = {"kind": "fill", "order_id": str(self._ticks), "symbol": symbol, "side": side}
        fill |= {"client_order_id": f"{symbol}{self._ticks}", "price": bar["close"]}
        fill |= {"quantity": 12.5, "fee": 0.0, "timestamp": bar["timestamp"], "reason": reason}
        self._fills[symbol].append(fill)
        order = {"kind": "order", "id": fill["client_order_id"], "symbol": symbol, "side": side}
        order |= {"quantity": 12.5, "filled_quantity": 12.5, "order_type": "market"}
        order |= {"status": "filled", "reason": reason, "average_price": bar["close"]}
        order |= {"updated_at": bar["timestamp"], "message": ""}
        self._send("stream_orders", order)
        self._send("stream_orders", fill)

    def _send_state(self) -> None:
        now = format_time(datetime.now(UTC))
        open_pnl = sum(p["unrealised_pnl"] for p in self._positions.values())
        cash = 10_000 + self._realised
        account = {"kind": "account", "timestamp": now, "cash": cash, "equity": cash + open_pnl}
        account |= {"realised_pnl": self._realised, "open_positions": len(self._positions)}
        self._send("stream_account", account)
        gates = [*self._gates.values()]
        state = "paused" if any(gate["symbol"] is None for gate in gates) else "running"
        health = {"kind": "health", "timestamp": now, "state": state, "gates": gates}
        health |= {"reason": gates[0]["reason"] if gates else "", "market": "alpaca:iex"}
        health |= {"broker": self.broker, "symbols": self.symbols}
        health["feed"] = {"ok": True, "reason": "", "last_message": now}
        limits = {
            "max_exposure": 1_500_000.0,
            "max_daily_loss": 5_000.0,
            "max_orders_per_minute": 30,
        }
        exposure = sum(p["price"] * p["quantity"] for p in self._positions.values())
        health["limits"] = {"limits": limits, "exposure": exposure, "daily_loss": -self._realised}
        health["limits"]["drawdown_percent"] = 0.0
        self._send("stream_system_health", health)

    def _send(self, event: str, data: Data) -> None:
        for handler in list(self._handlers.get(event, ())):
            handler({"data": data, "symbol": data.get("symbol")})

    def _history(self, symbol: str) -> list[Data]:
        start = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
        price = 64_000.0 if "/" in symbol else 187.0
        first: Data = {"kind": "bar", "symbol": symbol, "timestamp": format_time(start)}
        first |= dict.fromkeys(("open", "high", "low", "close", "price"), price)
        first |= {"volume": 0.0, "final": True}
        first["indicators"] = {"ema": price, "stoch_rsi_k": 50.0, "stoch_rsi_d": 50.0}
        bars = [first]
        for i in range(320):
            gap = timedelta(hours=7) if i == 260 else timedelta(0)
            bars.append(self._next_bar(symbol, bars[-1], gap=gap))
        return bars

    def _next_bar(
        self, symbol: str, before: Data, *, gap: timedelta = timedelta(0), forming: bool = False
    ) -> Data:
        time = datetime.fromisoformat(before["timestamp"]) + timedelta(minutes=1) + gap
        path = [before["close"]]
        for _ in range(1 if forming else 6):
            path.append(self._step(path[-1]))
        bar: Data = {"kind": "bar", "symbol": symbol, "timestamp": format_time(time)}
        bar |= {"open": path[0], "high": max(path), "low": min(path), "close": path[-1]}
        bar |= {"price": path[-1], "volume": 10.0, "final": not forming}
        bar["indicators"] = None if forming else self._indicators(before, bar)
        return bar

    def _step(self, price: float) -> float:
        return round(price * math.exp(self._random.gauss(0, 0.0003)), 2)

    def _indicators(self, before: Data, bar: Data) -> Data:
        old = before["indicators"]
        k = min(100.0, max(0.0, old["stoch_rsi_k"] + self._random.gauss(0, 14)))
        d = old["stoch_rsi_d"] + (k - old["stoch_rsi_d"]) / 3
        ema = old["ema"] + 0.2 * (bar["close"] - old["ema"])
        return {"ema": ema, "stoch_rsi_k": k, "stoch_rsi_d": d}
