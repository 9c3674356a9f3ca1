"""Arbitrary schedules of publish, subscribe, lag, drop and resume, against a plain model.

Nothing lost unless announced, nothing twice, nothing unasked, order kept, queues bounded; whether
a client has its own mailbox or shares one, and whenever it changes between the two.
"""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.effort import tries
from tests.streaming.fakes import START, account, evaluation, position, quote
from toolkit.bot.events import Event
from toolkit.streaming.hub.frames import Frame
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.wire import Stream, payload

SYMBOLS = ("AAPL", "MSFT", "SPY")
STREAMS = (Stream.MARKET_DATA, Stream.POSITIONS, Stream.ACCOUNT)
QUEUE, RING, CLIENTS = 24, 12, 3

streams = st.lists(st.sampled_from(STREAMS), min_size=1, max_size=3, unique=True)
some_symbols = st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=2, unique=True)
symbols = st.none() | some_symbols
which = st.integers(0, CLIENTS - 1)


class Wanted:
    """What a client asked of one stream: named symbols, or everything with exceptions."""

    def __init__(self) -> None:
        self.everything = False
        self.symbols: set[str] = set()

    def __contains__(self, symbol: str | None) -> bool:
        return symbol is None or (symbol in self.symbols) != self.everything

    def __bool__(self) -> bool:
        return self.everything or bool(self.symbols)

    def add(self, symbols: list[str] | None) -> None:
        if symbols is None:
            self.everything, self.symbols = True, set()
        elif self.everything:
            self.symbols -= set(symbols)
        else:
            self.symbols |= set(symbols)

    def remove(self, symbols: list[str] | None) -> None:
        if symbols is None:
            self.everything, self.symbols = False, set()
        elif self.everything:
            self.symbols |= set(symbols)
        else:
            self.symbols -= set(symbols)


class Receiver:
    """A client as it should be: remembers what it has, checks what comes.

    `room` is how many more frames its socket takes; `express`: it shares a mailbox when it can.
    """

    def __init__(self, hub: Hub, number: int) -> None:
        self.hub = hub
        self.number = number
        self.connections = 0
        self.room = 10_000
        self.express = True
        self.wanted: dict[Stream, Wanted] = {}
        self.since: dict[tuple[Stream, str | None], int] = {}
        self.newest: dict[Stream, int] = {}
        self.got: dict[Stream, set[int]] = {stream: set() for stream in STREAMS}
        self.announced: dict[Stream, set[int]] = {stream: set() for stream in STREAMS}
        self.top: dict[Stream, int] = {}
        self.base: dict[Stream, int] = {}
        self.pongs = 0
        self.connect(batch=False)

    @property
    def name(self) -> str:
        return f"client {self.number}, connection {self.connections}"

    def connect(self, *, batch: bool) -> None:
        self.connections += 1
        self.top, self.base, self.pongs = {}, {}, 0
        self.hub.attach(self.name, wake=lambda: None, batch=batch)

    def ask_for(
        self, streams: list[Stream], symbols: list[str] | None, snapshot: list[Event]
    ) -> None:
        answer = self.hub.subscribe(self.name, streams, symbols, snapshot=snapshot)
        for name, seq in answer["seq"].items():
            self.newest.setdefault(Stream(name), seq)
            self.base.setdefault(Stream(name), seq)

    def wants(self, stream: Stream, symbol: str | None) -> bool:
        return stream in self.wanted and symbol in self.wanted[stream]

    def take(self, limit: int) -> None:
        for frame in self.hub.take(self.name, limit):
            self.receive(frame)

    def write(self, frames: list[Frame]) -> list[Frame]:
        """Take as many as there is room for; return the others."""
        taken, rest = frames[: self.room], frames[self.room :]
        self.room -= len(taken)
        for frame in taken:
            self.receive(frame)
        return rest

    def receive(self, frame: Frame) -> None:
        event, body = orjson.loads(frame.text[1:])
        if event == "gap":
            stream = Stream(body["stream"])
            self.announced[stream].update(range(body["from"], body["to"] + 1))
            self.advance(stream, body["to"])
        elif event == "subscription_confirmed":
            for name, seq in body["seq"].items():
                self.advance(Stream(name), seq)
        elif event == "pong":
            assert body["number"] == self.pongs + 1, "answers out of order"
            self.pongs += 1
            for name, seq in body["sent"].items():
                assert self.top.get(Stream(name), 0) <= seq, "a message overtook an answer"
        elif event == "stream_data":
            self.receive_message(body)

    def receive_message(self, body: dict[str, Any]) -> None:
        stream, seq = Stream(body["stream_type"]), body["seq"]
        assert not self.hub.paused, "while held"
        assert self.wants(stream, body["symbol"]), f"unasked: {body}"
        assert seq >= self.top.get(stream, 0), "out of order"
        self.top[stream] = seq
        self.advance(stream, seq)
        if body.get("snapshot"):
            return
        assert seq not in self.got[stream], "twice"
        self.got[stream].add(seq)

    def advance(self, stream: Stream, seq: int) -> None:
        self.newest[stream] = max(self.newest.get(stream, 0), seq)


class HubMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.now = 0.0
        self.sent: dict[str, int] = {}
        self.hub = Hub(
            epoch="e",
            clock=lambda: START,
            monotonic=lambda: self.now,
            ring_size=RING,
            queue_size=QUEUE,
        )
        self.log: dict[Stream, list[tuple[str | None, str | None]]] = {s: [] for s in STREAMS}
        self.clients = [Receiver(self.hub, number) for number in range(CLIENTS)]
        self.all_subscribe_alike(list(STREAMS), None)
        for client in self.clients:
            self.drain(client)

    def publish(self, event: Event) -> None:
        item = payload(event)
        self.log[item.stream].append((item.symbol, item.conflate))
        self.hub.publish(event)

    @rule(symbol=st.sampled_from(SYMBOLS), count=st.integers(1, 12))
    def publish_quotes(self, symbol: str, count: int) -> None:
        for _ in range(count):
            self.publish(quote(symbol))

    @rule(symbol=st.sampled_from(SYMBOLS), count=st.integers(1, 6))
    def publish_lossless(self, symbol: str, count: int) -> None:
        for _ in range(count):
            self.publish(evaluation(symbol))
            self.publish(position(symbol))

    @rule(count=st.integers(1, 40))
    def publish_account(self, count: int) -> None:
        for _ in range(count):
            self.publish(account())

    @rule(streams=streams, symbols=symbols)
    def all_subscribe(self, streams: list[Stream], symbols: list[str] | None) -> None:
        self.all_subscribe_alike(streams, symbols)

    def all_subscribe_alike(self, streams: list[Stream], symbols: list[str] | None) -> None:
        for number in range(CLIENTS):
            self.subscribe(number, streams, symbols)

    @rule(which=which, streams=streams, symbols=symbols)
    def one_subscribes(self, which: int, streams: list[Stream], symbols: list[str] | None) -> None:
        self.subscribe(which, streams, symbols)

    def subscribe(self, which: int, streams: list[Stream], symbols: list[str] | None) -> None:
        client = self.clients[which]
        now = {stream: self.hub.seq(stream) for stream in streams}
        snapshot = [position("AAPL"), account()]
        client.ask_for(streams, symbols, snapshot)
        for stream in streams:
            before = {s for s in (*SYMBOLS, None) if client.wants(stream, s)}
            client.wanted.setdefault(stream, Wanted()).add(symbols)
            for symbol in (*SYMBOLS, None):
                if symbol not in before and client.wants(stream, symbol):
                    client.since[stream, symbol] = now[stream]

    @rule(which=which, streams=streams, symbols=symbols)
    def unsubscribe(self, which: int, streams: list[Stream], symbols: list[str] | None) -> None:
        client = self.clients[which]
        self.hub.unsubscribe(client.name, streams, symbols)
        for stream in streams:
            if stream not in client.wanted:
                continue
            client.wanted[stream].remove(symbols)
            client.base[stream] = self.hub.seq(stream)
            if not client.wanted[stream]:
                client.wanted.pop(stream)
                client.newest.pop(stream, None)
                client.base.pop(stream, None)

    @rule(which=which, limit=st.integers(1, 10))
    def take_some(self, which: int, limit: int) -> None:
        self.clients[which].take(limit)

    @rule(room=st.lists(st.none() | st.integers(0, 6), min_size=CLIENTS, max_size=CLIENTS))
    def drain_sockets(self, room: list[int | None]) -> None:
        """A turn of the delivery's loop; each socket has `room` for so many frames."""
        for client, frames in zip(self.clients, room, strict=True):
            client.room = 10_000 if frames is None else frames
        self.collect()
        for client in self.clients:
            if client.room:
                client.take(client.room)

    @rule(which=which)
    def go_plain_or_express(self, which: int) -> None:
        self.clients[which].express = not self.clients[which].express
        self.hub.leave(self.clients[which].name)

    @rule(which=which)
    def join_at_any_time(self, which: int) -> None:
        self.hub.join(self.clients[which].name)

    @rule(which=which, symbol=st.sampled_from(SYMBOLS))
    def stray(self, which: int, symbol: str) -> None:
        """One goes ahead of the others, and wants to share again."""
        client = self.clients[which]
        self.hub.leave(client.name)
        self.publish(position(symbol))
        client.take(1000)
        self.hub.join(client.name)

    @rule(which=which)
    def answer(self, which: int) -> None:
        client = self.clients[which]
        number = self.sent[client.name] = self.sent.get(client.name, 0) + 1
        sent = {stream.value: self.hub.seq(stream) for stream in STREAMS}
        self.hub.send(client.name, "pong", {"number": number, "sent": sent})

    @rule()
    def broadcast(self) -> None:
        self.hub.broadcast("heartbeat", {})

    @rule(which=which, rate=st.sampled_from([1.0, 10.0, 1e9]))
    def limit_rate(self, which: int, rate: float) -> None:
        client = self.clients[which]
        if client.wanted:
            stream, wanted = next(iter(client.wanted.items()))
            named = [symbol for symbol in SYMBOLS if symbol in wanted]
            self.hub.subscribe(client.name, [stream], named, max_rate=rate)

    @rule(seconds=st.sampled_from([0.0, 0.5]))
    def limit_all(self, seconds: float) -> None:
        self.hub.set_min_interval(seconds)

    @rule(seconds=st.sampled_from([0.05, 0.5, 2.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: not self.hub.paused)
    @rule()
    def hold(self) -> None:
        self.hub.hold()

    @precondition(lambda self: self.hub.paused)
    @rule()
    def release(self) -> None:
        self.hub.release()

    @rule(which=which, backlog=st.integers(0, 20), batch=st.booleans())
    def drop_and_resume(self, which: int, backlog: int, batch: bool) -> None:
        client = self.clients[which]
        self.hub.detach(client.name)
        for _ in range(backlog):
            self.publish(position("AAPL"))
        client.connect(batch=batch)
        self.hub.resume(client.name, "e", {s: client.newest[s] for s in client.wanted})
        for stream, wanted in list(client.wanted.items()):
            named = [symbol for symbol in SYMBOLS if symbol in wanted]
            if wanted.everything and wanted.symbols:
                wanted.everything, wanted.symbols = False, set(named)
            if wanted:
                client.ask_for([stream], None if wanted.everything else named, [])
            else:
                del client.wanted[stream]

    @rule(which=which, back=st.integers(0, 5))
    def resume_once_more(self, which: int, back: int) -> None:
        client = self.clients[which]
        self.drain(client)
        for stream in client.wanted:
            unheard = 0 if client.got[stream] else back
            client.base[stream] = max(0, client.base[stream] - unheard)
            client.top[stream] = 0
            for _ in range(2):
                self.hub.resume(client.name, "e", {stream: client.base[stream]})
        self.drain(client)

    @rule(which=which)
    def drain_and_compare(self, which: int) -> None:
        client = self.clients[which]
        self.drain(client)
        assert client.pongs == self.sent.get(client.name, 0), "an answer was lost"
        for stream in client.wanted:
            for seq, (symbol, conflate) in enumerate(self.log[stream], start=1):
                due = seq > client.since.get((stream, symbol), seq)
                if conflate is None and due and client.wants(stream, symbol):
                    known = seq in client.got[stream] or seq in client.announced[stream]
                    assert known, f"lost without a word: {stream} {seq}"

    def collect(self) -> None:
        by_name = {client.name: client for client in self.clients}
        for parcel in self.hub.collect():
            for name in parcel.members:
                rest = by_name[name].write(parcel.frames)
                if rest or not by_name[name].room:
                    self.hub.leave(name, rest)
        for client in self.clients:
            if client.express and client.room:
                self.hub.join(client.name)

    def drain(self, client: Receiver) -> None:
        self.hub.release()
        client.room = 10_000
        self.collect()
        while self.hub.due_in(client.name) is not None:
            self.now += 1.0
            client.take(7)
        assert not self.hub.waiting(client.name)

    @invariant()
    def queues_are_bounded(self) -> None:
        if hasattr(self, "hub"):
            keys, control = len(SYMBOLS), 256
            for client in self.clients:
                assert self.hub.waiting(client.name) <= QUEUE + QUEUE // 8 + keys + control


HubMachine.TestCase.settings = settings(
    max_examples=tries(60), stateful_step_count=40, deadline=None
)
TestHub = HubMachine.TestCase
