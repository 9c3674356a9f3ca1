"""Questions of workers and the owner's answers: what changes something is done once.

Whatever is lost on the way is asked again under the same id until it is answered or too late.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import orjson

from toolkit.errors import RelayError, ToolkitError, error_from_dict
from toolkit.streaming.relay.port import OWNER, Relay
from toolkit.streaming.wire import plain

log = logging.getLogger(__name__)

Answer = Callable[[Mapping[str, Any]], Awaitable[Any]]
Unexpected = Callable[[str, BaseException], dict[str, Any]]
Repeatable = Callable[[str, Mapping[str, Any]], bool]

RECEIVE_SECONDS = 1.0
ASK_AGAIN_SECONDS = 1.0
PAUSE_SECONDS = 0.2
REMEMBERED_SECONDS = 60.0
# What is older could have been forgotten, and would be carried out again.
OLDEST_SECONDS = REMEMBERED_SECONDS - 10.0
MAX_RUNNING = 1_000


class Desk:
    """The owner's end: runs `answers[kind]` for each question, however often it is sent.

    `repeatable` tells of a kind and body that they change nothing: such an answer, which may be
    large, is not kept once it is given, and is worked out anew when it is asked for again.
    `unexpected` reports an exception and returns what may be told of it. `clock` is in seconds
    since the Unix epoch, and the same for all: owner and workers share a machine.
    """

    def __init__(
        self,
        relay: Relay,
        answers: Mapping[str, Answer],
        *,
        unexpected: Unexpected,
        repeatable: Repeatable = lambda _kind, _body: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._relay = relay
        self._repeatable = repeatable
        self._running = 0
        self._clock = clock
        self._answers = answers
        self._unexpected = unexpected
        self._known: OrderedDict[str, tuple[float, asyncio.Task[dict[str, Any]]]] = OrderedDict()
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Answer until cancelled."""
        try:
            await _for_ever(self.step)
        finally:
            await self.close()

    async def step(self, *, wait: float) -> None:
        """Take what was asked, waiting up to `wait` seconds for it; raises RelayError."""
        for body in await self._relay.receive(OWNER, wait=wait):
            sending = asyncio.create_task(self._reply(orjson.loads(body)))
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)

    async def close(self) -> None:
        """Cancel what is still running."""
        tasks = [*self._sending, *(task for _, task in self._known.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _reply(self, question: Mapping[str, Any]) -> None:
        if abs(self._clock() - question["asked"]) > OLDEST_SECONDS:
            log.warning("an old question of %s is not answered", question["worker"])
            return
        answer = await asyncio.shield(self._task(question))
        body = orjson.dumps({"id": question["id"], **answer})
        with suppress(RelayError):  # the worker asks again
            await self._relay.send(question["worker"], body)

    def _task(self, question: Mapping[str, Any]) -> asyncio.Task[dict[str, Any]]:
        self._forget()
        key, kind, body = question["id"], question["kind"], question["body"]
        if key not in self._known:
            task = asyncio.create_task(self._answer(kind, body))
            self._known[key] = (time.monotonic(), task)
            if self._repeatable(kind, body):
                task.add_done_callback(lambda _: self._known.pop(key, None))
        return self._known[key][1]

    def _forget(self) -> None:
        oldest = time.monotonic() - REMEMBERED_SECONDS
        while self._known:
            key, (asked, task) = next(iter(self._known.items()))
            if asked > oldest or not task.done():
                return
            del self._known[key]

    async def _answer(self, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self._running += 1
        try:
            if self._running > MAX_RUNNING:
                raise RelayError(f"{MAX_RUNNING} questions wait for the owner; try again later")
            return {"ok": True, "result": plain(await self._answers[kind](body))}
        except ToolkitError as error:
            return {"ok": False, "error": plain(error.to_dict())}
        except Exception as error:  # noqa: BLE001 - reported in full, answered without details
            return {"ok": False, "error": self._unexpected(f"worker's {kind}", error)}
        finally:
            self._running -= 1


class Line:
    """One worker's end: asks and waits for answers in a box of its own."""

    def __init__(
        self, relay: Relay, *, worker: str, clock: Callable[[], float] = time.time
    ) -> None:
        self.worker = worker
        self._clock = clock
        self._relay = relay
        self._open: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def run(self) -> None:
        """Take answers until cancelled."""
        await _for_ever(self.step)

    async def step(self, *, wait: float) -> None:
        """Take what was answered, waiting up to `wait` seconds for it; raises RelayError."""
        for body in await self._relay.receive(self.worker, wait=wait):
            answer = orjson.loads(body)
            waiting = self._open.get(answer["id"])
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)

    async def ask(self, kind: str, body: Mapping[str, Any], *, within: float) -> Any:
        """Return the owner's answer; raises what it raised.

        Raises RelayError when there is none within `within` seconds: then it is not known
        whether the owner did what was asked.
        """
        key = secrets.token_hex(12)
        question = {
            "id": key,
            "worker": self.worker,
            "asked": self._clock(),
            "kind": kind,
            "body": dict(body),
        }
        answered = self._open[key] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within):
                answer = await self._insist(orjson.dumps(question), answered)
        except TimeoutError:
            raise RelayError(
                f"the owner did not answer within {within:g} s and may still do what was asked; "
                "ask again, a command with the same id",
                field="id",
            ) from None
        finally:
            del self._open[key]
        if not answer["ok"]:
            raise error_from_dict(answer["error"])
        return answer["result"]

    async def _insist(
        self, body: bytes, answered: asyncio.Future[dict[str, Any]]
    ) -> dict[str, Any]:
        while True:
            pause = ASK_AGAIN_SECONDS
            try:
                await self._relay.send(OWNER, body)
            except RelayError:
                pause = PAUSE_SECONDS
            done, _ = await asyncio.wait({answered}, timeout=pause)
            if done:
                return answered.result()


async def _for_ever(step: Callable[..., Awaitable[None]]) -> None:
    while True:
        try:
            await step(wait=RECEIVE_SECONDS)
        except RelayError:
            await asyncio.sleep(PAUSE_SECONDS)
