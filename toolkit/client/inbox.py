"""Where a client's events arrive: checked by the tracker, then to iterators and handlers."""

from __future__ import annotations

from typing import Any

from toolkit.client.dispatch import Dispatcher
from toolkit.client.iterator import MessageStream
from toolkit.client.latency import LatencyMeter
from toolkit.client.messages import Gap, Message
from toolkit.client.subscriptions import Subscriptions
from toolkit.client.tracker import Tracker
from toolkit.errors import AuthError, ToolkitError, WireError, error_from_dict

PASSED_ON = ("heartbeat", "config_changed", "alert")


class Inbox:
    """Takes each event of the server once, in order.

    `expelled` is the server's last word about our token on this connection.
    """

    def __init__(
        self,
        *,
        tracker: Tracker,
        dispatcher: Dispatcher,
        subscriptions: Subscriptions,
        meter: LatencyMeter,
    ) -> None:
        self.streams: set[MessageStream] = set()
        self.received = 0
        self.gaps = 0
        self.expelled: AuthError | None = None
        self._tracker = tracker
        self._dispatcher = dispatcher
        self._subscriptions = subscriptions
        self._meter = meter

    def receive(self, event: str, data: Any) -> None:
        """Handle one event; never blocks. What has no meaning raises what looking at it raises."""
        if event == "stream_data":
            self._message(Message(data), self._meter.arrival())
        elif event == "stream_batch":
            self._batch(data)
        elif event == "connected":
            self._connected(data)
        elif event == "subscription_confirmed":
            self._tracker.confirm(data["seq"])
            for stream in data["seq"]:
                self._meter.confirmed(stream)
        elif event == "gap":
            gap = Gap(data)
            if self._tracker.announced(gap):
                self._gap(gap)
        elif event == "error" and "event" not in data:
            # One that names its event is also raised from that request.
            self.problem(error_from_dict(data))
        elif event in PASSED_ON:
            self._dispatcher.emit(event, data)

    def problem(self, error: ToolkitError) -> None:
        """Tell the handlers of `error`."""
        if isinstance(error, AuthError):
            self.expelled = error
        self._dispatcher.emit("error", error)

    def end(self, error: Exception | None) -> None:
        """End all iterators, with `error` if there is one."""
        for messages in self.streams:
            messages.close(error)

    def _connected(self, data: Any) -> None:
        self.expelled = None
        self._meter.connected()
        for gap in self._tracker.start(data["epoch"]):
            self._gap(gap)

    def _batch(self, items: list[dict[str, Any]]) -> None:
        arrival = self._meter.arrival()
        for item in items:
            try:
                self._message(Message(item), arrival)
            except (KeyError, TypeError, ValueError) as error:
                problem = WireError("a message in a batch has no meaning")
                problem.__cause__ = error
                self.problem(problem)

    def _message(self, message: Message, arrival: float | None) -> None:
        self._meter.note(message, arrival)
        new, gap = self._tracker.accept(message)
        if gap is not None:
            self._gap(gap)
        stream = message["stream_type"]
        if not new or self._subscriptions.excludes(stream, message["symbol"]):
            return
        self.received += 1
        if self.streams:
            self._queue(stream, message)
        self._dispatcher.message(message)

    def _gap(self, gap: Gap) -> None:
        self.gaps += 1
        self._queue(gap.stream, gap)
        self._dispatcher.emit("gap", gap)

    def _queue(self, stream: str, item: Message | Gap) -> None:
        for messages in tuple(self.streams):
            if messages.stream == stream:
                messages.push(item)
