"""In front of the hub: how often, and whether, the bot's states are published at all.

Here, before they are numbered, states can replace each other and streams still have no holes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from toolkit.bot.events import Event, Health, Performance, Publish
from toolkit.core.types import Account, Position

# Those that stop while notifications are off; events (signals, orders, fills...) never do.
_NOTIFICATIONS: frozenset[type] = frozenset({Position, Account, Performance})
_STATES: frozenset[type] = _NOTIFICATIONS | {Health}

Key = tuple[type, str | None]


class Timer(Protocol):
    """What `later` returns."""

    def cancel(self) -> object:
        """Do not call."""
        ...


Later = Callable[[float, Callable[[], None]], Timer]


class Notifications:
    """Publishes states at most once per symbol and `throttle` seconds; the latest always comes.

    States are positions, account, performance and health. While not `enabled`, those of health
    only; the latest of the others come when notifications are enabled again. A change of the
    bot's state (paused, failed...) never waits. `later(seconds, callback)` calls once; one timer
    is enough, and all calls come from its thread.
    """

    def __init__(
        self,
        publish: Publish,
        *,
        monotonic: Callable[[], float],
        later: Later,
        throttle: float = 0.0,
        enabled: bool = True,
    ) -> None:
        self._publish = publish
        self._monotonic = monotonic
        self._later = later
        self._throttle = throttle
        self._enabled = enabled
        self._held: dict[Key, Event] = {}
        self._sent: dict[Key, tuple[float, Event]] = {}
        self._timer: Timer | None = None
        self._timer_at = math.inf

    def publish(self, event: Event) -> None:
        """Publish an event, now or, for a state, when its time has come."""
        if type(event) not in _STATES:
            self._publish(event)
            return
        key = (type(event), getattr(event, "symbol", None))
        self._held.pop(key, None)
        if self._monotonic() >= self._due(key) or self._is_turn(key, event):
            self._send(key, event)
        else:
            self._held[key] = event
            self._arm()

    def configure(self, *, enabled: bool, throttle: float) -> None:
        """Change both; what has waited long enough by the new measure is published at once."""
        self._enabled, self._throttle = enabled, throttle
        self._release()

    def close(self) -> None:
        """Publish nothing more by itself."""
        self._held.clear()
        self._disarm()

    def _due(self, key: Key) -> float:
        if not self._enabled and key[0] in _NOTIFICATIONS:
            return math.inf
        sent = self._sent.get(key)
        return -math.inf if sent is None else sent[0] + self._throttle

    def _is_turn(self, key: Key, event: Event) -> bool:
        sent = self._sent.get(key)
        if not isinstance(event, Health) or sent is None or not isinstance(sent[1], Health):
            return False
        before = sent[1]
        return (event.state, event.reason, event.gates) != (
            before.state,
            before.reason,
            before.gates,
        )

    def _send(self, key: Key, event: Event) -> None:
        self._sent[key] = (self._monotonic(), event)
        self._publish(event)

    def _release(self) -> None:
        self._disarm()
        now = self._monotonic()
        for key, event in list(self._held.items()):
            if now >= self._due(key):
                del self._held[key]
                self._send(key, event)
        self._arm()

    def _arm(self) -> None:
        due = min((self._due(key) for key in self._held), default=math.inf)
        if due < self._timer_at:
            self._disarm()
            self._timer_at = due
            self._timer = self._later(max(0.0, due - self._monotonic()), self._release)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, math.inf
