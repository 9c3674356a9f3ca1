"""How the server sees the bot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from toolkit.bot.events import Event
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
