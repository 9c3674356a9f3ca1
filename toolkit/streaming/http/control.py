"""HTTP: how the streaming service is set, and changing it."""

from __future__ import annotations

from fastapi import APIRouter

from toolkit.streaming.access.auth import Identity
from toolkit.streaming.access.tokens import shown
from toolkit.streaming.http import models
from toolkit.streaming.http.errors import responses
from toolkit.streaming.http.service import Service, needs
from toolkit.streaming.wire import Role


def control_routes(service: Service) -> APIRouter:
    """Return the settings, and what changes them while the server runs."""
    router = APIRouter(responses=responses(401, 403, 405, 500))
    _add_settings(router, service)
    _add_switches(router, service)

    view, admin = needs(service, Role.VIEW), needs(service, Role.ADMIN)

    @router.get("/api/websocket/secure", tags=["streaming"])
    async def secure(identity: Identity = view) -> models.Secure:
        """Who the token or session speaks for, its role, and until when (null: no end)."""
        return models.Secure(
            authenticated=True,
            name=identity.name,
            role=models.role_name(identity.role),
            expires=None if identity.expires is None else shown(identity.expires),
        )

    @router.post("/api/performance/clear-cache", dependencies=[admin], tags=["performance"])
    async def clear_cache() -> models.Cleared:
        """Forget measured latencies and rates. Replay rings, counters and totals stay."""
        service.stats.reset()
        return models.Cleared(cleared=["latency", "messages_per_second"])

    return router


def _add_settings(router: APIRouter, service: Service) -> None:
    view, tune = needs(service, Role.VIEW), needs(service, Role.TUNE)

    @router.get("/api/websocket/config", dependencies=[view], tags=["streaming"])
    async def get_config() -> models.Config:
        """How the service is set."""
        return _config(service)

    @router.post(
        "/api/websocket/config", tags=["streaming"], responses=responses(400, 408, 413, 415, 422)
    )
    async def set_config(change: models.Change, identity: Identity = tune) -> models.Config:
        """Change intervals and notifications; answers the settings now in force."""
        service.controls.set_streaming(
            **change.model_dump(exclude_unset=True), who=f"{identity.who} over http"
        )
        return _config(service)


def _add_switches(router: APIRouter, service: Service) -> None:
    trade = needs(service, Role.TRADE)

    @router.post(
        "/api/websocket/start", tags=["streaming"], responses=responses(400, 408, 413, 415, 422)
    )
    async def start(body: models.Start | None = None, identity: Identity = trade) -> models.Config:
        """Let messages flow to clients. The bot itself is started by the command `start`."""
        wanted = body.model_dump(exclude_unset=True) if body else {}
        service.controls.start_streaming(wanted.get("interval"), who=f"{identity.who} over http")
        return _config(service)

    @router.post("/api/websocket/stop", tags=["streaming"])
    async def stop(identity: Identity = trade) -> models.Config:
        """Hold messages back: market data conflates, the rest waits (bounded; else a gap)."""
        service.controls.stop_streaming(who=f"{identity.who} over http")
        return _config(service)


def _config(service: Service) -> models.Config:
    websocket = service.settings.websocket
    return models.Config(
        **service.controls.state.to_dict(),
        heartbeat_interval=websocket.heartbeat_interval,
        ping_interval=websocket.ping_interval,
        ping_timeout=websocket.ping_timeout,
        compression=websocket.compression,
        binary=websocket.binary,
        max_http_buffer_size=websocket.max_http_buffer_size,
        max_latency_ms=websocket.max_latency_ms,
        max_connections=service.settings.limits.max_connections,
        reconnect_attempts=websocket.reconnect_attempts,
        reconnect_delay=websocket.reconnect_delay,
    )
