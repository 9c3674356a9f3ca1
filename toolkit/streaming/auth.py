"""Who is asking: tokens, browser sessions, and where a page may come from.

No token or cookie ever appears in an error, a log line or a repr.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from toolkit.errors import AuthError, ConfigError
from toolkit.streaming.settings import ServerSettings
from toolkit.streaming.wire import COOKIE, Role

MAX_SESSIONS = 1_000
MIN_SECRET = 16


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who showed a valid token; `by_cookie` when a browser sent it by itself."""

    role: Role
    by_cookie: bool = False

    @property
    def name(self) -> str:
        """What the role is called on the wire."""
        return self.role.name.lower()

    def require(self, role: Role) -> None:
        """Raise AuthError unless this identity has at least `role`."""
        if self.role < role:
            raise AuthError(
                f"this needs the role {role.name.lower()}; your token has {self.name}",
                required=role.name.lower(),
                role=self.name,
            )


class Authenticator:
    """Checks tokens in constant time and keeps the sessions of browsers (bounded in number)."""

    def __init__(self, settings: ServerSettings) -> None:
        _check_exposure(settings)
        self.token = settings.token or secrets.token_urlsafe(24)
        self._roles = {_digest(token): role for token, role in settings.tokens.items()}
        self._roles[_digest(self.token)] = Role.ADMIN
        self._allowed_origins = frozenset(o.rstrip("/") for o in settings.allowed_origins)
        self._sessions: OrderedDict[bytes, Role] = OrderedDict()
        self.cookie = COOKIE

    def bind(self, port: int) -> None:
        """Name the cookie after the port: browsers share cookies between ports of one host."""
        self.cookie = f"{COOKIE}_{port}"

    def check_token(self, token: object) -> Identity:
        """Return who holds `token`; raises AuthError."""
        if not isinstance(token, str) or not token:
            raise AuthError("no token; give the one that the server printed when it started")
        role = _lookup(self._roles, token)
        if role is None:
            raise AuthError("wrong token; give the one that the server printed when it started")
        return Identity(role)

    def open_session(self, identity: Identity) -> str:
        """Return the value of a new session cookie; the oldest session ends when too many."""
        value = secrets.token_urlsafe(32)
        self._sessions[_digest(value)] = identity.role
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return value

    def identify(self, headers: Mapping[str, str], token: object = None) -> Identity:
        """Return who sent these headers (lower-case names) or this token; raises AuthError.

        An explicit token decides; then `Authorization: Bearer`, then the session cookie.
        """
        if token is not None:
            return self.check_token(token)
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme:
            return self.check_token(value.strip() if scheme.lower() == "bearer" else None)
        role = _lookup(self._sessions, _cookie(headers.get("cookie", ""), self.cookie))
        if role is None:
            raise AuthError("no token; give the one that the server printed when it started")
        return Identity(role, by_cookie=True)

    def origin_allowed(self, headers: Mapping[str, str]) -> bool:
        """Tell whether the page that sent this is ours or allowed; true without an Origin."""
        origin = headers.get("origin")
        if origin is None:
            return True
        own = urlsplit(origin)
        same = own.scheme in ("http", "https") and own.netloc == headers.get("host")
        return same or origin in self._allowed_origins

    def require_same_site(self, identity: Identity, headers: Mapping[str, str]) -> None:
        """Raise AuthError for a change that a foreign page made a browser send."""
        missing = identity.by_cookie and "origin" not in headers
        if missing or not self.origin_allowed(headers):
            raise AuthError("this page may not do that; add its origin to allowed_origins")


def _check_exposure(settings: ServerSettings) -> None:
    for token in (settings.token, *settings.tokens):
        if token is not None and len(token) < MIN_SECRET:
            raise ConfigError(
                f"a token is shorter than {MIN_SECRET} characters; make one with "
                'python -c "import secrets; print(secrets.token_urlsafe(24))"',
                field="token",
                allowed=f"at least {MIN_SECRET} characters",
            )
    if not is_loopback(settings.host) and settings.token is None:
        raise ConfigError(
            f"host {settings.host} can be reached from other machines, so a token must be set; "
            "give one, or bind to 127.0.0.1",
            field="token",
            allowed=f"at least {MIN_SECRET} characters",
        )


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _lookup(known: Mapping[bytes, Role], secret: str) -> Role | None:
    digest, found = _digest(secret), None
    for candidate, role in known.items():
        if hmac.compare_digest(candidate, digest):
            found = role
    return found


def _cookie(header: str, name: str) -> str:
    for part in header.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return ""
