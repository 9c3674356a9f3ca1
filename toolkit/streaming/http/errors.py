"""Errors of the HTTP API as typed JSON."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from toolkit.errors import AuthError, NotConnected, RelayError, ToolkitError, WireError
from toolkit.streaming.asgi import App, Receive, Scope, Send
from toolkit.streaming.control.commands import Reporter
from toolkit.streaming.http.models import ErrorBody

Routes = Sequence[BaseRoute]
Message = MutableMapping[str, Any]
NO_STORE = {"Cache-Control": "no-store"}


class NotFound(ToolkitError):
    """There is nothing under this name."""

    code = "not_found"


class MethodNotAllowed(ToolkitError):
    """This address knows other methods."""

    code = "method_not_allowed"


class TooLarge(ToolkitError):
    """The body is larger than the server takes."""

    code = "too_large"


class UnsupportedMediaType(ToolkitError):
    """The body is not what its header should say."""

    code = "unsupported_media_type"


STATUSES: Mapping[str, int] = {
    AuthError.code: 401,
    NotFound.code: 404,
    MethodNotAllowed.code: 405,
    TooLarge.code: 413,
    UnsupportedMediaType.code: 415,
    NotConnected.code: 503,
    RelayError.code: 503,
    "internal_error": 500,
}
MEANINGS: Mapping[int, str] = {
    400: "The request cannot be carried out; the error says why.",
    401: "No token, or one that is no longer valid.",
    403: "The token's role may not do this, or the page that asks is not trusted.",
    404: "There is nothing under this name.",
    405: "This address knows other methods; the header Allow lists them.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    415: "The body must be JSON, and its Content-Type application/json.",
    422: "A field is wrong; the error names it.",
    500: "Unexpected; the server's log has the details.",
    503: "The bot, or what it needs, is not connected.",
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of these errors."""
    return {status: {"description": MEANINGS[status], **_body(status)} for status in statuses}


def _body(status: int) -> dict[str, Any]:
    # Each named model costs every start a millisecond: one has to describe it, the others refer.
    if status == 500:
        return {"model": ErrorBody}
    schema = {"$ref": f"#/components/schemas/{ErrorBody.__name__}"}
    return {"content": {"application/json": {"schema": schema}}}


def status_of(error: Mapping[str, Any]) -> int:
    """Return the HTTP status for an error as it travels."""
    if error["code"] == AuthError.code and "required" in error:
        return 403
    return STATUSES.get(error["code"], 400)


def add_errors(api: FastAPI, reporter: Reporter, *, routes: Routes) -> None:
    """Answer every error as `{error: {code, message, ...}}`; unexpected ones without details.

    `routes` tells what an address that refuses a method could take instead.
    """

    @api.exception_handler(ToolkitError)
    async def toolkit_error(_request: Request, error: ToolkitError) -> JSONResponse:
        return answer(error)

    @api.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:]) or "body"
        return answer(WireError(f"{field}: {first['msg']}", field=field), status=422)

    @api.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 405:
            allowed = _methods(routes, request.scope)
            method = request.method
            text = f"{method} is not allowed here; allowed: {', '.join(allowed)}"
            problem = MethodNotAllowed(text, field="method", allowed=allowed)
            return answer(problem, headers={"Allow": ", ".join(allowed)})
        if error.status_code == 413:
            return answer(TooLarge(str(error.detail), field="body"))
        return answer(WireError(str(error.detail)), status=error.status_code)

    api.add_middleware(Unexpected, reporter=reporter)


def answer(
    error: ToolkitError, *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the answer to a request that failed."""
    content = error.to_dict()
    status = status or status_of(content)
    extra = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return JSONResponse(
        {"error": content}, status_code=status, headers={**NO_STORE, **extra, **(headers or {})}
    )


class Unexpected:
    """ASGI middleware: reports what nobody expected and answers 500 without details."""

    def __init__(self, app: App, *, reporter: Reporter) -> None:
        self._app = app
        self._reporter = reporter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = scope["type"] != "http"

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            if started:  # nothing can be answered any more; the ASGI server logs it
                raise
            what = f"{scope['method']} {scope['path'][:100]}"
            content = {"error": self._reporter.unexpected(what, error)}
            response = JSONResponse(content, status_code=500, headers=NO_STORE)
            await response(scope, receive, send)


def _methods(routes: Routes, scope: Scope) -> list[str]:
    found: set[str] = set()
    for route in routes:
        if route.matches(scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found | ({"HEAD"} if "GET" in found else set()))
