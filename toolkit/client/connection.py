"""One connection to a streaming server, from opening to loss; what aiohttp raises becomes ours."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, NamedTuple

import aiohttp

from toolkit.client import packets
from toolkit.client.packets import Kind, Packet
from toolkit.errors import AuthError, NotConnected, ToolkitError, WireError, error_from_dict

GOODBYE_SECONDS = 1.0
# Longer than any answer of the server; a message beyond it ends the connection.
MAX_MESSAGE = 16 * 1024 * 1024
# A server that sends more that nobody understands is left, and found again anew.
MAX_GARBAGE = 20
# So many messages are taken before others in this loop have their turn.
TURN = 64
REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_DATA = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)


class NoAnswer(ToolkitError):
    """The server took a question and said nothing in time."""


class Answer(NamedTuple):
    """An ack: its object, and when the question left and the answer came (wall time, seconds)."""

    body: dict[str, Any]
    sent: float
    received: float


class Connection:
    """Lives once: `open`, then `ask`, until `lost` is set; `close` in any case.

    `on_event(name, data)` is called in order for every event of the server; what it raises, and
    packets that are none, go to `on_problem`, and the connection goes on. `on_lost` is called at
    once, before whoever waits for an answer is told.
    """

    def __init__(
        self,
        url: str,
        *,
        on_event: Callable[[str, Any], None],
        on_problem: Callable[[ToolkitError], None],
        on_lost: Callable[[], None] = lambda: None,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lost = asyncio.Event()
        self.reason = ""
        self.heard = monotonic()
        self._url = url
        self._on_event = on_event
        self._on_problem = on_problem
        self._on_lost = on_lost
        self._wall = wall
        self._monotonic = monotonic
        self._hello: asyncio.Future[Mapping[str, Any]]
        self._hello = asyncio.get_running_loop().create_future()
        self._answers: dict[int, asyncio.Future[tuple[Any, float]]] = {}
        self._numbers = itertools.count(1)
        self._garbage = 0
        self._largest = MAX_MESSAGE
        self._refusal: ToolkitError | None = None
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None

    async def open(self, auth: Mapping[str, Any], *, within: float) -> Mapping[str, Any]:
        """Connect and return what `connected` carries.

        Raises AuthError when the server refuses us, NotConnected when it cannot be reached.
        """
        try:
            async with asyncio.timeout(within):
                await self._dial()
                self._reader = asyncio.create_task(self._read(auth), name=f"from {self._url}")
                return await self._hello
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            await self.close()
            raise self._unreachable(error) from error
        except BaseException:
            await self.close()
            raise

    async def ask(self, event: str, body: Mapping[str, Any], *, within: float) -> dict[str, Any]:
        """Send one event and return the answer in its ack.

        Raises what the server answered, NotConnected when the connection is or gets lost, and
        NoAnswer after `within` seconds.
        """
        return (await self.exchange(event, body, within=within)).body

    async def exchange(self, event: str, body: Mapping[str, Any], *, within: float) -> Answer:
        """Do as `ask`, and say when the question left and when the answer came."""
        if self.lost.is_set() or self._socket is None:
            raise NotConnected("the connection to the server is lost")
        number = next(self._numbers)
        text = packets.event(event, body, ack=number)
        if len(text) > self._largest:
            raise _too_large(event, len(text), self._largest)
        answer: asyncio.Future[tuple[Any, float]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        sent = self._wall()
        try:
            async with asyncio.timeout(within):
                await self._send(text)
                value, received = await answer
        except TimeoutError:
            raise NoAnswer(f"no answer to {event} within {within:g} s", event=event) from None
        except (OSError, aiohttp.ClientError) as error:
            raise NotConnected("the connection to the server is lost") from error
        finally:
            self._answers.pop(number, None)
        return Answer(_checked(value, event), sent, received)

    async def close(self) -> None:
        """Leave in an orderly way; a server that does not answer is left all the same."""
        self._lose("closed by this client")
        try:
            if self._socket is not None:
                with suppress(OSError, TimeoutError, aiohttp.ClientError):
                    async with asyncio.timeout(GOODBYE_SECONDS):
                        await self._send(packets.DISCONNECT)
                        await self._socket.close()
            if self._reader is not None and self._reader is not asyncio.current_task():
                self._reader.cancel()
                await asyncio.gather(self._reader, return_exceptions=True)
        finally:
            if self._http is not None:
                await self._http.close()

    async def _dial(self) -> None:
        self._http = aiohttp.ClientSession()
        self._socket = await self._http.ws_connect(
            f"{self._url}/socket.io/",
            params={"EIO": "4", "transport": "websocket"},
            # Offered; what the server does not take up is not used.
            compress=15,
            max_msg_size=MAX_MESSAGE,
            timeout=aiohttp.ClientWSTimeout(ws_close=GOODBYE_SECONDS),
        )

    async def _read(self, auth: Mapping[str, Any]) -> None:
        assert self._socket is not None
        count = 0
        try:
            while (message := await self._socket.receive()).type in _DATA:
                self.heard = self._monotonic()
                await self._take(message.data, auth)
                if self.lost.is_set():
                    return
                count += 1
                if count % TURN == 0:
                    await asyncio.sleep(0)
            self._lose(f"the connection broke{_closing(self._socket)}")
        except (OSError, aiohttp.ClientError) as error:
            self._lose(f"the connection broke: {error}")
        except Exception as error:
            self._lose(f"internal error: {error!r}")
            raise

    async def _take(self, text: Any, auth: Mapping[str, Any]) -> None:
        try:
            if not isinstance(text, str):
                raise WireError("the server sent a binary message, which the protocol has not")
            packet = packets.decode(text)
            if packet.kind is Kind.EVENT:
                self._event(packet.data)
                if packet.id is not None:
                    await self._send(packets.ack(packet.id))
            elif packet.kind is Kind.ACK:
                self._acked(packet)
            elif packet.kind is Kind.PING:
                await self._send(packets.pong(text))
            elif packet.kind is Kind.OPEN:
                await self._opened(packet.data, auth)
            else:
                self._control(packet)
        except WireError as problem:
            self._misunderstood(problem)

    async def _opened(self, data: Any, auth: Mapping[str, Any]) -> None:
        if isinstance(data, Mapping) and isinstance(data.get("maxPayload"), int):
            self._largest = data["maxPayload"]
        await self._send(packets.connect(auth))

    def _event(self, data: list[Any]) -> None:
        name, value = data[0], data[1] if len(data) > 1 else None
        try:
            self._on_event(name, value)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise WireError(f"the server sent {name!r} in a form that has no meaning") from error
        if name == "connected" and not self._hello.done():
            self._hello.set_result(value or {})

    def _acked(self, packet: Packet) -> None:
        answer = self._answers.get(packet.id or 0)
        if answer is not None and not answer.done():
            answer.set_result((packet.data[0] if packet.data else None, self._wall()))

    def _control(self, packet: Packet) -> None:
        if packet.kind is Kind.CONNECT_ERROR:
            self._refusal = _refusal(packet.data)
            self._lose(self._refusal.message)
        elif packet.kind in (Kind.DISCONNECT, Kind.CLOSE):
            self._lose("the server ended the connection")

    def _misunderstood(self, problem: WireError) -> None:
        self._garbage += 1
        self._on_problem(problem)
        if self._garbage >= MAX_GARBAGE:
            self._lose("the server sends what nobody understands")

    def _lose(self, reason: str) -> None:
        if self.lost.is_set():
            return
        self.reason = self.reason or reason
        self.lost.set()
        self._on_lost()
        if not self._hello.done():
            self._hello.set_exception(ConnectionResetError(self.reason))
            self._hello.exception()  # Looked at, so that nobody is told it was not.
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(NotConnected(f"the connection was lost: {self.reason}"))

    async def _send(self, text: str) -> None:
        assert self._socket is not None
        await self._socket.send_str(text)

    def _unreachable(self, error: Exception) -> ToolkitError:
        if self._refusal is not None:
            return self._refusal
        if isinstance(error, aiohttp.WSServerHandshakeError):
            said = f"{self._url} answers with HTTP {error.status}"
            if error.status in REFUSALS:
                return AuthError(f"{said}: it does not let this client in", status=error.status)
            if error.status in BUSY:
                later = _seconds(error.headers)
                return NotConnected(f"{said}: it has no place now", retry_after=later)
            return NotConnected(f"{said}, not as a streaming server", url=self._url)
        if self._reader is not None:
            why = str(error) or "no greeting came"
            return NotConnected(f"{self._url} does not greet as a streaming server: {why}")
        return NotConnected(
            f"no streaming server answers at {self._url}; is it running there? "
            "`toolkit serve` or tk.launch() starts one",
            url=self._url,
        )


def _too_large(event: str, size: int, allowed: int) -> WireError:
    return WireError(
        f"{event} has {size} bytes; the server takes at most {allowed}: ask for less at once",
        field=event,
        allowed=allowed,
    )


def _seconds(headers: Mapping[str, str] | None) -> float:
    later = (headers or {}).get("Retry-After", "")
    return float(later) if later.isascii() and later.isdigit() else 0.0


def _closing(socket: aiohttp.ClientWebSocketResponse) -> str:
    error = socket.exception()
    if error is not None:
        return f": {error!r}"
    return f" (code {socket.close_code})" if socket.close_code else ""


def _refusal(data: Any) -> ToolkitError:
    details = data if isinstance(data, Mapping) else {}
    inner = details.get("data")
    if isinstance(inner, Mapping):
        return error_from_dict(dict(inner))
    return AuthError(str(details.get("message", "the server refuses this client")))


def _checked(answer: Any, event: str) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise ToolkitError(f"the server answered {event} with nothing we understand")
    if not answer.get("ok"):
        error = answer.get("error")
        raise error_from_dict(error if isinstance(error, dict) else {})
    return answer
