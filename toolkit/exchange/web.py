"""What all REST areas share: query parameters, JSON answers, and the routes' type."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from toolkit.exchange.refusals import Refusal, malformed
from toolkit.exchange.values import Micros, parse_moment

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_TRUE = frozenset({"true", "1", "yes"})


def answer(value: Any, *, status: int = 200) -> web.Response:
    """Return a JSON answer."""
    return web.json_response(value, status=status)


def refused(refusal: Refusal) -> web.Response:
    """Return the answer to what is refused."""
    return web.json_response(refusal.body(), status=refusal.status)


async def body_of(request: web.Request) -> Mapping[str, Any]:
    """Read a JSON object; refuses with 422."""
    try:
        body = json.loads(await request.text(), parse_float=str)
    except ValueError:
        raise malformed("request body format is invalid") from None
    if not isinstance(body, dict):
        raise malformed("request body format is invalid")
    return body


def flag(request: web.Request, name: str) -> bool:
    """Read true or false; false when it is missing."""
    return request.query.get(name, "").lower() in _TRUE


def listed(request: web.Request, name: str) -> list[str]:
    """Read a comma-separated list."""
    return [part.strip() for part in request.query.get(name, "").split(",") if part.strip()]


def whole(request: web.Request, name: str, default: int, *, most: int) -> int:
    """Read a number from 1 to `most`; refuses with 422."""
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise malformed(f"{name} must be between 1 and {most}")
    return int(text)


def moment(request: web.Request, name: str) -> Micros | None:
    """Read RFC 3339 or a date; refuses with 422."""
    text = request.query.get(name)
    if text is None:
        return None
    try:
        return parse_moment(text)
    except ValueError:
        raise malformed(f"invalid {name} format") from None
