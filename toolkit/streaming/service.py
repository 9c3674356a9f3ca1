"""How the server sees the bot, and the settings it is started with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from toolkit.bot.events import Event
from toolkit.errors import ConfigError
from toolkit.streaming.wire import DEFAULT_PORT, Role


class BotPort(Protocol):
    """The bot, as far as the server needs it."""

    @property
    def symbols(self) -> Sequence[str]:
        """What it trades."""
        ...

    async def command(self, name: str, args: Mapping[str, Any], *, who: str) -> Any:
        """Carry out one command; raises ToolkitError, the result is JSON-ready."""
        ...

    def snapshot(self) -> Sequence[Event]:
        """Return what a new subscriber must know, as of now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How to serve. Times in seconds, sizes in bytes; `port` 0 takes any free one.

    `token` is the owner's (admin); made at start when None. `tokens` gives others their role.
    `allowed_origins` are web origins (`https://desk.example.com`) besides the server's own.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token: str | None = field(default=None, repr=False)
    tokens: Mapping[str, Role] = field(default_factory=dict, repr=False)
    allowed_origins: tuple[str, ...] = ()
    heartbeat_interval: float = 5.0
    ping_interval: float = 10.0
    ping_timeout: float = 30.0
    max_http_buffer_size: int = 32_768
    max_connections: int = 1_000
    streaming_interval: float = 0.0
    command_timeout: float = 20.0
    reconnect_attempts: int = 10
    reconnect_delay: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise _wrong("port", self.port, "0 to 65535")
        for name in ("heartbeat_interval", "ping_interval", "ping_timeout", "command_timeout"):
            if not getattr(self, name) > 0:
                raise _wrong(name, getattr(self, name), "above 0 (seconds)")
        if not 0 <= self.streaming_interval <= 60:
            raise _wrong("streaming_interval", self.streaming_interval, "0 to 60 (seconds)")
        if self.max_http_buffer_size < 1024:
            raise _wrong("max_http_buffer_size", self.max_http_buffer_size, "from 1024 (bytes)")
        if self.max_connections < 1:
            raise _wrong("max_connections", self.max_connections, "from 1")


def _wrong(name: str, value: object, allowed: str) -> ConfigError:
    return ConfigError(f"{name} is {value}; allowed: {allowed}", field=name, allowed=allowed)
