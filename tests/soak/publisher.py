"""A server that publishes on all streams and writes down what; it is there to be killed.

Takes lines on its standard input: `go EPOCH`, then `stop`; the end of input ends it too. Answers
with one JSON object a line. Each message is in the log before the first byte of it can leave.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from toolkit.errors import ToolkitError
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.server import StreamingServer, utc_now
from toolkit.streaming.settings import ServerSettings, WebSocketConfig
from toolkit.streaming.wire import LOSSLESS, Payload, Stream

TOKEN = "soak-token-0123456789"
SYMBOLS = ("AAPL", "MSFT", "NVDA", "TSLA")
WITHOUT_SYMBOL = (
    Stream.ACCOUNT,
    Stream.PARAMETERS,
    Stream.SYSTEM_HEALTH,
    Stream.PERFORMANCE_METRICS,
)
PAUSE_SECONDS = 0.004
AT_ONCE = 10
# Small, so that lagging clients and old resume points meet their ends.
QUEUE_SIZE, RING_SIZE = 500, 400


class Bot:
    """Knows the latest message of each stream and symbol; carries out nothing."""

    symbols = SYMBOLS

    def __init__(self) -> None:
        self.latest: dict[tuple[Stream, str | None], Payload] = {}

    def snapshot(self) -> Sequence[Payload]:
        return list(self.latest.values())

    async def command(self, name: str, args: Mapping[str, Any], *, who: str) -> Any:
        raise ToolkitError(f"{name} of {who} with {len(args)} arguments: this bot does nothing")


class Publisher:
    """Publishes at random; `log` is an open file descriptor.

    `kept` has the last number of each stream and symbol that must not be lost.
    """

    def __init__(self, hub: Hub, bot: Bot, *, epoch: str, log: int) -> None:
        self._hub = hub
        self._bot = bot
        self._epoch = epoch
        self._log = log
        self._count = 0
        self.kept: dict[str, dict[str, int]] = {}
        self._chance = random.Random(epoch)

    async def run(self) -> None:
        while True:
            lines = [self._publish() for _ in range(self._chance.randrange(2 * AT_ONCE))]
            os.write(self._log, "".join(lines).encode())
            await asyncio.sleep(PAUSE_SECONDS)

    def _publish(self) -> str:
        made = self._payload()
        self._hub.publish(made)
        self._bot.latest[made.stream, made.symbol] = made
        if made.conflate is not None:
            return ""
        seq, symbol = self._hub.seq(made.stream), made.symbol or "-"
        self.kept.setdefault(made.stream.value, {})[symbol] = seq
        return f"{self._epoch} {made.stream} {seq} {symbol}\n"

    def _payload(self) -> Payload:
        stream = self._chance.choice(tuple(Stream))
        symbol = None if stream in WITHOUT_SYMBOL else self._chance.choice(SYMBOLS)
        keep = stream in LOSSLESS or self._chance.random() < 0.3
        self._count += 1
        data = {"kind": "kept" if keep else "latest", "symbol": symbol, "number": self._count}
        note = "x" * self._chance.randrange(200)
        return Payload(
            stream=stream,
            symbol=symbol,
            kind=str(data["kind"]),
            timestamp=datetime.now(UTC),
            data={**data, "note": note},
            conflate=None if keep else f"{stream}:{symbol}",
        )


async def main(log: Path) -> None:
    lines = await _standard_input()
    epoch = (await lines.readline()).decode().split()[1:]
    if not epoch:
        return
    bot = Bot()
    hub = Hub(epoch=epoch[0], clock=utc_now, queue_size=QUEUE_SIZE, ring_size=RING_SIZE)
    quick = WebSocketConfig(heartbeat_interval=0.5, ping_interval=1.0, ping_timeout=1.0)
    settings = ServerSettings(port=0, token=TOKEN, websocket=quick)
    server = StreamingServer(bot=bot, hub=hub, settings=settings)
    await server.start()
    _say({"port": server.port})
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    publisher = Publisher(hub, bot, epoch=epoch[0], log=descriptor)
    publishing = asyncio.create_task(publisher.run())
    await lines.readline()
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)
    _say({"kept": publisher.kept})
    await lines.readline()
    await server.stop()
    os.close(descriptor)


async def _standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return reader


def _say(value: Mapping[str, Any]) -> None:
    sys.stdout.write(orjson.dumps(value).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    from toolkit.runtime import new_event_loop

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main(Path(sys.argv[1])))
