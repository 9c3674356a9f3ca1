"""Keeps one connection to the server up: opens it, watches it, and opens it again."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from toolkit.client.backoff import LONGEST_SECONDS, Backoff
from toolkit.client.connection import Connection
from toolkit.client.inbox import Inbox
from toolkit.client.latency import LatencyMeter
from toolkit.client.watch import Watch
from toolkit.errors import AuthError, ConfigError, NotConnected, ToolkitError, WireError

log = logging.getLogger(__name__)

Token = str | Callable[[], str | Awaitable[str]] | None
AS_SERVED: Literal["as served"] = "as served"
Attempts = int | Literal["as served"] | None
Delay = float | Literal["as served"]

# As WebSocketConfig has them, until the server has told its own.
ATTEMPTS, DELAY = 10, 0.5
HEARTBEAT_SECONDS = 5.0
# A connection that lived for so many delays was a good one: attempts are counted anew. One that
# was lost sooner was not, so that a server that lets us in only to throw us out is not besieged.
STABLE_DELAYS = 10.0


class ClientState(StrEnum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOptions:
    """How to connect; see `StreamClient`. Times in seconds."""

    token: Token = field(default=None, repr=False)
    name: str = "python"
    reconnect_attempts: Attempts = AS_SERVED
    reconnect_delay: Delay = AS_SERVED
    reconnect_delay_max: float = LONGEST_SECONDS
    timeout: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Where the time comes from, in seconds: the wall clock and one that nobody sets."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


class Link:
    """One connection after the other to the same server.

    `last_seen` gives what a new connection resumes from; `welcomed(connection, hello)` asks it
    for all that was subscribed to; `tell(event, value)` reaches the handlers; `on_ping` gets each
    round trip in ms.
    """

    def __init__(
        self,
        url: str,
        options: LinkOptions,
        *,
        inbox: Inbox,
        meter: LatencyMeter,
        last_seen: Callable[[], Mapping[str, Any] | None],
        welcomed: Callable[[Connection, Mapping[str, Any]], Awaitable[None]],
        tell: Callable[[str, Any], None],
        on_ping: Callable[[float], None],
        clocks: Clocks,
    ) -> None:
        self.url = url.rstrip("/")
        self.state = ClientState.DISCONNECTED
        self.reason = "not connected yet"
        self.hello: Mapping[str, Any] = {}
        self.connects = 0
        self.up = asyncio.Event()
        self._options = options
        self._inbox = inbox
        self._meter = meter
        self._last_seen = last_seen
        self._welcomed = welcomed
        self._tell = tell
        self._on_ping = on_ping
        self._clocks = clocks
        self._backoff = self._fresh_backoff()
        self._connection: Connection | None = None
        self._watch: Watch | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._since = 0.0

    @property
    def config(self) -> Mapping[str, Any]:
        """What the server said about itself."""
        config = self.hello.get("config")
        return config if isinstance(config, Mapping) else {}

    @property
    def over(self) -> bool:
        """Whether nobody tries to connect: closed, given up, or not begun."""
        return self.state in (ClientState.DISCONNECTED, ClientState.CLOSED)

    @property
    def uptime(self) -> float:
        """Seconds since this connection was made, 0 while there is none."""
        connected = self.state is ClientState.CONNECTED
        return self._clocks.monotonic() - self._since if connected else 0.0

    async def connect(self, *, retry: bool) -> None:
        """Connect and stay connected; raises AuthError and NotConnected."""
        if self.state is not ClientState.DISCONNECTED:
            raise ConfigError(f"connect() while {self.state}; a closed client stays closed")
        self._set(ClientState.CONNECTING, "connecting")
        try:
            await self._open()
        except ToolkitError as error:
            if not retry or not _passing(error):
                self._set(ClientState.DISCONNECTED, error.message)
                raise
            await self._reopen_or_raise(error)
        except BaseException:
            self._set(ClientState.DISCONNECTED, "connecting was cancelled")
            raise
        self._backoff = self._fresh_backoff()
        self._keeper = asyncio.create_task(self._keep(), name=f"client of {self.url}")

    async def close(self) -> None:
        """Disconnect for good."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        if self._connection is not None:
            await self._connection.close()
        if self.state is not ClientState.CLOSED:
            self._set(ClientState.CLOSED, "closed by this client")
            self._tell("disconnected", {"reason": self.reason})

    async def ask(self, event: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send one event and return its answer; raises NotConnected while there is no way.

        Who asks faster than the server allows waits as it says: nothing was done yet.
        """
        until = self._clocks.monotonic() + self._options.timeout
        while True:
            if self._connection is None or self.state is not ClientState.CONNECTED:
                raise NotConnected(f"not connected to {self.url}: {self.reason}")
            try:
                return await self._connection.ask(event, body, within=self._options.timeout)
            except WireError as refused:
                pause = _asked_to_wait(refused)
                if not pause or self._clocks.monotonic() + pause > until:
                    raise
                await asyncio.sleep(pause)

    async def ping(self) -> float:
        """Return the time to the server and back, in ms."""
        if self._watch is None or self.state is not ClientState.CONNECTED:
            raise NotConnected(f"not connected to {self.url}: {self.reason}")
        round_trip = await self._watch.ping(within=self._options.timeout)
        self._on_ping(round_trip)
        return round_trip

    async def _open(self) -> None:
        auth: dict[str, Any] = {"client": self._options.name, "batch": True}
        if (token := await self._token()) is not None:
            auth["token"] = token
        if (last_seen := self._last_seen()) is not None:
            auth["last_seen"] = last_seen
        clocks = self._clocks
        connection = Connection(
            self.url,
            on_event=self._inbox.receive,
            on_problem=self._inbox.problem,
            on_lost=self.up.clear,
            wall=clocks.wall,
            monotonic=clocks.monotonic,
        )
        self.hello = await connection.open(auth, within=self._options.timeout)
        try:
            await self._welcomed(connection, self.hello)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        self._watch = Watch(
            connection,
            meter=self._meter,
            interval=_positive(self.config.get("heartbeat_interval"), HEARTBEAT_SECONDS),
            on_ping=self._on_ping,
            monotonic=clocks.monotonic,
        )
        self.connects += 1
        self._since = clocks.monotonic()
        self._set(ClientState.CONNECTED, "")
        self._tell("connected", dict(self.hello))

    async def _token(self) -> str | None:
        token = self._options.token
        if not callable(token):
            return token
        try:
            made = token()
            return await made if inspect.isawaitable(made) else made
        except Exception as error:
            log.exception("the token could not be had")
            raise NotConnected(f"the token could not be had: {error!r}") from error

    async def _reopen(self, at_least: float = 0.0) -> None:
        while True:
            pause = self._backoff.next(at_least=at_least)
            if pause is None:
                raise NotConnected(
                    f"gave up after {self._backoff.attempts} attempts: {self.reason}", url=self.url
                )
            await asyncio.sleep(pause)
            try:
                await self._open()
            except ToolkitError as error:
                if not _passing(error):
                    raise
                at_least = _asked_to_wait(error)
                self.reason = f"{self._backoff.told()}: {error.message}"
            else:
                return

    async def _reopen_or_raise(self, error: ToolkitError) -> None:
        self.reason = error.message
        self._backoff = self._fresh_backoff()
        try:
            await self._reopen(_asked_to_wait(error))
        except ToolkitError as last:
            self._set(ClientState.DISCONNECTED, last.message)
            raise

    async def _keep(self) -> None:
        try:
            while True:
                assert self._watch is not None
                await self._watch.until_lost()
                await self._after_loss()
        except ToolkitError as error:
            self._give_up(error)
        except Exception as error:
            log.exception("the client of %s failed", self.url)
            problem = ToolkitError(f"internal error in the client: {error!r}")
            problem.__cause__ = error
            self._give_up(problem)

    async def _after_loss(self) -> None:
        assert self._connection is not None
        lived = self._clocks.monotonic() - self._since
        await self._connection.close()
        expelled = self._inbox.expelled
        self._set(ClientState.CONNECTING, expelled.message if expelled else self._connection.reason)
        self._tell("disconnected", {"reason": self.reason})
        if expelled is not None and not callable(self._options.token) and not _passing(expelled):
            raise expelled
        if lived >= STABLE_DELAYS * self._backoff.delay:
            self._backoff = self._fresh_backoff()
        await self._reopen()

    def _give_up(self, error: ToolkitError) -> None:
        self._set(ClientState.DISCONNECTED, error.message)
        self._tell("error", error)
        self._inbox.end(error)

    def _fresh_backoff(self) -> Backoff:
        told = self.config.get("reconnect_attempts")
        attempts = told if isinstance(told, int) and told >= 0 else ATTEMPTS
        longest = self._options.reconnect_delay_max
        delay = min(_positive(self.config.get("reconnect_delay"), DELAY), longest)
        wanted = self._options.reconnect_attempts, self._options.reconnect_delay
        return Backoff(
            attempts=attempts if wanted[0] == "as served" else wanted[0],
            delay=delay if wanted[1] == "as served" else wanted[1],
            longest=longest,
        )

    def _set(self, state: ClientState, reason: str) -> None:
        self.state, self.reason = state, reason
        if state is ClientState.CONNECTED:
            self.up.set()
        else:
            self.up.clear()


def _passing(error: ToolkitError) -> bool:
    """Whether trying again may help: a wrong token stays wrong, a full server does not."""
    return not isinstance(error, AuthError) or "retry_after" in error.data


def _asked_to_wait(error: ToolkitError) -> float:
    return _positive(error.data.get("retry_after"), 0.0)


def _positive(value: Any, otherwise: float) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and value > 0 else otherwise
