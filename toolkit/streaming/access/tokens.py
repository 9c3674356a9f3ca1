"""Signed tokens (JWT): what stands in them, how they are made, and why one is refused.

Pure: keys and the time are given. No refusal repeats the token.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import jwt

from toolkit.errors import AuthError
from toolkit.streaming.access.keys import Key
from toolkit.streaming.wire import Role, format_time

ISSUER = "stochrsi-toolkit"
# Clocks of the machine that signs and of this one may differ by so many seconds.
LEEWAY = 5.0
MAX_TOKEN = 4096
MAX_NAME = 40
_LAST_MOMENT = 253_402_300_799  # the year 9999
_UNCHECKED = {
    f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")
}


class Use(StrEnum):
    """What a token is for: its audience. One cannot stand in for another."""

    ACCESS = "stochrsi-toolkit"
    SESSION = "stochrsi-toolkit/session"
    LOGIN = "stochrsi-toolkit/login"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Who a token speaks for. Times in seconds since the Unix epoch.

    `jti` names the token, so that it can be revoked; `parent` is what a browser session was
    opened with.
    """

    name: str
    role: Role
    jti: str
    issued: float
    expires: float
    use: Use = Use.ACCESS
    parent: str = ""


def new_claims(
    *, name: str, role: Role, now: float, seconds: float, use: Use = Use.ACCESS, parent: str = ""
) -> Claims:
    """Return claims with a name of their own (`jti`), good for `seconds` from `now`."""
    return Claims(
        name=name,
        role=role,
        jti=secrets.token_hex(8),
        issued=int(now),
        expires=int(now + seconds),
        use=use,
        parent=parent,
    )


def sign(claims: Claims, key: Key) -> str:
    """Return the token of these claims."""
    body: dict[str, Any] = {
        "sub": claims.name,
        "role": claims.role.name.lower(),
        "iat": int(claims.issued),
        "exp": int(claims.expires),
        "jti": claims.jti,
        "iss": ISSUER,
        "aud": claims.use.value,
    }
    if claims.parent:
        body["parent"] = claims.parent
    return jwt.encode(body, key.material, algorithm=key.algorithm)


def looks_signed(token: str) -> bool:
    """Tell whether this is meant to be a signed token, and not a plain one."""
    return token.startswith("ey") and token.count(".") == 2


def verify(token: str, keys: Iterable[Key], *, use: Use, now: float) -> tuple[Claims, Key]:
    """Return the claims and the key that signed them; raises AuthError with `reason`."""
    if len(token) > MAX_TOKEN:
        raise refusal("malformed", f"the token is longer than {MAX_TOKEN} characters")
    for key in keys:
        body = _opened(token, key)
        if body is not None:
            claims = _claims(body, use)
            _check_time(claims, body, now)
            return claims, key
    raise refusal(
        "wrong_signature",
        "the token was not signed by a key of this server; ask its owner for a new one",
    )


def refusal(reason: str, message: str) -> AuthError:
    """Return the error that says why a token is refused; `reason` is for programs."""
    return AuthError(message, reason=reason)


def _opened(token: str, key: Key) -> Mapping[str, Any] | None:
    try:
        return jwt.decode(token, key.material, algorithms=[key.algorithm], options=_UNCHECKED)  # type: ignore[arg-type]
    except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError, jwt.InvalidKeyError):
        return None
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise refusal("malformed", "the token is damaged; copy it whole") from None


def _claims(body: Mapping[str, Any], use: Use) -> Claims:
    if body.get("iss") != ISSUER or body.get("aud") != use.value:
        raise refusal(
            "wrong_service",
            f"the token was made for another service or use; its aud must be {use.value!r} "
            f"and its iss {ISSUER!r}",
        )
    name, jti, parent = body.get("sub"), body.get("jti"), body.get("parent", "")
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= MAX_NAME:
        raise refusal("malformed", f"the token's sub must be a name of 1 to {MAX_NAME} characters")
    if not isinstance(jti, str) or not 0 < len(jti) <= 100 or not isinstance(parent, str):
        raise refusal("malformed", "the token's jti must be a string of 1 to 100 characters")
    role = body.get("role")
    known = {role.name.lower(): role for role in Role}
    if not isinstance(role, str) or role not in known:
        raise refusal("unknown_role", f"the token's role is unknown; allowed: {', '.join(known)}")
    return Claims(
        name=name,
        role=known[role],
        jti=jti,
        issued=_moment(body, "iat"),
        expires=_moment(body, "exp"),
        use=use,
        parent=parent,
    )


def _check_time(claims: Claims, body: Mapping[str, Any], now: float) -> None:
    begins = max(claims.issued, _moment(body, "nbf") if "nbf" in body else claims.issued)
    if now + LEEWAY < begins:
        raise refusal("not_yet_valid", f"the token is not valid before {shown(begins)}")
    check_expiry(claims.expires, now)


def check_expiry(expires: float, now: float) -> None:
    """Raise AuthError when that moment has passed."""
    if now >= expires:
        raise refusal("expired", f"the token expired at {shown(expires)}; ask for a new one")


def shown(moment: float) -> str:
    """Return seconds since the Unix epoch as RFC 3339 in UTC."""
    return format_time(datetime.fromtimestamp(moment, UTC))


def _moment(body: Mapping[str, Any], claim: str) -> float:
    value = body.get(claim)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is None or not number or not 0 <= value <= _LAST_MOMENT:
        raise refusal("malformed", f"the token's {claim} must be seconds since 1970")
    return float(value)
