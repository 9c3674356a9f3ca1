"""When and what to send to a chart in a browser: few messages, none lost, none to nobody."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import Any

from toolkit.core.parameters import Parameters
from toolkit.streaming.wire import parse_time
from toolkit.views.book import Change, Data
from toolkit.views.feed import ChartData, ChartFeed
from toolkit.views.gates import GateLine

INDICATORS = ("ema", "stoch_rsi_k", "stoch_rsi_d", "lower_band", "upper_band")
LEVELS = ("entry_price", "stop", "target")
HISTORY_INTERVAL = 1.0

CallLater = Callable[[float, Callable[[], None]], bool]


def later_on_this_loop(delay: float, call: Callable[[], None]) -> bool:
    """Run `call` after `delay` seconds on the loop that runs in this thread; False without one."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return False
    loop.call_later(delay, call)
    return True


class ChartSender:
    """Decides when a chart in a browser is told what; thread-safe, without a thread.

    Ticks are gathered to one message per `interval` seconds; a closed bar, a fill and a change
    of state go at once. History follows a closed bar, at most once a second, so that a view that
    opens late has it. While nobody looks (no `on_alive` for `patience` seconds) nothing is
    sent; who comes back gets everything.
    """

    def __init__(
        self,
        feed: ChartFeed,
        *,
        send_update: Callable[[Data], None],
        send_history: Callable[[], None],
        interval: float = 0.1,
        patience: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
        call_later: CallLater = later_on_this_loop,
    ) -> None:
        self._feed, self._interval = feed, interval
        self._send_update, self._send_history = send_update, send_history
        self._clock, self._call_later = clock, call_later
        self._lock = threading.RLock()
        self._patience, self._looking_until = patience, clock() + patience
        self._sent_at = self._urgent_at = self._history_at = -HISTORY_INTERVAL
        self._last_time = -math.inf
        self._due = self._urgent = self._history_due = self._fills_due = False
        self._wake_at = math.inf

    def on_change(self, kind: Change) -> None:
        """Take note of a change in the feed and send what is due."""
        with self._lock:
            self._due = True
            self._urgent |= kind != "tick"
            self._history_due |= kind == "bar"
            self._fills_due |= kind == "fill"
            self._pump()

    def on_alive(self, *, new_view: bool) -> None:
        """Take note that somebody looks; a new view, or one that was away, gets everything."""
        with self._lock:
            away = self._clock() >= self._looking_until
            self._looking_until = self._clock() + self._patience
            if new_view or away:
                self._history()
            else:
                self._pump()

    def update(self) -> Data:
        """Return what changed since the last message; `fills` only where there are new ones."""
        data = self._feed.snapshot()
        newer = takewhile(lambda bar: _seconds(bar) >= self._last_time, reversed(data.bars))
        message = _message(data, [*newer][::-1])
        if self._fills_due:
            message["fills"] = _fills(data)
        return message

    def history(self) -> Data:
        """Return everything, as the synced trait holds it."""
        data = self._feed.snapshot()
        return {**_message(data, data.bars), "fills": _fills(data)}

    def _pump(self) -> None:
        now = self._clock()
        if not self._due or now >= self._looking_until:
            return
        since = self._urgent_at if self._urgent else self._sent_at
        history_wait = self._history_at + HISTORY_INTERVAL - now
        if (wait := since + self._interval - now) > 0:
            self._wake_after(wait)
        elif self._history_due and history_wait <= 0:
            self._history()
        else:
            message = self.update()
            self._send_update(message)
            self._sent(message["rows"])
            if self._history_due:
                self._due = True
                self._wake_after(history_wait)

    def _history(self) -> None:
        rows = self.update()["rows"]
        self._send_history()
        self._history_at, self._history_due = self._clock(), False
        self._sent(rows)

    def _sent(self, rows: list[list[Any]]) -> None:
        self._sent_at = self._clock()
        if self._urgent:
            self._urgent_at = self._sent_at
        self._due = self._urgent = self._fills_due = False
        self._last_time = rows[-1][0] if rows else self._last_time

    def _wake_after(self, delay: float) -> None:
        # Without a timer the next message, or the view's next sign of life, does it.
        at = self._clock() + delay
        if at < self._wake_at and self._call_later(delay, self._wake):
            self._wake_at = at

    def _wake(self) -> None:
        with self._lock:
            self._wake_at = math.inf
            self._pump()


def _message(data: ChartData, bars: Any) -> Data:
    return {
        "kind": "update",
        "rows": [_row(bar) for bar in bars],
        "position": _position(data.position),
        "state": data.state,
        "labels": _labels(data.parameters),
        "gates": [_gate(line) for line in data.gates],
    }


def _row(bar: Data) -> list[Any]:
    """One bar as the columns of `js/src/store.js`; seconds since 1970 UTC first."""
    values: Mapping[str, Any] = bar.get("indicators") or {}
    prices = (bar[name] for name in ("open", "high", "low", "close"))
    volume, final = bar.get("volume") or 0.0, bool(bar["final"])
    indicators = (values.get(name) for name in INDICATORS)
    return [_seconds(bar), *prices, volume, final, *indicators, _correction(bar)]


def _correction(bar: Data) -> int:
    """0: as it was first; 1: corrected; 2: corrected after the bot had decided on it."""
    return 1 + bool(bar.get("decided")) if bar.get("revision") else 0


def _gate(line: GateLine) -> Data:
    since = int(line.since.timestamp())
    return {"title": line.title, "reason": line.sentence, "since": since, "grave": line.grave}


def _fills(data: ChartData) -> list[Data]:
    names = ("side", "price", "quantity", "reason")
    return [{"time": _seconds(f), **{name: f[name] for name in names}} for f in data.fills]


def _position(position: Data | None) -> Data | None:
    if position is None:
        return None
    levels = {name: position.get(name) for name in LEVELS}
    return {"quantity": position["quantity"], **levels}


def _labels(parameters: Parameters) -> dict[str, str]:
    group = parameters.stoch_rsi
    lengths = (group.rsi_length, group.stoch_length, group.k, group.d)
    return {"ema": str(parameters.ema.ema_period), "stoch_rsi": " ".join(map(str, lengths))}


def _seconds(item: Data) -> float:
    seconds = parse_time(item["timestamp"]).timestamp()
    return int(seconds) if seconds.is_integer() else seconds
