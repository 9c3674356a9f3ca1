"""The door of the REST API: keys, rate limit, and the faults that meet requests."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from toolkit.exchange.exchange import Exchange
from toolkit.exchange.faults import Kind
from toolkit.exchange.refusals import TOO_MANY, UNAUTHORIZED, Refusal
from toolkit.exchange.sessions import cut
from toolkit.exchange.values import SECOND, moment_of
from toolkit.exchange.web import Handler, refused

WINDOW = 60.0
_OPEN_PATHS = ("/_exchange",)
_STREAM_PATHS = frozenset({"/v2/iex", "/v2/sip", "/v1beta3/crypto/us", "/stream"})


class RateLimit:
    """So many requests in each minute of real time; a limit of 0 is none."""

    def __init__(self, limit: int, *, monotonic: Callable[[], float]) -> None:
        self.limit = limit
        self.left = limit
        self._monotonic = monotonic
        self._since = monotonic()

    def take(self) -> bool:
        """Count a request; False when it is one too many."""
        now = self._monotonic()
        if now - self._since >= WINDOW:
            self._since, self.left = now, self.limit
        if not self.limit:
            return True
        self.left -= 1
        return self.left >= 0

    def headers(self, now: int) -> dict[str, str]:
        """Return what Alpaca tells about the limit; `now` in epoch seconds."""
        if not self.limit:
            return {}
        reset = now + WINDOW - (self._monotonic() - self._since)
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(self.left, 0)),
            "X-RateLimit-Reset": str(int(reset)),
        }


class Gate:
    """Lets requests in and answers out. `settle` runs what a request made due at once."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        sync: Callable[[], None],
        settle: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._exchange = exchange
        self._sync = sync
        self._settle = settle
        self._rate = RateLimit(exchange.settings.rate_limit, monotonic=monotonic)
        self._number = 0

    @property
    def middleware(self) -> Any:
        """Return the middleware of an aiohttp application."""

        @web.middleware
        async def pass_through(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._sync()
            if request.path.startswith(_OPEN_PATHS) or request.path in _STREAM_PATHS:
                return await handler(request)
            response = await self._answer(request, handler)
            now = self._exchange.clock
            self._number += 1
            response.headers["X-Request-ID"] = f"{self._number:032x}"
            response.headers["Date"] = format_datetime(moment_of(now), usegmt=True)
            response.headers.update(self._rate.headers(now // SECOND))
            return response

        return pass_through

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        subject = f"{request.method} {request.path}"
        facts = await self._facts(request)
        if early := self._before(subject, request, facts):
            return early
        try:
            self._check(request)
            response = await handler(request)
        except Refusal as refusal:
            response = refused(refusal)
            self._exchange.log.add(
                "request.refused",
                self._exchange.now,
                request=subject,
                status=refusal.status,
                message=refusal.message,
                **facts,
            )
        self._settle()
        if slow := self._hit(Kind.SLOW, subject, facts):
            await asyncio.sleep(slow.amount)
        return self._after(subject, request, facts) or response

    def _before(
        self, subject: str, request: web.Request, facts: dict[str, Any]
    ) -> web.Response | None:
        if self._hit(Kind.RESET_BEFORE, subject, facts):
            return _reset(request)
        if self._hit(Kind.TIMEOUT_BEFORE, subject, facts):
            return _gateway_timeout()
        if self._hit(Kind.SERVER_ERROR, subject, facts):
            return web.json_response({"message": "internal server error occurred"}, status=500)
        if self._hit(Kind.RATE_LIMITED, subject, facts) or not self._rate.take():
            return refused(Refusal(429, TOO_MANY, "rate limit exceeded"))
        return None

    def _after(
        self, subject: str, request: web.Request, facts: dict[str, Any]
    ) -> web.Response | None:
        if self._hit(Kind.RESET_AFTER, subject, facts):
            return _reset(request)
        if self._hit(Kind.TIMEOUT_AFTER, subject, facts):
            return _gateway_timeout()
        return None

    def _hit(self, kind: Kind, subject: str, facts: dict[str, Any]) -> Any:
        return self._exchange.faults.hit(kind, subject, self._exchange.now, **facts)

    async def _facts(self, request: web.Request) -> dict[str, Any]:
        """Return which order a request is about, for the log."""
        if request.method == "POST" and request.path == "/v2/orders":
            try:
                return {"order": (await request.json()).get("client_order_id")}
            except (ValueError, AttributeError):
                return {"order": None}
        return {}

    def _check(self, request: web.Request) -> None:
        settings = self._exchange.settings
        key = request.headers.get("APCA-API-KEY-ID")
        secret = request.headers.get("APCA-API-SECRET-KEY")
        data = request.path.startswith(("/v2/stocks", "/v1beta3"))
        if key is None and secret is None:
            if request.path.startswith("/v1beta3/crypto"):
                return  # open to everybody
            raise Refusal(401, None if data else UNAUTHORIZED, "unauthorized.")
        if (key, secret) != (settings.key, settings.secret):
            if data:
                raise Refusal(403, None, "forbidden.")
            raise Refusal(401, UNAUTHORIZED, "request is not authorized")


def _gateway_timeout() -> web.Response:
    return web.Response(
        status=504,
        text="<html><title>504 Gateway Time-out</title></html>",
        content_type="text/html",
    )


def _reset(request: web.Request) -> web.Response:
    """Break the connection the hard way: the client sees a reset."""
    transport = request.transport
    raw = transport.get_extra_info("socket") if transport is not None else None
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    cut(request)
    return web.Response(status=500)
