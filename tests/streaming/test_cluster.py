"""One owner and two real servers in this process, joined by a relay in memory."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import pytest

from tests.streaming.fakes import FakeBot, account, position, quote
from tests.streaming.serving import TOKENS, VIEW, Stock, settings_of, stock
from toolkit.errors import ConfigError, RelayError
from toolkit.streaming import worker as worker_module
from toolkit.streaming.owner import Owner
from toolkit.streaming.relay.desk import Desk
from toolkit.streaming.relay.memory import MemoryRelay
from toolkit.streaming.server import utc_now
from toolkit.streaming.worker import Worker

ALL = ["market_data", "positions", "account", "system_health", "parameters"]


@dataclass
class Cluster:
    relay: MemoryRelay
    bot: FakeBot
    owner: Owner
    token: str
    workers: list[Worker]
    ready: list[str]
    ended: asyncio.Event
    options: dict[str, Any]

    async def grow(self, name: str) -> Worker:
        worker = Worker(
            relay=self.relay,
            name=name,
            epoch="e1",
            settings=settings_of(port=0, token=self.token, tokens=TOKENS),
            clock=utc_now,
            **self.options,
        )
        self.workers.append(worker)
        await worker.start()
        return worker

    def served(self, number: int) -> Any:
        server = self.workers[number].server
        assert server is not None
        return server

    async def settled(self) -> None:
        """Wait until every worker has all that was published so far."""
        number = self.owner.publisher.state.number
        async with asyncio.timeout(5):
            for worker in self.workers:
                while worker.follower.position < number:
                    await worker.follower.moved()


@asynccontextmanager
async def cluster(
    bot: FakeBot | None = None, *, workers: int = 2, **options: Any
) -> AsyncIterator[Cluster]:
    bot = bot or FakeBot()
    relay, token, ready, ended = MemoryRelay(), secrets.token_urlsafe(24), [], asyncio.Event()
    owner = Owner(
        bot=bot,
        relay=relay,
        settings=settings_of(port=0),
        epoch="e1",
        on_ready=lambda name, _facts: ready.append(name),
        on_shutdown=ended.set,
        clock=utc_now,
    )
    running = Cluster(relay, bot, owner, token, [], ready, ended, options)
    await owner.start()
    try:
        for number in range(workers):
            await running.grow(f"worker {number + 1}")
        yield running
    finally:
        relay.away = False
        for worker in running.workers:
            await worker.stop()
        await owner.stop()


def numbering(client: Stock) -> list[tuple[Any, ...]]:
    return [
        (m["stream_type"], m["symbol"], m["seq"], m["prev"], m["epoch"])
        for m in client.messages
        if not m.get("snapshot")
    ]


def problems(client: Stock) -> list[str]:
    return [m["data"]["code"] for m in client.messages if m["data"]["kind"] == "problem"]


async def follow(client: Stock, *streams: str) -> Any:
    return await client.call("subscribe", {"stream_types": list(streams or ALL)})


async def test_all_workers_number_alike_and_snapshots_fit_the_tail():
    async with cluster() as c, stock(c.served(0)) as one, stock(c.served(1)) as two:
        c.owner.publish(quote(price=99))
        c.owner.publish(account(1))
        await c.settled()
        confirmed = [await follow(client) for client in (one, two)]
        assert confirmed[0]["seq"] == confirmed[1]["seq"]
        for price in range(5):
            c.owner.publish(quote(price=price))
            c.owner.publish(account(price))
        for client in (one, two):
            await client.until(lambda client=client: len(numbering(client)) == 10)
        assert numbering(one) == numbering(two)
        shown = [m for m in one.messages if m.get("snapshot")]
        assert {(m["data"]["kind"], m["seq"]) for m in shown} == {("quote", 1), ("account", 1)}
        first = next(m for m in one.messages if m["stream_type"] == "account" and m["seq"] == 2)
        assert first["prev"] == 1


async def test_a_client_resumes_on_another_worker_without_loss_or_repetition():
    async with cluster() as c:
        async with stock(c.served(0)) as one:
            await follow(one, "account")
            for n in range(3):
                c.owner.publish(account(n))
            await one.until(lambda: len(one.messages) == 3)
        for n in range(3, 6):
            c.owner.publish(account(n))
        seen = {"epoch": "e1", "seq": {"account": 3}}
        auth = {"token": c.token, "last_seen": seen}
        async with stock(c.served(1), auth=auth) as two:
            await follow(two, "account")
            await two.until(lambda: len(numbering(two)) == 3)
            assert [n[2] for n in numbering(two)] == [4, 5, 6]
            assert not two.all("gap")


async def test_a_client_that_is_ahead_of_its_new_worker_waits_for_it():
    async with cluster() as c:
        behind = c.workers[1].follower
        reading = asyncio.Event()
        follow_batch = behind._follow

        async def held(batch: Any) -> None:
            await reading.wait()
            await follow_batch(batch)

        behind._follow = held
        for n in range(3):
            c.owner.publish(account(n))
        async with asyncio.timeout(5):
            while c.workers[0].hub.seq("account") < 3:
                await c.workers[0].follower.moved()
        auth = {"token": c.token, "last_seen": {"epoch": "e1", "seq": {"account": 3}}}
        async with AsyncExitStack() as stack:
            connecting = asyncio.create_task(
                stack.enter_async_context(stock(c.served(1), auth=auth))
            )
            await asyncio.sleep(0)
            reading.set()
            client = await connecting
            await follow(client, "account")
            c.owner.publish(account(4))
            await client.until(lambda: numbering(client))
            assert [n[2] for n in numbering(client)] == [4]


async def test_commands_reach_the_bot_from_every_worker_and_run_once():
    async with cluster() as c, stock(c.served(0)) as one, stock(c.served(1)) as two:
        body = {"name": "set_parameters", "args": {"values": {"ema_period": 12}}, "id": "same"}
        first = await one.call("command", body)
        again = await two.call("command", body)
        assert (first["ok"], first["result"]["new"]) == (True, {"ema.ema_period": 12})
        assert again == {**first, "repeated": True}
        assert [call[0] for call in c.bot.calls] == ["set_parameters"]
        assert c.bot.calls[0][2] == "admin"


async def test_a_lost_answer_is_asked_for_again_and_the_command_runs_once(monkeypatch):
    monkeypatch.setattr("toolkit.streaming.relay.desk.ASK_AGAIN_SECONDS", 0.05)
    async with cluster(workers=1) as c, stock(c.served(0)) as client:
        send, lost = c.relay.send, []

        async def leaky(box: str, body: bytes) -> None:
            if box != "owner" and not lost:
                lost.append(body)
                return
            await send(box, body)

        c.relay.send = leaky
        answer = await client.call("command", {"name": "start"})
        assert (answer["ok"], len(lost)) == (True, 1)
        assert [call[0] for call in c.bot.calls] == ["start"]


async def test_errors_of_commands_and_roles_are_those_of_a_single_server():
    async with (
        cluster() as c,
        stock(c.served(0)) as admin,
        stock(c.served(1), auth={"token": VIEW}) as view,
    ):
        refused = await view.call("command", {"name": "flatten"})
        assert refused["error"]["code"] == "auth_error"
        c.bot.failure = ConfigError("no such thing", field="x")
        wrong = await admin.call("command", {"name": "flatten"})
        assert wrong["error"] == {"code": "config_error", "message": "no such thing", "field": "x"}
        c.bot.failure = RuntimeError("secret detail")
        broken = await admin.call("command", {"name": "flatten"})
        assert broken["error"]["code"] == "internal_error"
        assert "secret" not in str(broken)


async def test_shutdown_ends_the_owner():
    async with cluster(workers=1) as c, stock(c.served(0)) as client:
        answer = await client.call("command", {"name": "shutdown"})
        assert answer["result"] == {"stopping": True}
        assert c.ended.is_set()


async def test_a_control_over_http_on_one_worker_is_in_force_on_all():
    async with cluster() as c, stock(c.served(1)) as other, aiohttp.ClientSession() as http:
        url, headers = c.served(0).url, {"Authorization": f"Bearer {c.token}"}
        body = {"streaming_interval": 0.5}
        async with http.post(f"{url}/api/websocket/config", json=body, headers=headers) as answer:
            assert answer.status == 200
        told = await other.first("config_changed")
        assert told["streaming_interval"] == 0.5
        assert c.served(1).controls.state.streaming_interval == 0.5
        assert c.owner.controls.state.streaming_interval == 0.5
        late = await c.grow("worker 3")
        assert late.server.controls.state.streaming_interval == 0.5


async def test_a_command_that_controls_streaming_is_in_force_on_all():
    async with cluster() as c, stock(c.served(0)) as one, stock(c.served(1)) as two:
        answer = await one.call("command", {"name": "stop_streaming"})
        assert answer["result"]["streaming"] is False
        told = await two.first("config_changed")
        assert told["streaming"] is False
        await follow(two, "account")
        c.owner.publish(account(1))
        await c.settled()
        assert not numbering(two)
        await two.call("command", {"name": "start_streaming"})
        await two.until(lambda: len(numbering(two)) == 1)


async def test_states_that_notifications_hold_back_are_still_told_to_newcomers():
    async with cluster() as c, stock(c.served(0)) as client:
        c.owner.publish(position(price=1))
        await client.call("command", {"name": "set_streaming", "args": {"notifications": False}})
        c.owner.publish(position(price=2))
        await c.settled()
        await follow(client, "positions")
        await client.until(lambda: client.messages)
        (shown,) = client.messages
        assert (shown["snapshot"], shown["seq"], shown["data"]["price"]) == (True, 1, 2)


async def test_an_unexpected_error_on_a_worker_is_published_to_all(monkeypatch):
    async with cluster() as c, stock(c.served(0)) as one, stock(c.served(1)) as two:
        await follow(two, "system_health")
        monkeypatch.setattr(c.workers[0].hub, "unsubscribe", lambda *_: 1 / 0)
        await one.call("unsubscribe", {"stream_types": ["account"]})
        await two.until(lambda: numbering(two))
        (problem,) = [m for m in two.messages if not m.get("snapshot")]
        assert (problem["data"]["code"], problem["seq"]) == ("internal_error", 1)


async def test_a_new_worker_knows_all_that_can_be_resumed():
    async with cluster(workers=1) as c:
        for n in range(20):
            c.owner.publish(account(n))
        await c.settled()
        late = await c.grow("late")
        auth = {"token": c.token, "last_seen": {"epoch": "e1", "seq": {"account": 5}}}
        async with stock(late.server, auth=auth) as client:
            await follow(client, "account")
            await client.until(lambda: len(numbering(client)) == 15)
            assert [n[2] for n in numbering(client)] == list(range(6, 21))
        assert c.ready == ["worker 1", "late"]


async def test_while_the_relay_is_away_clients_are_told_and_later_get_all(monkeypatch):
    monkeypatch.setattr(worker_module, "WATCH_SECONDS", 0.01)
    now, tried = [0.0], asyncio.Event()
    async with (
        cluster(monotonic=lambda: now[0]) as c,
        stock(c.served(0)) as client,
        aiohttp.ClientSession() as http,
    ):
        await follow(client)
        await c.settled()
        append = c.relay.append

        async def broken(*_: Any, **__: Any) -> int:
            tried.set()
            raise RelayError("away")

        c.relay.append = broken
        for n in range(50):
            c.owner.publish(account(n))
        await tried.wait()
        now[0] += 10
        alert = await client.first("alert")
        assert (alert["code"], alert["data"]) == ("relay_lost", {"worker": "worker 1"})
        async with http.get(f"{c.served(0).url}/healthz") as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (503, "relay_error")
        c.relay.forget()
        c.relay.append = append
        await client.until(lambda: len(client.all("alert")) == 2)
        assert client.all("alert")[1]["code"] == "relay_back"
        await client.until(lambda: sum(n[0] == "account" for n in numbering(client)) == 50)
        assert not client.all("gap")
        await client.until(lambda: len(problems(client)) == 2)
        assert problems(client) == ["relay_lost", "relay_back"]
        async with http.get(f"{c.served(0).url}/healthz") as answer:
            assert answer.status == 200


async def test_long_polling_is_refused_with_what_to_do():
    query = {"EIO": "4", "transport": "polling"}
    async with (
        cluster(workers=1) as c,
        aiohttp.ClientSession() as http,
        http.get(f"{c.served(0).url}/socket.io/", params=query) as answer,
    ):
        assert answer.status == 400
        assert "transports" in (await answer.json())["error"]["message"]


async def test_long_polling_works_where_clients_are_promised_to_be_sticky():
    async with (
        cluster(workers=1, polling=True) as c,
        stock(c.served(0), transports=("polling",)) as client,
    ):
        assert (await client.call("ping"))["ok"]


def test_a_failure_that_must_never_happen_ends_the_owner_and_is_logged(caplog):
    async def run() -> None:
        async with cluster(workers=1) as c:
            c.relay.append = None
            c.owner.publish(account(1))
            async with asyncio.timeout(5):
                await c.ended.wait()

    with pytest.raises(TypeError):
        asyncio.run(run())
    assert "publisher of the cluster failed" in caplog.text


async def asked(relay: MemoryRelay, desk: Desk, *questions: tuple[str, int]) -> list[Any]:
    """What the desk answers to questions of a kind, under these numbers as ids."""
    for kind, n in questions:
        question = {"id": str(n), "worker": "w", "asked": 0.0, "kind": kind, "body": {"n": n}}
        await relay.send("owner", orjson.dumps(question))
    answers: list[Any] = []
    await desk.step(wait=1)
    async with asyncio.timeout(5):
        while len(answers) < len(questions):
            answers += map(orjson.loads, await relay.receive("w", wait=5))
    return answers


async def test_questions_that_were_answered_are_no_longer_in_the_way(monkeypatch):
    monkeypatch.setattr("toolkit.streaming.relay.desk.MAX_RUNNING", 3)
    relay, release, done = MemoryRelay(), asyncio.Event(), []

    async def do(body: Any) -> None:
        done.append(body["n"])

    async def wait(_body: Any) -> None:
        await release.wait()

    desk = Desk(relay, {"do": do, "wait": wait}, unexpected=lambda *_: {}, clock=lambda: 0.0)
    for n in range(10):
        assert [a["ok"] for a in await asked(relay, desk, ("do", n))] == [True]
    assert done == list(range(10))
    waiting = asyncio.create_task(asked(relay, desk, *(("wait", n) for n in range(20, 24))))
    async with asyncio.timeout(5):
        while desk._running < 3:  # noqa: ASYNC110 - a condition of the desk
            await asyncio.sleep(0)
    release.set()
    answers = await waiting
    assert sorted(a["ok"] for a in answers) == [False, True, True, True]
    await desk.close()


async def test_what_changes_something_is_done_once_and_what_only_asks_is_not_kept():
    relay, done = MemoryRelay(), []

    async def answer(body: Any) -> int:
        done.append(body["n"])
        return len(done)

    desk = Desk(
        relay,
        {"change": answer, "look": answer},
        unexpected=lambda *_: {},
        repeatable=lambda kind, _body: kind == "look",
        clock=lambda: 0.0,
    )
    for kind, results in (("change", [1, 1]), ("look", [2, 3])):
        got = [await asked(relay, desk, (kind, results[0])) for _ in range(2)]
        assert [answers[0]["result"] for answers in got] == results
    assert list(desk._known) == ["1"]
    await desk.close()


async def test_a_question_that_is_sent_again_much_later_is_not_answered(caplog):
    relay, asked = MemoryRelay(), []
    now = 1_000.0

    async def answer(body: Any) -> None:
        asked.append(body["n"])

    desk = Desk(relay, {"count": answer}, unexpected=lambda *_: {}, clock=lambda: now)
    for moment, n in ((now - 120, 1), (now, 2)):
        question = {"id": str(n), "worker": "w", "asked": moment, "kind": "count", "body": {"n": n}}
        await relay.send("owner", orjson.dumps(question))
    await desk.step(wait=1)
    assert len(await relay.receive("w", wait=5)) == 1
    assert asked == [2]
    assert "old question" in caplog.text
    await desk.close()
