"""HTTP: how the streaming service is doing, and the last market data."""

from __future__ import annotations

from fastapi import APIRouter

from toolkit.streaming.http import models
from toolkit.streaming.http.errors import NotFound, responses
from toolkit.streaming.http.service import Service, needs
from toolkit.streaming.measures.stats import ClientRecord
from toolkit.streaming.wire import Role, Stream, format_time, payload


def state_routes(service: Service) -> APIRouter:
    """Return what anyone with a token may read."""
    view = needs(service, Role.VIEW)
    router = APIRouter(dependencies=[view], responses=responses(401, 403, 405, 500))
    _add_figures(router, service)
    _add_data(router, service)
    return router


def _add_figures(router: APIRouter, service: Service) -> None:
    stats = service.stats

    @router.get("/api/websocket/stats", tags=["streaming"])
    async def get_stats() -> models.Stats:
        """Clients, messages and latency, as one object."""
        figures = service.controls.get_streaming_stats()
        figures |= {"delivery": service.delivery.mode, "alerts": _alerts(service)}
        return models.Stats(**figures)

    @router.get("/api/websocket/performance", tags=["streaming"])
    async def get_performance() -> models.Performance:
        """Rates, latency and what waits in queues."""
        return models.Performance(
            messages_per_second=stats.messages_per_second(),
            latency=models.Latency(**stats.latency()),
            queue_depth=sum(service.waiting()),
            seq={stream.value: service.hub.seq(stream) for stream in Stream},
            epoch=service.hub.epoch,
            uptime=stats.uptime,
        )

    @router.get("/api/websocket/latency", tags=["streaming"])
    async def get_latency() -> models.LatencyReport:
        """Latency of the last minute: at the server, of each stream, and as clients see it."""
        return models.LatencyReport(
            **stats.latency(),
            max_latency_ms=service.settings.websocket.max_latency_ms,
            clients=[models.ClientLatency(**reported) for reported in stats.reported()],
            alerts=_alerts(service),
        )

    @router.get("/api/websocket/clients", tags=["streaming"])
    async def get_clients() -> models.Clients:
        """Who is connected."""
        clients = [_client(service, record) for record in stats.clients.values()]
        return models.Clients(connected_clients=len(clients), clients=clients)


def _add_data(router: APIRouter, service: Service) -> None:
    @router.get("/api/test/realtime/{symbol:path}", tags=["data"], responses=responses(404, 422))
    async def get_realtime(symbol: str) -> models.Realtime:
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
        return models.Realtime(
            symbol=symbol,
            price=newest.data["price"],
            timestamp=format_time(newest.timestamp),
            data={p.kind: p.data for p in latest},
        )


def _client(service: Service, record: ClientRecord) -> models.Client:
    return models.Client(
        client_id=record.id,
        name=record.name,
        role=models.role_name(record.role),
        connected_at=format_time(record.connected_at),
        delivered=record.delivered,
        waiting=service.hub.waiting(record.id),
        subscriptions=service.hub.subscriptions(record.id),
    )


def _alerts(service: Service) -> list[models.Alert]:
    return [models.Alert(**alert.to_dict()) for alert in service.alerts.active]
