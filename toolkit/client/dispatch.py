"""Handlers of a client's events."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from toolkit.client.messages import Message
from toolkit.errors import ConfigError, ToolkitError
from toolkit.streaming.wire import Stream

log = logging.getLogger(__name__)

Handler = Callable[[Any], None]

EVENTS = (
    "connected",
    "disconnected",
    "heartbeat",
    "gap",
    "error",
    "alert",
    "latency_update",
    "performance_stats",
    "config_changed",
    "stream_data",
    *(f"stream_{stream.value}" for stream in Stream),
)


class Dispatcher:
    """Calls handlers one after the other; one that raises is reported and harms no other."""

    def __init__(self) -> None:
        self._handlers: dict[str, tuple[Handler, ...]] = {}

    def on(self, event: str, handler: Handler) -> Callable[[], None]:
        """Call `handler(value)` on each `event`; returns what removes it. Thread-safe.

        Raises ConfigError for an event that does not exist, and for a coroutine function: use
        `async for` with `client.stream` there.
        """
        if event not in EVENTS and not event.startswith("symbol_"):
            raise ConfigError(
                f"event is {event!r}; allowed: {', '.join(EVENTS)}, symbol_<SYMBOL>",
                field="event",
                allowed=[*EVENTS, "symbol_<SYMBOL>"],
            )
        if inspect.iscoroutinefunction(handler):
            raise ConfigError(
                "a handler must be a plain function; in async code use "
                "`async for message in client.stream(...)`",
                field="handler",
            )
        # A new object each time, so that each removal removes its own registration.
        entry: Handler = partial(handler)
        self._handlers[event] = (*self._handlers.get(event, ()), entry)

        def remove() -> None:
            left = tuple(h for h in self._handlers.get(event, ()) if h is not entry)
            if left:
                self._handlers[event] = left
            else:
                self._handlers.pop(event, None)

        return remove

    def message(self, message: Message) -> None:
        """Call the handlers that want `message`."""
        handlers = self._handlers
        if "stream_data" in handlers:
            self.emit("stream_data", message)
        if (event := f"stream_{message['stream_type']}") in handlers:
            self.emit(event, message)
        if (event := f"symbol_{message['symbol']}") in handlers:
            self.emit(event, message)

    def emit(self, event: str, value: Any) -> None:
        """Call the handlers of `event`; what they raise becomes an `error` event."""
        for handler in self._handlers.get(event, ()):
            try:
                handler(value)
            except Exception as error:
                log.exception("a handler of %s raised", event)
                if event != "error":
                    problem = ToolkitError(f"a handler of {event} raised {error!r}", event=event)
                    problem.__cause__ = error
                    self.emit("error", problem)
