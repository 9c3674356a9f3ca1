"""One Socket.IO connection, from opening to loss; what python-socketio raises becomes ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import aiohttp
import socketio

from toolkit.errors import AuthError, NotConnected, ToolkitError, error_from_dict

GOODBYE_SECONDS = 1.0


class Connection:
    """Lives once: `open`, then `ask`, until `lost` is set; `close` in any case.

    `on_event(name, data)` is called in order for every event of the server.
    """

    def __init__(self, url: str, *, on_event: Callable[[str, Any], None]) -> None:
        self.lost = asyncio.Event()
        self.reason = ""
        self._url = url
        self._on_event = on_event
        self._hello: asyncio.Future[Mapping[str, Any]]
        self._hello = asyncio.get_running_loop().create_future()
        self._refusal: ToolkitError | None = None
        self._http = aiohttp.ClientSession()
        self._sio = socketio.AsyncClient(
            reconnection=False,
            handle_sigint=False,
            logger=False,
            engineio_logger=False,
            http_session=self._http,
        )
        self._sio.on("*", self._event)
        self._sio.on("connect_error", self._refused)
        self._sio.on("disconnect", self._disconnected)

    async def open(self, auth: Mapping[str, Any], *, within: float) -> Mapping[str, Any]:
        """Connect and return what `connected` carries.

        Raises AuthError when the server refuses us, NotConnected when it cannot be reached.
        """
        try:
            async with asyncio.timeout(within):
                await self._sio.connect(
                    self._url, auth=dict(auth), transports=["websocket"], wait_timeout=within
                )
                return await self._welcome()
        except (socketio.exceptions.ConnectionError, OSError, ValueError, TimeoutError) as error:
            await self.close()
            if self._refusal is not None:
                raise self._refusal from None
            raise NotConnected(
                f"no streaming server answers at {self._url}; is it running there? "
                "`toolkit serve` or tk.launch() starts one",
                url=self._url,
            ) from error
        except BaseException:
            await self.close()
            raise

    async def ask(self, event: str, body: Mapping[str, Any], *, within: float) -> dict[str, Any]:
        """Send one event and return the answer in its ack.

        Raises what the server answered, NotConnected when the connection is or gets lost, and
        ToolkitError after `within` seconds.
        """
        if self.lost.is_set():
            raise NotConnected("the connection to the server is lost")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def settle(*values: Any) -> None:
            if not answer.done():
                answer.set_result(values[0] if values else None)

        try:
            await self._sio.emit(event, dict(body), callback=settle)
        except socketio.exceptions.SocketIOError as error:
            raise NotConnected("the connection to the server is lost") from error
        return _checked(await self._first(answer, event, within), event)

    async def close(self) -> None:
        """Leave in an orderly way; a server that does not answer is left all the same."""
        self.reason = self.reason or "closed by this client"
        try:
            with suppress(OSError, TimeoutError, socketio.exceptions.SocketIOError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await self._sio.disconnect()
        finally:
            await self._http.close()
            self.lost.set()

    async def _welcome(self) -> Mapping[str, Any]:
        await self._settled(self._hello)
        if not self._hello.done():
            raise ConnectionResetError(self.reason)
        return self._hello.result()

    async def _first(self, answer: asyncio.Future[Any], event: str, within: float) -> Any:
        await self._settled(answer, within=within)
        if answer.done():
            return answer.result()
        if self.lost.is_set():
            raise NotConnected(f"the connection was lost before {event} was answered")
        raise ToolkitError(f"no answer to {event} within {within:g} s", event=event)

    async def _settled(self, future: asyncio.Future[Any], *, within: float | None = None) -> None:
        lost = asyncio.ensure_future(self.lost.wait())
        waiting: set[asyncio.Future[Any]] = {future, lost}
        try:
            await asyncio.wait(waiting, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()

    def _event(self, event: str, *values: Any) -> None:
        data = values[0] if values else None
        self._on_event(event, data)
        if event == "connected" and not self._hello.done():
            self._hello.set_result(data or {})

    def _refused(self, error: Any = None) -> None:
        details = error.get("data") if isinstance(error, Mapping) else None
        if isinstance(details, Mapping):
            self._refusal = error_from_dict(dict(details))
        elif isinstance(error, Mapping) and "message" in error:
            self._refusal = AuthError(str(error["message"]))

    def _disconnected(self, reason: Any = None) -> None:
        self.reason = self.reason or str(reason or "the connection broke")
        self.lost.set()


def _checked(answer: Any, event: str) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise ToolkitError(f"the server answered {event} with nothing we understand")
    if not answer.get("ok"):
        raise error_from_dict(answer.get("error") or {})
    return answer
