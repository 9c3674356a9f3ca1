"""The dashboard behind the server's port."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.streaming.serving import VIEW, Served, serving
from toolkit.streaming.access.auth import Authenticator
from toolkit.streaming.gate.presence import Presence
from toolkit.streaming.http.proxy import Proxy
from toolkit.streaming.settings import Limits, ServerSettings

BEARER = {"Authorization": f"Bearer {VIEW}"}


@asynccontextmanager
async def dashboard() -> AsyncIterator[str]:
    """A dashboard that echoes what it was sent, with the habits of a Bokeh server."""

    async def page(request: web.Request) -> web.Response:
        body = await request.text()
        seen = {k.lower(): v for k, v in request.headers.items()}
        answer = web.json_response(
            {"path": request.path_qs, "method": request.method, "body": body, "headers": seen}
        )
        answer.headers.add("Set-Cookie", "a=1")
        answer.headers.add("Set-Cookie", "b=2")
        return answer

    async def socket(request: web.Request) -> web.WebSocketResponse:
        if request.headers["Origin"] != f"http://{request.host}":
            raise web.HTTPForbidden
        ws = web.WebSocketResponse(protocols=("bokeh",))
        await ws.prepare(request)
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                if message.data == "bye":
                    break
                await ws.send_str(f"echo {message.data}")
            else:
                await ws.send_bytes(message.data)
        return ws

    app = web.Application()
    app.router.add_get("/dashboard/ws", socket)
    app.router.add_route("*", "/{rest:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def fronted() -> AsyncIterator[tuple[Served, str, aiohttp.ClientSession]]:
    async with (
        dashboard() as target,
        serving(dashboard=lambda: target) as served,
        aiohttp.ClientSession() as http,
    ):
        yield served, target, http


async def test_paths_that_are_not_ours_go_to_the_dashboard() -> None:
    async with fronted() as (served, target, http):
        url = served.url + "/dashboard?theme=dark"
        cookies = {
            "X-Toolkit-Who": "boss",
            "Cookie": f"mine=1; toolkit_session_{served.server.port}=secret",
        }
        async with http.post(url, data="hello", headers={**BEARER, **cookies}) as answer:
            seen = await answer.json()
            assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]
        assert (seen["path"], seen["method"]) == ("/dashboard?theme=dark", "POST")
        assert seen["body"] == "hello"
        assert seen["headers"]["host"] == target.removeprefix("http://")
        assert seen["headers"]["cookie"] == "mine=1"
        assert "authorization" not in seen["headers"]
        assert (seen["headers"]["x-toolkit-role"], seen["headers"]["x-toolkit-who"]) == (
            "view",
        ) * 2


async def test_our_paths_stay_ours() -> None:
    async with fronted() as (served, _, http), http.get(served.url + "/healthz") as answer:
        assert await answer.json() == {"status": "ok"}


async def test_the_dashboard_needs_a_role() -> None:
    async with fronted() as (served, _, http):
        async with http.get(served.url + "/dashboard") as answer:
            assert answer.status == 401
            assert "link that the server printed" in await answer.text()
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(served.url + "/dashboard/ws")


async def test_a_websocket_is_carried_with_subprotocol_and_rewritten_origin() -> None:
    async with (
        fronted() as (served, _, http),
        http.ws_connect(
            served.url + "/dashboard/ws",
            protocols=("bokeh", "session-token"),
            headers={**BEARER, "Origin": served.url},
        ) as ws,
    ):
        assert ws.protocol == "bokeh"
        await ws.send_str("x" * 100_000)
        assert await ws.receive_str() == "echo " + "x" * 100_000
        await ws.send_bytes(b"\x00\x01")
        assert await ws.receive_bytes() == b"\x00\x01"
        await ws.send_str("bye")
        assert (await ws.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_a_foreign_page_gets_no_websocket() -> None:
    async with fronted() as (served, _, http):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(
                served.url + "/dashboard/ws",
                headers={**BEARER, "Origin": "https://evil.example.com"},
            )


async def test_stopping_ends_open_websockets() -> None:
    async with fronted() as (served, _, http):
        ws = await http.ws_connect(served.url + "/dashboard/ws", headers=BEARER)
        await served.server.stop()
        assert (await ws.receive()).type is not aiohttp.WSMsgType.TEXT
        await ws.close()


async def test_without_a_dashboard_a_page_says_how_to_start_one() -> None:
    async with serving() as served, aiohttp.ClientSession() as http:
        async with http.get(served.url + "/", headers=BEARER) as answer:
            text = await answer.text()
            assert answer.status == 200
            assert "toolkit dashboard" in text
            assert "/websocket_test_client.html" in text
        async with http.get(served.url + "/nowhere", headers=BEARER) as missing:
            assert missing.status == 404


async def test_a_silent_dashboard_is_said() -> None:
    async with (
        serving(dashboard=lambda: "http://127.0.0.1:9") as served,
        aiohttp.ClientSession() as http,
        http.get(served.url + "/", headers=BEARER) as answer,
    ):
        assert answer.status == 502
        assert "not affected" in await answer.text()


async def test_bodies_are_bounded() -> None:
    async with fronted() as (served, _, http):
        body = io.BytesIO(b"x" * (16 * 2**20 + 1))
        async with http.post(served.url + "/upload", data=body, headers=BEARER) as answer:
            assert answer.status == 413


async def nothing(*_: object) -> None:
    pass


def nobody(auth: Authenticator) -> Presence:
    """A presence without clients."""
    return Presence(
        auth=auth,
        limits=Limits(),
        sessions={},
        wants=lambda _: False,
        tell=nothing,
        close=nothing,
    )


async def test_a_closed_tab_is_no_error() -> None:
    sent: list[str] = []
    incoming = iter(({"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1001}))

    async def receive() -> dict[str, Any]:
        return dict(next(incoming))

    async def send(message: Any) -> None:
        sent.append(message["type"])
        if message["type"] == "websocket.close":
            raise OSError("the browser is gone")

    async with dashboard() as target:
        auth = Authenticator(ServerSettings(port=0, token=VIEW))
        proxy = Proxy(lambda: target, auth, nobody(auth))
        scope = {
            "type": "websocket",
            "path": "/dashboard/ws",
            "query_string": b"",
            "scheme": "ws",
            "headers": [(b"authorization", BEARER["Authorization"].encode())],
            "subprotocols": [],
        }
        try:
            await proxy(scope, receive, send)
        finally:
            await proxy.close()
    assert sent == ["websocket.accept", "websocket.close"]
