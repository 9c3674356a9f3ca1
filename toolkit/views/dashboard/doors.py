"""Who may open the dashboard's own port: the server's proxy, and who has the printed link.

Both show the same key. Without it every account of this machine could trade through the
dashboard's token.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from bokeh.server.auth_provider import AuthProvider
from tornado.web import RequestHandler

from toolkit.streaming.wire import DASHBOARD_KEY_HEADER
from toolkit.views.dashboard.serving import LINK


def doors(key: str, *, cookie: str) -> AuthProvider:
    """Return what lets in only requests with the key, in a header or in the link's cookie."""

    class Link(RequestHandler):
        def get(self) -> None:
            if not _same(self.get_query_argument("key", ""), key):
                self.set_status(401)
                self.finish("Open the link that `toolkit dashboard` printed.")
                return
            self.set_cookie(cookie, key, httponly=True, samesite="Strict")
            self.set_header("Referrer-Policy", "no-referrer")
            self.redirect("/")

    class Doors(AuthProvider):  # type: ignore[misc]  # bokeh is untyped to mypy
        @property
        def get_user(self) -> Callable[[Any], str | None]:
            def user(handler: Any) -> str | None:
                shown = handler.request.headers.get(DASHBOARD_KEY_HEADER, "")
                if _same(shown, key) or _same(handler.get_cookie(cookie, ""), key):
                    return "owner"
                return None

            return user

        @property
        def login_url(self) -> str:
            return LINK

        @property
        def login_handler(self) -> type[RequestHandler]:
            return Link

    return Doors()


def _same(shown: str, key: str) -> bool:
    return hmac.compare_digest(shown.encode(), key.encode())
