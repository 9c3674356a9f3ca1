"""Owner and workers under arbitrary outages, lost answers, lost memory, restarts and overflow.

Whatever happens: no lossless message is missing unless announced, none comes twice, order is
kept, all workers agree with the owner, and a snapshot fits its live tail.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from decimal import Decimal
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.effort import tries
from tests.streaming.fakes import START, account, bar, evaluation, position, quote
from toolkit.bot.events import Event
from toolkit.errors import RelayError
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.hub.sequencer import Sequencer
from toolkit.streaming.relay.follower import Follower
from toolkit.streaming.relay.memory import MemoryRelay
from toolkit.streaming.relay.port import Batch
from toolkit.streaming.relay.publisher import Publisher
from toolkit.streaming.relay.state import State
from toolkit.streaming.wire import Stream, payload

STREAMS = (Stream.MARKET_DATA, Stream.POSITIONS, Stream.ACCOUNT)
RING, LOG, LOOSE = 6, 10, 4
WORKERS = ("one", "two")


class Client:
    """Collects what it is told on whichever worker it is connected to, and checks each message."""

    def __init__(self) -> None:
        self.top = dict.fromkeys(STREAMS, 0)
        self.got: dict[Stream, list[int]] = defaultdict(list)
        self.announced: dict[Stream, set[int]] = defaultdict(set)

    def read(self, hub: Hub, name: str) -> None:
        for frame in hub.take(name, 1_000):
            event, body = orjson.loads(frame.text[1:])
            if event == "gap":
                stream = Stream(body["stream"])
                self.announced[stream] |= set(range(body["from"], body["to"] + 1))
                self.top[stream] = max(self.top[stream], body["to"])
            elif event == "stream_data" and not body.get("snapshot"):
                stream = Stream(body["stream_type"])
                assert body["seq"] > self.top[stream], "twice, or out of order"
                self.top[stream] = body["seq"]
                if frame.conflate is None:
                    self.got[stream].append(body["seq"])


class Worker:
    def __init__(self, model: ClusterModel) -> None:
        self.hub = Hub(epoch="e1", clock=lambda: START, ring_size=RING, queue_size=10_000)
        self.controls: dict[str, Any] = {}
        self.model = model
        self.follower = Follower(
            model.relay, hub=self.hub, join=self._join, on_controls=self._set_controls
        )
        self.started = False

    async def _join(self) -> State:
        if self.model.relay.away:
            raise RelayError("away")
        return State.from_dict(orjson.loads(orjson.dumps(self.model.owner.state.to_dict())))

    def _set_controls(self, controls: Any) -> None:
        self.controls = dict(controls)

    async def step(self) -> None:
        try:
            if not self.started:
                await self.follower.start()
                self.started = True
            await self.follower.step(wait=0)
        except RelayError:
            pass


class ClusterModel(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.relay = MemoryRelay(size=LOG)
        self.owner = Publisher(
            relay=self.relay,
            sequencer=Sequencer(epoch="e1", clock=lambda: START),
            clock=lambda: START,
            monotonic=lambda: 0.0,
            ring_size=RING,
            loose=LOOSE,
        )
        self.events: list[Event] = []
        self.published: dict[Stream, list[int]] = {stream: [] for stream in STREAMS}
        self.workers = {name: Worker(self) for name in WORKERS}
        self.clients = {name: Client() for name in WORKERS}
        self.at: dict[str, str | None] = dict.fromkeys(WORKERS)
        self.connections = 0

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            try:
                self.recover()
            finally:
                self.runner.close()

    @rule(
        kind=st.sampled_from([quote, bar, evaluation, position, account]),
        symbol=st.sampled_from(["AAPL", "MSFT"]),
        price=st.integers(1, 99),
        count=st.integers(1, 9),
    )
    def publish(self, kind: Any, symbol: str, price: int, count: int) -> None:
        for n in range(count):
            if kind is account:
                event = account(price + n)
            elif kind is bar:
                event = bar(symbol, price=price + n, final=False)
            else:
                event = kind(symbol, price=price + n)
            self.owner.publish(event)
            self.events.append(event)
            item = payload(event)
            self.published[item.stream].append(int(item.conflate is None))

    @rule()
    def flatten(self) -> None:
        held = position("AAPL")
        closed = type(held)(
            **{f: getattr(held, f) for f in held.__slots__ if f != "quantity"}, quantity=Decimal(0)
        )
        self.owner.publish(closed)
        self.events.append(closed)
        self.published[Stream.POSITIONS].append(1)

    @rule(count=st.integers(1, 3), deaf=st.booleans())
    def send(self, count: int, deaf: bool) -> None:
        for _ in range(count):
            self.relay.deaf = deaf
            try:
                if self.owner.backlog.waiting:
                    self.runner.run(self.owner.step())
            except RelayError:
                pass
            self.relay.deaf = False

    @rule()
    def pulse(self) -> None:
        self.owner.pulse()

    @rule(value=st.integers(0, 3))
    def control(self, value: int) -> None:
        self.owner.control({"streaming_interval": value})

    @rule(away=st.booleans())
    def outage(self, away: bool) -> None:
        self.relay.away = away

    @rule(share=st.floats(0, 1))
    def lose_memory(self, share: float) -> None:
        self.relay.forget(int(self.relay._end() * share))

    @rule(name=st.sampled_from(WORKERS))
    def follow(self, name: str) -> None:
        self.runner.run(self.workers[name].step())
        self.read_all()

    @rule(name=st.sampled_from(WORKERS))
    def restart(self, name: str) -> None:
        self.workers[name] = Worker(self)
        for client, worker in self.at.items():
            if worker == name:
                self.at[client] = None

    @rule(client=st.sampled_from(WORKERS), to=st.sampled_from(WORKERS))
    def connect(self, client: str, to: str) -> None:
        self._connect(client, to)

    def _connect(self, client: str, to: str) -> None:
        worker, self.connections = self.workers[to], self.connections + 1
        found = self.clients[client]
        if not worker.started:
            return
        if any(worker.hub.seq(stream) < found.top[stream] for stream in STREAMS):
            return  # the server lets it wait until its worker is as far: `Follower.reached`
        self.read_all()
        if (before := self.at[client]) is not None:
            self.workers[before].hub.detach(client)
        hub = worker.hub
        hub.attach(client, wake=lambda: None)
        hub.resume(client, "e1", dict(found.top))
        hub.subscribe(client, STREAMS, snapshot=worker.follower.state.payloads())
        self.at[client] = to
        found.read(hub, client)

    def read_all(self) -> None:
        for client, worker in self.at.items():
            if worker is not None:
                self.clients[client].read(self.workers[worker].hub, client)

    @invariant()
    def the_backlog_is_bounded(self) -> None:
        if hasattr(self, "owner"):
            assert len(self.owner.backlog) <= RING * len(STREAMS) + RING + LOOSE + 10

    def recover(self) -> None:
        """All comes back; then everybody must know everything, or know what is missing."""
        self.relay.away = False
        self.owner.pulse()
        for _ in range(4):
            while self.owner.backlog.waiting:
                self.send(1, deaf=False)
            self.owner.pulse()
            for worker in self.workers.values():
                self.runner.run(worker.step())
        for client in self.clients:
            self._connect(client, WORKERS[0])
        self.owner.pulse()
        self.send(1, deaf=False)
        for name in WORKERS:
            self.follow(name)
        self.check()

    def check(self) -> None:
        for worker in self.workers.values():
            assert worker.started
            for stream in STREAMS:
                assert worker.hub.seq(stream) <= len(self.published[stream])
            assert worker.follower.state.lossless == self.owner.state.lossless
            assert worker.controls == self.owner.controls
            assert snapshot(worker.follower.state) == snapshot(self.owner.state)
        assert snapshot(self.owner.state) == expected(self.events)
        for client in self.clients.values():
            for stream in STREAMS:
                numbers = client.got[stream]
                assert all(a < b for a, b in pairwise(numbers))
                lossless = {n for n, kept in enumerate(self.published[stream], 1) if kept}
                missing = lossless - set(numbers)
                assert missing <= client.announced[stream], (stream, missing)
                assert all(sum(1 for m in lossless if m > n) >= RING for n in missing)


def snapshot(state: State) -> list[Any]:
    return sorted((item.kind, item.symbol or "", str(item.data)) for item in state.payloads())


def expected(events: list[Event]) -> list[Any]:
    """The state as the bot itself would tell it: a plain fold over all events."""
    known: dict[str, Any] = {}
    for event in events:
        item = payload(event)
        forming = item.kind == "bar" and not item.data["final"]
        known[f"{'forming' if forming else item.kind} {item.symbol}"] = item
        if item.kind == "bar" and not forming:
            known.pop(f"forming {item.symbol}", None)
        if item.kind == "position" and not item.data["quantity"]:
            known.pop(f"position {item.symbol}")
    return sorted((item.kind, item.symbol or "", str(item.data)) for item in known.values())


@pytest.mark.parametrize("ahead", [False, True])
async def test_a_loss_that_the_owners_state_would_hide_is_announced(ahead: bool) -> None:
    relay = MemoryRelay()
    owner = Publisher(
        relay=relay, sequencer=Sequencer(epoch="e1", clock=lambda: START), clock=lambda: START
    )

    async def join() -> State:
        return State.from_dict(orjson.loads(orjson.dumps(owner.state.to_dict())))

    async def publish(event: Event) -> Batch:
        owner.publish(event)
        await owner.step()
        return relay._log[-1]

    hub = Hub(epoch="e1", clock=lambda: START)
    follower = Follower(relay, hub=hub, join=join, on_controls=lambda _: None)
    await publish(account(1))
    await follower.start()
    hub.attach("c", wake=lambda: None)
    hub.subscribe("c", [Stream.ACCOUNT])
    lost, _, last = [await publish(event) for event in (account(2), quote(), quote())]
    relay._log.remove(lost)
    relay._lossless.remove(lost)
    if ahead:  # the owner's state tells of more than has been read
        relay._log.remove(last)
        await follower.step(wait=0)
        relay._log.append(last)
    await follower.step(wait=0)
    await publish(quote())
    await follower.step(wait=0)
    events = [orjson.loads(frame.text[1:]) for frame in hub.take("c", 100)]
    gaps = [body for name, body in events if name == "gap"]
    assert [(gap["stream"], gap["from"], gap["to"]) for gap in gaps] == [("account", 2, 2)]


ClusterModel.TestCase.settings = settings(
    max_examples=tries(30), stateful_step_count=40, deadline=None, print_blob=True
)
TestCluster = ClusterModel.TestCase
