"""Numbers, subscriptions, conflation, gaps and resume, without any socket."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.streaming.fakes import START, account, bar, evaluation, position, quote
from toolkit.streaming.hub.cohorts import Parcel
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.wire import Stream

MARKET, POSITIONS, ACCOUNT = Stream.MARKET_DATA, Stream.POSITIONS, Stream.ACCOUNT


class Client:
    """A client of the hub that decodes what it takes."""

    def __init__(self, hub: Hub, name: str = "c") -> None:
        self.hub, self.name, self.wakes = hub, name, 0
        hub.attach(name, wake=self._wake)

    def _wake(self) -> None:
        self.wakes += 1

    def subscribe(self, *streams: Stream, symbols: list[str] | None = None, **more: Any) -> Any:
        return self.hub.subscribe(self.name, streams, symbols, **more)

    def take(self, limit: int = 1000) -> list[tuple[str, dict[str, Any]]]:
        return [tuple(orjson.loads(f.text[1:])) for f in self.hub.take(self.name, limit)]

    def data(self, limit: int = 1000) -> list[dict[str, Any]]:
        return [body for event, body in self.take(limit) if event == "stream_data"]


class Sharer(Client):
    """A client of the hub that shares a mailbox when it can."""

    def collected(self) -> list[int]:
        return [seq for parcel in self.hub.collect() for seq in self.numbers(parcel)]

    def numbers(self, parcel: Parcel) -> list[int]:
        return [frame.seq for frame in parcel.frames if self.name in parcel.members]


def sharers(hub: Hub, *names: str, **wanted: Any) -> list[Sharer]:
    made = [Sharer(hub, name) for name in names]
    for client in made:
        client.subscribe(MARKET, **wanted)
        client.take()
        assert hub.join(client.name)
    return made


class Watch:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make_hub(**options: Any) -> Hub:
    return Hub(epoch="e1", clock=lambda: START, **options)


def test_a_message_carries_number_predecessor_epoch_and_both_times() -> None:
    hub = make_hub()
    client = Client(hub)
    client.subscribe(MARKET)
    client.take()
    hub.publish(quote("AAPL"))
    hub.publish(quote("MSFT"))
    hub.publish(quote("AAPL"))
    messages = client.data()
    assert [(m["symbol"], m["seq"], m["prev"]) for m in messages] == [
        ("AAPL", 1, 0),
        ("MSFT", 2, 0),
        ("AAPL", 3, 1),
    ]
    assert messages[0]["epoch"] == "e1"
    assert messages[0]["timestamp"] == messages[0]["published"] == "2026-01-02T14:30:00Z"
    assert messages[0]["data"]["price"] == pytest.approx(100.0)


def test_a_client_gets_what_it_asked_for_once_and_nothing_else() -> None:
    hub = make_hub()
    client = Client(hub)
    client.subscribe(MARKET, symbols=["AAPL"])
    client.subscribe(MARKET, POSITIONS, symbols=["AAPL"])
    for event in (quote("AAPL"), quote("MSFT"), position("MSFT"), position("AAPL"), account()):
        hub.publish(event)
    assert [(m["stream_type"], m["symbol"]) for m in client.data()] == [
        ("market_data", "AAPL"),
        ("positions", "AAPL"),
    ]


def test_messages_without_symbol_go_to_all_subscribers_of_the_stream() -> None:
    hub = make_hub()
    client = Client(hub)
    client.subscribe(ACCOUNT, symbols=["AAPL"])
    hub.publish(account())
    assert [m["symbol"] for m in client.data()] == [None]


def test_all_symbols_but_one() -> None:
    hub = make_hub()
    client = Client(hub)
    client.subscribe(MARKET)
    hub.unsubscribe("c", [MARKET], ["MSFT"])
    hub.publish(quote("AAPL"))
    hub.publish(quote("MSFT"))
    assert [m["symbol"] for m in client.data()] == ["AAPL"]


def test_nothing_comes_after_the_unsubscription_is_confirmed() -> None:
    hub = make_hub()
    client = Client(hub)
    client.subscribe(MARKET, POSITIONS)
    hub.publish(evaluation("AAPL"))
    hub.unsubscribe("c", [MARKET])
    hub.publish(evaluation("AAPL", 1))
    names = [event for event, _ in client.take()]
    assert names == ["subscription_confirmed", "unsubscription_confirmed"]


def test_the_snapshot_stands_between_the_confirmation_and_the_live_tail() -> None:
    hub = make_hub()
    hub.publish(position("AAPL", 99.0))
    hub.publish(position("MSFT", 50.0))
    client = Client(hub)
    confirmed = client.subscribe(
        POSITIONS, symbols=["AAPL"], snapshot=[position("AAPL", 99.0), position("MSFT"), account()]
    )
    hub.publish(position("AAPL", 101.0))
    (first, _), (_, snapshot), (_, live) = client.take()
    assert first == "subscription_confirmed"
    assert confirmed["seq"] == {"positions": 2}
    assert snapshot["snapshot"] is True
    assert (snapshot["seq"], snapshot["prev"]) == (2, 1)
    assert "snapshot" not in live
    assert (live["seq"], live["prev"]) == (3, snapshot["prev"])


def test_a_client_that_keeps_up_gets_every_quote() -> None:
    hub = make_hub(queue_size=1600)
    client = Client(hub)
    client.subscribe(MARKET)
    for price in range(100):
        hub.publish(quote("AAPL", float(price)))
    assert [m["seq"] for m in client.data()] == list(range(1, 101))


def test_quotes_conflate_for_a_client_that_lags_and_final_bars_do_not() -> None:
    hub = make_hub(queue_size=80)
    client = Client(hub)
    client.subscribe(MARKET)
    client.take()
    for minute in range(40):
        hub.publish(quote("AAPL", float(minute)))
        hub.publish(bar("AAPL", minute, final=False))
        hub.publish(evaluation("AAPL", minute))
    messages = client.data()
    finals = [m for m in messages if m["data"].get("final")]
    quotes = [m for m in messages if m["data"]["kind"] == "quote"]
    assert len(finals) == 40
    assert len(quotes) < 15
    assert quotes[-1]["data"]["price"] == pytest.approx(39.0)
    assert [m["seq"] for m in messages] == sorted(m["seq"] for m in messages)
    assert hub.counters.conflated > 0


def test_overflow_is_announced_and_delivery_goes_on() -> None:
    hub = make_hub(queue_size=8)
    client = Client(hub)
    client.subscribe(POSITIONS)
    client.take()
    for _ in range(20):
        hub.publish(position("AAPL"))
    events = client.take()
    assert events[0] == ("gap", {"stream": "positions", "from": 1, "to": 12, "reason": "slow"})
    assert [body["seq"] for event, body in events[1:]] == list(range(13, 21))
    assert (hub.counters.dropped, hub.counters.gaps) == (12, 1)


def test_one_slow_client_takes_nothing_from_another() -> None:
    hub = make_hub(queue_size=8)
    slow, quick = Client(hub, "slow"), Client(hub, "quick")
    slow.subscribe(POSITIONS)
    quick.subscribe(POSITIONS)
    received = []
    for _ in range(20):
        hub.publish(position("AAPL"))
        received += quick.data()
    assert [m["seq"] for m in received] == list(range(1, 21))


def test_max_rate_holds_quotes_back_but_never_a_final_bar() -> None:
    watch = Watch()
    hub = make_hub(monotonic=watch)
    client = Client(hub)
    client.subscribe(MARKET, max_rate=2.0)
    watch.now = 10.0
    hub.publish(quote("AAPL", 1.0))
    assert [m["data"]["price"] for m in client.data()][-1] == pytest.approx(1.0)
    hub.publish(quote("AAPL", 2.0))
    hub.publish(quote("AAPL", 3.0))
    assert client.data() == []
    assert hub.due_in("c") == pytest.approx(0.5)
    watch.now = 10.5
    assert [m["data"]["price"] for m in client.data()] == [pytest.approx(3.0)]
    hub.publish(quote("AAPL", 4.0))
    hub.publish(evaluation("AAPL"))
    assert [m["data"]["kind"] for m in client.data()] == ["quote", "bar"]


def test_resume_delivers_what_was_missed_in_order_and_only_what_is_wanted() -> None:
    hub = make_hub()
    for symbol in ("AAPL", "MSFT", "AAPL", "AAPL"):
        hub.publish(position(symbol))
    client = Client(hub)
    hub.resume("c", "e1", {POSITIONS: 1})
    confirmed = client.subscribe(POSITIONS, symbols=["AAPL"])
    hub.publish(position("AAPL"))
    assert confirmed["seq"] == {"positions": 1}
    assert [(m["seq"], m["prev"]) for m in client.data()] == [(3, 1), (4, 3), (5, 4)]


def test_resume_after_subscribing_repeats_nothing() -> None:
    hub = make_hub()
    hub.publish(position("AAPL"))
    hub.publish(position("AAPL"))
    client = Client(hub)
    client.subscribe(POSITIONS)
    hub.publish(position("AAPL"))
    hub.resume("c", "e1", {POSITIONS: 0})
    hub.resume("c", "e1", {POSITIONS: 0})
    assert sorted(m["seq"] for m in client.data()) == [1, 2, 3]


def test_resume_of_market_data_brings_the_final_bars() -> None:
    hub = make_hub()
    hub.publish(evaluation("AAPL", 0))
    hub.publish(quote("AAPL"))
    hub.publish(evaluation("AAPL", 1))
    client = Client(hub)
    hub.resume("c", "e1", {MARKET: 1})
    client.subscribe(MARKET)
    assert [(m["seq"], m["data"]["kind"]) for m in client.data()] == [(3, "bar")]


def test_resume_beyond_the_ring_is_a_gap_and_then_the_rest() -> None:
    hub = make_hub(ring_size=3)
    for _ in range(10):
        hub.publish(position("AAPL"))
    client = Client(hub)
    hub.resume("c", "e1", {POSITIONS: 2})
    client.subscribe(POSITIONS)
    _, gap, *rest = client.take()
    assert gap == ("gap", {"stream": "positions", "from": 3, "to": 7, "reason": "expired"})
    assert [body["seq"] for _, body in rest] == [8, 9, 10]


def test_resume_in_another_epoch_is_a_gap_without_end() -> None:
    hub = make_hub()
    hub.publish(position("AAPL"))
    client = Client(hub)
    hub.resume("c", "e0", {POSITIONS: 41})
    client.subscribe(POSITIONS)
    _, gap = client.take()
    assert gap == ("gap", {"stream": "positions", "from": 42, "to": None, "reason": "restart"})


def test_held_streams_leave_control_events_alone() -> None:
    hub = make_hub()
    client = Client(hub)
    client.subscribe(POSITIONS)
    client.take()
    hub.hold()
    hub.publish(position("AAPL"))
    hub.send("c", "pong", {"timestamp": "now"})
    assert [event for event, _ in client.take()] == ["pong"]
    assert hub.due_in("c") is None
    hub.release()
    assert [event for event, _ in client.take()] == ["stream_data"]


def test_control_events_are_bounded_too() -> None:
    hub = make_hub()
    client = Client(hub)
    for _ in range(10_000):
        hub.send("c", "pong", {})
    assert len(client.take(20_000)) == 256


def test_publishing_wakes_only_who_wants_it() -> None:
    hub = make_hub()
    one, other = Client(hub, "one"), Client(hub, "other")
    one.subscribe(MARKET, symbols=["AAPL"])
    other.subscribe(MARKET, symbols=["MSFT"])
    before = (one.wakes, other.wakes)
    hub.publish(quote("AAPL"))
    assert (one.wakes, other.wakes) == (before[0] + 1, before[1])


def test_a_client_that_is_gone_is_forgotten() -> None:
    hub = make_hub()
    client = Client(hub)
    client.subscribe(MARKET)
    hub.detach("c")
    hub.publish(quote())
    assert client.take() == []
    assert hub.due_in("c") is None


def test_equal_clients_share_one_parcel_and_unequal_ones_do_not() -> None:
    hub = make_hub()
    sharers(hub, "a", "b")
    sharers(hub, "c", symbols=["AAPL"])
    hub.publish(quote("AAPL"))
    hub.publish(quote("MSFT"))
    parcels = {parcel.members: len(parcel.frames) for parcel in hub.collect()}
    assert parcels == {("a", "b"): 2, ("c",): 1}
    assert hub.counters.delivered == 5


def test_clients_that_read_batches_share_among_themselves() -> None:
    hub = make_hub()
    sharers(hub, "stock")
    hub.attach("ours", wake=lambda: None, batch=True)
    hub.subscribe("ours", [MARKET])
    hub.take("ours", 10)
    assert hub.join("ours")
    hub.publish(quote())
    assert [(p.members, p.batch) for p in hub.collect()] == [(("stock",), False), (("ours",), True)]


def test_waking_once_for_all_that_is_to_be_collected() -> None:
    hub = make_hub()
    wakes: list[None] = []
    hub.listen(lambda: wakes.append(None))
    sharers(hub, "a")
    sharers(hub, "b", symbols=["AAPL"])
    for _ in range(2):
        hub.publish(quote())
        hub.publish(quote())
        list(hub.collect())
    assert len(wakes) == 2


def test_an_answer_comes_after_what_was_published_before_it() -> None:
    hub = make_hub()
    one, _ = sharers(hub, "one", "other")
    hub.publish(quote())
    hub.send("one", "pong", {})
    hub.publish(quote())
    assert [event for event, _ in one.take()] == ["stream_data", "pong", "stream_data"]
    assert [(p.members, len(p.frames)) for p in hub.collect()] == [(("other",), 2)]


def test_who_joins_gets_nothing_that_waits_for_the_others() -> None:
    hub = make_hub()
    one, other = sharers(hub, "one", "other")
    hub.leave("one")
    hub.publish(quote())
    assert [m["seq"] for m in one.data()] == [1]
    assert not hub.join("one")
    assert other.collected() == [1]
    assert hub.join("one")
    hub.publish(quote())
    assert one.collected() == [2]


def test_who_leaves_takes_along_what_it_has_not_got() -> None:
    hub = make_hub()
    one, _ = sharers(hub, "one", "other")
    for _ in range(3):
        hub.publish(quote())
    (parcel,) = hub.collect()
    hub.publish(quote())
    hub.leave("one", parcel.frames[1:])
    assert [m["seq"] for m in one.data()] == [2, 3, 4]
    assert hub.counters.delivered == 3 + 1 + 3


def test_a_rate_limit_is_nobody_elses() -> None:
    watch = Watch()
    hub = make_hub(monotonic=watch)
    one, other = sharers(hub, "one", "other")
    one.subscribe(MARKET, max_rate=1.0)
    one.take()
    watch.now = 10.0
    for _ in range(3):
        hub.publish(quote())
    assert not hub.join("one")
    assert [m["seq"] for m in one.data()] == [3]
    assert other.collected() == [1, 2, 3]


def test_a_shared_mailbox_is_bounded_and_announces_what_it_dropped_to_all() -> None:
    hub = make_hub(queue_size=8)
    names = ("one", "other")
    for name in names:
        Client(hub, name).subscribe(POSITIONS)
        hub.take(name, 10)
        assert hub.join(name)
    for _ in range(20):
        hub.publish(position())
    (parcel,) = hub.collect()
    assert parcel.members == names
    assert '"gap",{"stream":"positions","from":1,"to":12,"reason":"slow"}' in parcel.frames[0].text
    assert [frame.seq for frame in parcel.frames[1:]] == list(range(13, 21))
    assert (hub.counters.dropped, hub.counters.gaps) == (24, 2)


def test_a_gap_stands_where_the_first_lost_message_stood() -> None:
    hub = make_hub(queue_size=8)
    client = Client(hub)
    hub.publish(position())
    client.subscribe(POSITIONS)
    for _ in range(9):
        hub.publish(position())
    names = [event for event, _ in client.take(2)]
    assert names == ["subscription_confirmed", "gap", "stream_data"]


def test_held_streams_are_held_for_those_who_share() -> None:
    hub = make_hub()
    (one,) = sharers(hub, "one")
    hub.hold()
    hub.publish(quote())
    assert one.collected() == []
    hub.release()
    assert one.collected() == [1]


def test_taking_in_parts_loses_nothing() -> None:
    hub = make_hub()
    client = Client(hub)
    client.subscribe(MARKET)
    client.take()
    for _ in range(10):
        hub.publish(quote())
    taken = [m["seq"] for limit in (1, 3, 1000) for m in client.data(limit)]
    assert taken == list(range(1, 11))


def test_who_leaves_takes_along_the_gap_at_its_place() -> None:
    hub = make_hub(queue_size=8)
    client = Client(hub)
    client.subscribe(POSITIONS, ACCOUNT)
    client.take()
    assert hub.join("c")
    for _ in range(2):
        hub.publish(account())
    hub.broadcast("heartbeat", {})
    for _ in range(9):
        hub.publish(position())
    hub.send("c", "pong", {})
    events = [(event, body.get("seq")) for event, body in client.take()]
    assert events == [
        ("gap", None),
        ("heartbeat", None),
        ("gap", None),
        *(("stream_data", seq) for seq in range(2, 10)),
        ("pong", None),
    ]
