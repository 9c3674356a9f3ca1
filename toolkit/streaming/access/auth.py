"""Who is asking: plain tokens, signed tokens, and the sessions of browsers.

A plain token (the one made at start, or given in the settings) is as good as a password. A signed
token (JWT) carries name, role and expiry and can be revoked. A session is a signed token in a
cookie. No token or cookie ever appears in an error, a log line or a repr.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from toolkit.errors import AuthError, ConfigError
from toolkit.streaming.access.keys import Key, KeyRing
from toolkit.streaming.access.origins import Origins, is_loopback
from toolkit.streaming.access.revocation import SESSION_SECONDS, Revocations, revoked_file, used
from toolkit.streaming.access.tokens import (
    Use,
    check_expiry,
    looks_signed,
    new_claims,
    refusal,
    sign,
    verify,
)
from toolkit.streaming.settings import ServerSettings
from toolkit.streaming.wire import COOKIE, Role

__all__ = ["Authenticator", "Identity", "is_loopback"]

MIN_SECRET = 16
REFRESH_SECONDS = 1.0
# What a session was opened with, where that was no signed token. The token of an earlier start
# of this server is as good as this one's: sessions outlive a restart.
PLAIN = "plain:"
START = PLAIN + "start"


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who showed a valid token; `by_cookie` when a browser sent it by itself.

    `name` is that of a signed token's holder, else the role's. `jti` names the signed token,
    `expires` is in seconds since the Unix epoch (None: never), `parent` is what a session was
    opened with, `key` the key that signed.
    """

    role: Role
    by_cookie: bool = False
    name: str = ""
    jti: str = ""
    expires: float | None = None
    parent: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.role_name)

    @property
    def role_name(self) -> str:
        """What the role is called on the wire."""
        return self.role.name.lower()

    @property
    def who(self) -> str:
        """How a change is signed: the name with its role."""
        return self.name if self.name == self.role_name else f"{self.name} ({self.role_name})"

    def require(self, role: Role) -> None:
        """Raise AuthError unless this identity has at least `role`."""
        if self.role < role:
            raise AuthError(
                f"this needs the role {role.name.lower()}; your token has {self.role_name}",
                required=role.name.lower(),
                role=self.role_name,
            )


class Authenticator:
    """Checks tokens in constant time, against keys and revocations that may change meanwhile.

    `clock` is seconds since the Unix epoch. Raises ConfigError for a secret that is too short,
    files that cannot be used, or an address that others reach without a token.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        _check_exposure(settings)
        self.token = settings.token or secrets.token_urlsafe(24)
        self._given = settings.token is not None
        self._roles = {_digest(token): role for token, role in settings.tokens.items()}
        self._roles[_digest(self.token)] = Role.ADMIN
        self._origins = Origins(host=settings.host, allowed=settings.allowed_origins)
        self._clock, self._monotonic = clock, monotonic
        self._keys = KeyRing(settings.secret_file, settings.public_key_file)
        revoked = revoked_file(settings.secret_file) if settings.secret_file else None
        self._revoked = Revocations(revoked, clock=clock)
        self._looked = monotonic()
        self.cookie = COOKIE

    def bind(self, port: int) -> None:
        """Name the cookie after the port: browsers share cookies between ports of one host."""
        self.cookie = f"{COOKIE}_{port}"

    def check_token(self, token: object) -> Identity:
        """Return who holds `token`; raises AuthError with `reason`."""
        if not isinstance(token, str) or not token:
            raise _no_token()
        digest = _digest(token)
        role = self._plain_role(digest)
        if role is not None:
            return Identity(role, parent=self._plain_parent(digest, self._keys.signing))
        if looks_signed(token):
            return self._signed(token, Use.ACCESS)
        raise refusal("wrong", "wrong token; give the one that the server printed when it started")

    def identify(self, headers: Mapping[str, str], token: object = None) -> Identity:
        """Return who sent these headers (lower-case names) or this token; raises AuthError.

        An explicit token decides; then `Authorization: Bearer`, then the session cookie.
        """
        if token is not None:
            return self.check_token(token)
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme:
            return self.check_token(value.strip() if scheme.lower() == "bearer" else None)
        cookie = _cookie(headers.get("cookie", ""), self.cookie)
        if not cookie:
            raise _no_token()
        return self._signed(cookie, Use.SESSION)

    def still_valid(self, identity: Identity) -> None:
        """Raise AuthError when this identity has expired or been revoked since it was checked."""
        if identity.expires is not None:
            check_expiry(identity.expires, self._clock())
        self._refresh()
        if identity.jti in self._revoked or identity.parent in self._revoked:
            raise refusal("revoked", "the token was revoked; ask for a new one")
        if identity.key and identity.key not in self._keys.ids:
            raise refusal("wrong_signature", "the token's key was withdrawn; ask for a new one")

    def open_session(self, identity: Identity) -> str:
        """Return the value of a new session cookie: 12 hours, at most until the token expires."""
        now = self._clock()
        seconds = SESSION_SECONDS
        if identity.expires is not None:
            seconds = min(seconds, identity.expires - now)
        claims = new_claims(
            name=identity.name,
            role=identity.role,
            now=now,
            seconds=seconds,
            use=Use.SESSION,
            parent=identity.jti or identity.parent,
        )
        return sign(claims, self._keys.signing)

    def follow_link(self, token: str) -> Identity:
        """Return who a login link speaks for, once; raises AuthError. Blocks: file I/O.

        The link that the server printed carries the start token and works as long as that does.
        """
        if self._plain_role(_digest(token)) is not None or not looks_signed(token):
            return self.check_token(token)
        try:
            identity = self._signed(token, Use.LOGIN)
        except AuthError as error:
            if error.data.get("reason") != "wrong_service":
                raise
            return self.check_token(token)
        if not self._revoked.revoke(used(identity.jti), identity.expires or self._clock()):
            raise refusal("used", "this link was used before; ask for a new one")
        return Identity(identity.role, name=identity.name, parent=identity.jti)

    def close_session(self, identity: Identity) -> None:
        """End the session or signed token that this identity came with. Blocks: file I/O."""
        if identity.jti and identity.expires is not None:
            self._revoked.revoke(identity.jti, identity.expires)

    def origin_allowed(self, headers: Mapping[str, str]) -> bool:
        """Tell whether the page that sent this is ours or allowed; true without an Origin."""
        return self._origins.allows(headers)

    def is_https(self, headers: Mapping[str, str]) -> bool:
        """Whether browsers see this host over https, though TLS ends in front of us."""
        return self._origins.is_https(headers)

    def host_problem(self, headers: Mapping[str, str]) -> AuthError | None:
        """Return why the name under which this server was asked is refused, None if it is not."""
        return self._origins.host_problem(headers)

    def require_same_site(self, identity: Identity, headers: Mapping[str, str]) -> None:
        """Raise AuthError for a change that a foreign page made a browser send."""
        missing = identity.by_cookie and "origin" not in headers
        if missing or not self.origin_allowed(headers):
            raise AuthError("this page may not do that; add its origin to allowed_origins")

    def _signed(self, token: str, use: Use) -> Identity:
        self._refresh()
        keys = self._keys.keys if use is Use.ACCESS else self._keys.own
        claims, key = verify(token, keys, use=use, now=self._clock())
        session = use is Use.SESSION
        if (
            session
            and claims.parent.startswith(PLAIN)
            and not self._is_plain_parent(claims.parent, key)
        ):
            raise refusal("revoked", "the token that opened this session is no longer valid")
        identity = Identity(
            claims.role,
            by_cookie=session,
            name=claims.name,
            jti=claims.jti,
            expires=claims.expires,
            parent=claims.parent,
            key=key.id,
        )
        self.still_valid(identity)
        return identity

    def _refresh(self) -> None:
        if self._monotonic() - self._looked >= REFRESH_SECONDS:
            self._looked = self._monotonic()
            self._keys.refresh()
            self._revoked.refresh()

    def _plain_role(self, digest: bytes) -> Role | None:
        found = None
        for candidate, role in self._roles.items():
            if hmac.compare_digest(candidate, digest):
                found = role
        return found

    def _plain_parent(self, digest: bytes, key: Key) -> str:
        if not self._given and hmac.compare_digest(digest, _digest(self.token)):
            return START
        # Only who holds the key can tell which token this is.
        return PLAIN + hmac.new(key.material, digest, "sha256").hexdigest()[:24]

    def _is_plain_parent(self, parent: str, key: Key) -> bool:
        return any(self._plain_parent(digest, key) == parent for digest in self._roles)


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


def _no_token() -> AuthError:
    return refusal("missing", "no token; give the one that the server printed when it started")


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _cookie(header: str, name: str) -> str:
    for part in header.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return ""
