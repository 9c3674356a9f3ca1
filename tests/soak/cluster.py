"""Outages of a cluster at full length: `python -m tests.soak.cluster [--outage 10] [--json]`.

A bot's owner publishes lossless messages and trades all the time; clients of the toolkit's own
follow through workers on one port. Redis is killed for `--outage` seconds and comes back empty, is
frozen as long, and every worker is killed in turn. At the end each client must have every
lossless message, once, in order, without a gap.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.streaming.fakes import account, quote
from tests.streaming.redis_server import RedisServer, redis_server
from toolkit.client.async_client import StreamClient
from toolkit.config import Settings
from toolkit.runtime import new_event_loop
from toolkit.session.cluster import Cluster, ClusterOptions
from toolkit.session.options import LaunchOptions

LOSSLESS_A_SECOND, LOOSE_A_SECOND = 200, 2_000
TICK_SECONDS = 0.01
STREAM = "account"
GRACE_SECONDS = 30


@dataclass
class Witness:
    """What one client has had."""

    client: StreamClient
    first: int = 0
    numbers: list[int] = field(default_factory=list)
    loose: int = 0
    gaps: list[Any] = field(default_factory=list)
    reconnects: int = -1
    longest_silence: float = 0.0
    heard: float = field(default_factory=time.monotonic)

    def watch(self) -> None:
        """Note all that comes."""
        self.client.on(f"stream_{STREAM}", self._note)
        self.client.on("stream_market_data", self._count)
        self.client.on("gap", self.gaps.append)
        self.client.on("connected", self._connected)

    def _note(self, message: Any) -> None:
        if message.snapshot:
            return
        now = time.monotonic()
        self.longest_silence = max(self.longest_silence, now - self.heard)
        self.heard = now
        self.numbers.append(message.seq)

    def _count(self, _message: Any) -> None:
        self.loose += 1

    def _connected(self, _hello: Any) -> None:
        self.reconnects += 1

    def verdict(self, last: int) -> dict[str, Any]:
        """Return what is missing, doubled or out of order."""
        wanted = set(range(self.first, last + 1))
        return {
            "messages": len(self.numbers),
            "missing": len(wanted - set(self.numbers)),
            "doubled": len(self.numbers) - len(set(self.numbers)),
            "out_of_order": sum(b < a for a, b in pairwise(self.numbers)),
            "gaps": len(self.gaps),
            "reconnects": self.reconnects,
            "longest_silence_s": round(self.longest_silence, 2),
            "market_data": self.loose,
        }


async def publish(cluster: Cluster) -> None:
    """Publish at steady rates until cancelled."""
    began, sent = time.monotonic(), 0
    per = LOOSE_A_SECOND // LOSSLESS_A_SECOND
    while True:
        due = int((time.monotonic() - began) * LOSSLESS_A_SECOND)
        for number in range(sent, due):
            cluster.owner.publish(account(number))
            for n in range(per):
                cluster.owner.publish(quote(price=100 + n))
        sent = max(sent, due)
        await asyncio.sleep(TICK_SECONDS)


async def outages(cluster: Cluster, redis: RedisServer, seconds: float) -> None:
    """Break one thing after the other."""
    await asyncio.sleep(2)
    _say(f"Redis is killed for {seconds:g} s and comes back empty")
    await asyncio.to_thread(redis.kill)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(redis.start)
    await asyncio.sleep(3)
    _say(f"Redis is frozen for {seconds:g} s")
    redis.freeze()
    await asyncio.sleep(seconds)
    redis.thaw()
    await asyncio.sleep(3)
    for name, pid in cluster.pids.items():
        _say(f"{name} is killed")
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(3)


async def run(redis: RedisServer, *, workers: int, clients: int, seconds: float) -> dict[str, Any]:
    """Run it all and return the verdict."""
    options = ClusterOptions(workers=workers, redis=redis.url)
    launch = LaunchOptions(symbols=("AAPL",), speed="1x", dashboard=False)
    with tempfile.TemporaryDirectory() as state:
        cluster = Cluster(launch, Settings.load(port=0, state_dir=Path(state)), options)
        await cluster.start()
        witnesses = [
            Witness(StreamClient(cluster.url, token=cluster.token, reconnect_attempts=10_000))
            for _ in range(clients)
        ]
        try:
            for witness in witnesses:
                witness.watch()
                await witness.client.connect()
                confirmed = await witness.client.subscribe([STREAM, "market_data"])
                witness.first = confirmed["seq"][STREAM] + 1
            publishing = asyncio.create_task(publish(cluster))
            await outages(cluster, redis, seconds)
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
            last = cluster.owner.publisher.state.seq[STREAM]
            await _arrived(witnesses, last)
            return _summary(witnesses, last)
        finally:
            for witness in witnesses:
                await witness.client.close()
            await cluster.stop()


async def _arrived(witnesses: list[Witness], last: int) -> None:
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline:
        if all(w.numbers and w.numbers[-1] >= last for w in witnesses):
            return
        await asyncio.sleep(0.1)


def _summary(witnesses: list[Witness], last: int) -> dict[str, Any]:
    each = [witness.verdict(last) for witness in witnesses]
    bad = ("missing", "doubled", "out_of_order", "gaps")
    return {
        "clients": len(each),
        "ok": all(not verdict[name] for verdict in each for name in bad),
        **{name: sum(v[name] for v in each) for name in ("messages", *bad, "reconnects")},
        "longest_silence_s": max(v["longest_silence_s"] for v in each),
        "market_data": sum(v["market_data"] for v in each),
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a script


def main() -> int:
    """Run with the options given; returns 1 when something was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outage", type=float, default=10.0, help="seconds")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        redis_server(Path(directory)) as redis,
        asyncio.Runner(loop_factory=new_event_loop) as runner,
    ):
        work = run(redis, workers=chosen.workers, clients=chosen.clients, seconds=chosen.outage)
        found = runner.run(work)
    lines = [json.dumps(found)] if chosen.json else [f"{k:>18}  {v}" for k, v in found.items()]
    print("\n".join(lines))  # noqa: T201 - a script
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
