"""A process full of clients: `python -m toolkit.loadtest.worker`, started by `bench`."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from toolkit.loadtest.channel import Line, answered, greet
from toolkit.loadtest.joining import allow_descriptors
from toolkit.loadtest.receiver import Receiver, compile_all
from toolkit.loadtest.websocket import Door

# Nothing came for so long: what is missing will not come.
QUIET_SECONDS = 0.5


class Worker:
    """Receives all the time, and does what the parent asks in between."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._receiver: Receiver | None = None

    def run(self) -> None:
        """Work until the parent goes away."""
        while True:
            if self._receiver is None or self._line.fileno() in self._receiver.turn(1.0):
                try:
                    request = self._line.receive(60.0)
                except EOFError:
                    return
                if request is not None:
                    self._obey(request)

    def _obey(self, request: dict[str, Any]) -> None:
        handles: dict[str, Callable[..., Mapping[str, Any]]] = {
            "join": self._join,
            "begin": self._begin,
            "progress": self._progress,
            "finish": self._finish,
            "leave": self._leave,
        }
        handle = handles[request.pop("request")]
        self._line.send(answered(lambda: handle(**request)))

    def _join(
        self, *, subscriptions: list[list[int]], symbols: int, door: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        allow_descriptors(len(subscriptions))
        self._receiver = Receiver(subscriptions, symbols=symbols)
        self._receiver.join(Door(**door))
        self._receiver.watch(self._line.fileno())
        gc.freeze()
        return {"joined": len(subscriptions)}

    @property
    def _clients(self) -> Receiver:
        assert self._receiver is not None, "asked before the clients joined"
        return self._receiver

    def _begin(self) -> Mapping[str, Any]:
        self._clients.forget()
        return {}

    def _progress(self) -> Mapping[str, Any]:
        return self._clients.progress()

    def _finish(self, *, published: list[int], patience: float) -> Mapping[str, Any]:
        """Wait until everything came or nothing comes, `patience` seconds at most."""
        clients = self._clients
        deadline = time.monotonic() + patience
        seen, since = clients.bytes, time.monotonic()
        quiet = False
        while clients.missing(published) and not quiet and time.monotonic() < deadline:
            clients.turn(0.05)
            if clients.bytes != seen:
                seen, since = clients.bytes, time.monotonic()
            quiet = time.monotonic() - since > QUIET_SECONDS
        result = clients.result(published)
        return {**result, "quiet": quiet or not result["lost"]}

    def _leave(self) -> Mapping[str, Any]:
        self._clients.close()
        self._receiver = None
        return {}


def main() -> int:
    """Compile, say hello, and work until the parent goes away."""
    compile_all()
    Worker(Line(greet())).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
