"""What the streams' connections share: options, how they end, and what an end means."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from toolkit.alpaca.port import Link
from toolkit.alpaca.sdk import WebSocketException
from toolkit.alpaca.settings import AlpacaSettings

KEYS = (
    "Alpaca refused the keys: check APCA_API_KEY_ID and APCA_API_SECRET_KEY; paper and live have "
    "different keys"
)
_STATUSES = {
    401: KEYS,
    403: KEYS,
    429: "too many connections were tried: stop other programs that use these keys",
}


class StreamLost(Exception):
    """The connection cannot go on; it is made again."""


class StreamRefused(Exception):
    """Alpaca does not let us in; the text says what to do."""


def socket_options(settings: AlpacaSettings) -> dict[str, Any]:
    """Return what replaces the SDK's options: a dead peer shows in half a minute."""
    return {
        "ping_interval": 10,
        "ping_timeout": 20,
        "max_queue": 1024,
        "max_size": 1 << 24,
        "open_timeout": settings.handshake_timeout,
        "close_timeout": settings.close_timeout,
    }


async def nobody(_: Any) -> None:
    """Stands in for a handler of the SDK: frames are read by us."""


async def hang_up(stream: Any, *, patience: float) -> None:
    """Close the connection of an SDK's stream within `patience` seconds, whatever is under way.

    Who is cancelled meanwhile still waits for it: a connection that is not closed properly is
    held by Alpaca, and the next one is refused (406).
    """
    closing = asyncio.create_task(_close(stream, patience=patience))
    cancelled: asyncio.CancelledError | None = None
    while not closing.done():
        try:
            await asyncio.wait((closing,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    if not closing.cancelled():
        closing.result()


async def _close(stream: Any, *, patience: float) -> None:
    """Close; what still comes is read and dropped: a backlog would keep the closing handshake."""
    socket = stream._ws
    if socket is None:
        return
    draining = asyncio.create_task(_drain(socket))
    try:
        async with asyncio.timeout(patience):
            await stream.close()
    except (TimeoutError, WebSocketException, OSError):
        socket.transport.abort()
        await socket.wait_closed()
    finally:
        draining.cancel()
        await asyncio.gather(draining, return_exceptions=True)


def meaning(loss: Exception) -> tuple[Link, str]:
    """Say what a lost connection means: whether we are refused, and why, in words."""
    status = getattr(loss, "status_code", None)
    if status in _STATUSES:
        return Link.REFUSED, _STATUSES[status]
    text = str(loss) or type(loss).__name__
    return Link.DOWN, text if isinstance(loss, StreamLost) else f"the connection is lost: {text}"


async def _drain(socket: Any) -> None:
    with suppress(WebSocketException):
        while True:
            await socket.recv()
