"""What the relay costs: `python -m tests.benchmarks.cluster`, with a redis-server on this machine.

An owner publishes trades at several rates; a worker's process notes when each frame reaches its
hub. The added latency is from publishing to the worker's hub, by the machine's monotonic clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tests.streaming.fakes import START
from tests.streaming.redis_server import redis_server
from toolkit.core.types import Trade
from toolkit.runtime import new_event_loop
from toolkit.streaming.hub.frames import Frame
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.hub.sequencer import Sequencer
from toolkit.streaming.relay.follower import Follower
from toolkit.streaming.relay.publisher import Publisher
from toolkit.streaming.relay.redis_streams import RedisRelay
from toolkit.streaming.relay.state import State

RATES = (100, 1_000, 5_000, 20_000, 0)
SYMBOLS = tuple(f"S{number:02}" for number in range(100))
KEY = b"the same for both"
TICK_SECONDS = 0.002


class NotingHub(Hub):
    """Notes how old each frame is when it comes."""

    def __init__(self, noted: list[float]) -> None:
        super().__init__(epoch="e1", clock=now)
        self._noted = noted

    def accept(self, frame: Frame) -> None:
        """Hand on a frame."""
        self._noted.append(time.monotonic() - frame.created)
        super().accept(frame)


def now() -> datetime:
    """Return the wall time."""
    return datetime.now(UTC)


async def follow(url: str, name: str, count: int) -> dict[str, Any]:
    """Follow the log until `count` frames have come."""
    ages: list[float] = []
    relay = RedisRelay(url, name=name, key=KEY)

    async def nothing() -> State:
        return State()

    follower = Follower(relay, hub=NotingHub(ages), join=nothing, on_controls=lambda _: None)
    await follower.start()
    print("ready", flush=True)  # noqa: T201 - the parent waits for it
    cpu = cpu_seconds()
    while len(ages) < count:
        await follower.step(wait=1.0)
    await relay.close()
    ranked = sorted(age * 1000 for age in ages)
    return {
        "p50_ms": ranked[len(ranked) // 2],
        "p99_ms": ranked[int(len(ranked) * 0.99)],
        "max_ms": ranked[-1],
        "cpu_s": cpu_seconds() - cpu,
    }


def cpu_seconds() -> float:
    """Return what this process has used of a core."""
    times = psutil.Process().cpu_times()
    return times.user + times.system


async def publish(
    url: str, name: str, *, rate: int, count: int, ready: Callable[[], None]
) -> float:
    """Publish `count` trades at `rate` a second (0: as fast as the log takes them)."""
    relay = RedisRelay(url, name=name, key=KEY)
    publisher = Publisher(relay=relay, sequencer=Sequencer(epoch="e1", clock=now), clock=now)
    running = asyncio.create_task(publisher.run())
    await asyncio.to_thread(ready)
    began, sent = time.monotonic(), 0
    while sent < count:
        due = count if not rate else int((time.monotonic() - began) * rate) + 1
        burst = min(due, sent + 200, count)
        for number in range(sent, burst):
            publisher.publish(trade(number))
        sent = burst
        await asyncio.sleep(TICK_SECONDS if rate else 0)
        while publisher.backlog.waiting > 2_000:  # noqa: ASYNC110 - as fast as it goes
            await asyncio.sleep(0)
    await publisher.flush(within=30)
    seconds = time.monotonic() - began
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await relay.clear()
    await relay.close()
    return seconds


def trade(number: int) -> Trade:
    """Return one of many trades."""
    symbol = SYMBOLS[number % len(SYMBOLS)]
    return Trade(symbol=symbol, timestamp=START, price=100.0 + number % 50, size=10.0)


def measure(url: str, rate: int, seconds: float) -> None:
    """Print one line of figures."""
    count, name = int((rate or 20_000) * seconds), f"bench-{rate}"
    command = [sys.executable, "-m", "tests.benchmarks.cluster", "--follow", url, name, str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        out = worker.stdout
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            work = publish(url, name, rate=rate, count=count, ready=lambda: [out.readline()])
            took = runner.run(work)
        found = json.loads(out.readline())
    asked = f"{rate:,}" if rate else "all it takes"
    print(  # noqa: T201 - a script
        f"{asked:>12}  {count / took:>8,.0f}/s  p50 {found['p50_ms']:6.2f} ms  "
        f"p99 {found['p99_ms']:7.2f} ms  max {found['max_ms']:7.2f} ms  "
        f"worker {found['cpu_s'] / count * 1e6:5.1f} us/message"
    )


def main() -> None:
    """Run all rates, or be the worker of one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--follow", nargs=3, metavar=("URL", "NAME", "COUNT"))
    arguments = parser.parse_args()
    if arguments.follow:
        url, name, count = arguments.follow
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            print(json.dumps(runner.run(follow(url, name, int(count)))))  # noqa: T201 - a script
        return
    with tempfile.TemporaryDirectory() as directory, redis_server(Path(directory)) as redis:
        for rate in RATES:
            measure(redis.url, rate, arguments.seconds)


if __name__ == "__main__":
    main()
