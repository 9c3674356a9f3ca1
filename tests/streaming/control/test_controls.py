"""What can be changed while the server runs, by whom, and what clients see of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.streaming.fakes import account, position, quote
from tests.streaming.serving import TRADE, TUNE, VIEW, Served, Stock, serving, stock
from toolkit.errors import ConfigError
from toolkit.streaming.control.controls import ControlState

STATE = {
    "streaming": True,
    "streaming_interval": 0.0,
    "notifications": True,
    "notification_throttle": 0.0,
}


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as served:
        yield served


async def command(client: Stock, name: str, **args: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await client.call("command", {"name": name, "args": args})
    return answer


async def test_each_change_answers_what_is_in_force_and_is_told_to_all(served: Served) -> None:
    async with stock(served) as client, stock(served, auth={"token": VIEW}) as other:
        answer = await command(client, "set_streaming", streaming_interval=0.5)
        assert answer == {"ok": True, "result": {**STATE, "streaming_interval": 0.5}}
        told = await other.first("config_changed")
        assert told == {**STATE, "streaming_interval": 0.5, "who": told["who"]}
        assert "admin" in told["who"]
        answer = await command(client, "start_streaming", interval=0.25)
        assert answer["result"]["streaming_interval"] == 0.25
        answer = await command(client, "stop_streaming")
        assert answer["result"]["streaming"] is False
        await other.until(lambda: len(other.all("config_changed")) == 3)


async def test_what_changes_nothing_is_not_told(served: Served) -> None:
    async with stock(served) as client:
        await command(client, "set_streaming", streaming_interval=0.0, notifications=True)
        await command(client, "start_streaming")
        await client.call("ping", {})
        assert client.all("config_changed") == []


@pytest.mark.parametrize(
    ("name", "args", "field"),
    [
        ("set_streaming", {"streaming_interval": -1}, "streaming_interval"),
        ("set_streaming", {"streaming_interval": "fast"}, "streaming_interval"),
        ("set_streaming", {"streaming_interval": True}, "streaming_interval"),
        ("set_streaming", {"notification_throttle": 61}, "notification_throttle"),
        ("set_streaming", {"notifications": "off"}, "notifications"),
        ("set_streaming", {"streaming": False}, "streaming"),
        ("set_streaming", {"speed": 1}, "speed"),
        ("start_streaming", {"interval": 61}, "streaming_interval"),
        ("stop_streaming", {"now": True}, "now"),
        ("get_streaming_stats", {"all": True}, "all"),
    ],
)
async def test_a_wrong_change_names_the_field_and_changes_nothing(
    served: Served, name: str, args: dict[str, Any], field: str
) -> None:
    async with stock(served) as client:
        answer = await command(client, name, **args)
    assert answer["error"]["field"] == field
    assert answer["error"]["code"] == "config_error"
    assert served.server.controls.state == ControlState()


async def test_the_roles_are_those_of_http(served: Served) -> None:
    async with (
        stock(served, auth={"token": VIEW}) as view,
        stock(served, auth={"token": TUNE}) as tune,
        stock(served, auth={"token": TRADE}) as trade,
    ):
        assert (await command(view, "get_streaming_stats"))["ok"] is True
        assert (await command(view, "set_streaming", notifications=False))["ok"] is False
        assert (await command(tune, "set_streaming", notifications=False))["ok"] is True
        assert (await command(tune, "stop_streaming"))["ok"] is False
        assert (await command(trade, "stop_streaming"))["ok"] is True


async def test_the_stats_have_the_names_that_users_know(served: Served) -> None:
    async with stock(served) as client:
        await client.call("subscribe", {"stream_types": ["positions"]})
        served.server.publish(position())
        await client.until(lambda: client.messages)
        stats = (await command(client, "get_streaming_stats"))["result"]
    assert stats["connected_clients"] == 1
    assert stats["websocket_stats"]["average_latency"] > 0
    assert stats["websocket_stats"]["messages_per_second"] > 0
    assert stats["websocket_stats"]["published"] == 1
    assert stats["controls"] == STATE


async def test_with_notifications_off_states_stay_away_and_come_when_switched_on(
    served: Served,
) -> None:
    async with stock(served) as client:
        await client.call("subscribe", {"stream_types": ["positions", "account", "market_data"]})
        served.server.controls.enable_websocket_notifications(False)
        for price in (1.0, 2.0):
            served.server.publish(position(price=price))
        served.server.publish(account())
        served.server.publish(quote())
        await client.until(lambda: client.messages)
        await client.call("ping", {})
        assert [m["stream_type"] for m in client.messages] == ["market_data"]
        served.server.controls.enable_websocket_notifications(True)
        await client.until(lambda: len(client.messages) == 3)
    seen = [(m["stream_type"], m["seq"]) for m in client.messages[1:]]
    assert seen == [("positions", 1), ("account", 1)]
    assert client.messages[1]["data"]["price"] == 2.0


async def test_throttled_states_keep_numbers_without_a_hole(served: Served) -> None:
    async with stock(served) as client:
        await client.call("subscribe", {"stream_types": ["positions"]})
        served.server.controls.set_notification_throttle(0.05)
        for price in range(1, 101):
            served.server.publish(position(price=float(price)))
        await client.until(lambda: client.messages and client.messages[-1]["data"]["price"] == 100)
    assert [m["seq"] for m in client.messages] == [1, 2]


async def test_what_waited_while_streaming_was_stopped_is_not_late(served: Served) -> None:
    async with stock(served) as client:
        await client.call("subscribe", {"stream_types": ["positions"]})
        served.server.controls.stop_streaming()
        served.server.publish(position())
        served.server.controls.start_streaming()
        await client.until(lambda: client.messages)
        stats = (await command(client, "get_streaming_stats"))["result"]
    assert stats["websocket_stats"]["delivered"] == 1
    assert stats["websocket_stats"]["average_latency"] is None


async def test_the_settings_are_in_force_from_the_start() -> None:
    async with serving(streaming_interval=0.5, notification_throttle=0.1) as served:
        assert served.server.controls.state == ControlState(
            streaming_interval=0.5, notification_throttle=0.1
        )


async def test_listeners_hear_of_changes_made_here_not_of_those_applied(served: Served) -> None:
    heard: list[tuple[ControlState, str]] = []
    controls = served.server.controls
    controls.listen(lambda state, who: heard.append((state, who)))
    controls.set_streaming_interval(0.5, who="anna")
    controls.apply(ControlState(streaming=False), who="another worker")
    assert heard == [(ControlState(streaming_interval=0.5), "anna")]
    assert served.hub.paused


async def test_python_is_held_to_the_same_bounds(served: Served) -> None:
    controls = served.server.controls
    for wrong in (-1, 61, float("nan"), None, "fast", True):
        with pytest.raises(ConfigError, match="streaming_interval"):
            controls.set_streaming_interval(wrong)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="notification_throttle"):
            controls.set_notification_throttle(wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="notifications"):
        controls.enable_websocket_notifications("yes")  # type: ignore[arg-type]


async def test_a_high_latency_is_told_to_every_client() -> None:
    # No machine publishes faster than in a nanosecond.
    async with (
        serving(heartbeat_interval=0.01, max_latency_ms=1e-6) as served,
        stock(served) as client,
    ):
        await client.call("subscribe", {"stream_types": ["positions"]})
        for _ in range(200):
            served.server.publish(position())
        alert = await client.first("alert")
        assert alert["code"] == "latency_high"
        assert alert["data"]["stream"] == "positions"
        assert alert["data"]["p99_ms"] > alert["data"]["max_latency_ms"] == 1e-6
        for _ in range(3):
            await client.until(lambda: client.all("heartbeat"))
            client.events = [e for e in client.events if e[0] != "heartbeat"]
        assert len(client.all("alert")) == 1


async def test_a_ping_tells_when_it_came_and_when_it_was_answered(served: Served) -> None:
    async with stock(served) as client:
        answer = await client.call("ping", {"timestamp": 7})
        again = await client.call("ping", {"timestamp": 8})
        pong = await client.first("pong")
    assert pong.items() <= answer.items()
    assert answer["client_ping_time"] == 7
    assert answer["server_received_ms"] <= answer["server_sent_ms"] <= again["server_received_ms"]


@pytest.mark.parametrize(
    ("report", "field"),
    [
        ([], "latency"),
        ({"count": -1}, "latency.count"),
        ({"count": 1.5}, "latency.count"),
        ({"count": 1}, "latency.p50"),
        ({"count": 1, "p50": 2, "p95": 1, "p99": 3, "max": 4}, "latency.p95"),
        ({"count": 1, "p50": 1, "p95": 2, "p99": 3, "max": 1e300}, "latency.max"),
        ({"count": 1, "p50": 1, "p95": 2, "p99": True, "max": 4}, "latency.p99"),
        ({"count": 1, "p50": 1, "p95": 2, "p99": 3, "max": 4, "mean": 1}, "mean"),
    ],
)
async def test_a_wrong_report_is_refused_and_not_kept(
    served: Served, report: Any, field: str
) -> None:
    async with stock(served) as client:
        answer = await client.call("ping", {"latency": report})
        assert answer["error"]["field"] == field
        stats = await client.call("get_performance_stats")
    assert stats["latency"]["streams"]["positions"]["count"] == 0


@pytest.mark.parametrize("transports", [("websocket",), ("polling",)])
async def test_what_an_interval_holds_back_is_not_late(
    served: Served, transports: tuple[str, ...]
) -> None:
    served.server.controls.set_streaming_interval(0.05)
    async with stock(served, transports=transports) as client:
        await client.call("subscribe", {"stream_types": ["market_data", "positions"]})
        served.server.publish(quote(price=1.0))
        await client.until(lambda: len(client.messages) == 1)
        served.server.publish(quote(price=2.0))
        await client.until(lambda: len(client.messages) == 2)
        served.server.publish(position())
        await client.until(lambda: len(client.messages) == 3)
        latency = (await client.call("get_performance_stats"))["latency"]
        stats = (await command(client, "get_streaming_stats"))["result"]["websocket_stats"]
    assert latency["streams"]["market_data"]["count"] == 0
    assert latency["streams"]["positions"]["count"] == 1
    assert stats["delivered"] == 3
    assert stats["messages_per_second"] > 0
