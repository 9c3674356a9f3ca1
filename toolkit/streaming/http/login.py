"""How a browser signs in and out: the link's token becomes a cookie, and the cookie ends."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from toolkit.errors import AuthError
from toolkit.streaming.access.auth import Authenticator
from toolkit.streaming.http.pages import message_page

SIGN_OUT = "/sign-out"


async def sign_in(request: Request, auth: Authenticator) -> Response:
    """Exchange the token in the address for a session, and take it out of the address."""
    try:
        identity = await asyncio.to_thread(auth.follow_link, request.query_params["token"])
    except AuthError as error:
        return sign_in_page(error)
    rest = [p for p in parse_qsl(request.url.query, keep_blank_values=True) if p[0] != "token"]
    response = RedirectResponse("/?" + urlencode(rest) if rest else "/", status_code=303)
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    response.set_cookie(
        auth.cookie,
        auth.open_session(identity),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https" or auth.is_https(request.headers),
    )
    return response


async def sign_out(request: Request, auth: Authenticator) -> Response:
    """Ask first (GET), then end this browser's session everywhere (POST)."""
    try:
        identity = auth.identify(request.headers)
        if request.method == "POST":
            auth.require_same_site(identity, request.headers)
    except AuthError as error:
        return sign_in_page(error)
    if request.method != "POST":
        page = message_page(
            "Sign out?",
            f"This browser is signed in as {_shown(identity.who)}.",
            f'<form method="post" action="{SIGN_OUT}"><button>Sign out</button></form>',
            status=200,
        )
        # Without a referrer, browsers send no origin with a form, and we must see ours.
        page.headers["Referrer-Policy"] = "same-origin"
        return page
    await asyncio.to_thread(auth.close_session, identity)
    page = message_page(
        "Signed out", "This browser's session has ended, here and on all workers.", status=200
    )
    page.delete_cookie(auth.cookie, httponly=True, samesite="strict")
    page.headers["Cache-Control"] = "no-store"
    return page


def sign_in_page(error: AuthError) -> Response:
    """Return the page for whoever is not signed in, with the reason where there is one."""
    reason = "" if error.data.get("reason") == "missing" else f"<b>{_shown(error.message)}.</b> "
    page = message_page(
        "Not signed in",
        f"{reason}Open the link that the server printed when it started: it ends in "
        "<code>/?token=…</code> and signs this browser in.",
        "Nobody has it any more? Make one with <code>toolkit token link --role admin --name "
        "me</code> where the server runs.",
        status=401,
    )
    page.headers["Cache-Control"] = "no-store"
    return page


def _shown(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
