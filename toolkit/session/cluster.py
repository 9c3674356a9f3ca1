"""One bot, and several processes that serve its clients on one port, joined by Redis."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from toolkit.bot.bot import Bot
from toolkit.bot.events import Event, Problem
from toolkit.config import Settings
from toolkit.errors import ConfigError, RelayError
from toolkit.runtime import process_started
from toolkit.session.alerting import build_alerts
from toolkit.session.build import build_bot
from toolkit.session.dashboard import Dashboard
from toolkit.session.options import LaunchOptions
from toolkit.session.registry import ServerRecord, link_to, log_file
from toolkit.session.worker import WorkerTask
from toolkit.session.workers import Job, Workers
from toolkit.streaming.access.auth import Authenticator
from toolkit.streaming.listener import SPREADS, bind, reserve
from toolkit.streaming.owner import Owner
from toolkit.streaming.relay.redis_streams import RedisRelay

MOST_WORKERS = 64
CLEAR_SECONDS = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """`workers` processes and the Redis that joins them.

    `sticky` promises a load balancer that keeps each client on one worker, so that long polling
    works. With `port_per_worker` the first worker has the port and each other one the next, for
    a load balancer in front; otherwise all share the port.
    """

    workers: int
    redis: str = field(repr=False)
    sticky: bool = False
    port_per_worker: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= MOST_WORKERS:
            raise ConfigError(
                f"workers is {self.workers}; allowed: 1 to {MOST_WORKERS}",
                field="workers",
                allowed=f"1 to {MOST_WORKERS}",
            )
        if os.name != "posix":
            raise ConfigError("several workers need Linux or macOS; here, serve with one process")


class Cluster:
    """The owner's process: runs the bot, keeps the workers alive, serves no client itself."""

    def __init__(self, options: LaunchOptions, settings: Settings, cluster: ClusterOptions) -> None:
        self._alerts = build_alerts(options, settings, problem=self._publish)
        self.bot: Bot = build_bot(options, publish=self._publish, settings=settings)
        self.shutdown = asyncio.Event()
        self._options, self._settings, self._cluster = options, settings, cluster
        self._serving = settings.server(websocket=options.websocket)
        self._token = Authenticator(self._serving).token
        self._epoch = secrets.token_hex(8)
        self._listener: socket.socket | None = None
        self._name = f"{settings.port}-{self._epoch}"
        self._key = secrets.token_bytes(32)
        self._relay = RedisRelay(cluster.redis, name=self._name, key=self._key)
        self._dashboard = Dashboard(wanted=options.dashboard, state_dir=settings.state_dir)
        self._workers: Workers | None = None
        self._task: asyncio.Task[None] | None = None
        self.owner = Owner(
            bot=self.bot,
            relay=self._relay,
            settings=self._serving,
            epoch=self._epoch,
            on_ready=lambda worker, _facts: self._serves(worker),
            on_shutdown=self.shutdown.set,
            clock=lambda: datetime.now(UTC),
        )

    @property
    def port(self) -> int:
        """The port of all workers, or of the first one."""
        return self._listener.getsockname()[1] if self._listener else self._settings.port

    @property
    def url(self) -> str:
        """The address for clients on this machine."""
        host = self._settings.host
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(host, host)
        return f"http://{host}:{self.port}"

    @property
    def token(self) -> str:
        """The owner's token (admin)."""
        return self._token

    @property
    def link(self) -> str:
        """Address with token for the owner's browser."""
        return link_to(self.url, self._token)

    @property
    def story(self) -> str:
        """One line on what serves."""
        count, last = self._cluster.workers, self.port + self._cluster.workers - 1
        ports = f"ports {self.port} to {last}" if self._cluster.port_per_worker else "one port"
        return f"{count} workers on {ports}, joined by {self._relay.address}"

    @property
    def pids(self) -> dict[str, int]:
        """The process of each worker that runs."""
        return self._workers.pids if self._workers else {}

    async def start(self) -> None:
        """Start workers, bot and dashboard; raises ConfigError when one of them cannot."""
        try:
            await self._relay.check()
            if not self._cluster.port_per_worker:
                take = reserve if SPREADS else bind
                self._listener = take(self._settings.host, self._settings.port)
            await self.owner.start()
            self._workers = Workers(list(self._jobs()), on_end=self._ended)
            await self._workers.start()
        except BaseException:
            await self.stop()
            raise
        self._alerts.start()
        self._task = asyncio.create_task(self._run_bot(), name="bot")
        self._dashboard.start(url=self.url, token=self._token)

    async def stop(self) -> None:
        """Stop bot, workers and dashboard within two seconds, leaving nothing behind."""
        await self.bot.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._alerts.stop()
        await self.owner.stop()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._dashboard.stop())
            if self._workers is not None:
                group.create_task(self._workers.stop())
        with suppress(RelayError, TimeoutError):  # its keys expire by themselves
            async with asyncio.timeout(CLEAR_SECONDS):
                await self._relay.clear()
        await self._relay.close()
        if self._listener is not None:
            self._listener.close()

    def record(self, *, isolation: str) -> ServerRecord:
        """Describe this cluster to those who look for it on this machine."""
        return ServerRecord(
            port=self.port,
            pid=os.getpid(),
            url=self.url,
            token=self._token,
            isolation=isolation,
            started=process_started(),
            symbols=tuple(self.bot.symbols),
            options=self._options.to_dict(),
            workers=self._cluster.workers,
        )

    def _publish(self, event: Event) -> None:
        self.owner.publish(event)
        self._alerts.publish(event)

    async def _run_bot(self) -> None:
        with suppress(Exception):  # the bot has logged it and published it as its state
            await self.bot.run()

    def _serves(self, worker: str) -> None:
        if self._workers is not None:
            self._workers.serves(worker)

    def _ended(self, text: str) -> None:
        moment = datetime.now(UTC)
        self._publish(Problem(timestamp=moment, code="worker_ended", message=text))

    def _jobs(self) -> Iterator[Job]:
        settings = self._settings
        # Elsewhere all workers take connections from one socket that they inherit.
        shared = None if SPREADS else self._listener
        websocket = self._options.websocket or self._serving.websocket
        for number in range(self._cluster.workers):
            name = f"worker {number + 1}"
            task = WorkerTask(
                name=name,
                epoch=self._epoch,
                relay=self._name,
                listener=shared.fileno() if shared else None,
                together=SPREADS and not self._cluster.port_per_worker,
                public_port=self.port,
                dashboard=self._dashboard.planned_url,
                polling=self._cluster.sticky,
                websocket=websocket,
            )
            log = log_file(settings.state_dir, f"worker-{self.port}-{number + 1}")
            beat = log.with_suffix(".beat")
            yield Job(
                name=name,
                log=log,
                beat=beat,
                inherited=(shared.fileno(),) if shared else (),
                environment={
                    "TOOLKIT_WORKER": task.to_json(),
                    "TOOLKIT_REDIS": self._cluster.redis,
                    "TOOLKIT_RELAY_KEY": self._key.hex(),
                    "TOOLKIT_TOKEN": self._token,
                    "TOOLKIT_HOST": settings.host,
                    "TOOLKIT_PORT": str(
                        self.port + (number if self._cluster.port_per_worker else 0)
                    ),
                    "TOOLKIT_STATE_DIR": str(settings.state_dir),
                    "TOOLKIT_PARENT": str(os.getpid()),
                    "TOOLKIT_BEAT": str(beat),
                },
            )
