"""What a client gets when it subscribes, unsubscribes or resumes, before everything live."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from toolkit.bot.events import Event
from toolkit.streaming.hub.audience import Audiences
from toolkit.streaming.hub.frames import control, gap
from toolkit.streaming.hub.interest import Interest
from toolkit.streaming.hub.ring import Ring
from toolkit.streaming.hub.sequencer import Sequencer
from toolkit.streaming.hub.subscriber import ResumePoint, Subscriber
from toolkit.streaming.wire import Payload, Stream, payload, route


class Subscriptions:
    """Changes what clients want; each must be filled from its own mailbox when it asks."""

    def __init__(
        self, sequencer: Sequencer, rings: Mapping[Stream, Ring], audiences: Audiences
    ) -> None:
        self._sequencer = sequencer
        self._rings = rings
        self._audiences = audiences

    def add(
        self,
        found: Subscriber,
        streams: Collection[Stream],
        symbols: Collection[str] | None,
        snapshot: Iterable[Event | Payload],
    ) -> dict[str, Any]:
        """Queue the confirmation, missed messages, the snapshot; return the confirmation."""
        resumed = {s: found.resume.pop(s) for s in streams if s in found.resume}
        for stream in streams:
            found.interests.setdefault(stream, Interest()).add(symbols, self._sequencer.seq(stream))
        self._enlist(found)
        confirmation = {
            "stream_types": [stream.value for stream in streams],
            "symbols": None if symbols is None else list(symbols),
            "max_rate": found.max_rate,
            "epoch": self._sequencer.epoch,
            "seq": {s.value: self._start(s, resumed) for s in streams},
        }
        found.mailbox.push(control("subscription_confirmed", confirmation))
        for stream, point in resumed.items():
            self._replay(found, stream, point)
        self._push_snapshot(found, set(streams), symbols, snapshot)
        return confirmation

    def remove(
        self, found: Subscriber, streams: Collection[Stream], symbols: Collection[str] | None
    ) -> dict[str, Any]:
        """Throw away what is no longer wanted, queue the confirmation and return it."""
        for stream in streams:
            if interest := found.interests.get(stream):
                interest.remove(symbols)
                if not interest:
                    del found.interests[stream]
        self._enlist(found)
        found.mailbox.discard(lambda f: bool(f.stream and not found.wants(f.stream, f.symbol)))
        confirmation = {
            "stream_types": [stream.value for stream in streams],
            "symbols": None if symbols is None else list(symbols),
        }
        found.mailbox.push(control("unsubscription_confirmed", confirmation))
        return confirmation

    def resume(self, found: Subscriber, epoch: str, seq: Mapping[Stream, int]) -> None:
        """Queue what was missed after `seq`; for streams not subscribed to, remember it."""
        for stream, number in seq.items():
            known = epoch == self._sequencer.epoch
            point = ResumePoint(
                min(number, self._sequencer.seq(stream)) if known else number, known
            )
            if stream in found.interests:
                self._replay(found, stream, point)
            else:
                found.resume[stream] = point

    def _enlist(self, client: Subscriber) -> None:
        self._audiences.remove(client.mailbox, client.wishes)
        client.wishes = client.wish()
        self._audiences.add(client.mailbox, client.wishes)

    def _start(self, stream: Stream, resumed: Mapping[Stream, ResumePoint]) -> int:
        point = resumed.get(stream)
        return point.seq if point is not None and point.known else self._sequencer.seq(stream)

    def _replay(self, client: Subscriber, stream: Stream, point: ResumePoint) -> None:
        ring, interest = self._rings[stream], client.interests[stream]
        if not point.known:
            client.mailbox.push(gap(stream, point.seq + 1, None, "restart"))
            return
        if point.seq < ring.expired:
            client.mailbox.push(gap(stream, point.seq + 1, ring.expired, "expired"))
        for frame in ring.after(point.seq):
            since = interest.since(frame.symbol)
            if since is not None and frame.seq <= since:
                client.mailbox.push(replace(frame, created=0.0))
        interest.rewind(point.seq)

    def _push_snapshot(
        self,
        client: Subscriber,
        streams: Collection[Stream],
        symbols: Collection[str] | None,
        events: Iterable[Event | Payload],
    ) -> None:
        for event in events:
            stream, symbol = route(event)
            wanted = symbols is None or symbol is None or symbol in symbols
            if wanted and stream in streams:
                client.mailbox.push(self._sequencer.snapshot(payload(event)))
