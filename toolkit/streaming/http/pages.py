"""Pages and scripts that the server brings along; nothing is fetched from elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.routing import Route

from toolkit.streaming.http import javascript

STATIC = Path(__file__).parents[1] / "static"
# Not asked of the system: on some it says that JavaScript is plain text.
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "
        "frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def add_pages(api: FastAPI) -> None:
    """Serve the test client, the JavaScript client and the API's documentation."""
    for path, (body, media_type) in _files().items():
        _add(api, path, body, media_type)


@cache
def _files() -> Mapping[str, tuple[bytes, str]]:
    """Return what is served at each path; read once in a process."""
    files = {
        "/websocket_test_client.html": STATIC / "websocket_test_client.html",
        "/docs": STATIC / "docs.html",
    }
    files |= {
        f"/_toolkit/{path.relative_to(STATIC).as_posix()}": path
        for path in STATIC.rglob("*")
        if path.suffix in (".css", ".js")
    }
    found = {path: (file.read_bytes(), MEDIA_TYPES[file.suffix]) for path, file in files.items()}
    script, module = javascript.page_script().encode(), javascript.page_module().encode()
    found["/websocket_client.js"] = script, MEDIA_TYPES[".js"]
    found["/websocket_client.mjs"] = module, MEDIA_TYPES[".js"]
    return found


def message_page(title: str, *paragraphs: str, status: int) -> HTMLResponse:
    """Return a small page in the style of the others; paragraphs are HTML that we wrote."""
    body = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{title}</title><link rel="icon" href="data:,">'
        '<link rel="stylesheet" href="/_toolkit/page.css"></head>'
        f'<body><main class="message"><h1>{title}</h1>{body}</main></body></html>'
    )
    return HTMLResponse(html, status_code=status, headers=SECURITY)


def _add(api: FastAPI, path: str, body: bytes, media_type: str) -> None:
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {**SECURITY, "ETag": tag}

    async def serve(request: Request) -> Response:
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=media_type, headers=headers)

    # Plain ones: FastAPI's cost every start twenty milliseconds.
    route = Route(path, serve, include_in_schema=False)
    route.methods = {"GET"}  # HEAD is answered for all alike
    api.router.routes.append(route)
