"""Every role tries everything: every command over both ways, and every endpoint."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.streaming.fakes import FakeBot, evaluation
from tests.streaming.serving import TRADE, TUNE, VIEW, Served, serving, stock
from toolkit.streaming.wire import COMMAND_ROLES, Role

HOLDERS = {Role.VIEW: VIEW, Role.TUNE: TUNE, Role.TRADE: TRADE}
# None: no token is needed. A new endpoint has to be entered here before the tests pass.
ENDPOINTS: dict[tuple[str, str], Role | None] = {
    ("get", "/healthz"): None,
    ("get", "/metrics"): Role.VIEW,
    ("get", "/api/websocket/stats"): Role.VIEW,
    ("get", "/api/websocket/performance"): Role.VIEW,
    ("get", "/api/websocket/latency"): Role.VIEW,
    ("get", "/api/websocket/clients"): Role.VIEW,
    ("get", "/api/websocket/config"): Role.VIEW,
    ("get", "/api/websocket/secure"): Role.VIEW,
    ("get", "/api/performance/system"): Role.VIEW,
    ("get", "/api/test/realtime/{symbol}"): Role.VIEW,
    ("post", "/api/websocket/config"): Role.TUNE,
    ("post", "/api/websocket/start"): Role.TRADE,
    ("post", "/api/websocket/stop"): Role.TRADE,
    ("post", "/api/performance/clear-cache"): Role.ADMIN,
    ("post", "/api/command"): Role.VIEW,
}
BODIES: dict[str, dict[str, Any]] = {
    "/api/websocket/config": {"streaming_interval": 0},
    "/api/command": {"name": "get_status"},
}
ARGS: dict[str, dict[str, Any]] = {
    "get_history": {"symbol": "AAPL", "limit": 1},
    "set_parameters": {"values": {"ema_period": 12}},
    "set_streaming": {"streaming_interval": 0},
}


def token_of(role: Role | None, served: Served) -> str | None:
    return served.token if role is Role.ADMIN else HOLDERS[role] if role else None


async def test_every_role_tries_every_command_over_both_ways() -> None:
    stopped: list[str] = []
    async with (
        serving(on_shutdown=lambda: stopped.append("shutdown")) as served,
        aiohttp.ClientSession() as http,
    ):
        for role in Role:
            token = token_of(role, served)
            async with stock(served, auth={"token": token}) as client:
                for name, needed in COMMAND_ROLES.items():
                    body = {"name": name, "args": ARGS.get(name, {})}
                    before = (len(served.bot.calls), len(stopped))
                    over_socket = await client.call("command", body)
                    headers = {"Authorization": f"Bearer {token}"}
                    async with http.post(
                        served.url + "/api/command", json=body, headers=headers
                    ) as answer:
                        over_http, status = await answer.json(), answer.status
                    case = f"{role.name} tries {name}"
                    if role >= needed:
                        assert over_socket["ok"], (case, over_socket)
                        assert (over_http["ok"], status) == (True, 200), (case, over_http)
                        continue
                    assert over_socket["error"]["code"] == "auth_error", case
                    assert over_http["error"]["code"] == "auth_error", case
                    assert status in (401, 403), case
                    assert (len(served.bot.calls), len(stopped)) == before, case


async def test_a_stranger_sends_no_command() -> None:
    async with serving() as served, aiohttp.ClientSession() as http:
        for name in COMMAND_ROLES:
            async with http.post(served.url + "/api/command", json={"name": name}) as answer:
                assert answer.status == 401, name
        assert served.bot.calls == []


async def test_the_table_names_every_endpoint() -> None:
    async with (
        serving() as served,
        aiohttp.ClientSession() as http,
        http.get(served.url + "/openapi.json") as answer,
    ):
        paths = (await answer.json())["paths"]
    assert {(m, path) for path, operations in paths.items() for m in operations} == set(ENDPOINTS)


@pytest.mark.parametrize("held", [None, *Role])
async def test_every_role_tries_every_endpoint(held: Role | None) -> None:
    bot = FakeBot()
    bot.events = [evaluation("AAPL", 0)]
    async with serving(bot=bot) as served, aiohttp.ClientSession() as http:
        token = token_of(held, served)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        for (method, path), needed in ENDPOINTS.items():
            url = served.url + path.format(symbol="AAPL")
            body = BODIES.get(path) if method == "post" else None
            async with http.request(method, url, json=body, headers=headers) as answer:
                allowed = needed is None or (held is not None and held >= needed)
                expected = 200 if allowed else 401 if held is None else 403
                assert answer.status == expected, (method, path)
                if not allowed:
                    assert (await answer.json())["error"]["code"] == "auth_error"
