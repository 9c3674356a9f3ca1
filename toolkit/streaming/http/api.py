"""The HTTP API: state and control of the streaming service, beside Socket.IO on the same port."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from toolkit._version import __version__
from toolkit.streaming.asgi import App, Receive, Scope, Send
from toolkit.streaming.http.bodies import Bodies, Heads
from toolkit.streaming.http.bot import bot_routes
from toolkit.streaming.http.control import control_routes
from toolkit.streaming.http.errors import NotFound, add_errors, answer
from toolkit.streaming.http.health import health_routes
from toolkit.streaming.http.pages import add_pages
from toolkit.streaming.http.service import Service
from toolkit.streaming.http.state import state_routes

PREFIX = "/api/"
DESCRIPTION = """State and control of the running bot's streaming service.

Times are RFC 3339 in UTC, latencies milliseconds, intervals seconds. Errors are
`{error: {code, message, ...}}`. Streams come over Socket.IO on the same port.
"""


def create_api(service: Service, *, fallback: App) -> FastAPI:
    """Build the application; paths that are not ours go to `fallback` (the dashboard)."""
    api = FastAPI(
        title="StochRSI toolkit",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    routers = [add(service) for add in (state_routes, control_routes, bot_routes, health_routes)]
    for router in routers:
        api.include_router(router)
    add_pages(api)
    routes = [*api.routes, *(route for router in routers for route in router.routes)]
    add_errors(api, service.reporter, routes=routes)
    ours = frozenset(getattr(route, "path", "") for route in routes)
    api.add_middleware(
        Bodies, prefix=PREFIX, max_size=service.settings.websocket.max_http_buffer_size
    )
    api.add_middleware(Heads, is_ours=lambda path: path in ours or path.startswith(PREFIX))
    _allow_origins(api, service.settings.allowed_origins)
    # Not a mount: that would take paths of ours, too, when their method is wrong.
    api.router.default = _elsewhere(fallback)
    return api


def _allow_origins(api: FastAPI, origins: tuple[str, ...]) -> None:
    if origins:
        api.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_credentials=True,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )


def _elsewhere(fallback: App) -> App:
    async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            problem = NotFound("there is nothing here; /docs lists what there is", field="path")
            await answer(problem)(scope, receive, send)
        else:
            await fallback(scope, receive, send)

    return elsewhere
