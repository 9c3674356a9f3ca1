"""The client's side of a WebSocket in plain Python, for joining; afterwards the kernel reads."""

from __future__ import annotations

import base64
import os
import socket
import struct
from dataclasses import dataclass

from toolkit.client import packets
from toolkit.errors import ToolkitError

TEXT, CLOSE = 1, 8
PATH = "/socket.io/?EIO=4&transport=websocket"
CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where clients come in: the server's port on loopback, the token, and if they read batches."""

    port: int
    token: str
    batch: bool = False


def upgrade(port: int) -> bytes:
    """Return the request that turns a connection into a WebSocket, without compression."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def frame(payload: bytes, *, opcode: int = TEXT, final: bool = True) -> bytes:
    """Return one masked frame; the mask is zero, for nothing stands between us and the server."""
    first = opcode | (0x80 if final else 0)
    size = len(payload)
    if size < 126:
        return struct.pack(">BB4x", first, 0x80 | size) + payload
    if size < 1 << 16:
        return struct.pack(">BBH4x", first, 0x80 | 126, size) + payload
    return struct.pack(">BBQ4x", first, 0x80 | 127, size) + payload


PONG = frame(b"3")


class Incoming:
    """Bytes of a server, cut into the texts of its frames; `rest` is what is not read yet."""

    def __init__(self) -> None:
        self.rest = b""
        self.open = False

    def feed(self, data: bytes) -> None:
        """Take bytes; raises ToolkitError when the server refuses the upgrade."""
        self.rest += data
        if self.open or b"\r\n\r\n" not in self.rest:
            return
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            answer = (head + b" " + self.rest).decode("utf-8", "replace")[:200]
            raise ToolkitError(f"the server does not open a WebSocket: {answer!r}")
        self.open = True

    def text(self) -> str | None:
        """Return the next text, None while it is not complete; raises ToolkitError at a close."""
        if not self.open or len(self.rest) < 2:
            return None
        size, body = self.rest[1] & 127, 2
        if size >= 126:
            body = 4 if size == 126 else 10
            size = int.from_bytes(self.rest[2:body])
        if len(self.rest) < body + size:
            return None
        opcode, payload = self.rest[0] & 15, self.rest[body : body + size]
        self.rest = self.rest[body + size :]
        if opcode == CLOSE:
            raise ToolkitError(f"the server closed the connection: {payload[2:].decode()!r}")
        return payload.decode()


class Joining:
    """One connection that is on its way in, over a blocking socket."""

    def __init__(self, door: Door, *, timeout: float = 30.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", door.port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming = Incoming()
        self.socket.sendall(upgrade(door.port))

    def send(self, text: str) -> None:
        """Send one text."""
        self.socket.sendall(frame(text.encode()))

    def wait_for(self, kind: packets.Kind) -> packets.Packet:
        """Skip to the next packet of this kind; raises ToolkitError for a refusal."""
        while True:
            text = self.incoming.text()
            if text is None:
                self._read()
                continue
            packet = packets.decode(text)
            if packet.kind is kind:
                return packet
            if packet.kind is packets.Kind.CONNECT_ERROR:
                raise ToolkitError(f"the server refuses a client: {packet.data}")
            if packet.kind is packets.Kind.PING:
                self.socket.sendall(PONG)

    def _read(self) -> None:
        try:
            data = self.socket.recv(CHUNK)
        except OSError as error:
            raise ToolkitError(f"a client cannot join: {error or 'no answer'}") from error
        if not data:
            raise ToolkitError("the server closed a connection while a client joined")
        self.incoming.feed(data)
