"""Errors of the HTTP API as typed JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from toolkit.errors import AuthError, NotConnected, ToolkitError, WireError
from toolkit.streaming.commands import Reporter


class NotFound(ToolkitError):
    """There is nothing under this name."""

    code = "not_found"


def add_errors(api: FastAPI, reporter: Reporter) -> None:
    """Answer every error as `{error: {code, message, ...}}`; unexpected ones without details."""

    @api.exception_handler(ToolkitError)
    async def toolkit_error(_request: Request, error: ToolkitError) -> JSONResponse:
        status = status_of(error.code)
        if isinstance(error, AuthError) and "required" in error.data:
            status = 403
        return _error(status, error)

    @api.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:]) or "body"
        return _error(422, WireError(f"{field}: {first['msg']}", field=field))

    @api.exception_handler(HTTPException)
    async def http_error(_request: Request, error: HTTPException) -> JSONResponse:
        return _error(error.status_code, WireError(str(error.detail)))

    @api.middleware("http")
    async def unexpected(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        try:
            return await call_next(request)
        except Exception as error:  # noqa: BLE001 - reported in full, answered without details
            answer = reporter.unexpected(f"{request.method} {request.url.path[:100]}", error)
            return JSONResponse({"error": answer}, status_code=500)


def status_of(code: str) -> int:
    """Return the HTTP status for an error's code."""
    if code == "internal_error":
        return 500
    statuses = {AuthError.code: 401, NotFound.code: 404, NotConnected.code: 503}
    return statuses.get(code, 400)


def _error(status: int, error: ToolkitError) -> JSONResponse:
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": error.to_dict()}, status_code=status, headers=headers)
