"""What misbehaving clients do: `python -m toolkit.loadtest.offences`, started by `offenders`.

They live in one process that runs when a processor has nothing else to do: the server is what
they should disturb, not the clients that measure it. Everything goes on until the parent goes away.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

import orjson

from toolkit.client import packets
from toolkit.errors import ToolkitError
from toolkit.loadtest.channel import greet
from toolkit.loadtest.joining import subscription
from toolkit.loadtest.offenders import SPECIFICATION
from toolkit.loadtest.websocket import Door, Incoming, frame, upgrade
from toolkit.runtime import new_event_loop

PATIENCE = 20.0
PAUSE = 0.2
# Small, so that what is not read piles up at the server soon.
RECEIVE_BUFFER = 4096
SLOW_BYTES, SLOW_PAUSE = 512, 0.05
NAP_SECONDS = 60.0
NICE = 10

Offence = Callable[["Visitor"], Awaitable[None]]


class Visitor:
    """One connection of a troublemaker; reads only when it is told to."""

    def __init__(self, door: Door, *, symbols: int, dice: random.Random) -> None:
        self.dice = dice
        self._door, self._symbols = door, symbols
        self._incoming = Incoming()
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)

    async def connect(self) -> None:
        """Open the TCP connection."""
        await self._loop.sock_connect(self._socket, ("127.0.0.1", self._door.port))

    async def upgrade(self) -> None:
        """Open the WebSocket."""
        await self.connect()
        await self.send_bytes(upgrade(self._door.port))
        await self._until(packets.Kind.OPEN)

    async def join(self, symbols: list[int] | None = None, *, token: str | None = None) -> None:
        """Come in and subscribe to these symbols, to all when None."""
        await self.upgrade()
        await self.send(packets.connect({"token": self._door.token if token is None else token}))
        await self._until(packets.Kind.CONNECT)
        wanted = list(range(self._symbols)) if symbols is None else symbols
        body = subscription(wanted, known=self._symbols)
        await self.send(packets.event("subscribe", body, ack=1))
        await self._until(packets.Kind.ACK)

    async def send(self, text: str) -> None:
        """Send one text frame."""
        await self.send_bytes(frame(text.encode()))

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        async with asyncio.timeout(PATIENCE):
            await self._loop.sock_sendall(self._socket, data)

    async def read(self, size: int) -> bytes:
        """Read up to `size` bytes; raises ConnectionError at the end."""
        data = await self._loop.sock_recv(self._socket, size)
        if not data:
            raise ConnectionResetError("cut off")
        return data

    async def read_for(self, seconds: float) -> None:
        """Take whatever comes for a while."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await self.read(1 << 16)
        except TimeoutError:
            return

    def any_symbol(self) -> list[int]:
        """Return one symbol."""
        return [self.dice.randrange(self._symbols)]

    def reset(self) -> None:
        """Close so that the server's side is reset, not ended."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    async def _until(self, kind: packets.Kind) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                text = self._incoming.text()
                if text is None:
                    self._incoming.feed(await self.read(RECEIVE_BUFFER))
                    continue
                found = packets.decode(text).kind
                if found is kind:
                    return
                if found is packets.Kind.CONNECT_ERROR:
                    raise ConnectionRefusedError(text)


async def sleepy(visitor: Visitor) -> None:
    """Subscribe to everything and stop reading."""
    await visitor.join()
    await asyncio.sleep(NAP_SECONDS)


async def slow(visitor: Visitor) -> None:
    """Subscribe to everything and read about 10 KB a second."""
    await visitor.join()
    while True:
        await visitor.read(SLOW_BYTES)
        await asyncio.sleep(SLOW_PAUSE)


async def churn(visitor: Visitor) -> None:
    """Come, subscribe, look for a moment, and go: with a word, or with a reset."""
    await visitor.join(visitor.any_symbol())
    await visitor.read_for(PAUSE)
    if visitor.dice.random() < 0.5:
        await visitor.send(packets.DISCONNECT)
    else:
        visitor.reset()


async def garbage(visitor: Visitor) -> None:
    """Send frames that are no packets."""
    await visitor.join(visitor.any_symbol())
    for _ in range(100):
        await visitor.send_bytes(frame(visitor.dice.randbytes(visitor.dice.randrange(1, 200))))
    await visitor.read_for(PAUSE)


async def flood(visitor: Visitor) -> None:
    """Send many requests at once and read no answer."""
    await visitor.join(visitor.any_symbol())
    for number in range(500):
        await visitor.send(packets.event("ping", {}, ack=number))
    await visitor.read_for(PAUSE)


async def oversize(visitor: Visitor) -> None:
    """Send a message of a megabyte, then a frame that claims to be a gigabyte."""
    await visitor.join(visitor.any_symbol())
    await visitor.send_bytes(frame(b'42["ping",' + b" " * (1 << 20) + b"{}]"))
    await visitor.send_bytes(b"\x81\xff" + (1 << 30).to_bytes(8) + b"\0" * 4096)
    await visitor.read_for(PAUSE)


async def fragments(visitor: Visitor) -> None:
    """Send a message in pieces that never end."""
    await visitor.join(visitor.any_symbol())
    await visitor.send_bytes(frame(b"42", final=False))
    for _ in range(100):
        await visitor.send_bytes(frame(b"x" * 100, opcode=0, final=False))
    await visitor.read_for(PAUSE)


async def binary(visitor: Visitor) -> None:
    """Announce attachments that never come, and send bytes nobody announced."""
    await visitor.join(visitor.any_symbol())
    await visitor.send('452-["ping",{"_placeholder":true,"num":0}]')
    await visitor.send_bytes(frame(b"\0" * 1000, opcode=2))
    await visitor.read_for(PAUSE)


async def stranger(visitor: Visitor) -> None:
    """Show a wrong token."""
    await visitor.join(token="not-the-token-0123456789")


async def half(visitor: Visitor) -> None:
    """Send half of a request, and wait."""
    await visitor.connect()
    await visitor.send_bytes(b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n")
    await asyncio.sleep(1.0)


async def mute(visitor: Visitor) -> None:
    """Open a WebSocket and never connect."""
    await visitor.upgrade()
    await asyncio.sleep(1.0)


HOSTILE: tuple[Offence, ...] = (
    garbage,
    flood,
    oversize,
    fragments,
    binary,
    stranger,
    half,
    mute,
)
KINDS: dict[str, tuple[Offence, ...]] = {
    "slow": (slow,),
    "churn": (churn,),
    "sleepy": (sleepy,),
    "hostile": HOSTILE,
}


class Gang:
    """All troublemakers; `deeds` counts what each kind did, and how often one was `cut` off."""

    def __init__(self, door: Door, *, symbols: int) -> None:
        self.deeds: Counter[str] = Counter()
        self._door, self._symbols = door, symbols

    async def misbehave(self, kind: str, number: int) -> None:
        """Be one troublemaker for ever; a server that refuses or cuts it is met again."""
        dice = random.Random(f"{kind} {number}")
        while True:
            visitor = Visitor(self._door, symbols=self._symbols, dice=dice)
            try:
                await dice.choice(KINDS[kind])(visitor)
            except (OSError, ToolkitError):  # a timeout is an OSError
                self.deeds["cut"] += 1
            finally:
                visitor.close()
            self.deeds[kind] += 1
            await asyncio.sleep(PAUSE)


async def run() -> None:
    """Misbehave until the parent goes away."""
    specification = orjson.loads(os.environ.pop(SPECIFICATION))
    door = Door(port=specification["port"], token=specification["token"])
    gang = Gang(door, symbols=specification["symbols"])
    reader, writer = await asyncio.open_connection(sock=greet())
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(gang.misbehave(kind, number))
            for kind, count in specification["crowd"].items()
            for number in range(count)
        ]
        while await reader.readline():  # there is one question
            writer.write(orjson.dumps(gang.deeds) + b"\n")
        for task in tasks:
            task.cancel()
    writer.close()


def _step_back() -> None:
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(NICE)


def main() -> int:
    """Misbehave as the environment says; returns when the parent goes away."""
    _step_back()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
