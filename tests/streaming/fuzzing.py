"""What the fuzzers send, and how they listen: frames of every degree of wrongness.

Used by the tests with few examples and by `python -m tests.soak.fuzz` with many. Everything here
is synchronous and speaks to a server that runs in another thread.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import checks

from toolkit.streaming.wire import COMMAND_ROLES, Stream

TEXT, BINARY, CLOSE, PING = 0x1, 0x2, 0x8, 0x9
FORBIDDEN = ("Traceback", 'File "', "internal_error", "internal error")

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.characters(codec=None),
    st.sampled_from(["AAPL", "market_data", "e1", "\x00", "\u202e", "0" * 400]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=8,
)
names = st.one_of(
    st.sampled_from(["subscribe", "unsubscribe", "ping", "resume", "command", "connect", "*"]),
    st.text(max_size=20),
)
bodies = st.one_of(
    values,
    st.fixed_dictionaries(
        {},
        optional={
            "stream_types": st.lists(st.sampled_from(list(Stream)), max_size=3) | values,
            "symbols": st.lists(st.sampled_from(["AAPL", "MSFT"]), max_size=3) | values,
            "max_rate": values,
            "epoch": values,
            "seq": st.dictionaries(st.sampled_from(list(Stream)), st.integers()) | values,
            "name": st.sampled_from(list(COMMAND_ROLES)) | values,
            "args": values,
            "id": values,
            "timestamp": values,
            "latency": values,
        },
    ),
)
acks = st.one_of(st.just(""), st.integers(0, 10**30).map(str), st.text("0123456789-", max_size=40))
spaces = st.sampled_from(["", "", "", "/,", "/admin,", "/" + "x" * 200 + ",", "/?token=a,"])
nested = st.integers(1, 5_000).flatmap(
    lambda depth: st.sampled_from(["[" * depth, "[" * depth + "]" * depth, '{"a":' * depth])
)


@st.composite
def events(draw: st.DrawFn) -> str:
    """Return an event, right in form."""
    arguments = draw(st.lists(bodies, max_size=2))
    return f"42{draw(spaces)}{draw(acks)}{json.dumps([draw(names), *arguments])}"


packets = st.one_of(
    events(),
    st.builds(lambda space, auth: f"40{space}{json.dumps(auth)}", spaces, values),
    st.builds(lambda kind, ack, data: f"4{kind}{ack}{json.dumps(data)}", acks, acks, values),
    st.builds(lambda ack, deep: f'42{ack}["ping",{deep}]', acks, nested),
    st.builds(lambda n, ack: f'45{n}-{ack}["x",{{"_placeholder":true,"num":0}}]', acks, acks),
    st.sampled_from(["", "0", "1", "2", "2probe", "3", "3probe", "5", "6", "41", "44", "bAAAA"]),
    st.integers(30_000, 40_000).map(lambda size: '42["ping","' + "x" * size + '"]'),
    st.text(max_size=60),
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Return a packet with a piece cut out, doubled or replaced."""
    text = draw(packets)
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 10)))
    piece = draw(
        st.sampled_from(["", text[start:end] * 2, "\x1e", "\x00", '"', "[", "\ud7ff", "9"])
    )
    return text[:start] + piece + text[end:]


def frame(
    opcode: int, payload: bytes, *, fin: bool = True, mask: bool = True, rsv: int = 0
) -> bytes:
    """Return one WebSocket frame as a client sends it."""
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    size = len(payload)
    masked = 0x80 if mask else 0
    if size < 126:
        head += bytes([masked | size])
    elif size < 65_536:
        head += bytes([masked | 126]) + struct.pack("!H", size)
    else:
        head += bytes([masked | 127]) + struct.pack("!Q", size)
    return head + (bytes(4) if mask else b"") + payload


@st.composite
def fragments(draw: st.DrawFn) -> bytes:
    """Return a message in pieces, with a ping between them."""
    payload = draw(mutated()).encode()
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
    pieces = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    frames = [
        frame(TEXT if index == 0 else 0, piece, fin=index == len(pieces) - 1)
        for index, piece in enumerate(pieces)
    ]
    return frame(PING, b"between").join(frames)


wire_bytes = st.one_of(
    mutated().map(lambda text: frame(TEXT, text.encode())),
    packets.map(lambda text: frame(TEXT, text.encode())),
    fragments(),
    st.binary(max_size=100).map(lambda data: frame(BINARY, data)),
    st.binary(max_size=100).map(lambda data: frame(TEXT, data)),
    st.builds(
        frame,
        st.integers(0, 15),
        st.binary(max_size=150),
        fin=st.booleans(),
        mask=st.booleans(),
        rsv=st.integers(0, 7),
    ),
    st.binary(max_size=40).map(lambda data: frame(CLOSE, data)),
    st.binary(max_size=60),
    st.sampled_from(
        [frame(TEXT, b"x" * 1_200_000), b"\x81\xff" + b"\xff" * 8, b"\x81\xfe\xff\xff"]
    ),
    st.lists(mutated(), min_size=30, max_size=60).map(
        lambda texts: b"".join(frame(TEXT, text.encode()) for text in texts)
    ),
)
conversations = st.tuples(
    st.sampled_from(["token", "none", "late"]), st.lists(wire_bytes, min_size=1, max_size=6)
)
poll_bodies = st.one_of(
    st.binary(max_size=200),
    st.lists(mutated(), max_size=20).map(lambda texts: "\x1e".join(texts).encode()),
    st.just(b"x" * 50_000),
)
http_bytes = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda line, headers: b"\r\n".join([line, *headers, b"", b""]),
        st.sampled_from(
            [
                b"GET / HTTP/1.1",
                b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
                b"GET /socket.io/?EIO=99&transport=%ff&sid=%00 HTTP/1.1",
                b"OPTIONS * HTTP/1.1",
                b"GET http://[::1/ HTTP/1.1",
                b"POST /api/command HTTP/1.0",
                b"PRI * HTTP/2.0",
                b"GET /\xff\xfe HTTP/1.1",
                b"GET /?token=%zz&token= HTTP/1.1",
            ]
        ),
        st.lists(
            st.sampled_from(
                [
                    b"Host: localhost",
                    b"Host: ",
                    b"Host: [::1",
                    b"Origin: http://\xff",
                    b"Origin: null",
                    b"Cookie: =; ;;toolkit_session=a.b.c",
                    b"Authorization: Bearer \xff\xfe",
                    b"Authorization: Bearer ey.ey.ey",
                    b"Content-Length: -1",
                    b"Content-Length: 99999999999999999999",
                    b"Transfer-Encoding: chunked",
                    b"Upgrade: websocket",
                    b"Connection: Upgrade",
                    b"Sec-WebSocket-Version: 13",
                    b"Sec-WebSocket-Key: x",
                    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
                    b"Sec-WebSocket-Extensions: permessage-deflate; x=\xff",
                    b"Expect: 100-continue",
                    b"Range: bytes=0-",
                ]
            ),
            max_size=6,
        ),
    ),
)


@dataclass(frozen=True)
class Target:
    """A server that runs: where, and what opens it."""

    port: int
    token: str

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


def quick(examples: int) -> settings:
    """Return settings for fuzzing over a network: no deadline, nothing remembered."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=not os.environ.get("FUZZ_RANDOM"),
    )


def fuzz_websockets(target: Target, *, examples: int) -> None:
    """Hold conversations; the server answers or closes, and tells nothing of its insides."""

    @quick(examples)
    @given(conversations)
    def converse(conversation: tuple[str, list[bytes]]) -> None:
        greeting, frames = conversation
        with connection(target) as peer:
            peer.sendall(
                b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n"
                b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
            )
            said = b""
            while b"\r\n\r\n" not in said:
                said += peer.recv(65_536)
            hello = frame(TEXT, ("40" + json.dumps({"token": target.token})).encode())
            late = [hello] if greeting == "late" else []
            early = [hello] if greeting == "token" else []
            send_all(peer, [*early, *frames, *late, frame(CLOSE, b"\x03\xe8")])
            assert_discreet(said + read_all(peer))

    converse()


def fuzz_polling(target: Target, *, examples: int) -> None:
    """Post bodies to sessions of long polling; the status says what was wrong."""
    url = f"{target.url}/socket.io/?EIO=4&transport=polling"
    pollers: list[threading.Thread] = []

    with requests.Session() as http:

        @quick(examples)
        @given(st.lists(poll_bodies, min_size=1, max_size=3), st.booleans())
        def post(posted: list[bytes], greeted: bool) -> None:
            sid = json.loads(http.get(url, timeout=5).text[1:])["sid"]
            mine = f"{url}&sid={sid}"
            if greeted:
                http.post(mine, data="40" + json.dumps({"token": target.token}), timeout=5)
                # Whoever does not read is not read from.
                pollers.append(threading.Thread(target=poll, args=(mine,)))
                pollers[-1].start()
            for body in posted:
                answer = http.post(mine, data=body, timeout=5)
                assert answer.status_code in (200, 400, 413, 429), answer.status_code
                assert_discreet(answer.content)
            http.post(mine, data=b"1", timeout=5)

        post()
    for poller in pollers:
        poller.join()


def poll(url: str) -> None:
    """Read what a session of long polling has to say, until it is over."""
    with suppress(requests.RequestException):
        while requests.get(url, timeout=10).status_code == 200:
            pass


def fuzz_http_bytes(target: Target, *, examples: int) -> None:
    """Send what is hardly HTTP; the server answers below 500 or closes."""

    @quick(examples)
    @given(st.lists(http_bytes, min_size=1, max_size=2))
    def send(pieces: list[bytes]) -> None:
        with connection(target) as peer:
            send_all(peer, pieces)
            said = read_all(peer)
        assert_discreet(said)
        assert not said.startswith(b"HTTP/1.1 5"), said[:200]

    send()


def fuzz_openapi(
    target: Target, *, token: str | None, examples: int, verify: Callable[[Any, Any], None]
) -> int:
    """Call every endpoint of the schema with what fits it and what does not.

    Answers must be as the schema says and never a 500; `verify(case, response)` adds its own.
    Returns how many calls were made.
    """
    schema = schemathesis.openapi.from_url(f"{target.url}/openapi.json")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    calls = 0
    with requests.Session() as http:
        for found in schema.get_all_operations():

            @quick(examples)
            @given(found.ok().as_strategy())
            def call(case: Any) -> None:
                nonlocal calls
                calls += 1
                case.headers = {
                    k: v for k, v in (case.headers or {}).items() if k.lower() != "authorization"
                }
                case.cookies = {}
                response = case.call(session=http, headers=headers, timeout=5)
                case.validate_response(
                    response,
                    checks=[
                        checks.not_a_server_error,
                        checks.CHECKS.get_one("status_code_conformance"),
                        checks.CHECKS.get_one("content_type_conformance"),
                        checks.CHECKS.get_one("response_headers_conformance"),
                        checks.CHECKS.get_one("response_schema_conformance"),
                    ],
                )
                verify(case, response)

            call()
    return calls


def assert_discreet(said: bytes) -> None:
    """Nothing of the server's insides may be in an answer."""
    text = said.decode("utf-8", "replace")
    for word in FORBIDDEN:
        assert word not in text, text[:500]


@contextmanager
def connection(target: Target) -> Iterator[socket.socket]:
    """A TCP connection that is closed in the end."""
    with socket.create_connection(("127.0.0.1", target.port), timeout=5) as peer:
        yield peer


def send_all(peer: socket.socket, pieces: list[bytes]) -> None:
    """Send, until the server has closed, and say that there is no more."""
    with suppress(OSError):
        for piece in pieces:
            peer.sendall(piece)
        peer.shutdown(socket.SHUT_WR)


def read_all(peer: socket.socket) -> bytes:
    """Return what the server says until it closes."""
    said = b""
    with suppress(ConnectionError):
        while piece := peer.recv(65_536):
            said += piece
    return said
