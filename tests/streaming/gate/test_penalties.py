"""Addresses that offend wait to come in again, decent ones do not: over a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.streaming.gate.test_hostile import raw
from tests.streaming.serving import VIEW, Served, serving, stock

pytestmark = pytest.mark.usefixtures("watchful")
POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
TRANSPORTS = ("websocket", "polling")
# Linux has all of 127.0.0.0/8.
OFFENDER, DECENT = "127.0.0.2", "127.0.0.3"


@asynccontextmanager
async def coming_from(address: str) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    async with aiohttp.ClientSession(connector=connector) as http:
        yield http


async def come_in(served: Served, http: aiohttp.ClientSession, transport: str) -> None:
    if transport == "polling":
        async with http.get(served.url + POLLING) as answer:
            assert (await answer.text()).startswith("0{")
    else:
        async with http.ws_connect(served.url + WEBSOCKET) as ws:
            assert (await ws.receive_str()).startswith("0{")


async def spoken(ws: aiohttp.ClientWebSocketResponse, text: str, times: int) -> None:
    for _ in range(times):
        await ws.send_str(text)
    async with asyncio.timeout(5):
        while "too many" not in (said := await ws.receive_str()) and "wire_error" not in said:
            pass


async def garbage(served: Served, http: aiohttp.ClientSession) -> None:
    async with http.ws_connect(served.url + WEBSOCKET) as ws:
        await spoken(ws, "garbage", 2)
        await spoken(ws, "garbage", 2)


@asynccontextmanager
async def two(
    served: Served, http: aiohttp.ClientSession
) -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, ...]]:
    url = served.url + WEBSOCKET
    async with http.ws_connect(url) as one, http.ws_connect(url) as other:
        yield one, other


async def no_text(served: Served, http: aiohttp.ClientSession) -> None:
    async with two(served, http) as both:
        for ws in both:
            await ws._writer.send_frame(b"\xff\xfe", aiohttp.WSMsgType.TEXT)  # type: ignore[attr-defined]
            while (await ws.receive(timeout=5)).type is not aiohttp.WSMsgType.CLOSE:
                pass


async def wrong_tokens(served: Served, http: aiohttp.ClientSession) -> None:
    async with two(served, http) as both:
        for ws in both:
            await ws.send_str('40{"token":"wrong"}')
            async with asyncio.timeout(5):
                while not (await ws.receive_str()).startswith("44"):
                    pass


async def flood(served: Served, http: aiohttp.ClientSession) -> None:
    async with http.ws_connect(served.url + WEBSOCKET) as ws:
        await ws.send_str("40" + json.dumps({"token": VIEW}))
        await spoken(ws, '421["ping",{}]', 20)
        while (await ws.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT:
            pass


async def posted_garbage(served: Served, http: aiohttp.ClientSession) -> None:
    async with http.get(served.url + POLLING) as opened:
        sid = json.loads((await opened.text())[1:])["sid"]
    for _ in range(2):
        async with http.post(f"{served.url}{POLLING}&sid={sid}", data="garbage") as answer:
            assert answer.status == 400


@pytest.mark.parametrize("offend", [garbage, no_text, wrong_tokens, flood, posted_garbage])
async def test_who_offends_waits_and_a_decent_address_comes_in_at_once(
    offend: Callable[[Served, aiohttp.ClientSession], Awaitable[None]],
) -> None:
    async with (
        serving(
            offences=1, penalty=60.0, messages_per_second=20, message_burst=4, handshake_timeout=60
        ) as served,
        coming_from(OFFENDER) as offender,
        coming_from(DECENT) as decent,
    ):
        await offend(served, offender)
        again = [
            asyncio.ensure_future(come_in(served, offender, transport)) for transport in TRANSPORTS
        ]
        for transport in TRANSPORTS:
            await come_in(served, decent, transport)
        assert not any(attempt.done() for attempt in again)
        for attempt in again:
            attempt.cancel()
        await asyncio.wait(again)


async def test_a_client_that_is_in_already_does_not_wait_for_what_its_address_did() -> None:
    async with (
        serving(offences=1, penalty=60.0) as served,
        stock(served) as early,
        stock(served, transports=("polling",)) as polling,
        raw(served) as ws,
    ):
        await spoken(ws, "garbage", 3)
        for client in (early, polling):
            assert (await client.call("ping", {}))["ok"]


async def test_in_the_end_an_offender_is_let_in() -> None:
    async with serving(offences=1, penalty=0.1) as served, coming_from(OFFENDER) as http:
        await garbage(served, http)
        for transport in TRANSPORTS:
            await come_in(served, http, transport)


async def test_without_a_penalty_nobody_waits() -> None:
    async with serving(offences=1, penalty=0.0) as served, coming_from(OFFENDER) as http:
        for _ in range(3):
            await garbage(served, http)
        await come_in(served, http, "polling")


async def test_posts_of_one_session_do_not_pile_up_while_one_is_slowed() -> None:
    async with (
        serving(messages_per_second=1, message_burst=16, handshake_timeout=60) as served,
        aiohttp.ClientSession() as http,
    ):
        async with http.get(served.url + POLLING) as opened:
            sid = json.loads((await opened.text())[1:])["sid"]
        url, body = f"{served.url}{POLLING}&sid={sid}", "\x1e".join(["3"] * 16)
        async with http.post(url, data=body) as answer:
            assert answer.status == 200
        slowed = asyncio.ensure_future(http.post(url, data=body))
        guard = served.server._gate._guard
        assert guard is not None
        async with asyncio.timeout(5):
            while not guard._slowed:  # noqa: ASYNC110 - a condition of the server
                await asyncio.sleep(0.01)
        for _ in range(5):
            async with http.post(url, data=body) as answer:
                assert answer.status == 429
                assert "one request" in (await answer.json())["error"]["message"]
        assert not slowed.done()
        slowed.cancel()
        await asyncio.wait({slowed})
