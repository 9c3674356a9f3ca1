"""How the server sees the bot, and the cluster that it may be one worker of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from toolkit.bot.events import Event
from toolkit.streaming.access.auth import Identity
from toolkit.streaming.requests import Command, LastSeen
from toolkit.streaming.wire import Payload


class BotPort(Protocol):
    """The bot, as far as the server needs it."""

    @property
    def symbols(self) -> Sequence[str]:
        """What it trades."""
        ...

    async def command(self, name: str, args: Mapping[str, Any], *, who: str) -> Any:
        """Carry out one command; raises ToolkitError, the result is JSON-ready."""
        ...

    def snapshot(self) -> Sequence[Event | Payload]:
        """Return what a new subscriber must know, as of now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What a server that is one of a cluster's workers leaves to others.

    `forward(command, identity, who)` carries a command out where the bot is and never raises.
    `caught_up(seen)` waits until this worker knows what a client has from another one, and
    raises RelayError when it cannot. `trouble` says why clients should go elsewhere, "" when
    all is well. `polling` only where all requests of a client reach the same worker.
    """

    worker: str
    forward: Callable[[Command, Identity, str], Awaitable[dict[str, Any]]]
    caught_up: Callable[[LastSeen], Awaitable[None]]
    trouble: Callable[[], str]
    polling: bool = False
