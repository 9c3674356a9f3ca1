"""How the processes of a load test talk: one JSON object a line, over loopback.

The child says hello with the key it was started with; afterwards the parent asks and the child
answers, one after the other. Whoever loses the other side ends.
"""

from __future__ import annotations

import hmac
import os
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import orjson

from toolkit.errors import ToolkitError, error_from_dict
from toolkit.runtime import ChildProcess, wait_until

ADDRESS, KEY = "TOOLKIT_LOADTEST_PORT", "TOOLKIT_LOADTEST_KEY"
START_TIMEOUT = 120.0
ANSWER_TIMEOUT = 60.0
LAST_WORDS = 3.0
TAIL = 800


class Line:
    """A socket that carries JSON objects, one a line."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._waiting = b""

    def fileno(self) -> int:
        """Return the descriptor, for polling."""
        return self._connection.fileno()

    def send(self, value: Mapping[str, Any]) -> None:
        """Send one object."""
        self._connection.sendall(orjson.dumps(value) + b"\n")

    def receive(self, timeout: float) -> dict[str, Any] | None:
        """Return the next object, None when none comes in time; raises EOFError at the end."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._waiting:
            self._connection.settimeout(max(deadline - time.monotonic(), 1e-3))
            try:
                data = self._connection.recv(1 << 16)
            except TimeoutError:
                return None
            except ConnectionError:
                data = b""
            if not data:
                raise EOFError
            self._waiting += data
        line, _, self._waiting = self._waiting.partition(b"\n")
        found: dict[str, Any] = orjson.loads(line)
        return found

    def close(self) -> None:
        """Close the connection; the other side ends."""
        self._connection.close()


class Helper:
    """A child process that answers requests; a context manager that ends it."""

    def __init__(self, module: str, *, name: str, environment: Mapping[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="toolkit-loadtest-")
        self._log = Path(self._folder.name) / "log"
        self.name = name
        key = secrets.token_hex(16)
        with socket.create_server(("127.0.0.1", 0)) as door:
            port = door.getsockname()[1]
            self._process = ChildProcess.start(
                [sys.executable, "-m", module],
                log=self._log,
                environment={**environment, ADDRESS: str(port), KEY: key},
            )
            try:
                self._line = Line(self._answered(door, key))
            except BaseException:
                self._end()
                raise

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def _answered(self, door: socket.socket, key: str) -> socket.socket:
        door.settimeout(0.1)
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self._process.alive:
            try:
                connection, _ = door.accept()
            except TimeoutError:
                continue
            hello = connection.recv(len(key))
            if hmac.compare_digest(hello, key.encode()):
                return connection
            connection.close()
        raise self._failure("does not start")

    def _ended(self) -> ToolkitError:
        wait_until(lambda: not self._process.alive, timeout=LAST_WORDS)
        return self._failure("ended")

    def _failure(self, what: str) -> ToolkitError:
        log = self._log.read_text(errors="replace").strip()[-TAIL:]
        return ToolkitError(f"the load test's {self.name} {what}: {log or 'it says nothing'}")

    def send(self, request: str, **arguments: Any) -> None:
        """Ask something; the answer is fetched with `answer`."""
        try:
            self._line.send({"request": request, **arguments})
        except OSError:
            raise self._ended() from None

    def answer(self, timeout: float = ANSWER_TIMEOUT) -> dict[str, Any] | None:
        """Return the answer, None when it does not come in time; raises what the child raised."""
        try:
            found = self._line.receive(timeout)
        except EOFError:
            raise self._ended() from None
        if found and "error" in found:
            raise error_from_dict(found["error"])
        return found

    def call(self, request: str, **arguments: Any) -> dict[str, Any]:
        """Ask and wait for the answer; raises ToolkitError when there is none."""
        self.send(request, **arguments)
        found = self.answer()
        if found is None:
            raise self._failure(f"does not answer {request} within {ANSWER_TIMEOUT:g} s")
        return found

    def _end(self) -> None:
        self._process.stop()
        self._folder.cleanup()

    def close(self) -> None:
        """End the process."""
        self._line.close()
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def call_all(
    helpers: Sequence[Helper], request: str, arguments: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Ask each helper with its own arguments, all at the same time, and collect the answers."""
    for helper, own in zip(helpers, arguments, strict=True):
        helper.send(request, **own)
    found = [helper.answer() for helper in helpers]
    if missing := [h.name for h, answer in zip(helpers, found, strict=True) if answer is None]:
        raise ToolkitError(f"the load test's {missing[0]} does not answer {request}")
    return [answer for answer in found if answer is not None]


def greet() -> socket.socket:
    """Connect a child to the process that started it."""
    connection = socket.create_connection(("127.0.0.1", int(os.environ.pop(ADDRESS))))
    connection.sendall(os.environ.pop(KEY).encode())
    return connection


def answered(handle: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return what `handle` returns, or the error that it raises as an answer."""
    try:
        return handle()
    except ToolkitError as error:
        return {"error": error.to_dict()}
