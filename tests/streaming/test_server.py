"""The server as stock python-socketio clients see it."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import socketio

from tests.streaming.fakes import FakeBot, account, evaluation, position, quote
from tests.streaming.serving import TRADE, TUNE, VIEW, serving, stock
from toolkit.errors import ConfigError


async def test_connecting_says_who_and_what() -> None:
    async with serving() as served, stock(served) as client:
        hello = await client.first("connected")
        assert client.events[0][0] == "connected"
        assert hello["client_id"] == hello["connectionId"]
        assert (hello["protocol"], hello["epoch"], hello["role"]) == (1, "e1", "admin")
        assert hello["config"]["symbols"] == ["AAPL", "MSFT"]


@pytest.mark.parametrize(
    ("auth", "reason"),
    [
        ({}, "no token"),
        ({"token": "wrong"}, "wrong token"),
        ({"token": 7}, "no token"),
        ({"token": VIEW, "last_seen": {"epoch": 3}}, "epoch is 3"),
    ],
)
async def test_a_refusal_says_why(auth: object, reason: str) -> None:
    async with serving() as served:
        sio = socketio.AsyncClient(reconnection=False, handle_sigint=False)
        errors: list[dict[str, object]] = []
        sio.on("connect_error", errors.append)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await sio.connect(served.url, auth=auth, transports=["websocket"], wait_timeout=5)
        assert reason in str(errors[0]["message"])
        assert served.token not in str(errors)


async def test_the_token_may_come_in_the_authorization_header() -> None:
    async with serving() as served:
        sio = socketio.AsyncClient(reconnection=False, handle_sigint=False)
        headers = {"Authorization": f"Bearer {VIEW}"}
        await sio.connect(served.url, headers=headers, transports=["websocket"])
        assert sio.connected
        await sio.disconnect()


async def test_a_foreign_page_is_refused_and_an_allowed_one_is_not() -> None:
    async with serving(allowed_origins=("https://desk.example.com",)) as served:
        for origin, welcome in (
            ("https://evil.example.com", False),
            ("https://desk.example.com", True),
            (served.url, True),
        ):
            sio = socketio.AsyncClient(reconnection=False, handle_sigint=False)
            with contextlib.suppress(socketio.exceptions.ConnectionError):
                await sio.connect(
                    served.url,
                    headers={"Origin": origin},
                    auth={"token": served.token},
                    transports=["websocket"],
                )
            assert sio.connected is welcome, origin
            await sio.disconnect()


@pytest.mark.parametrize("transports", [("websocket",), ("polling",), ("polling", "websocket")])
async def test_confirmation_then_snapshot_then_live(transports: tuple[str, ...]) -> None:
    bot = FakeBot()
    bot.events = [evaluation("AAPL"), evaluation("MSFT"), account()]
    async with serving(bot=bot) as served, stock(served, transports=transports) as client:
        answer = await client.call(
            "subscribe", {"stream_types": ["market_data", "account"], "symbols": ["AAPL"]}
        )
        assert answer["ok"] is True
        for _ in range(50):
            served.hub.publish(quote("AAPL"))
        await client.until(lambda: len(client.messages) == 52)
        names = [event for event, _ in client.events]
        assert names[:2] == ["connected", "subscription_confirmed"]
        assert [m.get("snapshot") for m in client.messages] == [True] * 2 + [None] * 50
        assert [m["seq"] for m in client.messages[2:]] == list(range(1, 51))


async def test_two_clients_get_exactly_their_symbols() -> None:
    async with serving() as served, stock(served) as one, stock(served) as other:
        await one.call("subscribe", {"stream_types": ["market_data"], "symbols": ["AAPL"]})
        await other.call("subscribe", {"stream_types": ["market_data"], "symbols": ["MSFT"]})
        for minute in range(200):
            served.hub.publish(evaluation("AAPL", minute))
            served.hub.publish(evaluation("MSFT", minute))
            await asyncio.sleep(0)
        for client, symbol, first in ((one, "AAPL", 1), (other, "MSFT", 2)):
            await client.until(lambda client=client: len(client.messages) >= 200)
            assert {m["symbol"] for m in client.messages} == {symbol}
            assert [m["seq"] for m in client.messages] == list(range(first, 401, 2))
            links = zip(client.messages, client.messages[1:], strict=False)
            assert all(after["prev"] == before["seq"] for before, after in links)
            assert not client.all("gap")


async def test_unsubscribing_ends_it() -> None:
    async with serving() as served, stock(served) as client:
        await client.call("subscribe", {"stream_types": ["positions"]})
        answer = await client.call("unsubscribe", {"stream_types": ["positions"]})
        served.hub.publish(position())
        await client.call("ping", {})
        assert answer["ok"] is True
        assert client.messages == []
        assert client.all("unsubscription_confirmed")


async def test_a_new_connection_resumes_where_the_old_one_ended() -> None:
    async with serving() as served:
        async with stock(served) as client:
            await client.call("subscribe", {"stream_types": ["positions"]})
            served.hub.publish(position())
            await client.until(lambda: client.messages)
        for _ in range(3):
            served.hub.publish(position())
        last_seen = {"epoch": "e1", "seq": {"positions": 1}}
        async with stock(served, auth={"token": VIEW, "last_seen": last_seen}) as again:
            await again.call("subscribe", {"stream_types": ["positions"]})
            served.hub.publish(position())
            await again.until(lambda: len(again.messages) == 4)
            assert [m["seq"] for m in again.messages] == [2, 3, 4, 5]


async def test_resume_as_an_event_and_the_gap_of_another_epoch() -> None:
    async with serving() as served, stock(served) as client:
        served.hub.publish(position())
        await client.call("subscribe", {"stream_types": ["positions"]})
        answer = await client.call("resume", {"epoch": "e1", "seq": {"positions": 0}})
        assert answer == {"ok": True, "epoch": "e1"}
        await client.until(lambda: client.messages)
        await client.call("resume", {"epoch": "other", "seq": {"positions": 9}})
        gap = await client.first("gap")
        assert gap == {"stream": "positions", "from": 10, "to": None, "reason": "restart"}


async def test_ping_is_answered_and_heartbeats_come() -> None:
    async with serving(heartbeat_interval=0.05) as served, stock(served) as client:
        answer = await client.call("ping", {"timestamp": 123.5})
        assert answer["client_ping_time"] == 123.5
        assert (await client.first("pong"))["client_ping_time"] == 123.5
        beat = await client.first("heartbeat")
        assert (beat["server_status"], beat["active_clients"]) == ("streaming", 1)


async def test_performance_stats() -> None:
    async with serving() as served, stock(served) as client:
        await client.call("subscribe", {"stream_types": ["positions"]})
        served.hub.publish(position())
        await client.until(lambda: client.messages)
        answer = await client.call("get_performance_stats")
        assert answer["messages_delivered"] == 1
        assert answer["latency"]["count"] == 1
        assert (await client.first("performance_stats"))["subscriptions"] == ["positions"]


async def test_a_command_reaches_the_bot_with_who_sent_it() -> None:
    async with serving() as served:
        async with stock(served, auth={"token": TUNE, "client": "notebook"}) as client:
            body = {"name": "set_parameters", "args": {"values": {"ema_period": 12}}, "id": "1"}
            answer = await client.call("command", body)
        assert answer["ok"] is True
        assert answer["result"]["new"] == {"ema.ema_period": 12}
        assert served.bot.calls[0][2] == "notebook (tune)"


async def test_the_same_id_is_executed_once_and_must_mean_the_same() -> None:
    async with serving() as served, stock(served) as client:
        body = {"name": "flatten", "id": "same"}
        first = await client.call("command", body)
        second = await client.call("command", body)
        other = await client.call("command", {"name": "stop", "id": "same"})
        assert second == {**first, "repeated": True}
        assert [name for name, *_ in served.bot.calls] == ["flatten"]
        assert other["error"]["field"] == "id"


async def test_answers_to_mere_questions_are_not_kept() -> None:
    async with serving() as served, stock(served) as client:
        body = {"name": "get_status", "id": "same"}
        for _ in range(2):
            answer = await client.call("command", body)
            assert answer["ok"]
            assert "repeated" not in answer
        assert [name for name, *_ in served.bot.calls] == ["get_status"] * 2
        assert served.server._commands._known == {}


@pytest.mark.parametrize(
    ("token", "command", "allowed"),
    [
        (VIEW, "get_history", True),
        (VIEW, "set_parameters", False),
        (TUNE, "set_parameters", True),
        (TUNE, "flatten", False),
        (TRADE, "flatten", True),
        (TRADE, "shutdown", False),
    ],
)
async def test_roles_decide(token: str, command: str, allowed: bool) -> None:
    args = {
        "set_parameters": {"values": {"ema_period": 10}},
        "get_history": {"symbol": "AAPL", "limit": 5},
    }
    async with serving() as served, stock(served, auth={"token": token}) as client:
        answer = await client.call("command", {"name": command, "args": args.get(command, {})})
        assert answer["ok"] is allowed
        assert allowed or answer["error"]["code"] == "auth_error"
        assert bool(served.bot.calls) is allowed


async def test_shutdown_is_left_to_the_owner() -> None:
    asked = asyncio.Event()
    async with serving(on_shutdown=asked.set) as served, stock(served) as client:
        answer = await client.call("command", {"name": "shutdown"})
        assert answer == {"ok": True, "result": {"stopping": True}}
        await asyncio.wait_for(asked.wait(), 5)


async def test_errors_of_the_bot_come_back_as_data() -> None:
    async with serving() as served, stock(served) as client:
        served.bot.failure = ConfigError("ema is 0", field="ema", allowed="1 to 500")
        answer = await client.call("command", {"name": "get_status"})
        assert answer["error"] == {
            "code": "config_error",
            "message": "ema is 0",
            "field": "ema",
            "allowed": "1 to 500",
        }


async def test_an_unexpected_error_is_reported_but_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as served, stock(served) as client:
        await client.call("subscribe", {"stream_types": ["system_health"]})
        served.bot.failure = ZeroDivisionError("secret detail")
        answer = await client.call("command", {"name": "get_status"})
        assert answer["error"]["code"] == "internal_error"
        assert "secret" not in str(answer)
        await client.until(lambda: client.messages)
        assert client.messages[0]["data"]["code"] == "internal_error"
        assert "secret detail" in caplog.text
        assert (await client.call("ping", {}))["ok"] is True


async def test_a_slow_command_does_not_hang_the_client() -> None:
    class Slow(FakeBot):
        async def command(self, name: str, args: object, *, who: str) -> object:  # type: ignore[override]
            await release.wait()
            return {"done": True}

    release = asyncio.Event()
    async with serving(bot=Slow(), command_timeout=0.05) as served, stock(served) as client:
        body = {"name": "flatten", "id": "slow"}
        late = await client.call("command", body)
        assert "same id" in late["error"]["message"]
        release.set()
        answer = await client.call("command", body)
        assert answer == {"ok": True, "result": {"done": True}, "repeated": True}


async def test_held_streams_flow_again_without_a_hole() -> None:
    async with serving() as served, stock(served) as client:
        await client.call("subscribe", {"stream_types": ["positions"]})
        served.hub.hold()
        served.hub.publish(position())
        await client.call("ping", {})
        assert client.messages == []
        served.hub.release()
        await client.until(lambda: client.messages)


async def test_full_is_said() -> None:
    async with serving(max_connections=1) as served, stock(served):
        sio = socketio.AsyncClient(reconnection=False, handle_sigint=False)
        errors: list[dict[str, object]] = []
        sio.on("connect_error", errors.append)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await sio.connect(served.url, auth={"token": VIEW}, transports=["websocket"])
        assert "all 1 places are taken" in str(errors)


async def test_stopping_says_goodbye() -> None:
    async with serving() as served, stock(served) as client:
        await served.server.stop()
        await client.first("disconnect")
        assert served.hub.subscriptions("nobody") == []
