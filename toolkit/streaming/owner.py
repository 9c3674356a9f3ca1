"""The owner of a cluster: it has the bot, numbers what the bot says, and answers the workers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from toolkit.bot.events import Event
from toolkit.errors import ConfigError
from toolkit.streaming.access.auth import Identity
from toolkit.streaming.control.commands import READS, Commands, Reporter
from toolkit.streaming.control.controls import ControlledBot, ControlState, StreamingControls
from toolkit.streaming.control.notifications import Notifications
from toolkit.streaming.control.service import BotPort
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.hub.sequencer import Sequencer
from toolkit.streaming.measures.stats import ServiceStats
from toolkit.streaming.relay.desk import Answer, Desk
from toolkit.streaming.relay.port import Relay
from toolkit.streaming.relay.publisher import Publisher
from toolkit.streaming.requests import parse_command
from toolkit.streaming.settings import ServerSettings
from toolkit.streaming.wire import Payload, Role, Stream, parse_time

log = logging.getLogger(__name__)

FAREWELL_SECONDS = 0.5

Ready = Callable[[str, Mapping[str, Any]], None]


class Owner:
    """Publishes one bot to any number of workers and carries out what they pass on.

    `on_ready(worker, facts)` is called when a worker serves; `on_shutdown` (in the loop) for the
    command `shutdown`, and when something fails that must never fail.
    """

    def __init__(
        self,
        *,
        bot: BotPort,
        relay: Relay,
        settings: ServerSettings,
        epoch: str,
        on_ready: Ready,
        on_shutdown: Callable[[], None],
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._relay = relay
        self._on_ready = on_ready
        self._on_shutdown = on_shutdown
        self.publisher = Publisher(
            relay=relay,
            sequencer=Sequencer(epoch=epoch, clock=clock, monotonic=monotonic),
            clock=clock,
            monotonic=monotonic,
        )
        self._passed: list[Event] = []
        self._notifications = Notifications(self._pass, monotonic=monotonic, later=_call_later)
        self.controls = self._controls(settings, epoch=epoch, clock=clock, monotonic=monotonic)
        reporter = Reporter(self.publisher.publish, clock=clock)
        self._bot = ControlledBot(bot, self.controls)
        self._commands = Commands(
            self._bot,
            reporter=reporter,
            on_shutdown=on_shutdown,
            timeout=settings.command_timeout,
        )
        self._desk = Desk(
            relay, self._answers(), unexpected=reporter.unexpected, repeatable=_changes_nothing
        )
        self._tasks: list[asyncio.Task[None]] = []

    def publish(self, event: Event) -> None:
        """Publish one event of the bot, in the loop that called `start`; never blocks."""
        self._passed.clear()
        self._notifications.publish(event)
        if not any(passed is event for passed in self._passed):
            # Held back: newcomers are told how it is all the same.
            self.publisher.note(event)

    async def start(self) -> None:
        """Publish and answer until `stop`."""
        for name, work in (("publisher", self.publisher.run()), ("desk", self._desk.run())):
            task = asyncio.create_task(work, name=name)
            task.add_done_callback(self._failed)
            self._tasks.append(task)

    async def stop(self) -> None:
        """Stop publishing and answering; send what waits, for half a second at most."""
        self._notifications.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._commands.close()
        await self.publisher.flush(within=FAREWELL_SECONDS)

    def _pass(self, event: Event) -> None:
        self._passed.append(event)
        self.publisher.publish(event)

    def _failed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            log.critical("the %s of the cluster failed", task.get_name(), exc_info=error)
            self._on_shutdown()

    def _controls(
        self,
        settings: ServerSettings,
        *,
        epoch: str,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> StreamingControls:
        # Nobody is connected to the owner's own hub: it is what controls without clients act on.
        hub = Hub(epoch=epoch, clock=clock, monotonic=monotonic)
        state = ControlState(
            streaming_interval=settings.streaming_interval,
            notification_throttle=settings.notification_throttle,
        )
        controls = StreamingControls(
            hub,
            self._notifications,
            ServiceStats(hub.counters, clock=clock, monotonic=monotonic),
            state=state,
            monotonic=monotonic,
        )
        self.publisher.control({**state.to_dict(), "who": "server"})
        controls.listen(self._announce)
        return controls

    def _announce(self, state: ControlState, who: str) -> None:
        self.publisher.control({**state.to_dict(), "who": who})

    def _answers(self) -> dict[str, Answer]:
        return {
            "hello": self._hello,
            "join": self._join,
            "ready": self._ready,
            "command": self._command,
            "control": self._control,
            "publish": self._publish,
        }

    async def _hello(self, _body: Mapping[str, Any]) -> Any:
        return {"symbols": list(self._bot.symbols)}

    async def _join(self, _body: Mapping[str, Any]) -> Any:
        return self.publisher.state.to_dict()

    async def _ready(self, body: Mapping[str, Any]) -> Any:
        self._on_ready(body["worker"], body)

    async def _command(self, body: Mapping[str, Any]) -> Any:
        command = parse_command(body["command"])
        identity = Identity(Role[body["role"].upper()], name=body["name"])
        return await self._commands.run(command, identity, who=body["who"])

    async def _control(self, body: Mapping[str, Any]) -> Any:
        state = self.controls.set_streaming(**body["changes"], who=body["who"])
        return state.to_dict()

    async def _publish(self, body: Mapping[str, Any]) -> Any:
        stream = Stream(body["stream"])
        if stream is not Stream.SYSTEM_HEALTH:
            raise ConfigError(f"a worker publishes nothing on {stream.value}", field="stream")
        self.publisher.publish(
            Payload(
                stream=stream,
                symbol=body["symbol"],
                kind=body["kind"],
                timestamp=parse_time(body["timestamp"]),
                data=body["data"],
                conflate=body["conflate"],
            )
        )


def _changes_nothing(kind: str, body: Mapping[str, Any]) -> bool:
    return kind in {"hello", "join"} or (kind == "command" and body["command"]["name"] in READS)


def _call_later(seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, callback)
