"""HTTP: whether the server lives, and its figures for machines."""

from __future__ import annotations

import psutil
from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from toolkit.errors import RelayError
from toolkit.streaming.http import models
from toolkit.streaming.http.errors import NO_STORE, responses
from toolkit.streaming.http.metrics import render_metrics
from toolkit.streaming.http.service import Service, needs
from toolkit.streaming.wire import Role


def health_routes(service: Service) -> APIRouter:
    """Return health, metrics and the process's own figures."""
    router = APIRouter(responses=responses(405, 500))
    view, process = needs(service, Role.VIEW), psutil.Process()
    process.cpu_percent()

    @router.get("/healthz", tags=["health"], responses=responses(503))
    async def healthz(response: Response) -> models.Health:
        """Answers while the server's loop runs, 503 on a worker without its bot; no token."""
        if service.membership is not None and (trouble := service.membership.trouble()):
            raise RelayError(trouble)
        response.headers.update(NO_STORE)
        return models.Health(status="ok")

    @router.get(
        "/metrics",
        dependencies=[view],
        tags=["health"],
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **responses(401, 403),
        },
    )
    async def metrics() -> Response:
        """Figures in the text format of Prometheus."""
        return Response(render_metrics(service), media_type=CONTENT_TYPE_LATEST, headers=NO_STORE)

    @router.get(
        "/api/performance/system",
        dependencies=[view],
        tags=["performance"],
        responses=responses(401, 403),
    )
    async def system() -> models.System:
        """CPU (percent of one core since the last call) and memory of this process."""
        with process.oneshot():
            return models.System(
                cpu_percent=process.cpu_percent(),
                memory_mb=process.memory_info().rss / 2**20,
                threads=process.num_threads(),
                uptime=service.stats.uptime,
            )

    return router
