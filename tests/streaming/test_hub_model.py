"""Arbitrary schedules of publish, subscribe, lag, drop and resume, against a plain model.

Nothing lost unless announced, nothing twice, nothing unasked, order kept, queues bounded.
"""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.streaming.fakes import START, account, evaluation, position, quote
from toolkit.bot.events import Event
from toolkit.streaming.hub import Hub
from toolkit.streaming.wire import Stream, payload

SYMBOLS = ("AAPL", "MSFT", "SPY")
STREAMS = (Stream.MARKET_DATA, Stream.POSITIONS, Stream.ACCOUNT)
QUEUE, RING = 8, 12

streams = st.lists(st.sampled_from(STREAMS), min_size=1, max_size=3, unique=True)
symbols = st.none() | st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=2, unique=True)


class Receiver:
    """A client as it should be: remembers what it has, checks what comes."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.connections = 0
        self.wanted: dict[Stream, set[str] | None] = {}
        self.since: dict[tuple[Stream, str | None], int] = {}
        self.newest: dict[Stream, int] = {}
        self.got: dict[Stream, set[int]] = {stream: set() for stream in STREAMS}
        self.announced: dict[Stream, set[int]] = {stream: set() for stream in STREAMS}
        self.top: dict[Stream, int] = {}
        self.base: dict[Stream, int] = {}
        self.connect()

    @property
    def name(self) -> str:
        return f"connection {self.connections}"

    def connect(self) -> None:
        self.connections += 1
        self.top, self.base = {}, {}
        self.hub.attach(self.name, wake=lambda: None)

    def ask_for(
        self, streams: list[Stream], symbols: list[str] | None, snapshot: list[Event]
    ) -> None:
        answer = self.hub.subscribe(self.name, streams, symbols, snapshot=snapshot)
        for name, seq in answer["seq"].items():
            self.newest.setdefault(Stream(name), seq)
            self.base.setdefault(Stream(name), seq)

    def wants(self, stream: Stream, symbol: str | None) -> bool:
        if stream not in self.wanted:
            return False
        chosen = self.wanted[stream]
        return chosen is None or symbol is None or symbol in chosen

    def take(self, limit: int) -> None:
        for frame in self.hub.take(self.name, limit):
            self.receive(*orjson.loads(frame.text[1:]))

    def receive(self, event: str, body: dict[str, Any]) -> None:
        if event == "gap":
            stream = Stream(body["stream"])
            self.announced[stream].update(range(body["from"], body["to"] + 1))
            self.advance(stream, body["to"])
        elif event == "subscription_confirmed":
            for name, seq in body["seq"].items():
                self.advance(Stream(name), seq)
        elif event == "stream_data":
            self.receive_message(body)

    def receive_message(self, body: dict[str, Any]) -> None:
        stream, seq = Stream(body["stream_type"]), body["seq"]
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

    def drained(self) -> bool:
        return self.hub.due_in(self.name) is None


class HubMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.now = 0.0
        self.hub = Hub(
            epoch="e",
            clock=lambda: START,
            monotonic=lambda: self.now,
            ring_size=RING,
            queue_size=QUEUE,
        )
        self.log: dict[Stream, list[tuple[str | None, str | None]]] = {s: [] for s in STREAMS}
        self.clients = [Receiver(self.hub), Receiver(self.hub)]
        self.clients[1].connections = 100
        self.hub.detach("connection 1")
        for client in self.clients:
            client.hub.attach(client.name, wake=lambda: None)

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

    @rule(count=st.integers(1, 30))
    def publish_account(self, count: int) -> None:
        for _ in range(count):
            self.publish(account())

    @rule(which=st.integers(0, 1), streams=streams, symbols=symbols)
    def subscribe(self, which: int, streams: list[Stream], symbols: list[str] | None) -> None:
        client = self.clients[which]
        self.drain(client)
        now = {stream: self.hub.seq(stream) for stream in streams}
        snapshot = [position("AAPL"), account()]
        client.ask_for(streams, symbols, snapshot)
        for stream in streams:
            before = client.wanted.get(stream, set())
            for symbol in (*SYMBOLS, None):
                named = symbols is None or symbol is None or symbol in symbols
                if named and not client.wants(stream, symbol):
                    client.since[stream, symbol] = now[stream]
            everything = symbols is None or before is None
            client.wanted[stream] = None if everything else {*before, *(symbols or ())}

    @rule(which=st.integers(0, 1), streams=streams)
    def unsubscribe(self, which: int, streams: list[Stream]) -> None:
        client = self.clients[which]
        self.drain(client)
        self.hub.unsubscribe(client.name, streams)
        for stream in streams:
            client.wanted.pop(stream, None)
            client.newest.pop(stream, None)
            client.base.pop(stream, None)

    @rule(which=st.integers(0, 1), limit=st.integers(1, 10))
    def take_some(self, which: int, limit: int) -> None:
        self.clients[which].take(limit)

    @rule(which=st.integers(0, 1), rate=st.sampled_from([1.0, 10.0]))
    def limit_rate(self, which: int, rate: float) -> None:
        client = self.clients[which]
        if client.wanted:
            stream = next(iter(client.wanted))
            chosen = client.wanted[stream]
            wanted = None if chosen is None else sorted(chosen)
            self.hub.subscribe(client.name, [stream], wanted, max_rate=rate)

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

    @rule(which=st.integers(0, 1), backlog=st.integers(0, 20))
    def drop_and_resume(self, which: int, backlog: int) -> None:
        client = self.clients[which]
        self.hub.detach(client.name)
        for _ in range(backlog):
            self.publish(position("AAPL"))
        client.connect()
        self.hub.resume(client.name, "e", dict(client.newest))
        for stream, chosen in client.wanted.items():
            client.ask_for([stream], None if chosen is None else sorted(chosen), [])

    @rule(which=st.integers(0, 1), back=st.integers(0, 5))
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

    @rule(which=st.integers(0, 1))
    def drain_and_compare(self, which: int) -> None:
        client = self.clients[which]
        self.drain(client)
        for stream in client.wanted:
            for seq, (symbol, conflate) in enumerate(self.log[stream], start=1):
                due = seq > client.since.get((stream, symbol), seq)
                if conflate is None and due and client.wants(stream, symbol):
                    known = seq in client.got[stream] or seq in client.announced[stream]
                    assert known, f"lost without a word: {stream} {seq}"

    def drain(self, client: Receiver) -> None:
        self.hub.release()
        while not client.drained():
            self.now += 1.0
            client.take(7)

    @invariant()
    def queues_are_bounded(self) -> None:
        if hasattr(self, "hub"):
            keys, control = len(SYMBOLS), 256
            for client in self.clients:
                assert self.hub.waiting(client.name) <= QUEUE + QUEUE // 8 + keys + control


HubMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestHub = HubMachine.TestCase
