"""`StreamClient`: the live streams for asyncio code."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from toolkit.client.connection import Connection
from toolkit.client.dispatch import Dispatcher, Handler
from toolkit.client.inbox import Inbox
from toolkit.client.iterator import MessageStream
from toolkit.client.messages import Gap, Message
from toolkit.client.subscriptions import Subscriptions, selection
from toolkit.client.tracker import Tracker
from toolkit.errors import (
    AuthError,
    ConfigError,
    NotConnected,
    ToolkitError,
    WireError,
)
from toolkit.streaming.wire import Stream

MAX_DELAY = 30.0
SILENT_BEATS = 3.0
# A command waits this long for a connection that is just being made again.
BLINK = 2.0


class ClientState(StrEnum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    CLOSED = "closed"


class StreamClient:
    """One connection to a streaming server, kept up: reconnects, resubscribes and resumes.

    `reconnect_attempts` tries follow a loss, the first after `reconnect_delay` seconds, then
    twice as long each time (30 s at most), each with up to half of it in jitter. `timeout` is
    for connecting and for answers, in seconds. All methods belong to one event loop; `on` and
    the properties may be used from any thread.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        name: str = "python",
        reconnect_attempts: int = 10,
        reconnect_delay: float = 0.5,
        timeout: float = 30.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._name = name
        self._attempts = reconnect_attempts
        self._delay = reconnect_delay
        self._timeout = timeout
        self._jitter = jitter
        self._state = ClientState.DISCONNECTED
        self._reason = "not connected yet"
        self._hello: Mapping[str, Any] = {}
        self._connection: Connection | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._tracker = Tracker()
        self._dispatcher = Dispatcher()
        self._inbox = Inbox(self._tracker, self._dispatcher)
        self._subscriptions = Subscriptions()
        self.loop: asyncio.AbstractEventLoop | None = None

    @property
    def state(self) -> str:
        """`connected`, `connecting` (also while it tries again), `disconnected` or `closed`."""
        return self._state.value

    @property
    def reason(self) -> str:
        """Why it is not connected; empty while it is."""
        return self._reason

    @property
    def role(self) -> str:
        """What the token may do: view, tune, trade or admin; empty before the first connect."""
        return str(self._hello.get("role", ""))

    @property
    def epoch(self) -> str:
        """The server's start; sequence numbers belong to it."""
        return str(self._hello.get("epoch", ""))

    @property
    def config(self) -> Mapping[str, Any]:
        """What the server said about itself when connecting."""
        config: Mapping[str, Any] = self._hello.get("config", {})
        return config

    @property
    def symbols(self) -> tuple[str, ...]:
        """What the bot trades."""
        return tuple(self.config.get("symbols", ()))

    @property
    def subscriptions(self) -> Subscriptions:
        """What is subscribed to."""
        return self._subscriptions

    async def connect(self, *, retry: bool = False) -> None:
        """Connect, and from then on stay connected until `close`.

        Raises AuthError (with the reason, at once) and NotConnected; with `retry` the latter
        only after all attempts.
        """
        if self._keeper is not None:
            raise ConfigError("connect() was called before; make a new client instead")
        self.loop = asyncio.get_running_loop()
        self._set(ClientState.CONNECTING, "connecting")
        try:
            if retry:
                await self._reopen(first=True)
            else:
                await self._open()
        except ToolkitError as error:
            self._set(ClientState.DISCONNECTED, error.message)
            raise
        self._keeper = asyncio.create_task(self._keep(), name=f"client of {self.url}")

    async def close(self) -> None:
        """Disconnect for good; iterators end."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        if self._connection is not None:
            await self._connection.close()
        if self._state is not ClientState.CLOSED:
            self._set(ClientState.CLOSED, "closed by this client")
            self._dispatcher.emit("disconnected", {"reason": self._reason})
        self._inbox.end(None)

    def on(self, event: str, handler: Handler) -> Callable[[], None]:
        """Call `handler` on each `event`; returns what removes it.

        Events: `connected`, `disconnected` ({reason}), `heartbeat`, `gap` (Gap), `error`
        (ToolkitError), `latency_update`, `stream_data` and `stream_<name>` (Message),
        `symbol_<SYMBOL>`. Handlers are plain functions, run in the loop, and must not block.
        """
        return self._dispatcher.on(event, handler)

    async def subscribe(
        self,
        streams: Sequence[str],
        symbols: Sequence[str] | None = None,
        *,
        max_rate: float | None = None,
    ) -> dict[str, Any]:
        """Ask for streams (no symbols = all) and return the confirmation; raises WireError.

        `max_rate` limits updates of market data, health and performance to so many a second,
        for this client as a whole; final bars and all lossless streams come at once.
        """
        answer = await self._ask("subscribe", selection(_listed(streams), symbols, max_rate))
        self._tracker.answered(answer["seq"])
        self._subscriptions.add(streams, symbols)
        if max_rate is not None:
            self._subscriptions.max_rate = max_rate
        return answer

    async def unsubscribe(
        self, streams: Sequence[str], symbols: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Want streams (no symbols = all) no longer and return the confirmation."""
        answer = await self._ask("unsubscribe", selection(_listed(streams), symbols))
        for stream in self._subscriptions.remove(streams, symbols):
            self._tracker.forget(stream)
        return answer

    async def command(self, name: str, /, **args: Any) -> Any:
        """Have the bot carry out a command and return its result; raises the bot's error.

        When the connection breaks before the answer, it is asked for again on the next one; the
        server executes it once. Raises NotConnected when the outcome cannot be learnt.
        """
        body = {"name": name, "args": args, "id": uuid.uuid4().hex}
        epoch = self.epoch
        if self._state is not ClientState.CONNECTED:
            await self._soon_connected()
        try:
            answer = await self._ask("command", body)
        except NotConnected:
            await self._connected_again(name, epoch)
            answer = await self._ask("command", body)
        return answer["result"]

    async def ping(self) -> float:
        """Return the time to the server and back, in milliseconds."""
        sent = time.perf_counter()
        await self._ask("ping", {"timestamp": sent})
        current = (time.perf_counter() - sent) * 1000.0
        self._dispatcher.emit("latency_update", {"current": current})
        return current

    async def stats(self) -> dict[str, Any]:
        """Return the server's figures about this client, and this client's own."""
        answer = await self._ask("get_performance_stats", {})
        own = {"messages_received": self._inbox.received, "gaps": self._inbox.gaps}
        return {key: value for key, value in {**answer, **own}.items() if key != "ok"}

    async def stream(
        self, name: str, symbol: str | None = None, *, size: int = 10_000
    ) -> AsyncIterator[Message | Gap]:
        """Iterate over a stream's messages from now on, subscribing when needed.

        Ends when the client is closed; raises NotConnected when it cannot get the server back.
        Who takes longer than `size` messages gets a Gap in place of the oldest.
        """
        messages = MessageStream(name, symbol, size=size)
        self._inbox.streams.add(messages)
        try:
            if not self._subscriptions.covers(name, symbol):
                await self.subscribe([name], None if symbol is None else [symbol])
            async for message in messages:
                yield message
        finally:
            self._inbox.streams.discard(messages)

    async def _ask(self, event: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if self._connection is None or self._state is not ClientState.CONNECTED:
            raise NotConnected(f"not connected to {self.url}: {self._reason}")
        return await self._connection.ask(event, body, within=self._timeout)

    async def _open(self) -> None:
        auth: dict[str, Any] = {"client": self._name}
        if self._token is not None:
            auth["token"] = self._token
        if (last_seen := self._tracker.last_seen()) is not None:
            auth["last_seen"] = last_seen
        connection = Connection(self.url, on_event=self._inbox.receive)
        self._hello = await connection.open(auth, within=self._timeout)
        self._connection = connection
        try:
            for event, body in self._subscriptions.requests():
                answer = await connection.ask(event, body, within=self._timeout)
                self._tracker.answered(answer.get("seq", {}))
        except BaseException:
            await connection.close()
            raise
        self._set(ClientState.CONNECTED, "")
        self._dispatcher.emit("connected", dict(self._hello))

    async def _reopen(self, *, first: bool = False) -> None:
        delay = self._delay
        for attempt in range(1, self._attempts + 1):
            if not (first and attempt == 1):
                await asyncio.sleep(delay * (1.0 + 0.5 * self._jitter()))
                delay = min(delay * 2.0, MAX_DELAY)
            try:
                await self._open()
            except AuthError:
                raise
            except ToolkitError as error:
                self._reason = f"attempt {attempt} of {self._attempts}: {error.message}"
            else:
                return
        raise NotConnected(f"gave up after {self._attempts} attempts: {self._reason}", url=self.url)

    async def _keep(self) -> None:
        while True:
            assert self._connection is not None
            await self._until_lost(self._connection)
            await self._connection.close()
            self._set(ClientState.CONNECTING, self._connection.reason)
            self._dispatcher.emit("disconnected", {"reason": self._connection.reason})
            try:
                await self._reopen()
            except ToolkitError as error:
                self._set(ClientState.DISCONNECTED, error.message)
                self._dispatcher.emit("error", error)
                self._inbox.end(error)
                return

    async def _until_lost(self, connection: Connection) -> None:
        silence = SILENT_BEATS * float(self.config.get("heartbeat_interval", 5.0))
        while not connection.lost.is_set():
            left = self._inbox.heard + silence - time.monotonic()
            if left <= 0:
                connection.reason = f"the server was silent for {silence:g} s"
                return
            try:
                async with asyncio.timeout(left):
                    await connection.lost.wait()
            except TimeoutError:
                continue

    async def _soon_connected(self) -> None:
        try:
            async with asyncio.timeout(min(BLINK, self._timeout)):
                await self._up.wait()
        except TimeoutError:
            raise NotConnected(f"not connected to {self.url}: {self._reason}") from None

    async def _connected_again(self, name: str, epoch: str) -> None:
        lost = f"the connection was lost and it is not known whether {name} was carried out"
        try:
            async with asyncio.timeout(self._timeout):
                await self._up.wait()
        except TimeoutError:
            raise NotConnected(lost) from None
        if self.epoch != epoch:
            raise NotConnected(f"{lost}: the server was restarted")

    def _set(self, state: ClientState, reason: str) -> None:
        self._state, self._reason = state, reason
        if state is ClientState.CONNECTED:
            self._up.set()
        else:
            self._up.clear()


def _listed(streams: Sequence[str]) -> list[str]:
    if isinstance(streams, str):
        raise WireError(
            f"streams is {streams!r}; give a list, such as [{streams!r}]",
            field="stream_types",
            allowed=[stream.value for stream in Stream],
        )
    return list(streams)
