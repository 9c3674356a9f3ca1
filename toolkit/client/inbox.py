"""Where a client's events arrive: checked by the tracker, then to iterators and handlers."""

from __future__ import annotations

import time
from typing import Any

from toolkit.client.dispatch import Dispatcher
from toolkit.client.iterator import MessageStream
from toolkit.client.messages import Gap, Message
from toolkit.client.tracker import Tracker
from toolkit.errors import error_from_dict

PASSED_ON = ("heartbeat", "config_changed", "alert")


class Inbox:
    """Takes each event of the server once, in order."""

    def __init__(self, tracker: Tracker, dispatcher: Dispatcher) -> None:
        self.streams: set[MessageStream] = set()
        self.heard = time.monotonic()
        self.received = 0
        self.gaps = 0
        self._tracker = tracker
        self._dispatcher = dispatcher

    def receive(self, event: str, data: Any) -> None:
        """Handle one event; never blocks."""
        self.heard = time.monotonic()
        if event == "stream_data":
            self._message(Message(data))
        elif event == "connected":
            self._tracker.start(data["epoch"])
        elif event == "subscription_confirmed":
            self._tracker.confirm(data["seq"])
        elif event == "gap":
            self._tracker.announced(Gap(data))
            self._gap(Gap(data))
        elif event == "error" and "event" not in data:
            # One that names its event is also raised from that request.
            self._dispatcher.emit("error", error_from_dict(data))
        elif event in PASSED_ON:
            self._dispatcher.emit(event, data)

    def end(self, error: Exception | None) -> None:
        """End all iterators, with `error` if there is one."""
        for messages in self.streams:
            messages.close(error)

    def _message(self, message: Message) -> None:
        new, gap = self._tracker.accept(message)
        if gap is not None:
            self._gap(gap)
        if not new:
            return
        self.received += 1
        for messages in tuple(self.streams):
            if messages.stream == message.stream_type:
                messages.push(message)
        self._dispatcher.emit("stream_data", message)
        self._dispatcher.emit(f"stream_{message.stream_type}", message)
        if message.symbol is not None:
            self._dispatcher.emit(f"symbol_{message.symbol}", message)

    def _gap(self, gap: Gap) -> None:
        self.gaps += 1
        for messages in tuple(self.streams):
            if messages.stream == gap.stream:
                messages.push(gap)
        self._dispatcher.emit("gap", gap)
