"""Limits, names and expiry against a real server: who is refused, cut off, or told to go."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import socketio

from tests.streaming.fakes import FakeBot
from tests.streaming.gate.test_hostile import raw, until
from tests.streaming.serving import VIEW, Served, serving, stock
from toolkit.streaming.access import keys
from toolkit.streaming.access.revocation import Revocations, revoked_file
from toolkit.streaming.access.tokens import Claims, Use, new_claims, sign
from toolkit.streaming.wire import Role

pytestmark = pytest.mark.usefixtures("watchful")
BEARER = {"Authorization": f"Bearer {VIEW}"}


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    return tmp_path / "state" / "secret"


def mint(secret: Path, *, seconds: float = 3600.0, use: Use = Use.ACCESS) -> tuple[Claims, str]:
    claims = new_claims(name="anna", role=Role.TUNE, now=time.time(), seconds=seconds, use=use)
    return claims, sign(claims, keys.load_secrets(secret)[0])


def revoke(secret: Path, claims: Claims) -> None:
    Revocations(revoked_file(secret), clock=time.time).revoke(claims.jti, claims.expires)


async def ended(ws: aiohttp.ClientWebSocketResponse, within: float = 5.0) -> int | None:
    """Read until the server closes; returns the close code."""
    async with asyncio.timeout(within):
        while (await ws.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
    return ws.close_code


async def test_a_revoked_token_ends_the_connection_with_the_reason(secret: Path) -> None:
    async with serving(secret_file=secret) as served:
        claims, token = mint(secret)
        async with stock(served) as other, stock(served, auth={"token": token}) as client:
            assert (await client.first("connected"))["role"] == "tune"
            revoke(secret, claims)
            error = await client.first("error")
            assert (error["code"], error["reason"]) == ("auth_error", "revoked")
            await client.first("disconnect")
            await gone(served, sessions=1)
            assert (await other.call("ping", {}))["ok"]


async def test_a_token_that_expires_ends_the_connection(secret: Path) -> None:
    async with serving(secret_file=secret) as served:
        _, token = mint(secret, seconds=2)
        async with stock(served, transports=("polling",), auth={"token": token}) as client:
            error = await client.first("error")
            assert (error["code"], error["reason"]) == ("auth_error", "expired")
            await client.first("disconnect")
            await gone(served)


async def test_a_name_in_the_token_signs_changes(secret: Path) -> None:
    async with serving(secret_file=secret) as served, aiohttp.ClientSession() as http:
        _, token = mint(secret)
        change = {"name": "set_parameters", "args": {"values": {"ema_period": 12}}}
        async with stock(served, auth={"token": token, "client": "laptop"}) as client:
            await client.call("command", change)
        bearer = {"Authorization": f"Bearer {token}"}
        async with http.post(served.url + "/api/command", json=change, headers=bearer) as answer:
            assert answer.status == 200
        assert [who for _, _, who in served.bot.calls] == [
            "anna/laptop (tune)",
            "anna (tune) over http",
        ]


async def gone(served: Served, *, sessions: int = 0) -> None:
    """Wait until nobody but `sessions` is there."""
    async with asyncio.timeout(8):
        while len(served.server._sio.eio.sockets) > sessions:  # noqa: ASYNC110 - a condition of the server
            await asyncio.sleep(0.01)
    assert len(served.server._stats.clients) == sessions


async def test_a_websocket_that_shows_no_token_is_closed() -> None:
    async with serving(handshake_timeout=0.2) as served, AsyncExitStack() as opened:
        strangers = [await opened.enter_async_context(raw(served, connect=False)) for _ in range(4)]
        for ws, greeting in zip(strangers[1:], ('40{"token":"wrong"}', "41", "3"), strict=True):
            await ws.send_str(greeting)
        assert [await ended(ws) for ws in strangers] == [1008] * 4
        await gone(served)


async def test_a_long_poll_that_shows_no_token_is_closed() -> None:
    async with serving(handshake_timeout=0.2) as served, aiohttp.ClientSession() as http:
        url = served.url + "/socket.io/?EIO=4&transport=polling"
        async with http.get(url) as opened:
            sid = json.loads((await opened.text())[1:])["sid"]
        async with http.get(f"{url}&sid={sid}") as poll:
            assert await poll.text() in ("1", "")
        await gone(served)


async def test_a_client_that_ignores_its_goodbye_is_cut_off(secret: Path) -> None:
    async with serving(secret_file=secret) as served, raw(served, connect=False) as ws:
        claims, token = mint(secret)
        await ws.send_str("40" + json.dumps({"token": token}))
        await until(ws, '42["connected"')
        revoke(secret, claims)
        assert '"revoked"' in await until(ws, '42["error"')
        assert await ended(ws) == 1008
        await gone(served)


async def test_an_idle_client_is_told_and_a_subscriber_stays() -> None:
    async with (
        serving(idle_timeout=0.3) as served,
        stock(served) as idle,
        stock(served) as subscriber,
    ):
        await subscriber.call("subscribe", {"stream_types": ["market_data"]})
        assert "nothing was asked" in (await idle.first("error"))["message"]
        await idle.first("disconnect")
        assert subscriber.sio.connected


async def dribble(served: Served, first: bytes, drop: bytes, *, drops: int = 1_000_000) -> bytes:
    """Send a request by drops until the server has had enough; returns what it said.

    What is under way when the server closes makes the system forget what it said: a test that
    wants to hear it sends few `drops`.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
    answer = asyncio.ensure_future(reader.read())
    try:
        writer.write(first)
        async with asyncio.timeout(5):
            while not answer.done():
                if drops > 0:
                    writer.write(drop)
                drops -= 1
                await asyncio.wait({answer}, timeout=0.02)
        return answer.result()
    except ConnectionError:
        return b""
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), answer, return_exceptions=True)


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"", b""),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", b"X-A: b\r\n"),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\r\n"),
        (b"G", b"E"),
    ],
)
async def test_a_request_that_comes_by_drops_is_cut_off(first: bytes, drop: bytes) -> None:
    async with serving(handshake_timeout=0.3) as served:
        await dribble(served, first, drop)
        async with asyncio.timeout(5):
            while len(served.server._gate.door):  # noqa: ASYNC110 - a condition of the server
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("path", ["/api/command", "/socket.io/?EIO=4&transport=polling&sid=x"])
async def test_a_body_that_comes_by_drops_gets_a_408(path: str) -> None:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: 9000\r\n\r\n"
    )
    async with serving(handshake_timeout=0.2) as served:
        said = await dribble(served, head.encode(), b" ", drops=3)
    assert said.startswith(b"HTTP/1.1 408")
    assert b"too slowly" in said


async def test_over_the_rate_a_client_is_told_when_to_try_again() -> None:
    async with (
        serving(messages_per_second=5, message_burst=6) as served,
        stock(served) as other,
        raw(served) as ws,
    ):
        for number in range(8):
            await ws.send_str(f'42{number}["ping",{{}}]')
        answers = [json.loads((await until(ws, "43"))[3:])[0] for _ in range(8)]
        refused = [answer["error"] for answer in answers if not answer["ok"]]
        assert len(refused) >= 2
        assert {error["code"] for error in refused} == {"wire_error"}
        assert all(0 < error["retry_after"] <= 0.4 for error in refused)
        assert (await other.call("ping", {}))["ok"]


async def test_who_goes_on_flooding_is_disconnected() -> None:
    async with (
        serving(messages_per_second=5, message_burst=10) as served,
        stock(served) as other,
        raw(served) as ws,
    ):
        for _ in range(100):
            await ws.send_str("garbage")
        assert await ended(ws) == 1008
        assert (await other.call("ping", {}))["ok"]
        await gone(served, sessions=1)


async def test_floods_over_long_polling_are_refused_then_ended() -> None:
    async with (
        serving(messages_per_second=5, message_burst=6) as served,
        aiohttp.ClientSession() as http,
    ):
        url = served.url + "/socket.io/?EIO=4&transport=polling"
        async with http.get(url) as opened:
            sid = json.loads((await opened.text())[1:])["sid"]
        statuses = []
        for _ in range(8):
            async with http.post(f"{url}&sid={sid}", data="\x1e".join(["3"] * 4)) as answer:
                statuses.append(answer.status)
                if answer.status == 429:
                    assert (await answer.json())["error"]["retry_after"] > 0
                    assert int(answer.headers["Retry-After"]) >= 1
        assert statuses[0] == 200
        assert 429 in statuses
        await gone(served)
        async with asyncio.timeout(3):
            while served.server._gate._guard._allowances:  # type: ignore[union-attr] # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_one_address_has_its_share() -> None:
    async with serving(max_connections_per_address=2) as served:
        async with stock(served), stock(served), raw(served, connect=False) as ws:
            await ws.send_str("40" + json.dumps({"token": VIEW}))
            refused = json.loads((await until(ws, "44"))[2:])
            assert "your address has all its 2 places" in refused["message"]
            assert refused["data"]["retry_after"] > 0
        async with stock(served):
            pass


async def test_connections_that_are_no_clients_are_bounded() -> None:
    async with serving(max_connections=1) as served, AsyncExitStack() as sockets:
        for _ in range(102):
            _, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
            sockets.callback(writer.close)
        async with asyncio.timeout(5):
            while len(served.server._gate.door) < 102:  # noqa: ASYNC110 - a condition of the server
                await asyncio.sleep(0)
        async with aiohttp.ClientSession() as http, http.get(served.url + "/healthz") as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "5"
            assert "all 102 places" in (await answer.json())["error"]["message"]


async def test_websockets_and_sessions_that_are_no_clients_are_bounded() -> None:
    async with serving(max_connections=1) as served, AsyncExitStack() as opened:
        for _ in range(101):
            await opened.enter_async_context(raw(served, connect=False))
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await opened.enter_async_context(raw(served, connect=False))
        http = await opened.enter_async_context(aiohttp.ClientSession())
        async with http.get(served.url + "/socket.io/?EIO=4&transport=polling") as answer:
            assert answer.status == 503


async def test_symbols_of_one_client_are_bounded_over_all_subscriptions() -> None:
    bot = FakeBot(symbols=("AAPL", "MSFT", "TSLA"))
    async with serving(bot=bot, max_symbols=2) as served, stock(served) as client:

        async def subscribe(stream: str, *symbols: str) -> bool:
            body = {"stream_types": [stream], "symbols": list(symbols)}
            answer = await client.call("subscribe", body)
            if not answer["ok"]:
                assert answer["error"]["field"] == "symbols"
                assert "allowed: 2" in answer["error"]["message"]
            return bool(answer["ok"])

        assert not await subscribe("market_data")
        assert await subscribe("market_data", "AAPL", "MSFT")
        assert await subscribe("signals", "MSFT")
        assert not await subscribe("signals", "TSLA")
        await client.call("unsubscribe", {"stream_types": ["market_data"], "symbols": ["AAPL"]})
        assert await subscribe("signals", "TSLA")


async def test_without_binary_a_binary_frame_ends_the_connection() -> None:
    async with serving(binary=False) as served, raw(served) as ws:
        await ws.send_bytes(b"\x00\x01")
        assert await ended(ws) == 1003
        await gone(served)


@pytest.mark.parametrize("transport", ["polling", "websocket"])
@pytest.mark.parametrize(
    ("origin", "welcome"),
    [
        ("http://127.0.0.1:{port}", True),
        ("http://127.0.0.1:1", False),
        ("http://localhost:{port}", False),
        ("null", False),
        ("https://evil.example", False),
        ("https://desk.example", True),
        ("http://desk.example", False),
    ],
)
async def test_the_handshake_looks_at_the_origin(
    transport: str, origin: str, welcome: bool
) -> None:
    async with (
        serving(allowed_origins=("https://desk.example",)) as served,
        aiohttp.ClientSession() as http,
    ):
        headers = {"Origin": origin.format(port=served.server.port)}
        url = served.url + f"/socket.io/?EIO=4&transport={transport}"
        if transport == "polling":
            async with http.get(url, headers=headers) as answer:
                assert (answer.status == 200) is welcome
        elif welcome:
            async with http.ws_connect(url, headers=headers) as ws:
                assert (await ws.receive_str()).startswith("0{")
        else:
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await http.ws_connect(url, headers=headers)


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/docs", "/", "/api/websocket/stats", "/socket.io/?EIO=4&transport=polling"],
)
async def test_another_name_for_this_machine_is_refused_everywhere(path: str) -> None:
    async with serving() as served, aiohttp.ClientSession() as http:
        for host, status in (("evil.example", 403), ("localhost:1234", None), ("[::1]", None)):
            headers = {**BEARER, "Host": host}
            async with http.get(served.url + path, headers=headers) as answer:
                assert (answer.status == 403) is (status == 403)
                if status:
                    error = (await answer.json())["error"]
                    assert (error["code"], error["reason"]) == ("auth_error", "wrong_host")
                    assert "TOOLKIT_ALLOWED_ORIGINS" in error["message"]
        url = served.url + "/socket.io/?EIO=4&transport=websocket"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await http.ws_connect(url, headers={"Host": "evil.example"})


@asynccontextmanager
async def signed_in(served: Served, link: str) -> AsyncIterator[tuple[aiohttp.ClientSession, int]]:
    """A browser that opened a link, and the status it got."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        async with http.get(f"{served.url}/?token={link}", allow_redirects=False) as answer:
            status = answer.status
        yield http, status


async def test_a_link_signs_in_one_browser_and_the_printed_one_any(secret: Path) -> None:
    async with serving(secret_file=secret) as served:
        _, link = mint(secret, seconds=300, use=Use.LOGIN)
        for token, statuses in ((link, (303, 401)), (served.token, (303, 303))):
            for expected in statuses:
                async with signed_in(served, token) as (_, status):
                    assert status == expected
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{served.url}/?token={link}") as answer,
        ):
            assert "used before" in await answer.text()


@pytest.mark.parametrize(("host", "secure"), [("127.0.0.1", False), ("desk.example", True)])
async def test_the_cookie_is_secure_where_tls_ends_in_front(host: str, secure: bool) -> None:
    async with (
        serving(allowed_origins=("https://desk.example",)) as served,
        aiohttp.ClientSession() as http,
        http.get(
            f"{served.url}/?token={served.token}", headers={"Host": host}, allow_redirects=False
        ) as answer,
    ):
        cookie = answer.headers["Set-Cookie"].lower()
    assert ("; secure" in cookie) is secure
    assert "; httponly" in cookie
    assert "; samesite=strict" in cookie


async def test_who_one_is_and_until_when(secret: Path) -> None:
    async with serving(secret_file=secret) as served:
        _, link = mint(secret, seconds=300, use=Use.LOGIN)
        async with (
            signed_in(served, link) as (http, _),
            http.get(served.url + "/api/websocket/secure") as answer,
        ):
            told = await answer.json()
        assert (told["name"], told["role"]) == ("anna", "tune")
        assert told["expires"].endswith("Z")


async def test_signing_out_asks_first_and_ends_the_session(secret: Path) -> None:
    async with serving(secret_file=secret) as served:
        async with signed_in(served, served.token) as (http, _):
            page, secure = served.url + "/sign-out", served.url + "/api/websocket/secure"
            (kept,) = list(http.cookie_jar)
            async with http.get(page) as asked:
                assert "Sign out?" in await asked.text()
                assert asked.headers["Referrer-Policy"] == "same-origin"
            foreign = {"Origin": "https://evil.example"}
            async with http.post(page, headers=foreign) as refused:
                assert refused.status == 401
            async with http.get(secure) as still:
                assert still.status == 200
            async with http.post(page, headers={"Origin": served.url}) as answer:
                assert "Signed out" in await answer.text()
            cookie = {"Cookie": f"{kept.key}={kept.value}"}
        async with aiohttp.ClientSession() as http, http.get(secure, headers=cookie) as stolen:
            assert stolen.status == 401
            assert (await stolen.json())["error"]["reason"] == "revoked"


async def test_no_secret_reaches_a_log_an_address_or_an_answer(
    secret: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(secret_file=secret) as served:
        for name in ("", "uvicorn.error", "uvicorn.asgi", "engineio.server", "socketio.server"):
            caplog.set_level(logging.DEBUG, logger=name or None)
        _, token = mint(secret)
        claims, link = mint(secret, use=Use.LOGIN)
        forged = token[:-8] + "AAAAAAAA"
        said: list[str] = []
        async with signed_in(served, link) as (http, _):
            (kept,) = list(http.cookie_jar)
            for credential in (token, forged, served.token, VIEW + "x"):
                bearer = {"Authorization": f"Bearer {credential}"}
                for path in ("/metrics", "/api/websocket/clients", "/"):
                    async with http.get(served.url + path, headers=bearer) as answer:
                        said += [await answer.text(), str(answer.headers), str(answer.url)]
                for transport in ("polling", "websocket"):
                    await attempt(served, credential, transport, said)
        secrets = [
            token,
            forged,
            link,
            kept.value,
            served.token,
            keys.load_secrets(secret)[0].material.decode(),
            *(text.rpartition(".")[2] for text in (token, link, kept.value)),
        ]
        client_side = ("aiohttp", "engineio.client", "socketio.client", "asyncio")
        logged = [r.getMessage() for r in caplog.records if not r.name.startswith(client_side)]
        logged += [str(r.exc_info) for r in caplog.records if r.exc_info]
    everything = "\n".join([*said, *logged])
    for text in secrets:
        assert text not in everything
    assert claims.jti not in everything


async def attempt(served: Served, token: str, transport: str, said: list[str]) -> None:
    try:
        async with stock(served, transports=(transport,), auth={"token": token}) as client:
            await client.call("ping", {})
            await client.call("get_performance_stats")
            said.append(str(client.events))
    except socketio.exceptions.ConnectionError as error:
        said.append(str(error))
