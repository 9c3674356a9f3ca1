"""The two ways to run a service: in a thread of this process, or in a process of its own."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol

import orjson

from toolkit.config import Settings
from toolkit.errors import ConfigError
from toolkit.runtime import ChildProcess, LoopThread, wait_until
from toolkit.session.options import LaunchOptions
from toolkit.session.registry import Registry, ServerRecord, log_file

if TYPE_CHECKING:
    from toolkit.session.service import Service

START_TIMEOUT = 30.0


class Host(Protocol):
    """What keeps a service alive, and how it ends."""

    @property
    def record(self) -> ServerRecord:
        """Address and token of the server."""
        ...

    def stop(self) -> None:
        """End the service. Calling it twice is harmless."""
        ...


class ThreadHost:
    """Runs a service on a loop thread of this process."""

    def __init__(self, options: LaunchOptions, settings: Settings, *, loop: LoopThread) -> None:
        from toolkit.session.service import Service

        self._registry = Registry(settings.state_dir)
        self._loop = loop

        async def start() -> Service:
            service = Service(options, settings)
            await service.start()
            return service

        self._service: Service | None = loop.call(start())
        self._record = self._service.record(isolation="thread")
        self._registry.write(str(self._record.port), self._record)

    @property
    def record(self) -> ServerRecord:
        """Address and token of the server."""
        return self._record

    def stop(self) -> None:
        """End bot, server and dashboard."""
        service, self._service = self._service, None
        if service is not None and self._loop.alive:
            self._registry.remove_own(self._record)
            self._loop.call(service.stop())


class ProcessHost:
    """A service in a process of its own, started here or found running."""

    def __init__(
        self, record: ServerRecord, registry: Registry, *, child: ChildProcess | None = None
    ) -> None:
        self._record, self._registry = record, registry
        self._child = child or ChildProcess(record.pid, started=record.started)

    @property
    def record(self) -> ServerRecord:
        """Address and token of the server."""
        return self._record

    def stop(self) -> None:
        """End the process, which ends bot, server and dashboard."""
        self._child.stop()
        self._registry.remove_own(self._record)

    @classmethod
    def find(cls, settings: Settings) -> ProcessHost | None:
        """Return the service that runs on the port of the settings, if there is one."""
        registry = Registry(settings.state_dir)
        for record in registry.running():
            if record.port == settings.port and record.isolation != "thread":
                return cls(record, registry)
        return None

    @classmethod
    def launch(cls, options: LaunchOptions, settings: Settings) -> ProcessHost:
        """Start a process and wait until it serves; raises ConfigError with what it said."""
        registry = Registry(settings.state_dir)
        key = f"starting-{os.getpid()}-{settings.port}"
        registry.remove(key)
        log = log_file(settings.state_dir, f"server-{settings.port}")
        child = ChildProcess.start(
            [sys.executable, "-m", "toolkit.session.child"],
            log=log,
            environment=_environment(options, settings, key),
        )
        try:
            wait_until(
                lambda: registry.read(key) is not None or not child.alive, timeout=START_TIMEOUT
            )
            record = registry.read(key)
        except BaseException:
            child.stop()
            raise
        finally:
            registry.remove(key)
        if record is None or record.error:
            child.stop()
            said = record.error if record else f"it did not answer; its log is {log}"
            raise ConfigError(f"the bot's process did not start: {said}", log=str(log))
        return cls(record, registry, child=child)


def _environment(options: LaunchOptions, settings: Settings, key: str) -> dict[str, str]:
    token = settings.token.get_secret_value() if settings.token else ""
    return {
        "TOOLKIT_LAUNCH": orjson.dumps(options.to_dict()).decode(),
        "TOOLKIT_LAUNCH_KEY": key,
        "TOOLKIT_HOST": settings.host,
        "TOOLKIT_PORT": str(settings.port),
        "TOOLKIT_STATE_DIR": str(settings.state_dir),
        **({"TOOLKIT_TOKEN": token} if token else {}),
    }
