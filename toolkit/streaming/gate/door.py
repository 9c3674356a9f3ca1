"""Beneath uvicorn: how many HTTP connections there are, and how long a request may take to come.

uvicorn waits for ever for the rest of a request's head, and for a peer to take the last bytes of
an answer. WebSockets leave this protocol when they begin.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from toolkit.errors import WireError
from toolkit.streaming.gate.limits import Occupancy
from toolkit.streaming.settings import Limits

# Browsers open several connections each, and long polling needs two.
CONNECTIONS_A_CLIENT = 2
SPARE = 100
RETRY_SECONDS = 5


class Door:
    """Counts the HTTP connections of one server and ends those that keep it waiting."""

    def __init__(
        self,
        limits: Limits,
        *,
        stall_timeout: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places = Occupancy(
            total=limits.max_connections * CONNECTIONS_A_CLIENT + SPARE,
            per_key=limits.max_connections_per_address * CONNECTIONS_A_CLIENT + SPARE,
        )
        self._patience = limits.handshake_timeout
        self._stall_timeout = stall_timeout
        self._monotonic = monotonic
        self._inside: dict[CountedHttp, str] = {}

    def __len__(self) -> int:
        return len(self._inside)

    def enter(self, connection: CountedHttp, address: str) -> str | None:
        """Let a connection in; returns why not."""
        reason = self._places.enter(address)
        if reason is None:
            self._inside[connection] = address
            self.expect_head(connection)
        return reason

    def leave(self, connection: CountedHttp) -> None:
        """The connection is gone, or became a WebSocket."""
        address = self._inside.pop(connection, None)
        if address is not None:
            self._places.leave(address)

    def expect_head(self, connection: CountedHttp) -> None:
        """The head of a request has to be here in time."""
        connection.due = self._monotonic() + self._patience

    def sweep(self) -> None:
        """Cut the connections that are late with a request, or do not take their answer."""
        now = self._monotonic()
        for connection in list(self._inside):
            if connection.transport.is_closing():
                if connection.gone_at is None:
                    connection.gone_at = now + self._stall_timeout
                late = now >= connection.gone_at
            else:
                late = connection.due is not None and now >= connection.due
            if late:
                connection.transport.abort()

    def protocol(self) -> type[CountedHttp]:
        """Return the class that uvicorn is to use (`http=`)."""
        return type("CountedHttp", (CountedHttp,), {"door": self})


class CountedHttp(HttpToolsProtocol):
    """uvicorn's HTTP protocol, seen by a door. `due` is when the request's head must be here."""

    door: Door
    due: float | None = None
    gone_at: float | None = None

    def connection_made(self, transport: Any) -> None:
        """Take the connection, or say why not and close it."""
        super().connection_made(transport)
        reason = self.door.enter(self, str(self.client[0]) if self.client else "")
        if reason is not None:
            transport.write(_refusal(reason))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.door.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request; the first ones begin to count."""
        between = self.cycle is None or self.cycle.response_complete
        if self.due is None and between:
            self.door.expect_head(self)
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """The head is here."""
        self.due = None
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        """The connection becomes a WebSocket, which the guard counts."""
        super().handle_websocket_upgrade()
        self.door.leave(self)


def _refusal(reason: str) -> bytes:
    error = WireError(reason, field="connections", retry_after=RETRY_SECONDS)
    body = orjson.dumps({"error": error.to_dict()})
    head = (
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nretry-after: {RETRY_SECONDS}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
