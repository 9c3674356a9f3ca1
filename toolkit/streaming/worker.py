"""One worker of a cluster: a streaming server whose bot is the owner's, reached over the relay."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any

from toolkit.bot.events import Event
from toolkit.errors import RelayError, ToolkitError
from toolkit.streaming.access.auth import Identity
from toolkit.streaming.control.controls import ControlState
from toolkit.streaming.control.service import Membership
from toolkit.streaming.hub.frames import Frame
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.relay.desk import Line
from toolkit.streaming.relay.follower import Follower
from toolkit.streaming.relay.port import Relay
from toolkit.streaming.relay.state import State
from toolkit.streaming.requests import Command, LastSeen
from toolkit.streaming.server import StreamingServer
from toolkit.streaming.settings import ServerSettings
from toolkit.streaming.wire import Payload, Stream, format_time, payload

log = logging.getLogger(__name__)

START_SECONDS = 20.0
JOIN_SECONDS = 5.0
CATCH_UP_SECONDS = 2.0
# Answers may take as long as commands, and a way there and back.
MARGIN_SECONDS = 2.0
REPORT_SECONDS = 20.0
WATCH_SECONDS = 0.5
PAUSE_SECONDS = 0.05
SILENT_SECONDS = 3.0
UNHEALTHY_SECONDS = 5.0


class WorkerHub(Hub):
    """A hub that numbers nothing itself: what is published here goes to the owner first."""

    def __init__(
        self,
        *,
        epoch: str,
        clock: Callable[[], datetime],
        forward: Callable[[Payload], None],
        heard: Callable[[str], None],
    ) -> None:
        super().__init__(epoch=epoch, clock=clock)
        self._forward = forward
        self._heard = heard

    def publish(self, event: Event | Payload) -> None:
        """Send one event to the owner, who numbers it for all workers."""
        self._forward(payload(event))

    def accept(self, frame: Frame) -> None:
        """Hand on a frame of the owner's; never blocks."""
        if frame.stream is Stream.MARKET_DATA and frame.symbol is not None:
            self._heard(frame.symbol)
        super().accept(frame)


class RemoteBot:
    """The owner's bot as this worker's server sees it."""

    def __init__(self, symbols: Sequence[str], follower: Follower) -> None:
        self.symbols = tuple(symbols)
        self._follower = follower

    def snapshot(self) -> Sequence[Event | Payload]:
        """Return the state that the log has led to; it fits the live tail exactly."""
        return self._follower.state.payloads()

    async def command(self, name: str, args: Mapping[str, Any], *, who: str) -> Any:
        """Commands do not come here: the server forwards them with their id."""
        raise RelayError(f"{name} was not forwarded to the owner", who=who, args=dict(args))


class Worker:
    """Serves clients from the owner's log; `name` is its own within the cluster.

    `start` raises RelayError when the owner does not answer, ConfigError for a taken port.
    """

    def __init__(
        self,
        *,
        relay: Relay,
        name: str,
        epoch: str,
        settings: ServerSettings,
        clock: Callable[[], datetime],
        dashboard: str | None = None,
        polling: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._settings = settings
        self._clock = clock
        self._dashboard = dashboard
        self._polling = polling
        self._monotonic = monotonic
        self._tasks: set[asyncio.Task[Any]] = set()
        self._alarmed = False
        self._line = Line(relay, worker=name)
        self.hub = WorkerHub(epoch=epoch, clock=clock, forward=self._report, heard=self._heard)
        self.follower = Follower(
            relay,
            hub=self.hub,
            join=self._join,
            on_controls=self._set_controls,
            monotonic=monotonic,
        )
        self.server: StreamingServer | None = None

    async def start(
        self, listener: socket.socket | None = None, *, public_port: int | None = None
    ) -> None:
        """Take over the state, then serve on `listener`, or else on the settings' port.

        `public_port` is the one that browsers see, where it is another one.
        """
        self._spawn(self._line.run())
        hello = await self._line.ask("hello", {}, within=START_SECONDS)
        await self._take_over()
        bot = RemoteBot(hello["symbols"], self.follower)
        self.server = StreamingServer(
            bot=bot,
            hub=self.hub,
            settings=self._settings,
            dashboard=lambda: self._dashboard,
            clock=self._clock,
            membership=Membership(
                worker=self.name,
                forward=self._forward,
                caught_up=self._caught_up,
                trouble=self._trouble,
                polling=self._polling,
            ),
        )
        self._set_controls(self.follower.state.controls)
        self.server.controls.listen(self._control)
        await self.server.start(listener, public_port=public_port)
        self._spawn(self.follower.run())
        self._spawn(self._watch())
        facts = {"worker": self.name, "port": self.server.port}
        await self._line.ask("ready", facts, within=START_SECONDS)

    async def stop(self) -> None:
        """Say goodbye to clients and stop."""
        if self.server is not None:
            await self.server.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def failed(self) -> None:
        """Wait until something ends that should run for ever; raises what ended it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    async def _take_over(self) -> None:
        deadline = self._monotonic() + START_SECONDS
        while True:
            try:
                return await self.follower.start()
            except RelayError as error:
                if self._monotonic() > deadline:
                    raise
                log.info("%s", error.message)
                await asyncio.sleep(PAUSE_SECONDS)

    async def _join(self) -> State:
        return State.from_dict(await self._line.ask("join", {}, within=JOIN_SECONDS))

    async def _forward(self, command: Command, identity: Identity, who: str) -> dict[str, Any]:
        body = {
            "command": {"name": command.name, "args": dict(command.args), "id": command.id},
            "role": identity.role_name,
            "name": identity.name,
            "who": who,
        }
        within = self._settings.command_timeout + MARGIN_SECONDS
        try:
            answer: dict[str, Any] = await self._line.ask("command", body, within=within)
        except ToolkitError as error:
            return {"ok": False, "error": error.to_dict()}
        return answer

    async def _caught_up(self, seen: LastSeen) -> None:
        if seen.epoch == self.hub.epoch:
            await self.follower.reached(seen.seq, within=CATCH_UP_SECONDS)

    def _trouble(self) -> str:
        silent = self.follower.silent_seconds
        return f"nothing heard of the bot for {silent:.0f} s" if silent > UNHEALTHY_SECONDS else ""

    def _set_controls(self, controls: Mapping[str, Any]) -> None:
        if self.server is not None and controls:
            values = {name: value for name, value in controls.items() if name != "who"}
            self.server.controls.apply(ControlState(**values), who=controls["who"])

    def _control(self, state: ControlState, who: str) -> None:
        in_force = self.follower.state.controls
        changes = {n: v for n, v in state.to_dict().items() if v != in_force.get(n)}
        self._spawn(self._pass_on(changes, who))

    async def _pass_on(self, changes: Mapping[str, Any], who: str) -> None:
        try:
            await self._line.ask("control", {"changes": changes, "who": who}, within=REPORT_SECONDS)
        except ToolkitError as error:
            log.warning("the owner did not take %s: %s", changes, error.message)
            self._set_controls(self.follower.state.controls)

    def _report(self, item: Payload) -> None:
        body = {
            "stream": item.stream.value,
            "symbol": item.symbol,
            "kind": item.kind,
            "timestamp": format_time(item.timestamp),
            "data": item.data,
            "conflate": item.conflate,
        }
        self._spawn(self._send_report(body))

    async def _send_report(self, body: Mapping[str, Any]) -> None:
        try:
            await self._line.ask("publish", body, within=REPORT_SECONDS)
        except ToolkitError as error:
            log.warning("the owner did not take a report: %s", error.message)

    def _heard(self, symbol: str) -> None:
        if self.server is not None:
            self.server.heard(symbol)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            silent = self.follower.silent_seconds
            if (silent > SILENT_SECONDS) != self._alarmed:
                self._alarmed = not self._alarmed
                self._alarm(silent)

    def _alarm(self, silent: float) -> None:
        lost = self._alarmed
        message = (
            f"nothing heard of the bot for {silent:.0f} s: messages are late, none is dropped"
            if lost
            else "the bot is heard again; what was missed has come or comes now"
        )
        log.warning("%s", message)
        self.hub.broadcast(
            "alert",
            {
                "code": "relay_lost" if lost else "relay_back",
                "message": message,
                "timestamp": format_time(self._clock()),
                "data": {"worker": self.name},
            },
        )

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._settled)

    def _settled(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a task of %s failed", self.name, exc_info=error)
