"""Fuzz a real server for long: `python -m tests.soak.fuzz --examples 5000`.

The server has a process of its own, whose memory is watched. Other examples on every run; a
failure prints the one that made it. Ends with 1 when something unexpected was logged, somebody
else was disturbed, or something stayed behind.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from tests.streaming.fakes import FakeBot, evaluation
from tests.streaming.fuzzing import (
    Target,
    fuzz_http_bytes,
    fuzz_openapi,
    fuzz_polling,
    fuzz_websockets,
)
from tests.streaming.serving import TRADE, TUNE, VIEW, serving, stock
from tests.streaming.test_fuzz import GENEROUS, MISTAKES

WARM_UP = 300
# MB that Python keeps of what it had once used.
ALLOWED_GROWTH = 20.0


class Loud(logging.Handler):
    """Keeps what should not have been logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note an error."""
        if MISTAKES not in (text := self.format(record)):
            self.found.append(text)


async def serve() -> None:
    """Be the server: say where, end when stdin does, and say what was left and logged."""
    loud = Loud()
    logging.getLogger().addHandler(loud)
    bot = FakeBot()
    bot.events = [evaluation("AAPL", 0)]
    with tempfile.TemporaryDirectory() as folder:
        async with serving(bot=bot, secret_file=Path(folder) / "secret", **GENEROUS) as served:
            say(json.dumps({"port": served.server.port, "token": served.token}))
            async with stock(served) as other:
                await asyncio.to_thread(sys.stdin.read)
                disturbed = not (await other.call("ping", {}))["ok"] or bool(other.all("error"))
            await asyncio.sleep(5)
            left = len(served.server._sio.eio.sockets) + len(served.server._gate.door)
    say(json.dumps({"left": left, "disturbed": disturbed, "logged": loud.found}))


def fuzz(server: subprocess.Popen[str], examples: int) -> list[str]:
    """Fuzz everything; returns what went wrong."""
    assert server.stdin is not None
    assert server.stdout is not None
    target = Target(**json.loads(server.stdout.readline()))
    process = psutil.Process(server.pid)
    everything(target, WARM_UP)
    before = process.memory_info().rss / 2**20
    everything(target, examples)
    growth = process.memory_info().rss / 2**20 - before
    say(f"the server's memory: {before:.1f} MB, then {growth:+.1f} MB")
    server.stdin.close()
    report = json.loads(server.stdout.readline())
    problems = list(report["logged"])
    if report["disturbed"]:
        problems.append("another client was disturbed")
    if report["left"]:
        problems.append(f"{report['left']} connections stayed")
    if growth > ALLOWED_GROWTH:
        problems.append(f"memory grew by {growth:.1f} MB; allowed: {ALLOWED_GROWTH:g}")
    return problems


def everything(target: Target, examples: int) -> None:
    """Send `examples` of each kind."""
    for kind in (fuzz_websockets, fuzz_polling, fuzz_http_bytes):
        timed(kind.__name__, partial(kind, target, examples=examples))
    some = max(1, examples // 20)
    holders = {"none": None, "view": VIEW, "tune": TUNE, "trade": TRADE, "admin": target.token}
    for role, token in holders.items():
        call = partial(fuzz_openapi, target, token=token, examples=some, verify=nothing_more)
        timed(f"fuzz_openapi, role {role}", call)


def timed(name: str, work: Callable[[], Any]) -> None:
    """Do one kind, and say how long it took."""
    started = time.monotonic()
    work()
    say(f"{name}: {time.monotonic() - started:.1f} s")


def nothing_more(_case: Any, _response: Any) -> None:
    """The schema says it all."""


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Read the arguments and fuzz; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=2_000, help="of each kind")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve())
        return 0
    os.environ["FUZZ_RANDOM"] = "1"
    command = [sys.executable, "-m", "tests.soak.fuzz", "--serve"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            problems = fuzz(server, arguments.examples)
        finally:
            server.terminate()
    for problem in problems:
        say(f"PROBLEM: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
