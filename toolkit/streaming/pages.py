"""Pages and scripts that the server brings along; nothing is fetched from elsewhere."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse, Response

STATIC = Path(__file__).parent / "static"
SOCKET_IO = STATIC / "socket.io.min.js"
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "
        "frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
MISSING = (
    "console.error('socket.io.min.js was not built into this installation: "
    "install Node.js and run `make assets`');\n"
)


def add_pages(api: FastAPI) -> None:
    """Serve the test client, the JavaScript client and the API's documentation."""
    files = {
        "/websocket_test_client.html": "websocket_test_client.html",
        "/websocket_client.js": "websocket_client.js",
        "/docs": "docs.html",
        "/_toolkit/page.css": "page.css",
        "/_toolkit/test_client.js": "test_client.js",
        "/_toolkit/docs.js": "docs.js",
    }
    for path, name in files.items():
        _add_file(api, path, STATIC / name)

    @api.get("/_toolkit/socket.io.min.js", include_in_schema=False)
    async def socket_io() -> Response:
        if not SOCKET_IO.exists():
            return Response(MISSING, media_type="text/javascript", headers=SECURITY)
        return FileResponse(SOCKET_IO, media_type="text/javascript", headers=SECURITY)


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


def _add_file(api: FastAPI, path: str, file: Path) -> None:
    @api.get(path, include_in_schema=False)
    async def serve() -> FileResponse:
        return FileResponse(file, headers=SECURITY)
