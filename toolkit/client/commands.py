"""Commands to the bot that are carried out once, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from toolkit.client.link import Link
from toolkit.errors import NotConnected

# A command waits this long for a connection that is just being made again.
BLINK = 2.0


class Commands:
    """Sends each command under an id of its own; `timeout` is in seconds."""

    def __init__(self, link: Link, *, epoch: Callable[[], str], timeout: float) -> None:
        self._link = link
        self._epoch = epoch
        self._timeout = timeout

    async def run(self, name: str, args: Mapping[str, Any]) -> Any:
        """Return the result; raises the bot's error, and NotConnected when it cannot be learnt.

        An answer that was lost with its connection is asked for again on the next one.
        """
        body = {"name": name, "args": args, "id": uuid.uuid4().hex}
        epoch = self._epoch()
        if not self._link.up.is_set():
            reason = f"not connected to {self._link.url}: {self._link.reason}"
            await self._connected(min(BLINK, self._timeout), reason)
        try:
            answer = await self._link.ask("command", body)
        except NotConnected:
            lost = f"the connection was lost and it is not known whether {name} was carried out"
            await self._connected(self._timeout, lost)
            if self._epoch() != epoch:
                raise NotConnected(f"{lost}: the server was restarted") from None
            answer = await self._link.ask("command", body)
        return answer["result"]

    async def _connected(self, within: float, otherwise: str) -> None:
        if self._link.over:
            raise NotConnected(otherwise)
        try:
            async with asyncio.timeout(within):
                await self._link.up.wait()
        except TimeoutError:
            raise NotConnected(otherwise) from None
