"""A cluster of real processes and a real Redis: outages and deaths lose nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.streaming.fakes import account
from tests.streaming.redis_server import RedisServer, redis_server
from tests.streaming.serving import Stock, stock
from toolkit.client.async_client import StreamClient
from toolkit.config import Settings
from toolkit.errors import ConfigError
from toolkit.runtime import free_port, wait_until
from toolkit.session.cluster import Cluster, ClusterOptions
from toolkit.session.options import LaunchOptions
from toolkit.session.registry import Registry

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="workers need Linux or macOS"),
    pytest.mark.timeout(90),
]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path, password="s3cret") as server:
        yield server


@asynccontextmanager
async def running(redis: RedisServer, *, port: int = 0, **options: Any) -> AsyncIterator[Cluster]:
    """Two workers and a bot whose market hardly moves; tests publish what they count."""
    chosen = ClusterOptions(**{"workers": 2, "redis": redis.url, **options})
    launch = LaunchOptions(symbols=("AAPL",), speed="1x", dashboard=False)
    found = Cluster(launch, Settings.load(port=port), chosen)
    await found.start()
    try:
        yield found
    finally:
        await found.stop()


class Watcher:
    """Collects the numbers of the stream `account`, and every gap."""

    def __init__(self) -> None:
        self.first = 0
        self.numbers: list[int] = []
        self.gaps: list[Any] = []
        self._news = asyncio.Event()

    def watch(self, client: StreamClient) -> None:
        client.on("stream_account", self._note)
        client.on("gap", self.gaps.append)

    def _note(self, message: Any) -> None:
        if not message.snapshot:
            self.numbers.append(message.seq)
        self._news.set()

    async def until(self, number: int) -> None:
        async with asyncio.timeout(30):
            while not self.numbers or self.numbers[-1] < number:
                self._news.clear()
                await self._news.wait()

    def check(self, last: int) -> None:
        assert self.numbers == list(range(self.first, last + 1))
        assert self.gaps == []


@asynccontextmanager
async def watching(cluster: Cluster, count: int) -> AsyncIterator[list[Watcher]]:
    """Clients of the toolkit's own, which resume by themselves wherever they land."""
    watchers = [Watcher() for _ in range(count)]
    clients = [
        StreamClient(cluster.url, token=cluster.token, reconnect_attempts=1_000)
        for _ in range(count)
    ]
    try:
        for client, watcher in zip(clients, watchers, strict=True):
            watcher.watch(client)
            await client.connect()
            confirmed = await client.subscribe(["account"])
            watcher.first = confirmed["seq"]["account"] + 1
        yield watchers
    finally:
        for client in clients:
            await client.close()


def publish(cluster: Cluster, count: int) -> int:
    """Publish and return the number of the last one."""
    for n in range(count):
        cluster.owner.publish(account(n))
    return cluster.owner.publisher.state.seq["account"]


async def eventually(true: Callable[[], Any], within: float = 20.0) -> None:
    assert await asyncio.to_thread(wait_until, true, timeout=within)


async def test_workers_on_one_port_agree_and_all_obey(redis: RedisServer) -> None:
    async with running(redis) as cluster, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(stock(cluster)) for _ in range(6)]
        before = publish(cluster, 3)
        for client in clients:
            await client.call("subscribe", {"stream_types": ["account"]})
        last = publish(cluster, 20)
        for client in clients:
            await client.until(lambda c=client: live(c) and live(c)[-1]["seq"] == last)
            shown = [m for m in client.messages if m.get("snapshot")]
            tail = [m for m in live(client) if m["seq"] > shown[0]["seq"]]
            assert [m["seq"] for m in tail] == list(range(shown[0]["seq"] + 1, last + 1))
            assert [m["prev"] for m in tail] == [m["seq"] - 1 for m in tail]
            assert shown[0]["seq"] <= before + 20
        same = {str([(m["seq"], m["epoch"], m["data"]) for m in live(c)[-10:]]) for c in clients}
        assert len(same) == 1
        body = {"name": "set_parameters", "args": {"values": {"ema_period": 12}}, "id": "one"}
        answers = [await client.call("command", body) for client in clients]
        assert [a["result"]["new"] for a in answers] == [{"ema.ema_period": 12}] * 6
        assert sum(not a.get("repeated") for a in answers) == 1
        ports = {c.laddr.port for pid in cluster.pids.values() for c in listening(pid)}
        assert ports == {cluster.port}
        with pytest.raises(ConfigError, match=str(cluster.port)):
            async with running(redis, port=cluster.port):
                pass


async def test_workers_inherit_one_socket_where_the_system_does_not_spread(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.session.cluster.SPREADS", False)
    async with running(redis) as cluster, stock(cluster) as client:
        assert (await client.call("ping"))["ok"]
        ports = {c.laddr.port for pid in cluster.pids.values() for c in listening(pid)}
        assert ports == {cluster.port}


async def test_killed_workers_lose_and_double_nothing_and_are_replaced(redis: RedisServer) -> None:
    async with running(redis) as cluster, watching(cluster, 4) as watchers:
        before = cluster.pids
        for victim in before.values():
            last = publish(cluster, 100)
            await asyncio.gather(*(w.until(last - 50) for w in watchers))
            os.kill(victim, signal.SIGKILL)
            last = publish(cluster, 100)
            await asyncio.gather(*(w.until(last) for w in watchers))
        for watcher in watchers:
            watcher.check(last)
        await eventually(lambda: len(cluster.pids) == 2)
        assert not set(cluster.pids.values()) & set(before.values())
        assert cluster.owner.publisher.state.seq["system_health"] >= 2


async def test_a_worker_that_hangs_is_replaced_and_its_clients_lose_nothing(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("toolkit.session.workers.MISSED_BEATS", 2)
    async with running(redis, workers=1) as cluster, watching(cluster, 2) as watchers:
        last = publish(cluster, 10)
        await asyncio.gather(*(w.until(last) for w in watchers))
        (hung,) = cluster.pids.values()
        os.kill(hung, signal.SIGSTOP)
        last = publish(cluster, 10)
        await asyncio.gather(*(w.until(last) for w in watchers))
        assert list(cluster.pids.values()) != [hung]
        for watcher in watchers:
            watcher.check(last)
        assert "worker 1 ended (it hung and was killed) and starts again" in caplog.text
    assert not list(Settings.load().state_dir.rglob("*.beat"))


async def test_redis_killed_restarted_empty_and_frozen_loses_nothing(redis: RedisServer) -> None:
    async with running(redis) as cluster, watching(cluster, 2) as watchers:
        publish(cluster, 100)
        redis.kill()
        last = publish(cluster, 100)
        await eventually(lambda: cluster.owner.publisher.away_seconds > 0.2)
        redis.start()
        await asyncio.gather(*(w.until(last) for w in watchers))
        redis.freeze()
        last = publish(cluster, 100)
        await eventually(lambda: cluster.owner.publisher.away_seconds > 0.2)
        redis.thaw()
        await asyncio.gather(*(w.until(last) for w in watchers))
        os.kill(cluster.pids["worker 1"], signal.SIGKILL)
        last = publish(cluster, 10)
        await asyncio.gather(*(w.until(last) for w in watchers))
        for watcher in watchers:
            watcher.check(last)


async def test_each_worker_may_have_a_port_of_its_own(redis: RedisServer) -> None:
    async with running(redis, port=free_ports(2), port_per_worker=True, sticky=True) as cluster:
        body = {"stream_types": ["account"]}
        for number, pid in enumerate(cluster.pids.values()):
            assert {c.laddr.port for c in listening(pid)} == {cluster.port + number}
            url = f"http://127.0.0.1:{cluster.port + number}"
            async with stock(At(url, cluster.token), transports=("polling",)) as client:
                assert (await client.call("subscribe", body))["ok"]


def test_serve_runs_workers_until_ctrl_c_and_leaves_nothing(redis: RedisServer) -> None:
    with serving(redis) as process:
        assert process.stdout is not None
        assert "/?token=" in process.stdout.readline()
        (record,) = Registry(Settings.load().state_dir).running()
        assert record.workers == 2
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) == 2
        assert all("s3cret" not in " ".join(c.cmdline()) for c in children)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert wait_until(lambda: not any(c.is_running() for c in children), timeout=1)
    assert redis.keys() == []
    assert Registry(Settings.load().state_dir).running() == []


def test_workers_end_when_their_owner_was_killed(redis: RedisServer) -> None:
    with serving(redis) as process:
        assert process.stdout is not None
        process.stdout.readline()
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait(10)
    assert wait_until(lambda: not any(running_still(c) for c in children), timeout=10)


async def test_a_cluster_that_cannot_start_says_why(redis: RedisServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=str(port)):
            async with running(redis, port=port):
                pass
        with pytest.raises(ConfigError, match=rf"worker 1 did not start.*{port}"):
            async with running(redis, port=port, workers=1, port_per_worker=True):
                pass
    redis.kill()
    with pytest.raises(ConfigError, match=r"\*\*\*@127\.0\.0\.1.*--redis"):
        async with running(redis):
            pass


@pytest.mark.parametrize("workers", [0, 65])
def test_a_wrong_number_of_workers_is_refused(workers: int) -> None:
    with pytest.raises(ConfigError, match="1 to 64"):
        ClusterOptions(workers=workers, redis="redis://localhost")


def test_workers_without_redis_say_what_to_give() -> None:
    command = [sys.executable, "-m", "toolkit", "serve", "--workers", "2"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 2
    assert "TOOLKIT_REDIS" in result.stderr


@contextmanager
def serving(redis: RedisServer) -> Iterator[subprocess.Popen[str]]:
    options = ["--workers", "2", "--port", "0", "--no-dashboard", "--symbol", "AAPL"]
    with subprocess.Popen(
        [sys.executable, "-m", "toolkit", "serve", *options],
        env={**os.environ, "TOOLKIT_REDIS": redis.url},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@dataclass(frozen=True)
class At:
    url: str
    token: str


def live(client: Stock) -> list[dict[str, Any]]:
    return [m for m in client.messages if not m.get("snapshot")]


def listening(pid: int) -> list[Any]:
    found = psutil.Process(pid).net_connections(kind="tcp")
    return [c for c in found if c.status == psutil.CONN_LISTEN]


def running_still(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def free_ports(count: int) -> int:
    """Return the first of so many free ports in a row."""
    while True:
        port = free_port()
        try:
            for number in range(count):
                socket.create_server(("127.0.0.1", port + number)).close()
        except OSError:
            continue
        return port
