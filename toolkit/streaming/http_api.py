"""The HTTP API: state and control of the streaming service, beside Socket.IO on the same port."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import psutil
from fastapi import Depends, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from pydantic import BaseModel, ConfigDict, Field

from toolkit._version import __version__
from toolkit.streaming.auth import Authenticator, Identity
from toolkit.streaming.commands import Commands, Reporter
from toolkit.streaming.guard import App
from toolkit.streaming.http_errors import NotFound, add_errors, status_of
from toolkit.streaming.hub import Hub
from toolkit.streaming.metrics import render_metrics
from toolkit.streaming.pages import add_pages
from toolkit.streaming.requests import parse_command
from toolkit.streaming.service import BotPort
from toolkit.streaming.settings import ServerSettings
from toolkit.streaming.stats import ServiceStats
from toolkit.streaming.tokens import shown
from toolkit.streaming.wire import Role, Stream, format_time, payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The parts of the running server that HTTP shows and controls."""

    bot: BotPort
    hub: Hub
    auth: Authenticator
    commands: Commands
    stats: ServiceStats
    reporter: Reporter
    settings: ServerSettings


class StreamingChange(BaseModel):
    """`streaming_interval`: seconds between conflatable updates of a symbol; 0 = at once."""

    model_config = ConfigDict(extra="forbid")
    streaming_interval: float = Field(ge=0, le=60, allow_inf_nan=False)


class CommandBody(BaseModel):
    """The same id is executed once; without one, every request is executed."""

    model_config = ConfigDict(extra="forbid")
    name: str
    args: dict[str, Any] = {}
    id: str | None = Field(default=None, max_length=100)


Who = Callable[[Request], Identity]


def create_api(service: Service, *, fallback: App) -> FastAPI:
    """Build the application; paths that are not ours go to `fallback` (the dashboard)."""
    api = FastAPI(
        title="StochRSI toolkit",
        version=__version__,
        description="State and control of the running bot's streaming service.",
        docs_url=None,
        redoc_url=None,
    )
    if service.settings.allowed_origins:
        api.add_middleware(
            CORSMiddleware,
            allow_origins=list(service.settings.allowed_origins),
            allow_credentials=True,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
    add_errors(api, service.reporter)
    _add_state(api, service)
    _add_control(api, service)
    _add_health(api, service)
    add_pages(api)
    api.mount("/", fallback)
    return api


def _needs(service: Service, role: Role) -> Any:
    def identify(request: Request, response: Response) -> Identity:
        identity = service.auth.identify(request.headers)
        identity.require(role)
        if request.method != "GET":
            service.auth.require_same_site(identity, request.headers)
        response.headers["Cache-Control"] = "no-store"
        return identity

    return Depends(identify)


def _add_state(api: FastAPI, service: Service) -> None:
    stats, view = service.stats, _needs(service, Role.VIEW)

    @api.get("/api/websocket/stats", dependencies=[view], tags=["streaming"])
    async def get_stats() -> dict[str, Any]:
        """Clients, messages and latency, as one object."""
        return stats.summary()

    @api.get("/api/websocket/performance", dependencies=[view], tags=["streaming"])
    async def get_performance() -> dict[str, Any]:
        """Rates, latency and what waits in queues."""
        return {
            "messages_per_second": stats.messages_per_second(),
            "latency": stats.latency(),
            "queue_depth": sum(service.hub.waiting(client) for client in stats.clients),
            "seq": {stream.value: service.hub.seq(stream) for stream in Stream},
            "epoch": service.hub.epoch,
            "uptime": stats.uptime,
        }

    @api.get("/api/websocket/latency", dependencies=[view], tags=["streaming"])
    async def get_latency() -> dict[str, Any]:
        """Milliseconds from publishing to the socket, over the last 4,096 messages."""
        return stats.latency()

    @api.get("/api/websocket/clients", dependencies=[view], tags=["streaming"])
    async def get_clients() -> dict[str, Any]:
        """Who is connected."""
        clients = [
            {
                "client_id": client.id,
                "name": client.name,
                "role": client.role.name.lower(),
                "connected_at": format_time(client.connected_at),
                "delivered": client.delivered,
                "waiting": service.hub.waiting(client.id),
                "subscriptions": service.hub.subscriptions(client.id),
            }
            for client in stats.clients.values()
        ]
        return {"connected_clients": len(clients), "clients": clients}

    @api.get("/api/test/realtime/{symbol:path}", dependencies=[view], tags=["data"])
    async def get_realtime(symbol: str) -> dict[str, Any]:
        """The last known market data of one symbol."""
        known = [payload(event) for event in service.bot.snapshot()]
        latest = [p for p in known if p.stream is Stream.MARKET_DATA and p.symbol == symbol]
        if not latest:
            symbols = list(service.bot.symbols)
            raise NotFound(
                f"no market data of {symbol[:40]!r}; known symbols: {', '.join(symbols)}",
                field="symbol",
                allowed=symbols,
            )
        newest = max(latest, key=lambda p: p.timestamp)
        return {
            "symbol": symbol,
            "price": newest.data["price"],
            "timestamp": format_time(newest.timestamp),
            "data": {p.kind: p.data for p in latest},
        }


def _add_control(api: FastAPI, service: Service) -> None:
    view, tune = _needs(service, Role.VIEW), _needs(service, Role.TUNE)
    trade, admin = _needs(service, Role.TRADE), _needs(service, Role.ADMIN)

    def config() -> dict[str, Any]:
        settings = service.settings
        return {
            "streaming": not service.hub.paused,
            "streaming_interval": service.hub.min_interval,
            "heartbeat_interval": settings.websocket.heartbeat_interval,
            "ping_interval": settings.websocket.ping_interval,
            "ping_timeout": settings.websocket.ping_timeout,
            "max_http_buffer_size": settings.websocket.max_http_buffer_size,
            "max_connections": settings.limits.max_connections,
            "reconnect_attempts": settings.websocket.reconnect_attempts,
            "reconnect_delay": settings.websocket.reconnect_delay,
        }

    @api.get("/api/websocket/config", dependencies=[view], tags=["streaming"])
    async def get_config() -> dict[str, Any]:
        """How the service is set."""
        return config()

    @api.post("/api/websocket/config", dependencies=[tune], tags=["streaming"])
    async def set_config(change: StreamingChange) -> dict[str, Any]:
        """Change the streaming interval of all clients; answers the settings now in force."""
        service.hub.set_min_interval(change.streaming_interval)
        return config()

    @api.post("/api/websocket/start", dependencies=[trade], tags=["streaming"])
    async def start() -> dict[str, Any]:
        """Let messages flow to clients. The bot itself is started by the command `start`."""
        service.hub.release()
        return config()

    @api.post("/api/websocket/stop", dependencies=[trade], tags=["streaming"])
    async def stop() -> dict[str, Any]:
        """Hold messages back: market data conflates, the rest waits (bounded; else a gap)."""
        service.hub.hold()
        return config()

    @api.get("/api/websocket/secure", tags=["streaming"])
    async def secure(identity: Identity = view) -> dict[str, Any]:
        """Who the token or session speaks for, its role, and until when (null: no end)."""
        return {
            "authenticated": True,
            "name": identity.name,
            "role": identity.role_name,
            "expires": None if identity.expires is None else shown(identity.expires),
        }

    @api.post("/api/performance/clear-cache", dependencies=[admin], tags=["performance"])
    async def clear_cache() -> dict[str, Any]:
        """Forget measured latencies and rates. Replay rings and counters stay."""
        service.stats.reset()
        return {"cleared": ["latency", "messages_per_second"]}

    @api.post("/api/command", tags=["bot"])
    async def command(
        body: CommandBody, response: Response, identity: Identity = view
    ) -> dict[str, Any]:
        """Carry out one command on the bot, as over Socket.IO."""
        request = parse_command(body.model_dump())
        who = f"{identity.who} over http"
        answer = await service.commands.run(request, identity, who=who)
        if not answer["ok"]:
            response.status_code = status_of(answer["error"]["code"])
        return answer


def _add_health(api: FastAPI, service: Service) -> None:
    view, process = _needs(service, Role.VIEW), psutil.Process()
    process.cpu_percent()

    @api.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, Literal["ok"]]:
        """Answers while the server's loop runs; needs no token."""
        return {"status": "ok"}

    @api.get("/metrics", dependencies=[view], tags=["health"], response_class=Response)
    async def metrics() -> Response:
        """Prometheus text."""
        waiting = sum(service.hub.waiting(client) for client in service.stats.clients)
        text, content_type = render_metrics(
            service.stats, waiting=waiting, events=service.bot.snapshot()
        )
        return Response(text, media_type=content_type, headers={"Cache-Control": "no-store"})

    @api.get("/api/performance/system", dependencies=[view], tags=["performance"])
    async def system() -> dict[str, Any]:
        """CPU (percent of one core since the last call) and memory of this process."""
        with process.oneshot():
            return {
                "cpu_percent": process.cpu_percent(),
                "memory_mb": process.memory_info().rss / 2**20,
                "threads": process.num_threads(),
                "uptime": service.stats.uptime,
            }
