"""A service in a process of its own: `python -m toolkit.session.child`, started by `hosts`.

What to run comes in `TOOLKIT_LAUNCH`, so that no secret stands on a command line.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Protocol, TypeVar

import orjson

from toolkit.config import Settings
from toolkit.errors import ToolkitError
from toolkit.runtime import keep_pauses_short, new_event_loop, process_started
from toolkit.session.logs import set_up_logging
from toolkit.session.options import LaunchOptions
from toolkit.session.registry import Registry, ServerRecord
from toolkit.session.service import Service


class Served(Protocol):
    """What can be served: a `Service`, or a cluster of workers."""

    shutdown: asyncio.Event

    async def start(self) -> None:
        """Start everything and listen."""
        ...

    async def stop(self) -> None:
        """Stop everything."""
        ...

    def record(self, *, isolation: str) -> ServerRecord:
        """Describe what runs."""
        ...


S = TypeVar("S", bound=Served)


async def serve(
    service: S,
    settings: Settings,
    *,
    isolation: str,
    key: str = "",
    ready: Callable[[S], None] | None = None,
) -> None:
    """Start a service, make it findable, and run it until a signal or a shutdown command.

    `ready` is called once it listens; `key` names a second record for who waits for this one.
    """
    registry = Registry(settings.state_dir)
    await service.start()
    keep_pauses_short()
    record = service.record(isolation=isolation)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.shutdown.set)
    try:
        registry.write(str(record.port), record)
        if key:
            registry.write(key, record)
        if ready is not None:
            ready(service)
        await service.shutdown.wait()
    finally:
        registry.remove_own(record)
        await service.stop()


def main() -> int:
    """Run what the environment describes; returns the exit code."""
    set_up_logging()
    options = LaunchOptions.from_dict(orjson.loads(os.environ.pop("TOOLKIT_LAUNCH")))
    key = os.environ.pop("TOOLKIT_LAUNCH_KEY")
    settings = Settings.load()
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(serve(Service(options, settings), settings, isolation="process", key=key))
    except ToolkitError as error:
        failed = ServerRecord(
            port=settings.port,
            pid=os.getpid(),
            url="",
            token="",
            isolation="process",
            started=process_started(),
            symbols=(),
            ready=False,
            error=error.message,
        )
        Registry(settings.state_dir).write(key, failed)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
