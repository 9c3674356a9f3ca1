"""`TradingBotWebSocketClient`: the client under the name and with the options of JavaScript's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.client.async_client import StreamClient
from toolkit.errors import ConfigError

# JavaScript counts reconnectDelay in milliseconds, Python in seconds.
MILLISECONDS = 1000.0
OPTIONS: Mapping[str, str] = {
    "token": "token",
    "name": "name",
    "reconnectAttempts": "reconnect_attempts",
    "reconnectDelay": "reconnect_delay",
    "latencyTarget": "latency_target",
}


class TradingBotWebSocketClient(StreamClient):
    """A `StreamClient` whose calls read as those of the JavaScript client of this name.

    `options` takes JavaScript's names and units: `reconnectAttempts`, `reconnectDelay` (ms),
    `latencyTarget` (ms), `token`, `name`; keywords are those of `StreamClient`. Connects with
    `await client.connect()` or `async with`. Raises ConfigError for an unknown option.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        super().__init__(url, **_translated(options or {}), **named)

    async def disconnect(self) -> None:
        """Disconnect for good, as `close`."""
        await self.close()


def _translated(options: Mapping[str, Any]) -> dict[str, Any]:
    for name in options:
        if name not in OPTIONS:
            raise ConfigError(
                f"option is {name!r}; allowed: {', '.join(OPTIONS)}",
                field="options",
                allowed=list(OPTIONS),
            )
    found = {OPTIONS[name]: value for name, value in options.items()}
    if "reconnect_delay" in found:
        found["reconnect_delay"] /= MILLISECONDS
    return found
