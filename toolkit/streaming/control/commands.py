"""Commands: role, one execution per id, a time limit, and errors as data."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Any

from toolkit.bot.events import Event, Problem
from toolkit.errors import ConfigError, ToolkitError, WireError
from toolkit.streaming.access.auth import Identity
from toolkit.streaming.control.service import BotPort, Membership
from toolkit.streaming.requests import Command
from toolkit.streaming.wire import COMMAND_ROLES, plain

log = logging.getLogger(__name__)

REMEMBERED = 1_000
REMEMBERED_SECONDS = 600.0
MAX_RUNNING = 100
# About this very server: a worker of a cluster answers them itself.
OWN = frozenset({"get_streaming_stats"})
# They change nothing: they may be carried out any number of times.
READS = frozenset(name for name in COMMAND_ROLES if name.startswith("get_"))


class Reporter:
    """Logs unexpected exceptions with their traceback and publishes them as Problem."""

    def __init__(self, publish: Callable[[Event], None], *, clock: Callable[[], datetime]) -> None:
        self._publish = publish
        self._clock = clock

    def unexpected(self, what: str, error: BaseException) -> dict[str, Any]:
        """Report `error` and return what may be told to a client: no details."""
        log.error("unexpected error in %s", what, exc_info=error)
        message = f"internal error in {what}; see the server's log"
        self._publish(Problem(timestamp=self._clock(), code="internal_error", message=message))
        return {"code": "internal_error", "message": message}


class Commands:
    """Runs commands on the bot; answers are `{ok, result}` or `{ok, error}`.

    An id is remembered for ten minutes (the last 1,000): the same command with the same id is
    answered again without being executed again, with `repeated: true`. Questions (READS) change
    nothing and are just asked again: their answers are too large to be kept. A `membership`
    carries out elsewhere what is not about this server.
    """

    def __init__(
        self,
        bot: BotPort,
        *,
        reporter: Reporter,
        on_shutdown: Callable[[], None] | None,
        timeout: float,
        membership: Membership | None = None,
    ) -> None:
        self._bot = bot
        self._membership = membership
        self._reporter = reporter
        self._on_shutdown = on_shutdown
        self._timeout = timeout
        self._known: OrderedDict[tuple[str, str], tuple[str, asyncio.Task[dict[str, Any]]]]
        self._known = OrderedDict()
        self._times: dict[tuple[str, str], float] = {}
        self._running: set[asyncio.Task[dict[str, Any]]] = set()

    async def run(self, command: Command, identity: Identity, *, who: str) -> dict[str, Any]:
        """Carry out one command for `identity`; never raises."""
        try:
            identity.require(COMMAND_ROLES[command.name])
            if self._membership is not None and command.name not in OWN:
                return await self._membership.forward(command, identity, who)
            task, repeated = self._task(command, identity, who)
        except ToolkitError as error:
            return {"ok": False, "error": error.to_dict()}
        done, _ = await asyncio.wait({task}, timeout=self._timeout)
        if not done:
            return {"ok": False, "error": self._late(command).to_dict()}
        answer = task.result()
        return {**answer, "repeated": True} if repeated else answer

    async def close(self) -> None:
        """Cancel what is still running."""
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _task(
        self, command: Command, identity: Identity, who: str
    ) -> tuple[asyncio.Task[dict[str, Any]], bool]:
        if command.id is None or command.name in READS:
            return self._start(command, who), False
        self._forget()
        key = (identity.name, command.id)
        content = json.dumps([command.name, command.args], sort_keys=True)
        if key in self._known:
            before, task = self._known[key]
            if before != content:
                raise WireError(
                    f"id {command.id!r} was used for another command; take a new one each time",
                    field="id",
                    allowed="an id that was not used before, such as a UUID",
                )
            return task, True
        task = self._start(command, who)
        self._known[key] = (content, task)
        self._times[key] = asyncio.get_running_loop().time()
        return task, False

    def _forget(self) -> None:
        oldest = asyncio.get_running_loop().time() - REMEMBERED_SECONDS
        while self._known:
            key = next(iter(self._known))
            if len(self._known) < REMEMBERED and self._times[key] > oldest:
                return
            del self._known[key], self._times[key]

    def _start(self, command: Command, who: str) -> asyncio.Task[dict[str, Any]]:
        if len(self._running) >= MAX_RUNNING:
            raise WireError(f"{MAX_RUNNING} commands are still running; try again later")
        task = asyncio.create_task(self._execute(command, who), name=f"command {command.name}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _execute(self, command: Command, who: str) -> dict[str, Any]:
        log.debug("%s: command %s %s", who, command.name, dict(command.args))
        try:
            if command.name == "shutdown":
                return self._shut_down()
            result = await self._bot.command(command.name, command.args, who=who)
            return {"ok": True, "result": plain(result)}
        except ToolkitError as error:
            return {"ok": False, "error": plain(error.to_dict())}
        except Exception as error:  # noqa: BLE001 - reported in full, answered without details
            answer = self._reporter.unexpected(f"command {command.name}", error)
            return {"ok": False, "error": answer}

    def _shut_down(self) -> dict[str, Any]:
        if self._on_shutdown is None:
            raise ConfigError("this server is stopped where it was started, not by a command")
        asyncio.get_running_loop().call_soon(self._on_shutdown)
        return {"ok": True, "result": {"stopping": True}}

    def _late(self, command: Command) -> ToolkitError:
        return ToolkitError(
            f"{command.name} has not finished within {self._timeout:g} s and goes on; "
            "send it again with the same id to learn its result",
            field="id",
        )
