"""`Client`: the live streams for code without asyncio, such as a notebook."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from toolkit.client.async_client import StreamClient
from toolkit.client.clock import Estimate
from toolkit.client.dispatch import Handler
from toolkit.client.frames import LiveFrame
from toolkit.client.messages import Gap, Message
from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError

T = TypeVar("T")
# An iterator looks so often whether it is interrupted.
POLL_SECONDS = 1.0


class Call(Protocol):
    """Runs a coroutine on the client's loop and waits for its result."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], /) -> T: ...


class Client:
    """A `StreamClient` that lives in another thread's loop, used from any thread.

    It starts no thread: `call` runs a coroutine on that loop and waits. Handlers given to `on`
    run in the loop's thread: they must return at once and must not call this client back, which
    is refused; hand the message over to your own thread instead.
    """

    def __init__(self, stream: StreamClient, *, call: Call) -> None:
        self._stream = stream
        self._call = call

    @property
    def state(self) -> str:
        """`connected`, `connecting` (also while it tries again), `disconnected` or `closed`."""
        return self._stream.state

    @property
    def reason(self) -> str:
        """Why it is not connected; empty while it is."""
        return self._stream.reason

    @property
    def role(self) -> str:
        """What the token may do: view, tune, trade or admin."""
        return self._stream.role

    @property
    def url(self) -> str:
        """Address of the server."""
        return self._stream.url

    @property
    def symbols(self) -> tuple[str, ...]:
        """What the bot trades."""
        return self._stream.symbols

    @property
    def parameters(self) -> Parameters:
        """The parameters now in force at the bot."""
        return Parameters.from_dict(self.command("get_parameters")["values"])

    def set_parameters(
        self, changes: Mapping[str, Any] | None = None, /, **named: Any
    ) -> dict[str, Any]:
        """Change parameters of the running bot; returns its confirmation (who, when, old, new).

        Raises ConfigError for unknown names and values out of bounds; then nothing changes.
        """
        values = {**(changes or {}), **named}
        confirmed: dict[str, Any] = self.command("set_parameters", values=values)
        return confirmed

    def subscribe(
        self,
        streams: Sequence[str],
        symbols: Sequence[str] | None = None,
        *,
        max_rate: float | None = None,
    ) -> dict[str, Any]:
        """Ask for streams (no symbols = all) and return the confirmation; raises WireError."""
        return self._run(lambda: self._stream.subscribe(streams, symbols, max_rate=max_rate))

    def unsubscribe(
        self, streams: Sequence[str], symbols: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Want streams (no symbols = all) no longer and return the confirmation."""
        return self._run(lambda: self._stream.unsubscribe(streams, symbols))

    def on(self, event: str, handler: Handler) -> Callable[[], None]:
        """Call `handler` on each `event` in the client's thread; returns what removes it.

        Events as in `StreamClient.on`. A handler must not block and must not call this client.
        """
        return self._stream.on(event, handler)

    def command(self, name: str, /, **args: Any) -> Any:
        """Have the bot carry out a command and return its result; raises the bot's error."""
        return self._run(lambda: self._stream.command(name, **args))

    def ping(self) -> float:
        """Return the time to the server and back, in milliseconds."""
        return self._run(self._stream.ping)

    def latency(self) -> dict[str, dict[str, Any]]:
        """Return one-way latencies in ms: `{stream: {count, average, p50, p95, p99, max}}`."""
        return self._stream.latency()

    @property
    def clock(self) -> Estimate | None:
        """The server's clock against ours (`offset_ms`, `uncertainty_ms`); None until known."""
        return self._stream.clock

    def history(self, symbol: str, limit: int = 500) -> dict[str, Any]:
        """Return the last bars with their indicators, and the fills: `{bars, fills}`."""
        found: dict[str, Any] = self.command("get_history", symbol=symbol, limit=limit)
        return found

    def trades(self) -> list[dict[str, Any]]:
        """Return the round trips so far, in the order in which they closed."""
        trades: list[dict[str, Any]] = self.command("get_trades")["trades"]
        return trades

    def stats(self) -> dict[str, Any]:
        """Return the server's figures about this client, and this client's own."""
        return self._run(self._stream.stats)

    def frame(
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
        return self._run(lambda: self._stream.frame(stream, symbol, kind=kind, limit=limit))

    def stream(
        self, name: str, symbol: str | None = None, *, size: int = 10_000
    ) -> Iterator[Message | Gap]:
        """Iterate over a stream's messages from now on, subscribing when needed; see StreamClient.

        Ends when the client is closed; raises NotConnected when it cannot get the server back.
        """
        messages = self._run(lambda: self._stream.listen(name, symbol, size=size))
        try:
            while True:
                yield from self._run(lambda: messages.batch(within=POLL_SECONDS))
        except StopAsyncIteration:
            return
        finally:
            self._stream.leave(messages)

    def close(self) -> None:
        """Disconnect for good; iterators end, frames keep what they have."""
        self._run(self._stream.close)

    def _run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._stream.loop is not None and _running_loop() is self._stream.loop:
            raise ConfigError(
                "a handler must not call its client: it would wait for itself; "
                "hand the message to another thread, or use the asynchronous StreamClient"
            )
        return self._call(work())


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
