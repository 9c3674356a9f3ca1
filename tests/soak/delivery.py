"""Delivery under fire: `python -m tests.soak.delivery --cycles 1000 [--json] [--seed 7]`.

One server publishes on all streams, three clients listen through a wire. Each cycle does one of:
kill -9 the server (the next one has a new epoch), cut a connection in the middle of a frame,
freeze the clients (their process is stopped while the server goes on). In the end both sides'
logs are compared: no lossless message missing without a gap, none twice, order kept.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.client.network import Wire, wired
from tests.soak.listeners import WISHES
from tests.soak.verdict import Verdict, judge

KINDS = ("kill", "cut", "freeze")
# From now, so that a cut meets a message on its way, of a reconnect or of the stream.
CUT_WITHIN_BYTES = 40_000
FREEZE_SECONDS = (0.02, 0.4)
# Longer than the server waits for a client that does not read.
LONG_FREEZE_SECONDS, LONG_FREEZES = 2.5, 0.05
NEW_MESSAGES = 20
PATIENCE_SECONDS = 60.0


class Process:
    """A process that answers lines with lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, module: str, *arguments: str) -> Process:
        pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
        command = (sys.executable, "-m", module, *arguments)
        return cls(await asyncio.create_subprocess_exec(*command, **pipes))

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())

    async def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError("a process of the soak test ended before its time")
        found: dict[str, Any] = orjson.loads(line)
        return found

    async def ask(self, line: str) -> dict[str, Any]:
        self.tell(line)
        return await self.hear()

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


class Soak:
    """The cast of the test, and what happens in each kind of cycle."""

    def __init__(self, directory: Path, wire: Wire, stack: AsyncExitStack, *, seed: int) -> None:
        self.restarts = 0
        self._directory = directory
        self._wire = wire
        self._stack = stack
        self._chance = random.Random(seed)
        self._standby: Process
        self._server: Process
        self._clients: Process

    async def start(self) -> None:
        self._standby = await self._new_server()
        await self._next_server()
        url = f"http://127.0.0.1:{self._wire.port}"
        self._clients = await Process.start("tests.soak.listeners", url, str(self._directory))
        self._stack.push_async_callback(self._clients.kill)
        await self._wait(connects=[1] * len(WISHES), received=[NEW_MESSAGES] * len(WISHES))

    async def cycle(self, kind: str) -> float:
        """Do one thing of `kind` and wait until all clients are back; returns seconds."""
        before = await self._clients.ask(orjson.dumps({}).decode())
        began = time.perf_counter()
        connects = {"kill": self._kill, "cut": self._cut, "freeze": self._freeze}[kind]
        more = await connects()
        await self._wait(
            connects=[count + more for count in before["connects"]],
            received=[count + NEW_MESSAGES for count in before["received"]],
        )
        return time.perf_counter() - began

    async def finish(self) -> dict[str, Any]:
        """Stop publishing, let everything arrive, and return the clients' state."""
        kept = (await self._server.ask("stop"))["kept"]
        state = await self._clients.ask(orjson.dumps({"finish": kept}).decode())
        assert self._clients.process.stdin is not None
        self._clients.process.stdin.close()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._clients.process.wait()
        return state

    async def _kill(self) -> int:
        await self._server.kill()
        await self._next_server()
        return 1

    async def _cut(self) -> int:
        self._wire.cut_at = self._wire.carried + self._chance.randrange(1, CUT_WITHIN_BYTES)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._wire.cut_done.wait()
        self._wire.cut_done.clear()
        return 0

    async def _freeze(self) -> int:
        long = self._chance.random() < LONG_FREEZES
        self._clients.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(LONG_FREEZE_SECONDS if long else self._chance.uniform(*FREEZE_SECONDS))
        self._clients.process.send_signal(signal.SIGCONT)
        return 0

    async def _next_server(self) -> None:
        self._server, self.restarts = self._standby, self.restarts + 1
        self._wire.target = (await self._server.ask(f"go epoch-{self.restarts}"))["port"]
        self._standby = await self._new_server()

    async def _new_server(self) -> Process:
        log = str(self._directory / "published")
        server = await Process.start("tests.soak.publisher", log)
        self._stack.push_async_callback(server.kill)
        return server

    async def _wait(self, **counts: list[int]) -> dict[str, Any]:
        return await self._clients.ask(orjson.dumps({"wait": counts}).decode())


def verdict_of(directory: Path) -> dict[str, Verdict]:
    """Return each client's verdict from the logs."""
    published = (directory / "published").read_text().splitlines()
    return {
        name: judge(
            published,
            (directory / f"{name}.heard").read_text().splitlines(),
            symbols=wish.symbols,
        )
        for name, wish in WISHES.items()
    }


async def run(cycles: int, *, seed: int, progress: Progress) -> dict[str, Any]:
    """Run all cycles and return the report."""
    chance = random.Random(seed)
    times: dict[str, list[float]] = defaultdict(list)
    task = progress.add_task("cycles", total=cycles)
    began = time.perf_counter()
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        wire = await stack.enter_async_context(wired(0, buffer=16_384))
        soak = Soak(directory, wire, stack, seed=seed)
        await soak.start()
        kinds = [KINDS[number % len(KINDS)] for number in range(cycles)]
        chance.shuffle(kinds)
        for kind in kinds:
            times[kind].append(await soak.cycle(kind))
            progress.advance(task)
        state = await soak.finish()
        verdicts = verdict_of(directory)
        published = len((directory / "published").read_text().splitlines())
    return _report(times, verdicts, state, published, soak.restarts, time.perf_counter() - began)


def _report(
    times: Mapping[str, list[float]],
    verdicts: Mapping[str, Verdict],
    state: Mapping[str, Any],
    published: int,
    epochs: int,
    seconds: float,
) -> dict[str, Any]:
    total = Verdict()
    for verdict in verdicts.values():
        total.merge(verdict)
    return {
        "cycles": {
            kind: {
                "count": len(found),
                "back_after_median_s": round(statistics.median(found), 3),
                "back_after_max_s": round(max(found), 3),
            }
            for kind, found in sorted(times.items())
        },
        "seconds": round(seconds, 1),
        "epochs": epochs,
        "published_lossless": published,
        "received": {name: verdict.received for name, verdict in verdicts.items()},
        "connects": dict(zip(verdicts, state["connects"], strict=True)),
        "gaps": dict(total.gaps),
        "covered_by_gaps": total.covered,
        "violations": dict(total.violations),
        "examples": total.examples,
        "problems": sorted(set(state["problems"])),
    }


def _show(report: Mapping[str, Any], console: Console) -> None:
    table = Table("cycle", "count", "back after, median", "max", title="Delivery under fire")
    for kind, found in report["cycles"].items():
        times = f"{found['back_after_median_s']:.3f} s", f"{found['back_after_max_s']:.3f} s"
        table.add_row(kind, str(found["count"]), *times)
    console.print(table)
    for name, value in report.items():
        if name != "cycles":
            console.print(f"{name}: {value}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        report = asyncio.run(run(options.cycles, seed=options.seed, progress=progress))
    if options.json:
        sys.stdout.write(orjson.dumps(report).decode() + "\n")
    else:
        _show(report, Console())
    return 1 if report["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
