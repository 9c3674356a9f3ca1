"""How a streaming server is set: frozen objects, checked when they are made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.errors import ConfigError
from toolkit.streaming.wire import DEFAULT_PORT, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketConfig:
    """The connection between server and clients; times in seconds, sizes in bytes.

    `compression`: messages over 1 KB are deflated for clients that can read that, smaller ones
    never. `binary`: a binary frame is answered with an error; without it, it ends the
    connection (the protocol itself is text). `reconnect_attempts` and `reconnect_delay` are told
    to clients. `max_latency_ms` (milliseconds): the alert goes out when p99 passes it.
    """

    ping_timeout: float = 30.0
    ping_interval: float = 10.0
    compression: bool = True
    binary: bool = True
    max_http_buffer_size: int = 32_768
    heartbeat_interval: float = 5.0
    reconnect_attempts: int = 10
    reconnect_delay: float = 0.5
    max_latency_ms: float = 50.0

    def __post_init__(self) -> None:
        for name in ("heartbeat_interval", "ping_interval", "ping_timeout", "reconnect_delay"):
            _check_number(self, name, above=0, unit=" (seconds)")
        _check_number(self, "max_latency_ms", above=0, unit=" (milliseconds)")
        _check_count(self, "max_http_buffer_size", least=1024, unit=" (bytes)")
        _check_count(self, "reconnect_attempts", least=0)
        for name in ("compression", "binary"):
            value = getattr(self, name)
            _check(name, value, isinstance(value, bool), "True, False")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one client or address may use; more is refused with a reason.

    `messages_per_second` is the steady rate of one client, of which `message_burst` may come at
    once. `max_symbols` counts the symbols of all subscriptions of one client. Within
    `handshake_timeout` seconds a new connection must have shown its token; a connection that
    asks nothing and wants no stream is closed after `idle_timeout` seconds. An address that sent
    more than `offences` malformed messages, floods or wrong tokens (one a second is forgiven) waits
    up to `penalty` seconds for each new connection; 0 lets everybody in at once.
    """

    max_connections: int = 1_000
    max_connections_per_address: int = 1_000
    messages_per_second: float = 20.0
    message_burst: int = 100
    max_symbols: int = 1_000
    handshake_timeout: float = 10.0
    idle_timeout: float = 600.0
    offences: int = 20
    penalty: float = 3.0

    def __post_init__(self) -> None:
        for name in ("max_connections", "max_connections_per_address", "message_burst"):
            _check_count(self, name, least=1)
        for name in ("max_symbols", "offences"):
            _check_count(self, name, least=1)
        _check(
            "penalty", self.penalty, _is_number(self.penalty) and 0 <= self.penalty <= 60, "0 to 60"
        )
        for name in ("messages_per_second", "handshake_timeout", "idle_timeout"):
            _check_number(self, name, above=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How to serve. Times in seconds; `port` 0 takes any free one.

    `token` is the owner's (admin); made at start when None. `tokens` gives others their role.
    `secret_file` signs tokens that can expire and be revoked (made with mode 0600 when missing;
    None: a secret of this start, so such tokens and browser sessions end with it); beside it
    lies the list of revoked tokens. `public_key_file` (PEM) also admits tokens signed elsewhere
    with the private key to it. `allowed_origins` are web origins (`https://desk.example.com`)
    besides the server's own. `streaming_interval` seconds lie at least between two conflatable
    messages of a symbol; 0 sends at once. `notification_throttle` seconds lie at least between
    two changes of a symbol's state; fills and orders are never throttled.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token: str | None = field(default=None, repr=False)
    tokens: Mapping[str, Role] = field(default_factory=dict, repr=False)
    secret_file: Path | None = None
    public_key_file: Path | None = None
    allowed_origins: tuple[str, ...] = ()
    websocket: WebSocketConfig = field(default_factory=WebSocketConfig)
    limits: Limits = field(default_factory=Limits)
    streaming_interval: float = 0.0
    notification_throttle: float = 0.0
    command_timeout: float = 20.0

    def __post_init__(self) -> None:
        _check_count(self, "port", least=0, most=65535)
        _check_number(self, "command_timeout", above=0, unit=" (seconds)")
        for name in ("streaming_interval", "notification_throttle"):
            value = getattr(self, name)
            _check(name, value, _is_number(value) and 0 <= value <= 60, "0 to 60 (seconds)")


def _check_number(settings: object, name: str, *, above: float, unit: str = "") -> None:
    value = getattr(settings, name)
    _check(name, value, _is_number(value) and value > above, f"above {above:g}{unit}")


def _check_count(
    settings: object, name: str, *, least: int, most: int = 2**31, unit: str = ""
) -> None:
    value = getattr(settings, name)
    whole = isinstance(value, int) and not isinstance(value, bool)
    allowed = f"from {least}{unit}" if most == 2**31 else f"{least} to {most}{unit}"
    _check(name, value, whole and least <= value <= most, allowed)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value)


def _check(name: str, value: object, fine: bool, allowed: str) -> None:
    if not fine:
        shown = repr(value)[:100]
        raise ConfigError(f"{name} is {shown}; allowed: {allowed}", field=name, allowed=allowed)
