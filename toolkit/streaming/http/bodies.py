"""What HTTP requests of the API may carry: HEAD as GET, JSON only, and not too much of it."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from toolkit.streaming.asgi import App, Receive, Scope, Send
from toolkit.streaming.http.errors import Message, TooLarge, UnsupportedMediaType, answer


class Heads:
    """ASGI middleware: answers HEAD as GET, without the body, where `is_ours(path)`."""

    def __init__(self, app: App, *, is_ours: Callable[[str], bool]) -> None:
        self._app = app
        self._is_ours = is_ours

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope["type"] == "http" and scope["method"] == "HEAD"
        if not asked or not self._is_ours(scope["path"]):
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, without_body)


class Bodies:
    """ASGI middleware: below `prefix`, refuses bodies that are not JSON or too large (bytes)."""

    def __init__(self, app: App, *, prefix: str, max_size: int) -> None:
        self._app = app
        self._prefix = prefix
        self._max_size = max_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(self._prefix):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        size = headers.get("content-length", "0")
        if size.isdigit() and int(size) > self._max_size:
            await answer(self._too_large())(scope, receive, send)
            return
        chunked = "transfer-encoding" in headers
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if (chunked or size != "0") and kind != "application/json":
            problem = UnsupportedMediaType(
                "the body must be JSON; send Content-Type: application/json",
                field="Content-Type",
                allowed=["application/json"],
            )
            await answer(problem)(scope, receive, send)
            return
        await self._app(scope, self._counted(receive), send)

    def _counted(self, receive: Receive) -> Receive:
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_size:
                # FastAPI lets only this kind of error through while it reads the body.
                raise HTTPException(413, self._too_large().message)
            return message

        return counted

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"the body is too large; allowed: {self._max_size} bytes",
            field="body",
            allowed=self._max_size,
        )
