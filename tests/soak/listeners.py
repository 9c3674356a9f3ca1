"""Clients that write down all they hear; their process is stopped and continued.

`python -m tests.soak.listeners URL DIRECTORY`; takes one JSON object a line and answers each with
the state of all clients: `{wait: {connects: [..], received: [..]}}` as soon as all are as far,
`{finish: {stream: {symbol: seq}}}` when all have heard that much; then it ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import orjson

from tests.soak.publisher import SYMBOLS, TOKEN
from toolkit.client import Gap, Message, StreamClient
from toolkit.runtime import new_event_loop
from toolkit.streaming.wire import Stream

STREAMS = [stream.value for stream in Stream]


@dataclass(frozen=True)
class Wish:
    """What one client asks for."""

    symbols: tuple[str, ...] | None = None
    max_rate: float | None = None


WISHES: Mapping[str, Wish] = {
    "all": Wish(),
    "some": Wish(symbols=SYMBOLS[:2]),
    "rated": Wish(max_rate=20.0),
}


@dataclass
class Listener:
    """One client and its log."""

    client: StreamClient
    log: TextIO
    wish: Wish
    on_news: Callable[[], None]
    epoch: str = ""
    connects: int = 0
    received: int = 0
    newest: dict[tuple[str, str], int] = field(default_factory=dict)
    floor: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    async def start(self) -> None:
        client = self.client
        client.on("stream_data", self._message)
        client.on("gap", self._gap)
        client.on("connected", self._connected)
        client.on("error", lambda error: self.problems.append(str(error)))
        self._confirm, client._tracker.confirm = client._tracker.confirm, self._confirmed  # type: ignore[method-assign]
        await client.connect(retry=True)
        await client.subscribe(STREAMS, self.wish.symbols, max_rate=self.wish.max_rate)

    def _message(self, message: Message) -> None:
        if not message.snapshot:
            stream, seq, symbol = message.stream_type, message.seq, message.symbol or "-"
            self.log.write(f"m {message['epoch']} {stream} {seq} {symbol}\n")
            self.received += 1
            self.newest[stream, symbol] = max(seq, self.newest.get((stream, symbol), 0))
            self.on_news()

    def _gap(self, gap: Gap) -> None:
        # A restart is told as the first thing of the new epoch, about the one before.
        epoch = self.epoch if gap.reason == "restart" else self.client.epoch
        last = -1 if gap.last is None else gap.last
        self.log.write(f"g {epoch} {gap.stream} {gap.first} {last} {gap.reason}\n")
        if gap.last is not None:
            self.floor[gap.stream] = max(gap.last, self.floor.get(gap.stream, 0))

    def _connected(self, hello: Mapping[str, Any]) -> None:
        self._enter(str(hello["epoch"]))
        self.connects += 1
        self.log.write(f"c {self.epoch}\n")
        self.on_news()

    def _confirmed(self, seq: Mapping[str, int]) -> None:
        self._confirm(seq)
        self._enter(self.client.epoch)
        for stream, number in seq.items():
            self.log.write(f"f {self.epoch} {stream} {number}\n")
            self.floor.setdefault(stream, number)

    def _enter(self, epoch: str) -> None:
        if epoch != self.epoch:
            self.epoch = epoch
            self.newest.clear()
            self.floor.clear()

    def wants(self, symbol: str) -> bool:
        return self.wish.symbols is None or symbol in (*self.wish.symbols, "-")


class Listeners:
    """All clients, and the way to wait for them."""

    def __init__(self, url: str, directory: Path, stack: AsyncExitStack) -> None:
        self._news = asyncio.Event()
        self.all = {
            name: Listener(
                StreamClient(
                    url,
                    token=TOKEN,
                    name=name,
                    reconnect_attempts=None,
                    reconnect_delay=0.005,
                    reconnect_delay_max=0.2,
                    timeout=3.0,
                ),
                stack.enter_context((directory / f"{name}.heard").open("w")),
                wish,
                self._news.set,
            )
            for name, wish in WISHES.items()
        }

    def state(self) -> dict[str, Any]:
        members = self.all.values()
        return {
            "connects": [one.connects for one in members],
            "received": [one.received for one in members],
            "gaps": [one.client._inbox.gaps for one in members],
            "states": [one.client.state for one in members],
            "problems": [problem for one in members for problem in one.problems],
        }

    async def answer(self, asked: Mapping[str, Any]) -> None:
        if "wait" in asked:
            await self._until(lambda: self._as_far_as(asked["wait"]))
        if "finish" in asked:
            await self._until(lambda: self._heard_all(asked["finish"]))

    def _as_far_as(self, wanted: Mapping[str, list[int]]) -> bool:
        state = self.state()
        far = all(
            have >= want
            for name, counts in wanted.items()
            for have, want in zip(state[name], counts, strict=True)
        )
        return far and set(state["states"]) == {"connected"}

    def _heard_all(self, kept: Mapping[str, Mapping[str, int]]) -> bool:
        return all(
            max(one.floor.get(stream, 0), one.newest.get((stream, symbol), 0)) >= seq
            for one in self.all.values()
            for stream, of_symbol in kept.items()
            for symbol, seq in of_symbol.items()
            if one.wants(symbol)
        )

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._news.clear()
            await self._news.wait()


async def main(url: str, directory: Path) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async with AsyncExitStack() as stack:
        listeners = Listeners(url, directory, stack)
        for one in listeners.all.values():
            stack.push_async_callback(one.client.close)
            await one.start()
        while line := await reader.readline():
            asked = orjson.loads(line)
            await listeners.answer(asked)
            sys.stdout.write(orjson.dumps(listeners.state()).decode() + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main(sys.argv[1], Path(sys.argv[2])))
