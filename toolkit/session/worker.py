"""A worker's process: `python -m toolkit.session.worker`, started by `workers`.

What to do comes in `TOOLKIT_WORKER`, the secrets in variables of their own: nothing stands on a
command line. It ends when its parent has ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from toolkit.config import Settings
from toolkit.errors import ToolkitError
from toolkit.runtime import new_event_loop
from toolkit.session.logs import set_up_logging
from toolkit.streaming.listener import bind
from toolkit.streaming.relay.redis_streams import RedisRelay
from toolkit.streaming.settings import WebSocketConfig
from toolkit.streaming.worker import Worker

PARENT_SECONDS = 0.5
BEAT_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTask:
    """What one worker's process must know; secrets come in variables of their own."""

    name: str
    epoch: str
    relay: str
    listener: int | None
    together: bool
    public_port: int
    dashboard: str | None
    polling: bool
    websocket: WebSocketConfig

    def to_json(self) -> str:
        """Return the text that `from_json` reads."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> WorkerTask:
        """Read what `to_json` gave."""
        values = orjson.loads(text)
        return cls(**{**values, "websocket": WebSocketConfig(**values["websocket"])})


async def serve(
    task: WorkerTask, settings: Settings, *, redis: str, key: str, parent: int, beat: Path
) -> None:
    """Serve clients until a signal comes or the parent is gone; touch `beat` as long as we live."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    relay = RedisRelay(redis, name=task.relay, key=bytes.fromhex(key))
    worker = Worker(
        relay=relay,
        name=task.name,
        epoch=task.epoch,
        settings=settings.server(websocket=task.websocket),
        clock=lambda: datetime.now(UTC),
        dashboard=task.dashboard,
        polling=task.polling,
    )
    beating = asyncio.create_task(_beat(beat))
    ending = asyncio.create_task(_until(stop, parent=parent))
    serving = asyncio.create_task(_run(worker, task, settings))
    try:
        await asyncio.wait({ending, serving}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
    finally:
        for part in (ending, serving, beating):
            part.cancel()
        await asyncio.gather(ending, serving, beating, return_exceptions=True)
        await worker.stop()
        await relay.close()


async def _run(worker: Worker, task: WorkerTask, settings: Settings) -> None:
    await worker.start(_listener(task, settings), public_port=task.public_port)
    await worker.failed()


def _listener(task: WorkerTask, settings: Settings) -> socket.socket:
    if task.listener is not None:
        return socket.socket(fileno=task.listener)
    return bind(settings.host, settings.port, together=task.together)


async def _beat(beat: Path) -> None:
    while True:
        _touch(beat)
        await asyncio.sleep(BEAT_SECONDS)


def _touch(beat: Path) -> None:
    with suppress(OSError):  # without the file nobody watches us, and we serve all the same
        beat.touch()


async def _until(stop: asyncio.Event, *, parent: int) -> None:
    while os.getppid() == parent and not stop.is_set():
        try:
            async with asyncio.timeout(PARENT_SECONDS):
                await stop.wait()
        except TimeoutError:
            continue


def main() -> int:
    """Run what the environment describes; returns the exit code."""
    set_up_logging()
    task = WorkerTask.from_json(os.environ.pop("TOOLKIT_WORKER"))
    redis, key = os.environ.pop("TOOLKIT_REDIS"), os.environ.pop("TOOLKIT_RELAY_KEY")
    parent, beat = int(os.environ.pop("TOOLKIT_PARENT")), Path(os.environ.pop("TOOLKIT_BEAT"))
    settings = Settings.load()
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(serve(task, settings, redis=redis, key=key, parent=parent, beat=beat))
    except ToolkitError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
