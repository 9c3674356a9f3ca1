"""`StreamClient`: the live streams for asyncio code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Self

from toolkit.client.clock import Estimate
from toolkit.client.commands import Commands
from toolkit.client.connection import Connection, NoAnswer
from toolkit.client.dispatch import Dispatcher, Handler
from toolkit.client.following import Frames
from toolkit.client.frames import LiveFrame
from toolkit.client.inbox import Inbox
from toolkit.client.iterator import MessageStream
from toolkit.client.latency import LatencyMeter
from toolkit.client.link import AS_SERVED, Attempts, Clocks, Delay, Link, LinkOptions, Token
from toolkit.client.messages import Gap, Message
from toolkit.client.subscriptions import Subscriptions, selection
from toolkit.client.tracker import Tracker
from toolkit.errors import NotConnected, ToolkitError, WireError
from toolkit.streaming.wire import Stream


class StreamClient:
    """One connection to a streaming server, kept up: reconnects, resubscribes and resumes.

    `token` may be a function (or coroutine function) that gives a fresh one for each connection.
    `reconnect_attempts` tries follow a loss (None: without end), with pauses that are drawn at
    random and grow from `reconnect_delay` to `reconnect_delay_max` seconds; the first two are as
    the server recommends unless given. `timeout` is for connecting and for answers, in seconds.
    `latency_target` (ms) is what `latency_update` compares with. All methods belong to one event
    loop; `on` and the properties may be used from any thread.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Token = None,
        name: str = "python",
        reconnect_attempts: Attempts = AS_SERVED,
        reconnect_delay: Delay = AS_SERVED,
        reconnect_delay_max: float = 30.0,
        timeout: float = 30.0,
        latency_target: float = 50.0,
        clocks: Clocks | None = None,
    ) -> None:
        clocks = clocks or Clocks()
        self.latency_target = latency_target
        self.loop: asyncio.AbstractEventLoop | None = None
        self._timeout = timeout
        self._tracker = Tracker()
        self._dispatcher = Dispatcher()
        self._subscriptions = Subscriptions()
        self._meter = LatencyMeter(wall=clocks.wall, monotonic=clocks.monotonic)
        self._inbox = Inbox(
            tracker=self._tracker,
            dispatcher=self._dispatcher,
            subscriptions=self._subscriptions,
            meter=self._meter,
        )
        self._link = Link(
            url,
            LinkOptions(
                token=token,
                name=name,
                reconnect_attempts=reconnect_attempts,
                reconnect_delay=reconnect_delay,
                reconnect_delay_max=reconnect_delay_max,
                timeout=timeout,
            ),
            inbox=self._inbox,
            meter=self._meter,
            last_seen=self._tracker.last_seen,
            welcomed=self._subscribe_again,
            tell=self._dispatcher.emit,
            on_ping=self._pinged,
            clocks=clocks,
        )
        self._commands = Commands(self._link, epoch=lambda: self.epoch, timeout=timeout)
        self._frames = Frames(self)

    @property
    def url(self) -> str:
        """Address of the server."""
        return self._link.url

    @property
    def state(self) -> str:
        """`connected`, `connecting` (also while it tries again), `disconnected` or `closed`."""
        return self._link.state.value

    @property
    def reason(self) -> str:
        """Why it is not connected; empty while it is."""
        return self._link.reason

    @property
    def role(self) -> str:
        """What the token may do: view, tune, trade or admin; empty before the first connect."""
        return str(self._link.hello.get("role", ""))

    @property
    def epoch(self) -> str:
        """The server's start; sequence numbers belong to it."""
        return self._tracker.epoch or ""

    @property
    def config(self) -> Mapping[str, Any]:
        """What the server said about itself when connecting."""
        return self._link.config

    @property
    def symbols(self) -> tuple[str, ...]:
        """What the bot trades."""
        return tuple(self.config.get("symbols", ()))

    @property
    def subscriptions(self) -> Subscriptions:
        """What is subscribed to."""
        return self._subscriptions

    @property
    def clock(self) -> Estimate | None:
        """The server's clock against ours (`offset_ms`, `uncertainty_ms`); None until known."""
        return self._meter.estimate

    async def connect(self, *, retry: bool = False) -> None:
        """Connect, and from then on stay connected until `close`.

        Raises AuthError (with the reason, at once) and NotConnected; with `retry` the latter
        only after all attempts.
        """
        self.loop = asyncio.get_running_loop()
        await self._link.connect(retry=retry)

    async def close(self) -> None:
        """Disconnect for good; iterators end, frames keep what they have."""
        await self._frames.close()
        await self._link.close()
        self._inbox.end(None)

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def on(self, event: str, handler: Handler) -> Callable[[], None]:
        """Call `handler` on each `event`; returns what removes it.

        Events: `connected`, `disconnected` ({reason}), `heartbeat`, `gap` (Gap), `error`
        (ToolkitError), `alert`, `config_changed`, `latency_update` and `performance_stats` (every
        heartbeat interval), `stream_data` and `stream_<name>` (Message), `symbol_<SYMBOL>`.
        Handlers are plain functions, run in the loop, and must not block.
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
        answer = await self._link.ask("subscribe", selection(_listed(streams), symbols, max_rate))
        self._tracker.answered(answer["seq"])
        self._subscriptions.add(streams, symbols)
        if max_rate is not None:
            self._subscriptions.max_rate = max_rate
        return answer

    async def unsubscribe(
        self, streams: Sequence[str], symbols: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Want streams (no symbols = all) no longer and return the confirmation."""
        answer = await self._link.ask("unsubscribe", selection(_listed(streams), symbols))
        for stream in self._subscriptions.remove(streams, symbols):
            self._tracker.forget(stream)
        return answer

    async def command(self, name: str, /, **args: Any) -> Any:
        """Have the bot carry out a command and return its result; raises the bot's error.

        When the connection breaks before the answer, it is asked for again on the next one; the
        server executes it once. Raises NotConnected when the outcome cannot be learnt.
        """
        return await self._commands.run(name, args)

    async def ping(self) -> float:
        """Return the time to the server and back, in milliseconds."""
        return await self._link.ping()

    def latency(self) -> dict[str, dict[str, Any]]:
        """Return `{stream: {count, average, p50, p95, p99, max}}` of about the last minute.

        One-way latency in ms, from publishing at the server to arrival here, by the server's
        clock (see `clock`); only of live messages.
        """
        return self._meter.by_stream()

    async def stats(self) -> dict[str, Any]:
        """Return the server's figures about this client, and this client's own."""
        answer = await self._link.ask("get_performance_stats", {})
        known = {key: value for key, value in answer.items() if key != "ok"}
        found = {**known, **self._own_stats()}
        self._dispatcher.emit("performance_stats", found)
        return found

    async def frame(
        self,
        stream: str,
        symbol: str | None = None,
        *,
        kind: str | None = None,
        limit: int = 2000,
    ) -> LiveFrame:
        """Return a DataFrame of the last `limit` messages that keeps growing.

        Of market_data it shows bars, history first, unless `kind` says `quote` or `trade`. The
        same arguments give the same frame again. Raises WireError for unknown names.
        """
        return await self._frames.frame(stream, symbol, kind=kind, limit=limit)

    async def stream(
        self, name: str, symbol: str | None = None, *, size: int = 10_000
    ) -> AsyncIterator[Message | Gap]:
        """Iterate over a stream's messages from now on, subscribing when needed.

        Ends when the client is closed; raises NotConnected when it cannot get the server back.
        Who takes longer than `size` messages gets a Gap in place of the oldest.
        """
        messages = await self.listen(name, symbol, size=size)
        try:
            async for message in messages:
                yield message
        finally:
            self.leave(messages)

    async def listen(self, name: str, symbol: str | None, *, size: int) -> MessageStream:
        """Return the queue behind `stream`, subscribing when needed; `leave` it in the end."""
        messages = MessageStream(name, symbol, size=size)
        self._inbox.streams.add(messages)
        try:
            if not self._subscriptions.covers(name, symbol):
                await self.subscribe([name], None if symbol is None else [symbol])
        except BaseException:
            self.leave(messages)
            raise
        return messages

    def leave(self, messages: MessageStream) -> None:
        """Fill `messages` no longer."""
        self._inbox.streams.discard(messages)

    async def _subscribe_again(self, connection: Connection, hello: Mapping[str, Any]) -> None:
        config = hello.get("config")
        symbols = config.get("symbols") if isinstance(config, Mapping) else None
        if symbols and (gone := self._subscriptions.keep_only(symbols)):
            lost = f"the server has {', '.join(gone)} no longer; these are unsubscribed"
            self._inbox.problem(WireError(lost, field="symbols", allowed=list(symbols)))
        for event, body in self._subscriptions.requests():
            try:
                answer = await connection.ask(event, body, within=self._timeout)
            except (NotConnected, NoAnswer):
                raise
            except ToolkitError as refused:
                if "retry_after" in refused.data:
                    raise
                self._inbox.problem(refused)
            else:
                self._tracker.answered(answer.get("seq", {}))

    def _pinged(self, round_trip: float) -> None:
        update = self._meter.update(round_trip, target=self.latency_target)
        self._dispatcher.emit("latency_update", update)
        self._dispatcher.emit("performance_stats", self._own_stats())

    def _own_stats(self) -> dict[str, Any]:
        average = self._meter.average
        own = {
            "average_latency": average,
            "messages_received": self._inbox.received,
            "connection_uptime": self._link.uptime,
            "gaps": self._inbox.gaps,
            "reconnects": max(0, self._link.connects - 1),
            "one_way_latency": self.latency(),
        }
        return {
            **own,
            "avgLatency": average,
            "messagesReceived": own["messages_received"],
            "connectionUptime": own["connection_uptime"],
        }


def _listed(streams: Sequence[str]) -> list[str]:
    if isinstance(streams, str):
        raise WireError(
            f"streams is {streams!r}; give a list, such as [{streams!r}]",
            field="stream_types",
            allowed=[stream.value for stream in Stream],
        )
    return list(streams)
