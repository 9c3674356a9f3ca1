"""Beneath python-socketio: all that relies on the insides of uvicorn and websockets.

`checked_protocol` tries it out; where that fails, the server runs without this module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.client import ClientProtocol
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.typing import ExtensionParameter
from websockets.uri import parse_uri

from toolkit.streaming.sockets.connection import EXTENSION, Watcher
from toolkit.streaming.sockets.packing import LEVEL, THRESHOLD, WINDOW_BITS, deflated, text_message


class ExpressConnection:
    """A WebSocket of uvicorn's, as `connection.Connection` says."""

    __slots__ = ("_protocol", "deflates", "full", "watcher")

    def __init__(self, protocol: WebSocketsSansIOProtocol) -> None:
        self._protocol = protocol
        self.full = False
        self.deflates = False
        self.watcher: Watcher | None = None

    @property
    def waiting(self) -> int:
        """Bytes that were written and not taken yet."""
        return self._protocol.transport.get_write_buffer_size()

    def write(self, messages: bytes) -> bool:
        """Write complete messages; False, and nothing written, when it is closing or closed."""
        protocol = self._protocol
        transport = protocol.transport
        if protocol.conn.state is not State.OPEN or transport.is_closing():
            return False
        transport.write(messages)
        return True

    def cut(self) -> None:
        """Close at once, whatever waits."""
        self._protocol.transport.abort()


class ExpressProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, which shows the application its connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn.debug = False  # its log would quote tokens, whatever the level
        self.connection = ExpressConnection(self)

    def handle_connect(self, event: Request) -> None:
        """Answer the handshake and put the connection where the application finds it."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.connection.deflates = _reads_deflated(self.conn.extensions)
            self.scope["extensions"][EXTENSION] = self.connection  # type: ignore[assignment]

    def send_receive_event_to_app(self) -> None:
        """Hand on a whole message; text that is none ends the connection, without a traceback."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                if self.conn.state is State.OPEN:
                    self.conn.send_close(CloseCode.INVALID_DATA)
                    self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def pause_writing(self) -> None:
        """The transport holds more than its bound."""
        super().pause_writing()
        self.connection.full = True
        if self.connection.watcher is not None:
            self.connection.watcher.filled()

    def resume_writing(self) -> None:
        """The transport takes again."""
        super().resume_writing()
        self.connection.full = False
        if self.connection.watcher is not None:
            self.connection.watcher.emptied()

    def shutdown(self) -> None:
        """The server stops: say goodbye, unless a goodbye is on its way already."""
        # uvicorn fails here over a connection that websockets has begun to close by itself.
        if self.handshake_complete and self.conn.state is not State.OPEN:
            self.transport.close()
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        super().connection_lost(exc)
        if self.connection.watcher is not None:
            self.connection.watcher.lost()


class DeflatingProtocol(ExpressProtocol):
    """The same, with compression of large messages."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn.available_extensions = [LargeMessagesFactory()]


class LargeMessages(PerMessageDeflate):
    """permessage-deflate that leaves small messages as they are."""

    def encode(self, frame: Frame) -> Frame:
        """Compress `frame`, a complete message, when it is large."""
        return frame if len(frame.data) <= THRESHOLD else super().encode(frame)


class LargeMessagesFactory(ServerPerMessageDeflateFactory):
    """Negotiates `LargeMessages`: no context is kept from one message to the next.

    It would cost every connection memory, and no message could be compressed once for all.
    """

    def __init__(self) -> None:
        super().__init__(
            server_no_context_takeover=True,
            client_no_context_takeover=True,
            compress_settings={"level": LEVEL},
        )

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        """Accept what the client offers; raises NegotiationError where that cannot be."""
        answer, agreed = super().process_request_params(params, accepted_extensions)
        return answer, LargeMessages(
            agreed.remote_no_context_takeover,
            agreed.local_no_context_takeover,
            agreed.remote_max_window_bits,
            agreed.local_max_window_bits,
            agreed.compress_settings,
        )


def _reads_deflated(extensions: Sequence[Extension]) -> bool:
    return any(
        isinstance(extension, LargeMessages) and extension.local_max_window_bits == WINDOW_BITS
        for extension in extensions
    )


async def checked_protocol(*, compression: bool) -> type[asyncio.Protocol]:
    """Return uvicorn's `ws=` after a trial in memory; raises whatever goes wrong in it."""
    protocol = DeflatingProtocol if compression else ExpressProtocol
    await _Trial(protocol).run()
    return protocol


class _Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = bytearray()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return len(self.written)

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


class _Trial:
    """A handshake, messages of the application and of ours, and a close, without a socket."""

    def __init__(self, protocol: type[ExpressProtocol]) -> None:
        config = uvicorn.Config(
            self._app, ws=protocol, interface="asgi3", lifespan="off", log_config=None
        )
        config.load()
        self._client = ClientProtocol(
            parse_uri("ws://localhost/"), extensions=[ClientPerMessageDeflateFactory()]
        )
        self._wire = _Wire()
        self._deflates = issubclass(protocol, DeflatingProtocol)
        self._protocol = protocol(config=config, server_state=ServerState(), app_state={})
        self._connections: list[ExpressConnection] = []
        self._told: list[str] = []

    async def run(self) -> None:
        """Raise when anything is not as it must be."""
        large = b"4" + b"large " * 400
        self._protocol.connection_made(self._wire)
        self._client.send_request(self._client.connect())
        self._protocol.data_received(b"".join(self._client.data_to_send()))
        _expect(await self._until(lambda: bool(self._connections)), "the connection in the scope")
        connection = self._connections[0]
        connection.watcher = self
        _expect(connection.write(text_message(b"4ours")), "a write to an open connection")
        _expect(connection.deflates is self._deflates, "compression as agreed")
        if self._deflates:
            _expect(connection.write(deflated(large)), "a write of a compressed message")
        self._protocol.pause_writing()
        _expect(connection.full, "a full transport to be noticed")
        self._protocol.resume_writing()
        _expect(await self._until(lambda: self._protocol.conn.close_sent is not None), "a close")
        _expect(not connection.write(b"late"), "no write after the close frame")
        self._protocol.connection_lost(None)
        _expect(self._told == ["filled", "emptied", "lost"], "the watcher to be told")
        ours = [b"4ours", *([large] if self._deflates else [])]
        self._compare([*ours, b"4theirs", b"4" + b"theirs " * 400])

    def filled(self) -> None:
        self._told.append("filled")

    def emptied(self) -> None:
        self._told.append("emptied")

    def lost(self) -> None:
        self._told.append("lost")

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self._connections.append(scope["extensions"][EXTENSION])
        await self._until(lambda: len(self._told) == 2)
        await send({"type": "websocket.send", "text": "4theirs"})
        await send({"type": "websocket.send", "text": "4" + "theirs " * 400})
        await send({"type": "websocket.close"})

    @staticmethod
    async def _until(true: Callable[[], bool]) -> bool:
        for _ in range(100):
            if true():
                return True
            await asyncio.sleep(0)
        return False

    def _compare(self, expected: list[bytes]) -> None:
        self._client.receive_data(bytes(self._wire.written))
        response, *frames = self._client.events_received()
        _expect(isinstance(response, Response) and response.status_code == 101, "status 101")
        texts = [f.data for f in frames if isinstance(f, Frame) and f.opcode is Opcode.TEXT]
        _expect([bytes(text) for text in texts] == expected, "exactly the messages written")
        _expect(self._client.close_rcvd is not None, "a close frame at the end")


def _expect(held: bool, what: str) -> None:
    if not held:
        raise RuntimeError(f"expected {what}")
