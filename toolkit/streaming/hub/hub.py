"""The hub: numbers messages, keeps what must not be lost, and fills the clients' mailboxes.

Pure and synchronous: no sockets, no tasks, no locks. All calls come from one event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from toolkit.bot.events import Event
from toolkit.errors import ConfigError, WireError
from toolkit.streaming.hub.audience import Audiences
from toolkit.streaming.hub.cohorts import Cohorts, Parcel
from toolkit.streaming.hub.frames import Frame, control, gap
from toolkit.streaming.hub.mailbox import Counters, Mailbox
from toolkit.streaming.hub.ring import Ring
from toolkit.streaming.hub.sequencer import Sequencer
from toolkit.streaming.hub.subscriber import Subscriber
from toolkit.streaming.hub.subscriptions import Subscriptions
from toolkit.streaming.wire import Payload, Stream, payload


class Hub:
    """Fan-out of the bot's events.

    `epoch` names this start of the server; `clock` gives the wall time, UTC-aware; `ring_size`
    messages of each stream are kept for `resume`; `queue_size` may wait for one client.
    """

    def __init__(
        self,
        *,
        epoch: str,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        ring_size: int = 10_000,
        queue_size: int = 10_000,
    ) -> None:
        if ring_size < 1 or queue_size < 8:
            raise ConfigError(
                f"ring_size is {ring_size} and queue_size {queue_size}; allowed: from 1 and from 8",
                field="ring_size",
            )
        self.epoch = epoch
        self.counters = Counters()
        self._sequencer = Sequencer(epoch=epoch, clock=clock, monotonic=monotonic)
        self._monotonic = monotonic
        self._queue_size = queue_size
        self._rings = {stream: Ring(ring_size) for stream in Stream}
        self._clients: dict[str, Subscriber] = {}
        self._audiences = Audiences()
        self._cohorts = Cohorts(self._audiences, self._new_mailbox)
        self._subscriptions = Subscriptions(self._sequencer, self._rings, self._audiences)
        self.min_interval = 0.0
        self.paused = False

    def seq(self, stream: Stream) -> int:
        """Return the number of the stream's latest message, 0 before the first."""
        return self._sequencer.seq(stream)

    def publish(self, event: Event | Payload) -> None:
        """Number one event and hand it to every client that wants it; never blocks."""
        item = payload(event)
        if item.conflate is None or self._audiences.wanted(item.stream, item.symbol):
            self._fan_out(self._sequencer.frame(item))
        else:
            self._sequencer.skip(item)
        self.counters.published += 1

    def accept(self, frame: Frame) -> None:
        """Hand on a frame that was numbered elsewhere in this epoch; never blocks.

        The hub's numbers follow it, and it is kept for `resume` where it must not be lost.
        """
        self._sequencer.follow(frame)
        self._fan_out(frame)
        self.counters.published += 1

    def begin(
        self, seq: Mapping[Stream, int], last: Mapping[tuple[Stream, str | None], int]
    ) -> None:
        """Go on from numbers given elsewhere: of each stream, and of each stream and symbol."""
        self._sequencer.begin(seq, last)

    def forget(self, stream: Stream, up_to: int) -> None:
        """Note that messages up to that number are not known here: who resumes gets a gap."""
        self._rings[stream].forget(up_to)

    def lose(self, stream: Stream, first: int, last: int) -> None:
        """Announce to all who want the stream that messages `first` to `last` will not come."""
        self.forget(stream, last)
        announcement = gap(stream, first, last, "outage")
        for mailbox, wants in self._mailboxes():
            if stream in wants:
                mailbox.push(announcement)
                self.counters.gaps += mailbox.receivers

    def attach(self, client: str, *, wake: Callable[[], None], batch: bool = False) -> None:
        """Open a mailbox for a client; `wake` is called when something is put into it.

        `batch`: the client reads many messages in one event.
        """
        found = Subscriber(client, self._new_mailbox(wake), batch=batch)
        self._clients[client] = found
        self._set_interval(found)

    def detach(self, client: str) -> None:
        """Forget a client and all that waits for it."""
        if found := self._clients.pop(client, None):
            self._cohorts.leave(found)
            self._audiences.remove(found.mailbox, found.wishes)

    def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever there is something to collect again."""
        self._cohorts.wake = wake

    def join(self, client: str) -> bool:
        """Let a client that keeps up share a mailbox with those that want the same.

        False while something waits for it or it has a rate limit. From then on its messages come
        from `collect`; whatever concerns the client alone brings it back to `take`.
        """
        found = self._clients.get(client)
        return found is not None and self._cohorts.join(found)

    def leave(self, client: str, undelivered: Sequence[Frame] = ()) -> None:
        """Bring a client back to its own mailbox, with what was collected but not written."""
        found = self._clients.get(client)
        if found is not None and found.cohort is not None:
            self.counters.delivered -= sum(1 for frame in undelivered if frame.stream)
            self._cohorts.leave(found, undelivered)

    def collect(self) -> Iterator[Parcel]:
        """Remove and return what is to be written now to clients that have joined."""
        return self._cohorts.collect()

    def send(self, client: str, event: str, data: Mapping[str, Any]) -> None:
        """Queue one control event, in order with the client's messages."""
        if found := self._clients.get(client):
            self._cohorts.leave(found)
            found.mailbox.push(control(event, data, urgent=True))

    def broadcast(self, event: str, data: Mapping[str, Any]) -> None:
        """Queue one control event for every client."""
        frame = control(event, data, urgent=True)
        for mailbox, _ in self._mailboxes():
            mailbox.push(frame)

    def take(self, client: str, limit: int) -> list[Frame]:
        """Remove and return what the client may get now, about `limit` frames at most."""
        found = self._clients.get(client)
        return found.mailbox.take(limit) if found else []

    def due_in(self, client: str) -> float | None:
        """Seconds until `take` has something, None when nothing waits."""
        found = self._clients.get(client)
        return found.mailbox.due_in() if found else None

    def waiting(self, client: str) -> int:
        """Return how many frames wait for the client."""
        found = self._clients.get(client)
        if found is None:
            return 0
        return len(found.cohort.mailbox if found.cohort else found.mailbox)

    def paced(self, client: str) -> bool:
        """Whether the client's values wait on purpose: it has a rate limit."""
        found = self._clients.get(client)
        return found is not None and found.mailbox.interval > 0

    def subscriptions(self, client: str) -> list[str]:
        """Return the names of the streams the client is subscribed to."""
        found = self._clients.get(client)
        return [stream.value for stream in found.interests] if found else []

    def wants(self, client: str, symbol: str) -> bool:
        """Whether the client is subscribed to any stream of a symbol."""
        found = self._clients.get(client)
        return found is not None and any(found.wants(s, symbol) for s in found.interests)

    def subscribe(
        self,
        client: str,
        streams: Collection[Stream],
        symbols: Collection[str] | None = None,
        *,
        max_rate: float | None = None,
        snapshot: Iterable[Event | Payload] = (),
    ) -> dict[str, Any]:
        """Queue the confirmation, missed messages, the snapshot; then everything live.

        Returns what `subscription_confirmed` carries: its `seq` says for each stream that what
        comes after that number will be delivered, or announced as lost. `max_rate` (Hz) stays as
        it was when None.
        """
        found = self._asking(client)
        if max_rate is not None:
            found.max_rate = max_rate
            self._set_interval(found)
        return self._subscriptions.add(found, streams, symbols, snapshot)

    def unsubscribe(
        self, client: str, streams: Collection[Stream], symbols: Collection[str] | None = None
    ) -> dict[str, Any]:
        """Stop delivery, queue the confirmation and return what it carries."""
        return self._subscriptions.remove(self._asking(client), streams, symbols)

    def resume(self, client: str, epoch: str, seq: Mapping[Stream, int]) -> None:
        """Deliver what was missed after `seq`, or the gap where it is no longer known.

        For streams the client is subscribed to, at once; for others, when it subscribes.
        """
        self._subscriptions.resume(self._asking(client), epoch, seq)

    def set_min_interval(self, seconds: float) -> None:
        """Give every client's conflatable messages at least this distance; 0 = none."""
        self.min_interval = seconds
        for client in self._clients.values():
            self._set_interval(client)

    def hold(self) -> None:
        """Hold all streams back; meanwhile mailboxes conflate and stay bounded."""
        self._hold(True)

    def release(self) -> None:
        """Let what was held back flow."""
        self._hold(False)

    def _hold(self, paused: bool) -> None:
        self.paused = paused
        for client in self._clients.values():
            client.mailbox.paused = paused
        for cohort in self._cohorts:
            cohort.mailbox.paused = paused

    def _asking(self, client: str) -> Subscriber:
        found = self._clients[client]
        if found.mailbox.congested:
            raise WireError("too many requests wait for an answer; read what was sent first")
        self._cohorts.leave(found)
        return found

    def _set_interval(self, client: Subscriber) -> None:
        own = 1.0 / client.max_rate if client.max_rate else 0.0
        interval = max(own, self.min_interval)
        if interval:
            self._cohorts.leave(client)
        client.mailbox.interval = interval

    def _new_mailbox(self, wake: Callable[[], None]) -> Mailbox:
        mailbox = Mailbox(
            size=self._queue_size, wake=wake, monotonic=self._monotonic, counters=self.counters
        )
        mailbox.paused = self.paused
        return mailbox

    def _mailboxes(self) -> Iterator[tuple[Mailbox, Collection[Stream]]]:
        """All mailboxes that are filled now, each with the streams that it is filled from."""
        for cohort in self._cohorts:
            yield cohort.mailbox, [stream for stream, _ in cohort.wishes]
        for client in self._clients.values():
            if client.cohort is None:
                yield client.mailbox, client.interests

    def _fan_out(self, frame: Frame) -> None:
        assert frame.stream is not None, "control events are sent, not published"
        if frame.conflate is None:
            self._rings[frame.stream].append(frame)
        self._audiences.push(frame.stream, frame)
