"""Everything that is not ours goes to the dashboard process, HTTP and WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable, Mapping
from urllib.parse import quote, urlsplit

import aiohttp
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from toolkit.errors import AuthError
from toolkit.streaming.access.auth import Authenticator, Identity
from toolkit.streaming.asgi import Receive, Scope, Send
from toolkit.streaming.gate.presence import Presence
from toolkit.streaming.http.login import SIGN_OUT, sign_in, sign_in_page, sign_out
from toolkit.streaming.http.pages import message_page
from toolkit.streaming.wire import DASHBOARD_KEY_HEADER, Role, dashboard_key

MAX_BODY = 16 * 2**20
MAX_MESSAGE = 20 * 2**20
# Hop-by-hop headers (RFC 9110) and those that aiohttp or uvicorn set themselves.
_NOT_FORWARDED = frozenset(
    """connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding
    upgrade host origin referer content-length authorization expect date server sec-websocket-key
    sec-websocket-version sec-websocket-extensions sec-websocket-protocol""".split()  # noqa: SIM905
)


class Proxy:
    """ASGI application in front of the dashboard; needs the role `view`.

    `target` gives the dashboard's address (`http://127.0.0.1:5006`), None while none runs.
    The link `/?token=...` is exchanged here for a session cookie, and `/sign-out` ends it. A
    WebSocket ends with the token or session that opened it.
    """

    def __init__(
        self, target: Callable[[], str | None], auth: Authenticator, presence: Presence
    ) -> None:
        self._target = target
        self._auth = auth
        self._presence = presence
        self._session: aiohttp.ClientSession | None = None
        self._pumps: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(WebSocket(scope, receive, send))
        elif scope["type"] == "http":
            response = await self._http(Request(scope, receive, send))
            await response(scope, receive, send)

    async def close(self) -> None:
        """Close all connections to the dashboard."""
        for pump in list(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _http(self, request: Request) -> Response:
        if request.url.path == "/" and "token" in request.query_params:
            return await sign_in(request, self._auth)
        if request.url.path == SIGN_OUT:
            return await sign_out(request, self._auth)
        try:
            identity = self._auth.identify(request.headers)
            identity.require(Role.VIEW)
            if request.method not in ("GET", "HEAD"):
                self._auth.require_same_site(identity, request.headers)
        except AuthError as error:
            return sign_in_page(error)
        target = self._target()
        if target is None:
            return _no_dashboard(200 if request.url.path == "/" else 404)
        try:
            return await self._forward(request, target)
        except (aiohttp.ClientError, TimeoutError):
            return _dashboard_silent()
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it

    async def _forward(self, request: Request, target: str) -> Response:
        body = await _bounded_body(request)
        if body is None:
            return message_page("Too large", "The request is larger than 16 MB.", status=413)
        answer = await self._client().request(
            request.method,
            target + _path(request.scope),
            headers=self._headers(request.headers, target),
            data=io.BytesIO(body) if body else None,
            allow_redirects=False,
        )
        kept = [(k, v) for k, v in answer.headers.items() if k.lower() not in _NOT_FORWARDED]
        response = StreamingResponse(_chunks(answer), status_code=answer.status)
        response.raw_headers = [(k.lower().encode(), v.encode("latin-1")) for k, v in kept]
        return response

    async def _websocket(self, browser: WebSocket) -> None:
        target = self._target()
        identity = self._visitor(browser)
        if identity is None or target is None:
            await browser.close(code=1008)
            return
        try:
            upstream = await self._client().ws_connect(
                target + _path(browser.scope),
                protocols=browser.scope.get("subprotocols", []),
                headers=self._headers(browser.headers, target),
                max_msg_size=MAX_MESSAGE,
                autoping=True,
            )
        except (aiohttp.ClientError, TimeoutError):
            await browser.close(code=1013)
            return
        await browser.accept(subprotocol=upstream.protocol)
        await self._pump(browser, upstream, identity)

    def _visitor(self, browser: WebSocket) -> Identity | None:
        try:
            identity = self._auth.identify(browser.headers)
            identity.require(Role.VIEW)
        except AuthError:
            return None
        return identity if self._auth.origin_allowed(browser.headers) else None

    async def _pump(
        self, browser: WebSocket, upstream: aiohttp.ClientWebSocketResponse, identity: Identity
    ) -> None:
        pumps = {
            asyncio.create_task(_to_dashboard(browser, upstream)),
            asyncio.create_task(_to_browser(browser, upstream)),
        }
        self._pumps |= pumps

        def end() -> None:
            for pump in pumps:
                pump.cancel()

        try:
            with self._presence.watch(identity, end):
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            results = await asyncio.gather(*pumps, return_exceptions=True)
            self._pumps -= pumps
            await upstream.close()
        with contextlib.suppress(RuntimeError, OSError, WebSocketDisconnect):
            await browser.close(code=1001)
        _raise_unexpected(results)

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=5, sock_read=60),
            )
        return self._session

    def _headers(self, headers: Mapping[str, str], target: str) -> dict[str, str]:
        kept = {k: v for k, v in headers.items() if k.lower() not in _NOT_FORWARDED}
        kept.pop(DASHBOARD_KEY_HEADER.lower(), None)
        cookies = [c.strip() for c in kept.pop("cookie", "").split(";")]
        others = [c for c in cookies if c and not c.startswith(f"{self._auth.cookie}=")]
        if others:
            kept["cookie"] = "; ".join(others)
        # Bokeh compares Origin with its own address.
        kept["origin"] = target
        kept["host"] = urlsplit(target).netloc
        # The dashboard has a token of its own; the person at the browser may do less.
        kept[DASHBOARD_KEY_HEADER] = dashboard_key(self._auth.token)
        identity = self._auth.identify(headers)
        kept["x-toolkit-role"] = identity.role_name
        kept["x-toolkit-who"] = quote(identity.who)
        return kept


async def _to_dashboard(browser: WebSocket, upstream: aiohttp.ClientWebSocketResponse) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            message = await browser.receive()
            if message["type"] == "websocket.disconnect":
                return
            if (text := message.get("text")) is not None:
                await upstream.send_str(text)
            else:
                await upstream.send_bytes(message["bytes"])


async def _to_browser(browser: WebSocket, upstream: aiohttp.ClientWebSocketResponse) -> None:
    async for message in upstream:
        if message.type is aiohttp.WSMsgType.TEXT:
            await browser.send_text(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await browser.send_bytes(message.data)


def _raise_unexpected(results: list[BaseException | None]) -> None:
    expected = (asyncio.CancelledError, WebSocketDisconnect, ConnectionError, RuntimeError)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, expected):
            raise result


async def _bounded_body(request: Request) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


async def _chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async with answer:
        async for chunk in answer.content.iter_chunked(65_536):
            yield chunk


def _path(scope: Scope) -> str:
    query = scope.get("query_string", b"").decode("latin-1")
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path = raw.decode("latin-1").partition("?")[0]
    return f"{path}?{query}" if query else path


def _no_dashboard(status: int) -> Response:
    return message_page(
        "The bot is running, without a dashboard",
        "Start one with <code>toolkit dashboard</code>, then reload this page.",
        'Meanwhile: the <a href="/websocket_test_client.html">live test client</a> and the '
        '<a href="/docs">HTTP API</a>.',
        status=status,
    )


def _dashboard_silent() -> Response:
    page = message_page(
        "The dashboard does not answer",
        "It may still be starting; this page looks again by itself. The bot is not affected.",
        'Meanwhile: the <a href="/websocket_test_client.html">live test client</a>.',
        status=502,
    )
    page.headers["Refresh"] = "2"
    return page
