"""What HTTP shows and controls, and who may ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import Depends, Request, Response, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from toolkit.streaming.access.auth import Authenticator, Identity
from toolkit.streaming.control.commands import Commands, Reporter
from toolkit.streaming.control.controls import StreamingControls
from toolkit.streaming.control.service import BotPort, Membership
from toolkit.streaming.hub.hub import Hub
from toolkit.streaming.measures.alerts import LatencyWatch
from toolkit.streaming.measures.stats import ServiceStats
from toolkit.streaming.settings import ServerSettings
from toolkit.streaming.sockets.delivery import Delivery
from toolkit.streaming.wire import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The parts of the running server that HTTP shows and controls."""

    bot: BotPort
    hub: Hub
    auth: Authenticator
    commands: Commands
    controls: StreamingControls
    delivery: Delivery
    stats: ServiceStats
    alerts: LatencyWatch
    reporter: Reporter
    settings: ServerSettings
    membership: Membership | None = None

    def waiting(self) -> list[int]:
        """Return how many messages wait for each client."""
        return [self.hub.waiting(client) for client in self.stats.clients]


def needs(service: Service, role: Role) -> Any:
    """Return a dependency that admits whoever has `role` and gives the endpoint the identity."""
    bearer = Security(
        HTTPBearer(auto_error=False, description="The server's token, or one that it signed.")
    )
    cookie = Security(
        APIKeyCookie(
            name=service.auth.cookie,
            auto_error=False,
            description="The session of a browser; the printed link opens it.",
        )
    )

    async def identify(
        request: Request, response: Response, _bearer: Any = bearer, _cookie: Any = cookie
    ) -> Identity:
        identity = service.auth.identify(request.headers)
        identity.require(role)
        if request.method not in ("GET", "HEAD"):
            service.auth.require_same_site(identity, request.headers)
        response.headers["Cache-Control"] = "no-store"
        return identity

    return Depends(identify)
