"""HTTP: commands to the bot."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from toolkit.streaming.access.auth import Identity
from toolkit.streaming.http import models
from toolkit.streaming.http.errors import NO_STORE, responses, status_of
from toolkit.streaming.http.service import Service, needs
from toolkit.streaming.requests import parse_command
from toolkit.streaming.wire import Role

ERRORS = (400, 401, 403, 405, 408, 413, 415, 422, 500, 503)


def bot_routes(service: Service) -> APIRouter:
    """Return the one door for commands."""
    router = APIRouter(responses=responses(*ERRORS))
    view = needs(service, Role.VIEW)

    @router.post(
        "/api/command",
        tags=["bot"],
        response_model=models.CommandAnswer,
        response_model_exclude_unset=True,
    )
    async def command(body: models.CommandBody, identity: Identity = view) -> Any:
        """Carry out one command on the bot, as over Socket.IO; each needs its own role."""
        request = parse_command(body.model_dump())
        answer = await service.commands.run(request, identity, who=f"{identity.who} over http")
        if answer["ok"]:
            return answer
        return JSONResponse(answer, status_code=status_of(answer["error"]), headers=NO_STORE)

    return router
