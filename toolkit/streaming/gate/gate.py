"""All that stands between a stranger and the server: door, entrance, guard and presence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.streaming.access.auth import Authenticator
from toolkit.streaming.asgi import App
from toolkit.streaming.gate.door import Door
from toolkit.streaming.gate.entrance import Entrance
from toolkit.streaming.gate.guard import Guard, release
from toolkit.streaming.gate.limits import Penalties
from toolkit.streaming.gate.presence import GOODBYE_SECONDS, Presence
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.settings import ServerSettings


class Gate:
    """The limits of one server. `sio` is its Socket.IO server, `cutter` as in `Guard`."""

    def __init__(
        self,
        *,
        sio: Any,
        hub: Hub,
        auth: Authenticator,
        settings: ServerSettings,
        cutter: Callable[[Any], Callable[[], None]],
    ) -> None:
        self._sio = sio
        self._auth = auth
        self._settings = settings
        self._cutter = cutter
        self._guard: Guard | None = None
        limits = settings.limits
        self._penalties = Penalties(
            free=limits.offences, longest=limits.penalty, monotonic=time.monotonic
        )
        self.door = Door(settings.limits, stall_timeout=settings.websocket.ping_timeout)
        self.presence = Presence(
            auth=auth,
            limits=settings.limits,
            sessions=sio.eio.sockets,
            wants=lambda client: bool(hub.subscriptions(client)),
            tell=self._tell,
            close=self._close,
            sweeps=(self.door.sweep, self._forget),
        )

    def offend(self, address: str) -> None:
        """Note that somebody at this address showed a wrong token."""
        self._penalties.offend(address)

    def guarded(self, app: App) -> App:
        """Return the Socket.IO application with every frame checked."""
        self._guard = Guard(
            app,
            settings=self._settings,
            sessions=self._sio.eio.sockets,
            cutter=self._cutter,
            expel=self.presence.expel,
            penalties=self._penalties,
        )
        return self._guard

    def entered(self, app: App) -> App:
        """Return the whole application with name and pace of every request checked."""
        return Entrance(
            app,
            self._auth,
            body_timeout=self._settings.limits.handshake_timeout,
            stall_timeout=self._settings.websocket.ping_timeout,
        )

    def _forget(self) -> None:
        self._penalties.forget()
        if self._guard is not None:
            self._guard.forget()

    async def _tell(self, client: str, problem: ToolkitError) -> None:
        await self._sio.emit("error", problem.to_dict(), to=client)
        await self._sio.disconnect(client)

    async def _close(self, session: str) -> None:
        if self._guard is not None and await self._guard.close(session):
            return
        socket = self._sio.eio.sockets.get(session)
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._sio.eio.disconnect(session)
        self._sio.eio.sockets.pop(session, None)
        if socket is not None:
            # Engine.IO leaves requests of a session that is over hanging.
            release(socket)
            socket.queue.put_nowait(None)
