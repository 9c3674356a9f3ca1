"""The WebSocket of one client, as the guard sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import orjson

from toolkit.errors import WireError
from toolkit.streaming.asgi import Message, Send
from toolkit.streaming.hub.frames import event_text


class Peer:
    """One WebSocket of a client: what is sent over it, and how it ends.

    `on_session` is called with the Engine.IO session that it carries, `on_loss` when nothing can
    be sent any more: the peer is gone, or has not taken anything for `stall_timeout` seconds.
    """

    def __init__(
        self,
        send: Send,
        *,
        cut: Callable[[], None],
        stall_timeout: float,
        on_session: Callable[[str], object],
        on_loss: Callable[[str], None],
        session: str,
    ) -> None:
        self._send = send
        self._cut = cut
        self._stall_timeout = stall_timeout
        self._on_session = on_session
        self._on_loss = on_loss
        self.session = session
        self.gone = False

    async def send(self, message: Message) -> None:
        """Send, or cut off a peer that does not take it in time."""
        text = message.get("text") or ""
        if text.startswith("0{"):
            self.session = orjson.loads(text[1:])["sid"]
            self._on_session(self.session)
        try:
            async with asyncio.timeout(self._stall_timeout):
                await self._send(message)
            await asyncio.sleep(0)  # one step of a conversation a turn: others have waited
        except TimeoutError:
            self._lose()
            self._cut()
            raise ConnectionResetError("the client stopped reading") from None
        except Exception:
            self._lose()
            raise

    async def answer(self, problem: WireError, *, ack: str | None) -> None:
        """Tell the client what is wrong, by event and, where it waits for one, by ack."""
        error = problem.to_dict()
        await self.send({"type": "websocket.send", "text": "4" + event_text("error", error)})
        if ack is not None:
            body = orjson.dumps([{"ok": False, "error": error}]).decode()
            await self.send({"type": "websocket.send", "text": f"43{ack}{body}"})

    async def close(self, code: int) -> Message:
        """Say goodbye with a close code; returns what the application is to be told."""
        with suppress(Exception):  # it may have closed by itself meanwhile
            await self.send({"type": "websocket.close", "code": code})
        return {"type": "websocket.disconnect", "code": code}

    def closed(self) -> None:
        """Cut the connection soon: a peer that does not read would keep it closing for ever."""
        asyncio.get_running_loop().call_later(self._stall_timeout, self._cut)

    def _lose(self) -> None:
        self.gone = True
        self._on_loss(self.session)
