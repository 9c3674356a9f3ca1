"""What the HTTP API answers; milliseconds unless the name says seconds, times in RFC 3339."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from toolkit.streaming.wire import Role

RoleName = Literal["view", "tune", "trade", "admin"]
_ROLE_NAMES: Mapping[Role, RoleName] = {
    Role.VIEW: "view",
    Role.TUNE: "tune",
    Role.TRADE: "trade",
    Role.ADMIN: "admin",
}


def role_name(role: Role) -> RoleName:
    """Return the role as it is written."""
    return _ROLE_NAMES[role]


class Model(BaseModel):
    """An answer that has these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class ErrorDetail(BaseModel):
    """What is wrong, and the facts: the field, what is allowed."""

    model_config = ConfigDict(extra="allow")
    code: str = Field(description="Kind of error, for programs.", examples=["auth_error"])
    message: str = Field(description="What is wrong and what to do, for people.")


class ErrorBody(Model):
    """Every answer of 4xx and 5xx."""

    error: ErrorDetail
    ok: Literal[False] | None = Field(default=None, description="False where a command failed.")


class LatencySummary(Model):
    """A distribution in milliseconds; null where nothing was measured."""

    count: int = Field(ge=0, description="Messages, once for each receiver.")
    average: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


class StreamLatency(LatencySummary):
    """Of one stream; `current` is the latest message's."""

    current: float | None


class Latency(StreamLatency):
    """From publishing to handing over to the socket, by the server's clock."""

    unit: Literal["ms"]
    window_seconds: float = Field(description="About how far back it reaches.")
    streams: dict[str, StreamLatency]


class ClientLatency(Model):
    """One-way latency as a client measures it, corrected for the difference of the clocks."""

    client_id: str
    name: str
    reported_at: str
    count: int
    p50: float
    p95: float
    p99: float
    max: float


class AlertData(Model):
    """The stream, its p99 (null: it fell quiet) and the limit, in milliseconds."""

    stream: str
    p99_ms: float | None
    max_latency_ms: float


class Alert(Model):
    """As the event `alert` carries it."""

    code: Literal["latency_high", "latency_ok"]
    message: str
    timestamp: str
    data: AlertData


class LatencyReport(Latency):
    """All streams together, each stream, and what clients measure."""

    max_latency_ms: float = Field(description="An alert goes out when a stream's p99 passes it.")
    clients: list[ClientLatency]
    alerts: list[Alert] = Field(description="Those that are not over.")


class Controls(Model):
    """What can be changed while the server runs; intervals in seconds."""

    streaming: bool = Field(description="Messages flow; else they wait.")
    streaming_interval: float = Field(
        description="At least between two values of a symbol that replace each other; 0 = none."
    )
    notifications: bool = Field(description="Positions, account, performance are published.")
    notification_throttle: float = Field(
        description="At least between two states of a symbol; 0 = none."
    )


class WebSocketStats(Model):
    """Counts since the start; latency (ms) of the last minute, rate of the last ten seconds."""

    average_latency: float | None = Field(description="Milliseconds.")
    messages_per_second: float
    published: int = Field(description="Messages of all streams.")
    delivered: int = Field(description="Messages handed to sockets.")
    conflated: int = Field(description="Values that newer ones replaced.")
    dropped: int = Field(description="Messages that a slow client lost; a gap says so.")
    gaps: int = Field(description="Gaps announced to slow clients.")


class Stats(Model):
    """Clients, messages and latency, as one object."""

    connected_clients: int
    uptime: float = Field(description="Seconds.")
    started_at: str
    websocket_stats: WebSocketStats
    controls: Controls
    delivery: Literal["express", "plain"] = Field(description="How messages reach the sockets.")
    alerts: list[Alert] = Field(description="Those that are not over.")


class Performance(Model):
    """Rates, latency and what waits in queues."""

    messages_per_second: float
    latency: Latency
    queue_depth: int = Field(description="Messages that wait for all clients together.")
    seq: dict[str, int] = Field(description="Number of the latest message of each stream.")
    epoch: str = Field(description="This start of the server; numbers belong to it.")
    uptime: float = Field(description="Seconds.")


class Client(Model):
    """One connection."""

    client_id: str
    name: str
    role: RoleName
    connected_at: str
    delivered: int
    waiting: int
    subscriptions: list[str]


class Clients(Model):
    """Who is connected."""

    connected_clients: int
    clients: list[Client]


class Realtime(Model):
    """The last known market data of one symbol, by kind."""

    symbol: str
    price: float | None
    timestamp: str
    data: dict[str, dict[str, Any]]


class Config(Controls):
    """How the service is set; seconds, bytes, and milliseconds where the name says so."""

    heartbeat_interval: float
    ping_interval: float
    ping_timeout: float
    compression: bool
    binary: bool
    max_http_buffer_size: int
    max_latency_ms: float
    max_connections: int
    reconnect_attempts: int
    reconnect_delay: float


class Secure(Model):
    """Whom the token or session speaks for."""

    authenticated: Literal[True]
    name: str
    role: RoleName
    expires: str | None = Field(description="When it ends; null: it does not.")


class Cleared(Model):
    """What was forgotten."""

    cleared: list[str]


class CommandAnswer(Model):
    """The command's result; `repeated` when the id was known and nothing was done again."""

    ok: Literal[True]
    result: Any
    repeated: bool | None = None


class Health(Model):
    """The server's loop runs."""

    status: Literal["ok"]


class System(Model):
    """CPU (percent of one core since the last call) and memory of this process."""

    cpu_percent: float
    memory_mb: float
    threads: int
    uptime: float = Field(description="Seconds.")


class Change(Model):
    """What to change; what is left out stays. Seconds, 0 = none."""

    streaming_interval: float = Field(default_factory=float, ge=0, le=60, allow_inf_nan=False)
    notification_throttle: float = Field(default_factory=float, ge=0, le=60, allow_inf_nan=False)
    notifications: bool = Field(default_factory=bool, strict=True)


class Start(Model):
    """`interval`: the streaming interval from now on, in seconds; as it is when left out."""

    interval: float = Field(default_factory=float, ge=0, le=60, allow_inf_nan=False)


class CommandBody(Model):
    """The same id is executed once; without one, every request is executed."""

    name: str
    args: dict[str, Any] = {}
    id: str | None = Field(default=None, max_length=100)
