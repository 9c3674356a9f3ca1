"""Who is connected, as whom, and until when: one timer for all.

A connection that shows no token in time, a client whose token expires or is revoked, and one that
asks nothing and wants no stream for long are told why and closed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from toolkit.errors import AuthError, ToolkitError, WireError
from toolkit.streaming.access.auth import Authenticator, Identity
from toolkit.streaming.gate.limits import Occupancy
from toolkit.streaming.settings import Limits

log = logging.getLogger(__name__)

SWEEP_SECONDS = 0.5
# So long a client that was told to go may keep its connection.
GOODBYE_SECONDS = 1.0
RETRY_SECONDS = 5.0


@dataclass(slots=True)
class _Client:
    identity: Identity
    address: str
    session: str
    active_at: float
    leaving: bool = False


class Presence:
    """The clients and connections of one server; `sweep` finds those whose time is up.

    `sessions` are Engine.IO's sockets. `wants` tells whether a client has a subscription, `tell`
    gives a client an error and says goodbye, `close` ends a session; `sweeps` are done along with
    ours. Times in seconds, by `monotonic`.
    """

    def __init__(
        self,
        *,
        auth: Authenticator,
        limits: Limits,
        sessions: Mapping[str, Any],
        wants: Callable[[str], bool],
        tell: Callable[[str, ToolkitError], Awaitable[None]],
        close: Callable[[str], Awaitable[None]],
        sweeps: Sequence[Callable[[], None]] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._auth, self._limits, self._sessions = auth, limits, sessions
        self._wants, self._tell, self._close = wants, tell, close
        self._sweeps = sweeps
        self._monotonic = monotonic
        self._places = Occupancy(
            total=limits.max_connections, per_key=limits.max_connections_per_address
        )
        self._clients: dict[str, _Client] = {}
        self._by_session: dict[str, str] = {}
        self._deadlines: dict[str, float] = {}
        self._watched: dict[object, tuple[Identity, Callable[[], None]]] = {}
        self._closing: set[str] = set()
        self._ending: set[asyncio.Task[None]] = set()

    def enter(self, client: str, *, identity: Identity, address: str, session: str) -> None:
        """Take in a client; raises AuthError with `retry_after` when there is no place."""
        reason = self._places.enter(address)
        if reason is not None:
            raise AuthError(reason, reason="full", retry_after=RETRY_SECONDS)
        self._clients[client] = _Client(identity, address, session, self._monotonic())
        self._by_session[session] = client

    def leave(self, client: str) -> None:
        """Forget a client; its connection is to follow soon."""
        found = self._clients.pop(client, None)
        if found is None:
            return
        self._places.leave(found.address)
        if self._by_session.get(found.session) == client:
            del self._by_session[found.session]
        self._deadlines[found.session] = self._monotonic() + GOODBYE_SECONDS

    def identity(self, client: str) -> Identity:
        """Return as whom a client was let in."""
        return self._clients[client].identity

    def touch(self, client: str) -> None:
        """Note that a client asked something."""
        if (found := self._clients.get(client)) is not None:
            found.active_at = self._monotonic()

    def expel(self, session: str, problem: ToolkitError) -> None:
        """Tell the client of a session why it has to go, and end the session."""
        client = self._by_session.get(session)
        if client is None:
            self._deadlines[session] = self._monotonic()
        elif not self._clients[client].leaving:
            self._clients[client].leaving = True
            self._begin(self._tell(client, problem))

    @contextmanager
    def watch(self, identity: Identity, end: Callable[[], None]) -> Iterator[None]:
        """Call `end` when this identity is no longer valid while the block runs."""
        key = object()
        self._watched[key] = (identity, end)
        try:
            yield
        finally:
            self._watched.pop(key, None)

    async def run(self) -> None:
        """Sweep until cancelled."""
        try:
            while True:
                await asyncio.sleep(SWEEP_SECONDS)
                self.sweep()
        finally:
            for task in self._ending:
                task.cancel()
            await asyncio.gather(*self._ending, return_exceptions=True)

    def sweep(self) -> None:
        """End what has to end by now."""
        now = self._monotonic()
        for client, found in list(self._clients.items()):
            problem = None if found.leaving else self._problem(client, found, now)
            if problem is not None:
                found.leaving = True
                self._begin(self._tell(client, problem))
        for identity, end in list(self._watched.values()):
            if self._refusal(identity) is not None:
                end()
        for session in self._late(now):
            self._closing.add(session)
            self._begin(self._finish(session))
        for sweep in self._sweeps:
            sweep()

    def _problem(self, client: str, found: _Client, now: float) -> ToolkitError | None:
        refusal = self._refusal(found.identity)
        if refusal is not None:
            return refusal
        if now - found.active_at < self._limits.idle_timeout or self._wants(client):
            return None
        return WireError(
            f"nothing was asked for {self._limits.idle_timeout:g} s and no stream is subscribed "
            "to; connect again when you need it",
            field="connection",
        )

    def _refusal(self, identity: Identity) -> AuthError | None:
        try:
            self._auth.still_valid(identity)
        except AuthError as error:
            return error
        return None

    def _late(self, now: float) -> list[str]:
        known = self._deadlines
        patience = self._limits.handshake_timeout
        self._deadlines = {
            session: now if socket.closed else known.get(session, now + patience)
            for session, socket in list(self._sessions.items())
            if session not in self._by_session and session not in self._closing
        }
        return [session for session, due in self._deadlines.items() if due <= now]

    async def _finish(self, session: str) -> None:
        try:
            await self._close(session)
        finally:
            self._closing.discard(session)

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._ending.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._ending.discard(task)
        if not task.cancelled() and task.exception():
            log.error("ending a connection failed", exc_info=task.exception())
