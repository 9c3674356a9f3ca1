"""The trading child: `python -m tests.soak.storm.child PORT` forks a bot for each line it reads.

A bot connects to PORT of this machine and does what it is told there: its clock is moved, it says
when it has nothing left to do, it stops. What it decides goes to a file as it happens.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from tests.soak.storm.compose import compose
from tests.soak.storm.diary import Diary
from tests.soak.storm.loop import SteppedLoop
from toolkit.bot.bot import Bot
from toolkit.bot.events import BotState
from toolkit.broker.alpaca import AlpacaBroker


class Life:
    """One bot from its start to its end, led over one connection."""

    def __init__(self, loop: SteppedLoop, settings: Mapping[str, Any]) -> None:
        self._loop = loop
        self._settings = settings
        self._bot: Bot | None = None
        self._run: asyncio.Task[None] | None = None
        self._idling: asyncio.Task[None] | None = None

    async def live(self, port: int) -> None:
        """Answer until the connection ends, or the bot does."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(orjson.dumps({"pid": os.getpid()}) + b"\n")
        while line := await reader.readline():
            order = orjson.loads(line)
            if self._idling is not None and not self._idling.done():
                self._idling.cancel()
            if order["do"] == "sync":
                self._loop.micros = order["now"]
                self._begin()
                self._idling = asyncio.create_task(self._idle(order["number"], writer))
            elif order["do"] == "stop":
                await self._stop()
                writer.write(orjson.dumps({"number": order["number"], **self._state()}) + b"\n")

    async def _stop(self) -> None:
        """Write down the last fees, and let go of everything."""
        assert self._bot is not None
        broker = self._bot.broker
        assert isinstance(broker, AlpacaBroker)
        await broker.reconcile()
        await self._bot.stop()

    def _begin(self) -> None:
        if self._run is None:
            diary = Diary(Path(self._settings["folder"]), now=self._loop.now)
            self._bot = compose(self._settings, loop=self._loop, publish=diary.publish)
            diary.bot = self._bot
            self._run = asyncio.create_task(self._bot.run())

    async def _idle(self, number: int, writer: asyncio.StreamWriter) -> None:
        await self._loop.idle()
        writer.write(orjson.dumps({"number": number, **self._state()}) + b"\n")

    def _state(self) -> dict[str, Any]:
        assert self._bot is not None and self._run is not None
        ended = ""
        if self._run.done() and not self._run.cancelled():
            error = self._run.exception()
            ended = f"{type(error).__name__}: {error}" if error else "the bot's run ended"
        return {"ready": self._bot.state is not BotState.STARTING, "ended": ended}


def live(port: int, settings: Mapping[str, Any]) -> None:
    """Be one bot; what goes wrong is in the folder's log."""
    folder = Path(settings["folder"])
    with (folder / "output").open("ab") as output:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
    logging.basicConfig(
        filename=folder / "log", level=logging.INFO, format="%(process)d %(name)s %(message)s"
    )
    loop = SteppedLoop()
    loop.watch_threads()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(Life(loop, settings).live(port))
    except BaseException:
        logging.exception("the child ended")
        raise


def main() -> int:
    """Fork a bot for each line of settings."""
    port = int(sys.argv[1])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    sys.stdout.write("imported\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if os.fork() == 0:
            try:
                live(port, orjson.loads(line))
            except BaseException:  # noqa: BLE001 - a child must not go on as its parent
                traceback.print_exc()
            os._exit(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
