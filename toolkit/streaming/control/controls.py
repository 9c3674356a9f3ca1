"""What can be changed while the server runs: one object for HTTP, commands and Python."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from toolkit.bot.events import Event
from toolkit.errors import ConfigError
from toolkit.streaming.control.notifications import Notifications
from toolkit.streaming.control.service import BotPort
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.measures.stats import ServiceStats
from toolkit.streaming.wire import Payload

log = logging.getLogger(__name__)

LONGEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlState:
    """What is in force. `streaming`: messages flow, else they wait. Intervals in seconds.

    `streaming_interval` lies at least between two values of one symbol and kind that replace
    each other (market data, health, performance). `notifications`: positions, account and
    performance are published. `notification_throttle` lies at least between two states of one
    symbol. Signals, orders, fills and final bars obey neither interval.
    """

    streaming: bool = True
    streaming_interval: float = 0.0
    notifications: bool = True
    notification_throttle: float = 0.0

    def __post_init__(self) -> None:
        for name in ("streaming", "notifications"):
            _check(name, getattr(self, name), isinstance(getattr(self, name), bool), "true, false")
        for name in ("streaming_interval", "notification_throttle"):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            fine = number and math.isfinite(value) and 0 <= value <= LONGEST_SECONDS
            _check(name, value, fine, f"0 to {LONGEST_SECONDS:g} (seconds)")

    def to_dict(self) -> dict[str, Any]:
        """Return the four values as JSON-ready ones."""
        return asdict(self)


class StreamingControls:
    """Changes how messages are streamed, and tells every client by `config_changed`.

    Every change answers the state then in force and raises ConfigError for values out of
    bounds. All calls come from the server's loop, or before it runs.
    """

    def __init__(
        self,
        hub: Hub,
        notifications: Notifications,
        stats: ServiceStats,
        *,
        state: ControlState,
        monotonic: Callable[[], float],
    ) -> None:
        self._hub = hub
        self._notifications = notifications
        self._stats = stats
        self._monotonic = monotonic
        self._listeners: list[Callable[[ControlState, str], None]] = []
        self._state = ControlState()
        self.apply(state)

    @property
    def state(self) -> ControlState:
        """What is in force."""
        return self._state

    def listen(self, listener: Callable[[ControlState, str], None]) -> None:
        """Call `listener(state, who)` after each change that is made here."""
        self._listeners.append(listener)

    def start_streaming(
        self, interval: float | None = None, *, who: str = "server"
    ) -> ControlState:
        """Let messages flow; with `interval`, that many seconds apart as a streaming interval."""
        changed = replace(self._state, streaming=True)
        if interval is not None:
            changed = replace(changed, streaming_interval=interval)
        return self._change(changed, who)

    def stop_streaming(self, *, who: str = "server") -> ControlState:
        """Hold messages back; values conflate, the rest waits (bounded; else a `gap`)."""
        return self._change(replace(self._state, streaming=False), who)

    def set_streaming_interval(self, seconds: float, *, who: str = "server") -> ControlState:
        """Give values of one symbol that replace each other this distance; 0 sends at once."""
        return self._change(replace(self._state, streaming_interval=seconds), who)

    def enable_websocket_notifications(
        self, enabled: bool = True, *, who: str = "server"
    ) -> ControlState:
        """Publish positions, account and performance, or stop; then the latest come at once.

        While they are off, snapshots still tell newcomers how it is; signals, orders and fills
        always come.
        """
        return self._change(replace(self._state, notifications=enabled), who)

    def set_notification_throttle(self, seconds: float, *, who: str = "server") -> ControlState:
        """Publish states of one symbol at most once in so many seconds; 0 publishes all."""
        return self._change(replace(self._state, notification_throttle=seconds), who)

    def set_streaming(self, *, who: str = "server", **changes: Any) -> ControlState:
        """Change several at once, all or none: names and values of `ControlState`."""
        return self._change(replace(self._state, **changes), who)

    def get_streaming_stats(self) -> dict[str, Any]:
        """Return clients, rates, the average latency (ms) and what is in force.

        `connected_clients`, `websocket_stats.average_latency`, `.messages_per_second`, ...
        """
        return {**self._stats.summary(), "controls": self._state.to_dict()}

    def apply(self, state: ControlState, *, who: str = "server") -> None:
        """Put in force what was decided elsewhere; clients are told, listeners are not."""
        before, self._state = self._state, state
        if state.streaming != before.streaming:
            self._hold(not state.streaming)
        if state.streaming_interval != before.streaming_interval:
            self._hub.set_min_interval(state.streaming_interval)
        self._notifications.configure(
            enabled=state.notifications, throttle=state.notification_throttle
        )
        if state != before:
            log.info("%s set streaming: %s", who, state)
            self._hub.broadcast("config_changed", {**state.to_dict(), "who": who})

    def _change(self, state: ControlState, who: str) -> ControlState:
        if state != self._state:
            self.apply(state, who=who)
            for listener in self._listeners:
                listener(state, who)
        return state

    def _hold(self, hold: bool) -> None:
        if hold:
            self._hub.hold()
            return
        # What waited on purpose is not late.
        self._stats.measure_from(self._monotonic())
        self._hub.release()


class ControlledBot:
    """The bot as clients command it, with the commands that are about streaming."""

    def __init__(self, bot: BotPort, controls: StreamingControls) -> None:
        self._bot = bot
        self._controls = controls

    @property
    def symbols(self) -> Sequence[str]:
        """What the bot trades."""
        return self._bot.symbols

    def snapshot(self) -> Sequence[Event | Payload]:
        """Return what a new subscriber must know, as of now."""
        return self._bot.snapshot()

    async def command(self, name: str, args: Mapping[str, Any], *, who: str) -> Any:
        """Carry out one command; raises ToolkitError, the result is JSON-ready."""
        controls = self._controls
        match name:
            case "start_streaming":
                _known(name, args, {"interval"})
                return controls.start_streaming(args.get("interval"), who=who).to_dict()
            case "stop_streaming":
                _known(name, args, set())
                return controls.stop_streaming(who=who).to_dict()
            case "set_streaming":
                _known(name, args, SETTABLE)
                return controls.set_streaming(**args, who=who).to_dict()
            case "get_streaming_stats":
                _known(name, args, set())
                return controls.get_streaming_stats()
        return await self._bot.command(name, args, who=who)


SETTABLE = frozenset({"streaming_interval", "notifications", "notification_throttle"})


def _known(command: str, args: Mapping[str, Any], names: frozenset[str] | set[str]) -> None:
    for name in args:
        if name not in names:
            allowed = sorted(names)
            raise ConfigError(
                f"{command} takes no {name!r}; allowed: {', '.join(allowed) or 'nothing'}",
                field=name,
                allowed=allowed,
            )


def _check(name: str, value: object, fine: bool, allowed: str) -> None:
    if not fine:
        shown = repr(value)[:100]
        raise ConfigError(f"{name} is {shown}; allowed: {allowed}", field=name, allowed=allowed)
