"""What a bot saw and decided, as lines of JSON that survive its death."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from toolkit.bot.bot import Bot
from toolkit.bot.events import Event, Health, Problem
from toolkit.core.types import Evaluation, Fill, MarketGap, Order, RoundTrip, Signal

FILE = "diary"


class Diary:
    """Appends one line for each event that matters; `publish` is the bot's sink."""

    def __init__(self, folder: Path, *, now: Callable[[], datetime]) -> None:
        self._file = (folder / FILE).open("ab", buffering=0)
        self._now = now
        self._health: Any = None
        self.bot: Bot | None = None
        self._write("born", {})

    def publish(self, event: Event) -> None:
        """Write an event down, if it matters."""
        match event:
            case Evaluation():
                self._write("evaluation", self._evaluation(event))
            case Signal():
                facts = {"kind": event.kind, "reason": event.reason, "refusal": event.refusal}
                self._write("signal", {"symbol": event.symbol, "bar": event.timestamp, **facts})
            case RoundTrip():
                self._write("trip", event)
            case Problem():
                self._write("problem", event)
            case MarketGap():
                self._write("gap", event)
            case Order():
                self._write("order", event)
            case Fill():
                self._write("fill", event)
            case Health():
                self._on_health(event)

    def _evaluation(self, event: Evaluation) -> dict[str, Any]:
        assert self.bot is not None
        bar, engine = event.bar, self.bot.engine
        return {
            "symbol": bar.symbol,
            "bar": bar.timestamp,
            "values": [bar.open, bar.high, bar.low, bar.close, bar.volume],
            "entry": event.entry,
            "exit": event.exit,
            "indicators": [event.indicators.stoch_rsi_k, event.indicators.ema],
            "held": str(engine.portfolio.quantity(bar.symbol)),
        }

    def _on_health(self, event: Health) -> None:
        gates = [[g.gate, g.symbol, g.reason] for g in getattr(event, "gates", ())]
        shown = [event.state, event.reason, gates]
        if shown != self._health:
            self._health = shown
            self._write("health", {"state": event.state, "reason": event.reason, "gates": gates})

    def _write(self, what: str, facts: Any) -> None:
        line = {"what": what, "at": self._now(), "facts": facts}
        self._file.write(orjson.dumps(line, default=str) + b"\n")


def read(folder: Path) -> list[dict[str, Any]]:
    """Return all lines; a last one that was cut by a kill is left out."""
    lines = (folder / FILE).read_bytes().split(b"\n")
    found = []
    for line in lines:
        try:
            found.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            continue
    return found
